// SPDX-License-Identifier: Apache-2.0
/*
 * Where a process' memory is, as one sentence. What grew between two looks comes before what there is: a process may
 * hold a lot for good reasons.
 */
#include <stdio.h>

#include "segments/segments.h"

#define MIB ((uint64_t)1 << 20)

static const struct {
	const char *key, *next, *next_grown;
} causes[SP_NR_SEGMENT_CAUSES] = {
#define CAUSE(id, key, next, grown) [SP_SEGMENT_IS_##id] = {key, next, grown},
    SP_SEGMENT_CAUSE(CAUSE)
#undef CAUSE
};

const char *sp_segment_cause_key(enum sp_segment_cause c)
{
	return causes[c].key;
}

/* ---- judging ---- */

static uint64_t held(const struct sp_segment_sum *s)
{
	return s->resident + s->swapped + s->huge;
}

/* Less is what any program's heap takes while it works. */
static uint64_t noise(const struct sp_segments *s)
{
	uint64_t hundredth = held(&s->total) / 100;

	return hundredth > MIB / 4 ? hundredth : MIB / 4;
}

static uint64_t idle_of(const struct sp_segment_heap *h)
{
	return h->held > h->used_held ? h->held - h->used_held : 0;
}

/* Most of what the allocator has in memory is in no block: that, and not its blocks, is the size of the heap. */
static bool is_idle(const struct sp_segment_heap *h)
{
	return h->is_known && idle_of(h) >= MIB && idle_of(h) >= h->held / 2;
}

static enum sp_segment_cause cause_of_heap(const struct sp_segment_heap *h)
{
	return h->is_known ? SP_SEGMENT_IS_HEAP : SP_SEGMENT_IS_HEAP_UNKNOWN;
}

static enum sp_segment_cause cause_of(enum sp_segment_kind kind, const struct sp_segment_heap *h)
{
	switch (kind) {
	case SP_SEGMENT_HEAP:
	case SP_SEGMENT_MALLOC:
		return cause_of_heap(h);
	case SP_SEGMENT_ANON:
		return SP_SEGMENT_IS_ANON;
	case SP_SEGMENT_SHARED:
		return SP_SEGMENT_IS_SHARED;
	case SP_SEGMENT_STACK:
	case SP_SEGMENT_THREAD_STACK:
		return SP_SEGMENT_IS_STACKS;
	case SP_SEGMENT_FILE:
	case SP_SEGMENT_DEVICE:
		return SP_SEGMENT_IS_FILES;
	default:
		return SP_SEGMENT_IS_FIXED;
	}
}

/* The heap is one thing for a reader, whether malloc has it from brk() or from mmap(). */
static int64_t heaps_growth(const struct sp_segments *s)
{
	return s->sums[SP_SEGMENT_HEAP].growth + s->sums[SP_SEGMENT_MALLOC].growth;
}

static uint64_t heaps_size(const struct sp_segments *s)
{
	return held(&s->sums[SP_SEGMENT_HEAP]) + held(&s->sums[SP_SEGMENT_MALLOC]);
}

/*
 * The heap is read a moment after the mappings, of a process that runs. Only where both have seen the same growth can
 * they be compared.
 */
static enum sp_segment_cause cause_of_growth(const struct sp_segment_heap *h, int64_t growth)
{
	if (!h->is_known || !h->has_growth || h->growth_held < growth / 2)
		return SP_SEGMENT_IS_HEAP_UNKNOWN;
	return h->growth_used < growth / 2 ? SP_SEGMENT_IS_IDLE_HEAP : SP_SEGMENT_IS_HEAP;
}

static bool judge_growth(const struct sp_segments *s, const struct sp_segment_heap *h, struct sp_segment_verdict *v)
{
	int64_t most = heaps_growth(s);
	enum sp_segment_kind kind = SP_SEGMENT_HEAP;

	for (unsigned i = SP_SEGMENT_MALLOC + 1; i < SP_NR_SEGMENTS; i++) {
		if (s->sums[i].growth <= most)
			continue;
		most = s->sums[i].growth;
		kind = (enum sp_segment_kind)i;
	}
	if (most < (int64_t)noise(s))
		return false;
	v->cause = kind == SP_SEGMENT_HEAP ? cause_of_growth(h, most) : cause_of(kind, h);
	v->amount = (uint64_t)most;
	v->is_growth = true;
	return true;
}

static void judge_size(const struct sp_segments *s, const struct sp_segment_heap *h, struct sp_segment_verdict *v)
{
	uint64_t most = heaps_size(s);
	enum sp_segment_kind kind = SP_SEGMENT_HEAP;

	for (unsigned i = SP_SEGMENT_MALLOC + 1; i < SP_NR_SEGMENTS; i++) {
		if (held(&s->sums[i]) <= most)
			continue;
		most = held(&s->sums[i]);
		kind = (enum sp_segment_kind)i;
	}
	v->cause = is_idle(h) ? SP_SEGMENT_IS_IDLE_HEAP : cause_of(kind, h);
	v->amount = is_idle(h) ? idle_of(h) : most;
	if (!held(&s->total))
		v->cause = SP_SEGMENT_IS_NOTHING;
}

/* Memory that was asked for and never touched. What is closed to everybody was never meant to be. */
static uint64_t untouched(const struct sp_segments *s)
{
	uint64_t size = 0, in_memory = 0;

	for (unsigned i = SP_SEGMENT_HEAP; i <= SP_SEGMENT_ANON; i++) {
		size += s->sums[i].size;
		in_memory += held(&s->sums[i]);
	}
	return size > in_memory ? size - in_memory : 0;
}

struct sp_segment_verdict sp_segments_judge(const struct sp_segments *s, const struct sp_segment_heap *heap,
					    uint64_t span_ns)
{
	struct sp_segment_verdict v = {.span_ns = span_ns};

	if (!span_ns || !judge_growth(s, heap, &v))
		judge_size(s, heap, &v);
	if (untouched(s) >= 64 * MIB && untouched(s) >= held(&s->total))
		v.reserved = untouched(s);
	if (v.reserved && !v.is_growth && v.reserved / 16 >= held(&s->total))
		v.cause = SP_SEGMENT_IS_RESERVED;
	return v;
}

/* ---- saying it ---- */

static const char *allocator(const struct sp_segment_heap *h)
{
	return h->name ? h->name : "the allocator";
}

static void add_heap(struct sp_words *t, const struct sp_segment_verdict *v, const struct sp_segment_heap *h)
{
	if (v->is_growth) {
		sp_words_add(t, ", and blocks in use with it by %s: a leak, or a program that needs more",
			     SP_BYTES((uint64_t)h->growth_used));
		return;
	}
	sp_words_add(t, ", and %s of it is in blocks in use: whether they are leaked, a size cannot tell",
		     SP_BYTES(h->used_held));
}

static void add_idle(struct sp_words *t, const struct sp_segment_verdict *v, const struct sp_segment_heap *h)
{
	if (v->is_growth)
		sp_words_add(t, ", but blocks in use only by %s: free memory inside it, no leak",
			     SP_BYTES(h->growth_used > 0 ? (uint64_t)h->growth_used : 0));
	else
		sp_words_add(
		    t,
		    "%s holds %s in memory, and only %s of it is in blocks in use: the rest is fragmentation or left "
		    "from a peak, no leak",
		    allocator(h), SP_BYTES(h->held), SP_BYTES(h->used_held));
}

static const char *const explained[SP_NR_SEGMENT_CAUSES] = {
    [SP_SEGMENT_IS_NOTHING] = "nothing of the process is in memory",
    [SP_SEGMENT_IS_HEAP_UNKNOWN] = ": how much of it is in use could not be read at the same instant",
    [SP_SEGMENT_IS_ANON] = ": the program's own mmap(), or an allocator that seep does not know",
    [SP_SEGMENT_IS_SHARED] = ": who else holds it decides when it goes",
    [SP_SEGMENT_IS_STACKS] = ": stacks go with their threads; threads that never end keep them",
    [SP_SEGMENT_IS_FIXED] = ": code, constants and global variables do not leak",
    [SP_SEGMENT_IS_FILES] = ": pages of files, which the kernel takes back when it needs them: no leak",
};

static const char *subject(enum sp_segment_cause c)
{
	static const char *const subjects[SP_NR_SEGMENT_CAUSES] = {
	    [SP_SEGMENT_IS_HEAP] = "the heap",
	    [SP_SEGMENT_IS_IDLE_HEAP] = "the heap",
	    [SP_SEGMENT_IS_HEAP_UNKNOWN] = "the heap",
	    [SP_SEGMENT_IS_ANON] = "anonymous memory",
	    [SP_SEGMENT_IS_SHARED] = "shared memory",
	    [SP_SEGMENT_IS_STACKS] = "the stacks",
	    [SP_SEGMENT_IS_FIXED] = "the program and its libraries",
	    [SP_SEGMENT_IS_FILES] = "mapped files",
	};

	return subjects[c];
}

static void add_subject(struct sp_words *t, const struct sp_segment_verdict *v, const struct sp_segments *s)
{
	char span[16];

	if (!subject(v->cause) || (v->cause == SP_SEGMENT_IS_IDLE_HEAP && !v->is_growth))
		return;
	if (v->is_growth)
		sp_words_add(t, "%s grew %s in %s", subject(v->cause), SP_BYTES(v->amount),
			     sp_text_duration(span, sizeof(span), v->span_ns + 500000000u));
	else
		sp_words_add(t, "most of it, %s of %s, is %s", SP_BYTES(v->amount), SP_BYTES(held(&s->total)),
			     subject(v->cause));
}

const char *sp_segments_sentence(const struct sp_segment_verdict *v, const struct sp_segments *s,
				 const struct sp_segment_heap *heap, char *buf, size_t size)
{
	struct sp_words t = {buf, size, 0};

	buf[0] = '\0';
	if (v->span_ns && !v->is_growth)
		sp_words_add(&t, "nothing grew; ");
	add_subject(&t, v, s);
	if (v->cause == SP_SEGMENT_IS_HEAP)
		add_heap(&t, v, heap);
	else if (v->cause == SP_SEGMENT_IS_IDLE_HEAP)
		add_idle(&t, v, heap);
	else if (explained[v->cause])
		sp_words_add(&t, "%s", explained[v->cause]);
	if (v->cause == SP_SEGMENT_IS_RESERVED)
		sp_words_add(&t, "%s are allocated and were never touched: they take no memory", SP_BYTES(v->reserved));
	else if (v->reserved)
		sp_words_add(&t, "; %s more are allocated and were never touched: they take no memory",
			     SP_BYTES(v->reserved));
	return buf;
}

const char *sp_segments_next(const struct sp_segment_verdict *v, pid_t pid, char *buf, size_t size)
{
	const char *next = v->is_growth ? causes[v->cause].next_grown : causes[v->cause].next;

	return sp_text_command(buf, size, next, (int)pid);
}
