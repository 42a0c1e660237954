// SPDX-License-Identifier: Apache-2.0
/*
 * tcmalloc's free blocks that are in no span's list: what a central list keeps to hand to threads, and what threads
 * cache.
 *
 *   central list  {lock, class, ring of full spans, ring of others, spans, free blocks, slots[64] {head, tail}, slots
 * in use} thread cache  {lists[128] {head, length, marks, bytes of a block}, ..., next, previous}
 *
 * A class' central list is in the library's data; the ring of any span of that class leads there, and it must have the
 * number of spans that were seen. A thread cache is known by its 128 sizes; from a pointer in the library's data,
 * pointers behind the lists lead to all of them. That of a thread that has ended keeps empty lists.
 */
#include "heap/tcmalloc.h"

#include <errno.h>
#include <string.h>

enum {
	SPAN_NEXT = 16,
	CENTRAL_CLASS = 8,
	CENTRAL_EMPTY = 16,
	CENTRAL_NONEMPTY = 64,
	CENTRAL_NR_SPANS = 112,
	CENTRAL_NR_FREE = 120,
	CENTRAL_SLOTS = 128,
	CENTRAL_NR_SLOTS = 64,
	CENTRAL_USED_SLOTS = CENTRAL_SLOTS + CENTRAL_NR_SLOTS * 16,
	LIST_BYTES = 32,
	LISTS_BYTES = LIST_BYTES * TC_NR_CLASSES,
	LINKS_WITHIN = 128, /* bytes behind a cache's lists in which its links are */
	MAX_CACHES = 1 << 17,
};

/* ---- central lists ---- */

/* `header` is one of the two rings' heads: the list's address; 0: it is not. */
static uint64_t central_of(struct tc *tc, uint64_t header, unsigned class)
{
	static const unsigned AT[] = {CENTRAL_EMPTY, CENTRAL_NONEMPTY};

	for (size_t i = 0; i < SP_ARRAY_SIZE(AT); i++) {
		uint64_t central = header - AT[i], of, nr;

		if (sp_heap_get_u64(tc->r, central + CENTRAL_CLASS, &of) && of == class &&
		    sp_heap_get_u64(tc->r, central + CENTRAL_NR_SPANS, &nr) && nr == tc->class_spans[class])
			return central;
	}
	return 0;
}

static int find_one(struct tc *tc, const struct tc_span *s)
{
	uint64_t at = s->span;

	for (uint64_t i = 0; i <= tc->class_spans[s->size_class]; i++) {
		if (!sp_heap_get_u64(tc->r, at + SPAN_NEXT, &at))
			break;
		if (at < tc->data.start || at >= tc->data.end)
			continue;
		tc->central[s->size_class] = central_of(tc, at, s->size_class);
		break;
	}
	return tc->central[s->size_class] ? 1 : sp_tc_doubt(tc, "class %u has no central list", s->size_class);
}

int sp_tc_find_central(struct tc *tc)
{
	int rc = 1;

	for (size_t i = 0; i < tc->spans.nr && rc > 0; i++) {
		const struct tc_span *s = sp_vec_at(&tc->spans, struct tc_span, i);

		if (s->kind == TC_SMALL && !tc->central[s->size_class])
			rc = find_one(tc, s);
	}
	return rc;
}

/* Its slots keep pointers to what was in them before: not roots. */
static int tell_slots(struct tc *tc, uint64_t central)
{
	struct sp_heap_region r = {.start = central + CENTRAL_SLOTS, .end = central + CENTRAL_USED_SLOTS, .granule = 8};
	int rc = sp_heap_add_region(tc->sink, &r);

	return rc < 0 ? rc : sp_heap_add_free(tc->sink, r.start);
}

void sp_tc_untell_central(struct tc *tc)
{
	for (unsigned i = 0; i < TC_NR_CLASSES; i++)
		if (tc->central[i])
			sp_heap_drop_region(tc->sink, tc->central[i] + CENTRAL_SLOTS);
}

static int free_slots(struct tc *tc, unsigned class)
{
	uint64_t slot[2], central = tc->central[class], used, nr;
	int rc = 1;

	if (!sp_heap_get_u64(tc->r, central + CENTRAL_USED_SLOTS, &used) || (uint32_t)used > CENTRAL_NR_SLOTS)
		return sp_tc_doubt(tc, "class %u has more slots in use than there are", class);
	for (uint32_t i = 0; i < (uint32_t)used && rc > 0; i++) {
		uint64_t batch = (uint32_t)tc->class_batch[class];

		if (!sp_heap_get(tc->r, central + CENTRAL_SLOTS + i * 16u, slot, sizeof(slot)) || !slot[1])
			return sp_tc_doubt(tc, "a slot of class %u has no end", class);
		rc = sp_tc_free_chain(tc, slot[0], slot[1], class, batch, &nr);
		if (rc > 0 && nr != batch)
			return sp_tc_doubt(tc, "a slot of class %u has %llu blocks", class, (unsigned long long)nr);
	}
	return rc;
}

int sp_tc_free_central(struct tc *tc)
{
	int rc = 1;

	for (unsigned i = 0; i < tc->nr_classes && rc > 0; i++) {
		uint64_t nr;

		if (!tc->central[i])
			continue;
		if (!sp_heap_get_u64(tc->r, tc->central[i] + CENTRAL_NR_FREE, &nr) || nr != tc->class_free[i])
			return sp_tc_doubt(tc, "class %u: %llu free blocks in spans, and it counts %llu", i,
					   (unsigned long long)tc->class_free[i], (unsigned long long)nr);
		rc = tell_slots(tc, tc->central[i]);
		if (rc == 0)
			rc = free_slots(tc, i);
	}
	return rc;
}

/* ---- threads' caches ---- */

struct caches {
	struct tc *tc;
	struct sp_u64map seen;
	struct sp_vec list; /* uint64_t: the same, in order */
};

static int32_t list_bytes(const unsigned char *lists, unsigned class)
{
	int32_t bytes;

	memcpy(&bytes, lists + class * LIST_BYTES + 24, sizeof(bytes));
	return bytes;
}

/* All its lists have the sizes of their classes. */
static bool is_cache(struct tc *tc, uint64_t at, unsigned char lists[LISTS_BYTES])
{
	uint64_t first;

	/* most addresses are found out by one word */
	if (at % 64 || !sp_heap_get_u64(tc->r, at + LIST_BYTES + 24, &first) || (int32_t)first != tc->class_bytes[1] ||
	    !sp_heap_get(tc->r, at, lists, LISTS_BYTES))
		return false;
	for (unsigned i = 1; i < tc->nr_classes; i++)
		if (list_bytes(lists, i) != tc->class_bytes[i])
			return false;
	return true;
}

static int add(struct caches *c, uint64_t at)
{
	unsigned char lists[LISTS_BYTES];

	if (!at || sp_u64map_find(&c->seen, at) || !is_cache(c->tc, at, lists))
		return 0;
	int rc = sp_u64map_set(&c->seen, at, 1);
	return rc < 0 ? rc : sp_vec_push(&c->list, &at);
}

static int add_from(struct caches *c, uint64_t start, uint64_t end)
{
	uint64_t word;
	int rc = 0;

	for (uint64_t at = start; at < end && rc >= 0; at += 8)
		if (sp_heap_get_u64(c->tc->r, at, &word))
			rc = add(c, word);
	return rc;
}

static int free_cache(struct tc *tc, uint64_t at)
{
	unsigned char lists[LISTS_BYTES];
	int rc = 1;

	if (!is_cache(tc, at, lists))
		return sp_tc_doubt(tc, "a thread's cache changed");
	for (unsigned i = 1; i < tc->nr_classes && rc > 0; i++) {
		uint64_t head, nr;
		uint32_t length;

		memcpy(&head, lists + i * LIST_BYTES, sizeof(head));
		memcpy(&length, lists + i * LIST_BYTES + 8, sizeof(length));
		rc = sp_tc_free_chain(tc, head, 0, i, length, &nr);
		if (rc > 0 && nr != length)
			return sp_tc_doubt(tc, "a thread's cache of class %u has %llu blocks, and it counts %u", i,
					   (unsigned long long)nr, length);
	}
	return rc;
}

int sp_tc_free_cached(struct tc *tc)
{
	struct caches c = {.tc = tc};

	sp_u64map_init(&c.seen, MAX_CACHES);
	sp_vec_init(&c.list, sizeof(uint64_t), MAX_CACHES);
	int rc = add_from(&c, tc->data.start, tc->data.end);
	for (size_t i = 0; i < c.list.nr && rc >= 0; i++) {
		uint64_t links = *sp_vec_at(&c.list, uint64_t, i) + LISTS_BYTES;
		rc = add_from(&c, links, links + LINKS_WITHIN);
	}
	if (rc >= 0)
		rc = c.list.nr ? 1 : sp_tc_doubt(tc, "no thread's cache was found");
	for (size_t i = 0; i < c.list.nr && rc > 0; i++)
		rc = free_cache(tc, *sp_vec_at(&c.list, uint64_t, i));
	sp_u64map_done(&c.seen);
	sp_vec_done(&c.list);
	return rc;
}
