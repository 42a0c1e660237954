// SPDX-License-Identifier: Apache-2.0
/* What a block looks like: its C++ class by RTTI, which needs no symbols, and its first bytes. */
#include "heap/mark.h"

#include <string.h>

/* Names of types are C identifiers and numbers; "*" leads local ones (Itanium C++ ABI 2.9.4). */
static bool take_name(const char *text, size_t len, char ret[SP_HEAP_TYPE_MAX])
{
	size_t n = strnlen(text, len);

	if (n && *text == '*') {
		text++;
		n--;
	}
	if (!n || n >= SP_HEAP_TYPE_MAX || n == len)
		return false;
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	memcpy(ret, text, n);
	ret[n] = '\0';
	return true;
}

/* Before a vtable stand the offset to the object's beginning and the type's description, whose second word is a name.
 */
static bool find_type(const struct sp_heap *h, uint64_t vtable, char ret[SP_HEAP_TYPE_MAX])
{
	uint64_t head[2], info[2];
	char text[SP_HEAP_TYPE_MAX + 1];
	size_t len = sizeof(text);

	if (vtable % 8 || !sp_interior_is_constant(h, vtable) ||
	    !sp_heap_get(h->reader, vtable - 16, head, sizeof(head)) || head[0] != 0 || head[1] % 8 ||
	    !sp_interior_is_constant(h, head[1]) || !sp_heap_get(h->reader, head[1], info, sizeof(info)) ||
	    !sp_interior_is_constant(h, info[1]))
		return false;
	while (len > 16 && !sp_heap_get(h->reader, info[1], text, len))
		len /= 2;
	return len > 16 && take_name(text, len, ret);
}

void sp_heap_look(const struct sp_heap *h, const struct sp_heap_block *b, struct sp_heap_look *ret)
{
	uint64_t first;

	*ret = (struct sp_heap_look){0};
	ret->nr_head = b->size < SP_HEAP_HEAD_MAX ? (unsigned)b->size : SP_HEAP_HEAD_MAX;
	if (!sp_heap_get(h->reader, b->addr, ret->head, ret->nr_head))
		ret->nr_head = 0;
	if (ret->nr_head < sizeof(first))
		return;
	memcpy(&first, ret->head, sizeof(first));
	if (find_type(h, first, ret->type))
		ret->vtable = first;
}
