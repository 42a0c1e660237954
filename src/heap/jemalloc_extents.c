// SPDX-License-Identifier: Apache-2.0
/*
 * jemalloc's extents: every run of pages that it manages, out of its radix tree.
 *
 *   root[2^18] --> leaf[2^18] --> extent {bits, address, size, ..., bitmap}
 *   address >> 30   (address >> 12) & (2^18 - 1)
 *
 * The root is an array of 2 MiB in the library's (or the program's) data, the leaves are in jemalloc's own memory. An
 * extent is entered for its first and its last page, a slab for every page. So the tree proves itself: the extent that
 * the element of page P names must begin at P, the element of its last page must name it, too, what the element says of
 * size class, state and slab must be what the extent says, a slab's pages must divide by its size class without rest,
 * and its bitmap must have as many bits set as its counter of free blocks says. One that disagrees and the heap is
 * read anew or given up.
 *
 * The layout (5.3, or 5.1 to 5.2) and the size classes (least distance 16, or 8 as in the copy that redis brings) are
 * those under which all this holds.
 */
#include "heap/jemalloc.h"

#include <stdarg.h>
#include <string.h>

#define MAX_EXTENTS  ((size_t)16 << 20)
#define ADDRESS_END  ((uint64_t)1 << 47)
#define PAGE_MASK    ((uint64_t)JE_PAGE - 1)
#define LEAF_ADDRESS (((uint64_t)1 << 48) - 1)

enum {
	STATE_ACTIVE = 0,
	STATE_LAST_AT_REST = 3, /* dirty, muzzy, retained; above: between two states */
	EDATA_ADDRESS = 8,      /* offset in an extent's structure: where its block begins */
	MAX_LEAVES = 4096,      /* 4 TiB of address space with heap */
};

/*
 * Shifts: 5.3.0 include/jemalloc/internal/edata.h and rtree.h; 5.2.1 extent_structs.h and rtree.h. The least distance
 * of size classes is not a matter of version.
 */
static const struct je_layout LAYOUTS[] = {
    {.name = "5.3",
     .leaf_flags = 127,
     .leaf_state = 2,
     .state_bits = 3,
     .slab = 12,
     .state = 17,
     .size_class = 20,
     .nr_free = 28,
     .bitmap_at = 64,
     .cache_apart = true},
    {.name = "5.1 to 5.2",
     .leaf_flags = 1,
     .state_bits = 2,
     .slab = 12,
     .state = 16,
     .size_class = 18,
     .nr_free = 26,
     .bitmap_at = 64},
};

int sp_je_doubt(struct je *je, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(je->why, sizeof(je->why), fmt, args);
	va_end(args);
	return 0;
}

uint64_t sp_je_class_bytes(unsigned lg_quantum, unsigned size_class)
{
	unsigned nr_tiny = lg_quantum - 3;

	if (size_class < nr_tiny)
		return (uint64_t)8 << size_class;
	size_class -= nr_tiny;
	if (size_class < 4)
		return (uint64_t)(size_class + 1) << lg_quantum;
	unsigned group = size_class / 4, lg_base = lg_quantum + 1 + group;
	if (lg_base > 46)
		return 0;
	return ((uint64_t)1 << lg_base) + ((uint64_t)(size_class % 4 + 1) << (lg_base - 2));
}

uint64_t sp_je_slab_bytes(uint64_t class_bytes)
{
	uint64_t bytes = JE_PAGE;

	while (bytes % class_bytes)
		bytes += JE_PAGE;
	return bytes;
}

/* The words of an extent's structure that every layout has in the same place. */
struct edata {
	uint64_t bits, address, size;
};

static uint64_t field(uint64_t word, unsigned shift, unsigned width)
{
	return word >> shift & (((uint64_t)1 << width) - 1);
}

static bool get_edata(struct je *je, uint64_t at, struct edata *ret)
{
	if (!sp_heap_get(je->r, at, ret, sizeof(*ret)))
		return false;
	ret->size &= ~PAGE_MASK;
	return true;
}

static uint64_t leaf_edata(const struct je *je, uint64_t elem)
{
	return elem & LEAF_ADDRESS & ~je->layout->leaf_flags;
}

bool sp_je_slab_bitmap(struct je *je, const struct je_extent *e, uint64_t ret_bitmap[JE_MAX_SLAB_REGS / 64])
{
	uint64_t bytes = sp_je_class_bytes(je->lg_quantum, e->size_class), bits;
	uint64_t nr = bytes ? (uint64_t)e->nr_pages * JE_PAGE / bytes : 0, nr_free = 0;

	if (!nr || nr > JE_MAX_SLAB_REGS || !sp_heap_get_u64(je->r, e->edata, &bits) ||
	    !sp_heap_get(je->r, e->edata + je->layout->bitmap_at, ret_bitmap, (nr + 63) / 64 * 8))
		return false;
	if (nr % 64 && ret_bitmap[nr / 64] >> (nr % 64))
		return false;
	for (size_t i = 0; i < (nr + 63) / 64; i++)
		nr_free += (unsigned)__builtin_popcountll(ret_bitmap[i]);
	return nr_free == field(bits, je->layout->nr_free, 10);
}

/* A small size class has slabs of one length; which distance of classes this heap has shows in the first such slab. */
static bool is_slab(struct je *je, const struct je_extent *e)
{
	uint64_t bitmap[JE_MAX_SLAB_REGS / 64], bytes = (uint64_t)e->nr_pages * JE_PAGE;
	uint64_t class_bytes = sp_je_class_bytes(je->lg_quantum, e->size_class);

	return e->size_class < JE_NR_SMALL_MAX && bytes == sp_je_slab_bytes(class_bytes) &&
	       sp_je_slab_bitmap(je, e, bitmap);
}

bool sp_je_large_block(const struct je *je, const struct je_extent *e, uint64_t *ret_start, uint64_t *ret_bytes)
{
	uint64_t start, bytes = sp_je_class_bytes(je->lg_quantum, e->size_class);
	uint64_t end = e->base + (uint64_t)e->nr_pages * JE_PAGE;

	if (!bytes || !sp_heap_get_u64(je->r, e->edata + EDATA_ADDRESS, &start) || start % 16 || start < e->base ||
	    start >= end)
		return false;
	if (bytes > end - start) {
		/* 5.3.1 on: not rounded up to its class */
		if (!e->size_class || sp_je_class_bytes(je->lg_quantum, e->size_class - 1u) >= end - start)
			return false;
		bytes = end - start;
	}
	*ret_start = start;
	*ret_bytes = bytes;
	return true;
}

static bool elem_at(struct je *je, uint64_t address, uint64_t *ret)
{
	uint64_t leaf;

	return sp_heap_get_u64(je->r, je->root + (address >> 30) * 8, &leaf) && leaf &&
	       sp_heap_get_u64(je->r, leaf + field(address, 12, JE_ROOT_BITS) * 8, ret);
}

/* What the element of a page and the extent that it names say of each other. */
static bool agree(struct je *je, uint64_t elem, uint64_t page, const struct edata *e)
{
	const struct je_layout *l = je->layout;
	uint64_t state = field(e->bits, l->state, l->state_bits), last;

	if ((e->address & ~PAGE_MASK) != page || !e->size || e->size > ADDRESS_END - page || state > STATE_LAST_AT_REST)
		return false;
	if (l->leaf_state && field(elem, l->leaf_state, l->state_bits) != state)
		return false;
	if (state == STATE_ACTIVE &&
	    (elem >> 48 != field(e->bits, l->size_class, 8) || field(elem, 0, 1) != field(e->bits, l->slab, 1)))
		return false;
	if (!elem_at(je, page + e->size - JE_PAGE, &last) || leaf_edata(je, last) != leaf_edata(je, elem))
		return false;
	return sp_maps_find(je->src->maps, page) && sp_maps_find(je->src->maps, page + e->size - JE_PAGE);
}

bool sp_je_is_root(struct je *je, uint64_t at, uint64_t leaf)
{
	const struct sp_mapping *m = sp_maps_find(je->src->maps, leaf);
	uint64_t nr, elem;
	struct edata e;

	if (leaf % 64 || !m || !(m->prot & SP_PROT_W) || m->path[0] ||
	    !sp_heap_first_word(je->r, leaf, JE_NODE_BYTES / 8, &je->pages_left, &nr, &elem))
		return false;
	for (size_t i = 0; i < SP_ARRAY_SIZE(LAYOUTS); i++) {
		je->layout = &LAYOUTS[i];
		if (!get_edata(je, leaf_edata(je, elem), &e) || e.address >= ADDRESS_END)
			continue;
		if (field(e.address, 12, JE_ROOT_BITS) != nr || at < (e.address >> 30) * 8)
			continue;
		je->root = at - (e.address >> 30) * 8;
		if (agree(je, elem, e.address & ~PAGE_MASK, &e))
			return true;
	}
	return false;
}

/* The extent that begins at `page`. 1: appended, *ret_end set. */
static int add_extent(struct je *je, uint64_t elem, uint64_t page, uint64_t *ret_end)
{
	const struct je_layout *l = je->layout;
	uint64_t start, bytes;
	struct edata edata;
	struct je_extent e = {.base = page, .edata = leaf_edata(je, elem), .size_class = (uint8_t)(elem >> 48)};

	if (!get_edata(je, e.edata, &edata) || !agree(je, elem, page, &edata) || edata.size / JE_PAGE > UINT32_MAX)
		return sp_je_doubt(je, "the extent of page 0x%llx does not agree with the tree",
				   (unsigned long long)page);
	e.nr_pages = (uint32_t)(edata.size / JE_PAGE);
	if (field(edata.bits, l->state, l->state_bits) == STATE_ACTIVE) {
		e.kind = field(edata.bits, l->slab, 1) ? JE_SLAB : JE_LARGE;
		if (e.kind == JE_SLAB ? !is_slab(je, &e) : !sp_je_large_block(je, &e, &start, &bytes))
			return sp_je_doubt(je, "the %s at 0x%llx, size class %u, does not add up",
					   e.kind == JE_SLAB ? "slab" : "large block", (unsigned long long)page,
					   e.size_class);
	}
	int rc = sp_vec_push(&je->extents, &e);
	*ret_end = page + edata.size;
	return rc < 0 ? rc : sp_je_note_base(je, e.edata);
}

/* The extents that begin in this leaf's GiB. *at: where the last one ended. */
static int collect_leaf(struct je *je, uint64_t leaf, uint64_t gib, uint64_t *at)
{
	uint64_t elems[JE_PAGE / 8];
	int rc = sp_je_note_base(je, leaf);

	for (uint64_t i = 0; i < JE_NODE_BYTES / 8 && rc > 0; i++) {
		uint64_t page = gib + i * JE_PAGE;

		if (i % SP_ARRAY_SIZE(elems) == 0 && !sp_heap_get(je->r, leaf + i * 8, elems, sizeof(elems)))
			return sp_je_doubt(je, "a leaf of the tree cannot be read");
		if (page >= *at && elems[i % SP_ARRAY_SIZE(elems)])
			rc = add_extent(je, elems[i % SP_ARRAY_SIZE(elems)], page, at);
	}
	return rc;
}

static int collect(struct je *je)
{
	uint64_t leaves[JE_PAGE / 8], at = 0;
	unsigned nr_leaves = 0;
	int rc = 1;

	je->extents.nr = 0;
	for (uint64_t i = 0; i < ADDRESS_END >> 30 && rc > 0; i++) {
		uint64_t leaf;

		if (i % SP_ARRAY_SIZE(leaves) == 0 && !sp_heap_get(je->r, je->root + i * 8, leaves, sizeof(leaves)))
			return sp_je_doubt(je, "the root of the tree cannot be read");
		leaf = leaves[i % SP_ARRAY_SIZE(leaves)];
		if (leaf && ++nr_leaves > MAX_LEAVES)
			return sp_je_doubt(je, "the tree has more than %d leaves", MAX_LEAVES);
		if (leaf)
			rc = collect_leaf(je, leaf, i << 30, &at);
	}
	return rc > 0 && !je->extents.nr ? sp_je_doubt(je, "the tree has no extents") : rc;
}

int sp_je_collect(struct je *je)
{
	static const unsigned LG_QUANTUM[] = {4, 3};
	int rc = 0;

	if (!je->extents.elem_size)
		sp_vec_init(&je->extents, sizeof(struct je_extent), MAX_EXTENTS);
	for (size_t i = 0; i < SP_ARRAY_SIZE(LG_QUANTUM) && rc == 0; i++) {
		je->lg_quantum = LG_QUANTUM[i];
		rc = collect(je);
	}
	return rc;
}

static const struct je_extent *extent_of(const struct je *je, uint64_t addr)
{
	size_t low = 0, high = je->extents.nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (sp_vec_at(&je->extents, struct je_extent, mid)->base <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	const struct je_extent *e = low ? sp_vec_at(&je->extents, struct je_extent, low - 1) : NULL;
	return e && addr - e->base < (uint64_t)e->nr_pages * JE_PAGE ? e : NULL;
}

bool sp_je_is_extent(const struct je *je, uint64_t addr)
{
	return extent_of(je, addr) != NULL;
}

bool sp_je_block_of(const struct je *je, uint64_t addr, uint64_t *ret_start, uint64_t *ret_end)
{
	const struct je_extent *e = extent_of(je, addr);
	uint64_t start, bytes;

	if (!e || e->kind == JE_INACTIVE)
		return false;
	if (e->kind == JE_SLAB) {
		bytes = sp_je_class_bytes(je->lg_quantum, e->size_class);
		start = bytes ? addr - (addr - e->base) % bytes : 0;
	} else if (!sp_je_large_block(je, e, &start, &bytes) || start > addr || addr - start >= bytes) {
		return false;
	}
	*ret_start = start;
	*ret_end = start + bytes;
	return true;
}
