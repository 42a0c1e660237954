// SPDX-License-Identifier: Apache-2.0
/*
 * Pointers into the middle of a block that mean the block, because of how compilers and libraries make objects. The
 * kinds are those that Valgrind's memcheck knows (--leak-check-heuristics), tested on usable sizes: an allocator may
 * give up to 40 bytes more than was asked for.
 *
 *   length64             a length in front of what it counts; the pointer is behind it (sqlite)
 *   stdstring            the old std::string: length, capacity and count, then the text
 *   newarray             new T[n] with a destructor: n in front of the first element
 *   multipleinheritance  a base class inside an object: its own vtable, whose offset-to-top leads back (Itanium C++
 *                        ABI, 2.5.2), and the object's vtable with the same type at the block's beginning
 */
#include "heap/mark.h"

enum { SLACK = 40 };

/* Whether `bytes` may be what was asked for when the block can hold `usable`. */
static bool is_request(uint64_t bytes, uint64_t usable)
{
	return bytes && bytes <= usable && usable - bytes < SLACK;
}

static bool is_length64(uint64_t offset, uint64_t first, uint64_t usable)
{
	return (offset == 8 || offset == 16) && first < usable && is_request(first + offset, usable);
}

static bool is_string(uint64_t offset, const uint64_t head[3], uint64_t usable)
{
	return offset == 24 && head[0] <= head[1] && head[1] < usable && is_request(head[1] + 25, usable);
}

/* The cookie is 8 bytes; 16 when elements are aligned to 16, and then n is in the second half. */
static bool is_array(uint64_t offset, const uint64_t head[3], uint64_t usable)
{
	uint64_t n = offset == 8 ? head[0] : head[1];

	if ((offset != 8 && offset != 16) || !n || n > usable)
		return false;
	return is_request((usable - offset) / n * n + offset, usable);
}

/* In pages that are not written to; RELRO counts, since the dynamic linker has made it so. */
bool sp_interior_is_constant(const struct sp_heap *h, uint64_t addr)
{
	const struct sp_mapping *m = sp_maps_find(h->src->maps, addr);

	return m && m->inode && (m->prot & SP_PROT_R) && !(m->prot & SP_PROT_W) && addr - m->start >= 16;
}

static bool is_base(struct sp_heap *h, const struct sp_extent *e, uint64_t ptr, uint64_t vtable)
{
	uint64_t inner, inner_head[2], outer_head[2];

	if (ptr % 8 || !sp_heap_get_u64(h->reader, ptr, &inner) || inner % 8 || vtable % 8 ||
	    !sp_interior_is_constant(h, inner) || !sp_interior_is_constant(h, vtable) ||
	    !sp_heap_get(h->reader, inner - 16, inner_head, sizeof(inner_head)) ||
	    !sp_heap_get(h->reader, vtable - 16, outer_head, sizeof(outer_head)))
		return false;
	return inner_head[0] == 0 - (ptr - e->start) && outer_head[0] == 0 && inner_head[1] == outer_head[1];
}

bool sp_interior_is_good(struct sp_heap *h, const struct sp_extent *e, uint64_t ptr)
{
	uint64_t usable = sp_extent_usable(e), offset = ptr - e->start, head[3];

	if (usable < sizeof(head) || !sp_heap_get(h->reader, e->start, head, sizeof(head)))
		return false;
	return is_length64(offset, head[0], usable) || is_string(offset, head, usable) ||
	       is_array(offset, head, usable) || is_base(h, e, ptr, head[0]);
}
