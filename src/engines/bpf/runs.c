// SPDX-License-Identifier: Apache-2.0
/*
 * Runs of pages that call paths have faulted in (bpf/growth.bpf.h): which of those pages are still there.
 *
 *   1. where runs overlap, the youngest is right: the page had gone, or there would have been no fault
 *   2. what the page tables do not show as the process' own memory is left out
 *   3. a huge page came by one fault, of which only the first 4 KiB are known: the rest is added
 *   4. runs of which nothing is left are deleted from the programs' table
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>

#include "engines/bpf/impl.h"

#define MAX_RUNS   (1 << 24)
#define PAGE       4096ULL
#define HUGE_PAGE  (2ULL << 20)
#define MIN_AGE_NS 2000000000ULL /* younger ones may just be growing */

void sp_bpf_runs_init(struct sp_bpf_runs *r)
{
	sp_vec_init(&r->list, sizeof(struct sp_bpf_run), MAX_RUNS);
}

void sp_bpf_runs_done(struct sp_bpf_runs *r)
{
	sp_vec_done(&r->list);
}

static int by_start(const void *pa, const void *pb)
{
	const struct sp_bpf_run *a = pa, *b = pb;

	return (a->start > b->start) - (a->start < b->start);
}

/* ---- who is right: a sweep over the addresses with a heap of the runs that are open there, youngest on top ---- */

static const struct sp_bpf_run *run_at(const struct sp_vec *runs, const struct sp_vec *heap, size_t i)
{
	return sp_vec_at(runs, struct sp_bpf_run, *sp_vec_at(heap, uint32_t, i));
}

static void swap(struct sp_vec *heap, size_t a, size_t b)
{
	uint32_t *list = heap->data, kept = list[a];

	list[a] = list[b];
	list[b] = kept;
}

static int heap_push(const struct sp_vec *runs, struct sp_vec *heap, uint32_t run)
{
	int err = sp_vec_push(heap, &run);

	for (size_t i = heap->nr - 1; !err && i; i = (i - 1) / 2) {
		if (run_at(runs, heap, (i - 1) / 2)->birth_ns >= run_at(runs, heap, i)->birth_ns)
			break;
		swap(heap, i, (i - 1) / 2);
	}
	return err;
}

static void heap_pop(const struct sp_vec *runs, struct sp_vec *heap)
{
	swap(heap, 0, --heap->nr);
	for (size_t i = 0, child; (child = 2 * i + 1) < heap->nr; i = child) {
		if (child + 1 < heap->nr &&
		    run_at(runs, heap, child + 1)->birth_ns > run_at(runs, heap, child)->birth_ns)
			child++;
		if (run_at(runs, heap, i)->birth_ns >= run_at(runs, heap, child)->birth_ns)
			break;
		swap(heap, i, child);
	}
}

static int sweep(const struct sp_vec *runs, struct sp_vec *heap, struct sp_vec *ret)
{
	uint64_t at = 0;
	int err = 0;

	for (size_t i = 0; !err && (i < runs->nr || heap->nr);) {
		if (!heap->nr)
			at = sp_vec_at(runs, struct sp_bpf_run, i)->start;
		for (; !err && i < runs->nr && sp_vec_at(runs, struct sp_bpf_run, i)->start <= at; i++)
			err = heap_push(runs, heap, (uint32_t)i);
		while (heap->nr && run_at(runs, heap, 0)->end <= at)
			heap_pop(runs, heap);
		if (err || !heap->nr)
			continue;
		const struct sp_bpf_run *top = run_at(runs, heap, 0);
		uint64_t end = top->end;
		if (i < runs->nr && sp_vec_at(runs, struct sp_bpf_run, i)->start < end)
			end = sp_vec_at(runs, struct sp_bpf_run, i)->start;
		struct sp_bpf_piece piece = {.start = at, .end = end, .run = *sp_vec_at(heap, uint32_t, 0)};
		err = sp_vec_push(ret, &piece);
		at = end;
	}
	return err;
}

int sp_bpf_runs_overlay(struct sp_vec *runs, struct sp_vec *ret)
{
	struct sp_vec heap;

	sp_vec_init(&heap, sizeof(uint32_t), MAX_RUNS);
	if (runs->nr)
		qsort(runs->data, runs->nr, sizeof(struct sp_bpf_run), by_start);
	int err = sweep(runs, &heap, ret);
	sp_vec_done(&heap);
	return err;
}

/* ---- what is still there ---- */

struct settling {
	struct sp_vec *runs, pieces;
	struct sp_pagemap pm;
	struct sp_ledger *ledger;
};

static int give(struct settling *s, const struct sp_bpf_run *run, uint64_t start, uint64_t end)
{
	/* The lowest bit tells a page from a mapping that begins there (sp_ledger_blocks() takes it off again). */
	const struct sp_block b = {
	    .addr = start | 1, .size = end - start, .birth_ns = run->birth_ns, .path = run->path, .fn = SP_FN_FAULT};
	int err = sp_ledger_block(s->ledger, &b);

	return err == -ENOSPC ? 0 : err; /* counted by the ledger */
}

/* The huge page that holds the piece, as far as no other piece does. */
static void widen(struct settling *s, size_t i, uint64_t *start, uint64_t *end)
{
	uint64_t first = *start & ~(HUGE_PAGE - 1), last = first + HUGE_PAGE, unused;

	if (*end > last || !sp_pagemap_is_huge(&s->pm, *start))
		return;
	if (i && sp_vec_at(&s->pieces, struct sp_bpf_piece, i - 1)->end > first)
		first = sp_vec_at(&s->pieces, struct sp_bpf_piece, i - 1)->end;
	if (i + 1 < s->pieces.nr && sp_vec_at(&s->pieces, struct sp_bpf_piece, i + 1)->start < last)
		last = sp_vec_at(&s->pieces, struct sp_bpf_piece, i + 1)->start;
	if (first < *start && sp_pagemap_run(&s->pm, first, *start, &unused) == SP_PAGE_OWN)
		*start = first;
	*end = last;
}

/* May the piece be a part of a huge page: is there memory beside it that nobody was seen to fault in? */
static bool is_surrounded(struct settling *s, size_t i)
{
	const struct sp_bpf_piece *p = sp_vec_at(&s->pieces, struct sp_bpf_piece, i);
	uint64_t unused;

	if (p->end % HUGE_PAGE)
		return sp_pagemap_run(&s->pm, p->end, p->end + PAGE, &unused) == SP_PAGE_OWN;
	return p->start % HUGE_PAGE && sp_pagemap_run(&s->pm, p->start - PAGE, p->start, &unused) == SP_PAGE_OWN;
}

static int settle(struct settling *s, size_t i)
{
	const struct sp_bpf_piece *p = sp_vec_at(&s->pieces, struct sp_bpf_piece, i);
	struct sp_bpf_run *run = sp_vec_at(s->runs, struct sp_bpf_run, p->run);
	uint64_t at = p->start, end = p->end, next;
	int err = 0;

	if (is_surrounded(s, i))
		widen(s, i, &at, &end);
	for (; at < end && !err; at = next) {
		enum sp_page_kind kind = sp_pagemap_run(&s->pm, at, end, &next);
		run->is_alive |= kind == SP_PAGE_OWN || kind == SP_PAGE_SWAPPED;
		if (kind == SP_PAGE_OWN)
			err = give(s, run, at, next);
	}
	return err;
}

/* The target has ended, and its page tables with it: all that was not seen to go. */
static int settle_unseen(struct settling *s, size_t i)
{
	const struct sp_bpf_piece *p = sp_vec_at(&s->pieces, struct sp_bpf_piece, i);
	struct sp_bpf_run *run = sp_vec_at(s->runs, struct sp_bpf_run, p->run);

	run->is_alive = true;
	return give(s, run, p->start, p->end);
}

static void delete_dead(struct sp_vec *runs, struct bpf_map *map, uint64_t now_ns)
{
	for (size_t i = 0; i < runs->nr; i++) {
		const struct sp_bpf_run *r = sp_vec_at(runs, struct sp_bpf_run, i);
		if (!r->is_alive && now_ns - r->birth_ns > MIN_AGE_NS)
			bpf_map_delete_elem(bpf_map__fd(map), &r->key);
	}
}

int sp_bpf_runs_settle(struct sp_bpf_runs *r, struct sp_proc *target, struct bpf_map *map, struct sp_ledger *l)
{
	struct settling s = {.runs = &r->list, .ledger = l, .pm.fd = -1};

	if (!r->list.nr)
		return 0;
	sp_vec_init(&s.pieces, sizeof(struct sp_bpf_piece), MAX_RUNS);
	int err = sp_bpf_runs_overlay(&r->list, &s.pieces);
	sp_autoclose int fd = sp_proc_open_file(target, "pagemap", O_RDONLY | O_CLOEXEC);
	bool can_see = fd >= 0 && sp_proc_is_alive(target);
	s.pm.fd = fd;
	for (size_t i = 0; i < s.pieces.nr && !err; i++)
		err = can_see ? settle(&s, i) : settle_unseen(&s, i);
	if (!err)
		delete_dead(&r->list, map, sp_watch_now_ns());
	sp_vec_done(&s.pieces);
	sp_vec_clear(&r->list);
	return err;
}
