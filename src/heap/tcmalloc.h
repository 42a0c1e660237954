// SPDX-License-Identifier: Apache-2.0
/* What the files of the tcmalloc model share. */
#ifndef SEEP_HEAP_TCMALLOC_H
#define SEEP_HEAP_TCMALLOC_H

#include "heap/model.h"

enum {
	TC_NR_CLASSES = 128, /* common.h: kClassSizesMax */
	TC_ADDRESS_BITS = 48,
	TC_PAGE = 4096, /* of the machine; tcmalloc's own are larger */
};

enum tc_kind { TC_FREE, TC_SMALL, TC_LARGE };

/* A run of pages, by address. */
struct tc_span {
	uint64_t base;
	uint64_t span; /* the structure that describes it */
	uint64_t bytes;
	uint8_t kind; /* enum tc_kind */
	uint8_t size_class;
};

struct tc {
	const struct sp_heap_source *src;
	struct sp_heap_reader *r;
	struct sp_heap_sink *sink;
	struct sp_heap_data data; /* of the module that has it */
	unsigned page_shift;
	uint64_t root; /* of the map from pages to spans */
	int32_t class_bytes[TC_NR_CLASSES], class_batch[TC_NR_CLASSES];
	unsigned nr_classes;
	struct sp_vec spans; /* struct tc_span */
	uint64_t class_spans[TC_NR_CLASSES], class_free[TC_NR_CLASSES];
	uint64_t central[TC_NR_CLASSES]; /* where each class' central list is; 0: not needed */
	uint64_t pages_left;             /* that may be looked at in search of the root */
	char why[160];                   /* what did not verify */
};

/* Does the word at `at` lead to a leaf of the map? Then root and page_shift are set. */
bool sp_tc_is_root(struct tc *tc, uint64_t at, uint64_t leaf);

/* Every span. 1; 0: something does not verify (tc->why); negative: ours. */
int sp_tc_collect(struct tc *tc);

/* Of a small span: the blocks that it holds. */
static inline uint64_t sp_tc_nr_blocks(const struct tc *tc, const struct tc_span *s)
{
	return s->bytes / (uint32_t)tc->class_bytes[s->size_class];
}

/*
 * Tells the chain of free blocks from `head` on, which must be of that class, at
 * most `max` of them, up to and with `tail` or, when that is 0, to a zero. 1, 0 and negative as above.
 */
int sp_tc_free_chain(struct tc *tc, uint64_t head, uint64_t tail, unsigned size_class, uint64_t max, uint64_t *ret_nr);

/* The central lists of all classes that have spans, and what they keep for threads. 1, 0, negative. */
int sp_tc_find_central(struct tc *tc);
int sp_tc_free_central(struct tc *tc);
void sp_tc_untell_central(struct tc *tc);

/* What threads cache. 1, 0, negative. */
int sp_tc_free_cached(struct tc *tc);

/* Printf for tc->why; returns 0. */
int sp_tc_doubt(struct tc *tc, const char *fmt, ...) sp_printf(2, 3);

#endif
