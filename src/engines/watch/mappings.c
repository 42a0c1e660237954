// SPDX-License-Identifier: Apache-2.0
/*
 * Live mappings of the target: a sorted list of ranges that do not overlap.
 *
 * munmap and mremap take ranges, not blocks: any part of one mapping, or parts of several. What an unmap takes away is
 * kept until the same thread's next one, because the call may still fail (its failure comes as an event after it).
 */
#include <errno.h>
#include <string.h>

#include "engines/watch/watch.h"

/* Far more than threads unmap at the same time. Threads that end leave theirs behind: the oldest make room. */
#define MAX_REMOVED 4096

/* A piece that thread tid has taken away. */
struct removed {
	struct sp_block piece;
	uint32_t tid;
};

void sp_watch_mappings_init(struct sp_watch_mappings *m)
{
	sp_vec_init(&m->live, sizeof(struct sp_block), SP_MAX_LIVE_MAPPINGS);
	sp_vec_init(&m->removed, sizeof(struct removed), MAX_REMOVED);
}

void sp_watch_mappings_done(struct sp_watch_mappings *m)
{
	sp_vec_done(&m->live);
	sp_vec_done(&m->removed);
}

void sp_watch_mappings_forget_before(struct sp_watch_mappings *m, uint64_t birth_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->live.nr; i++) {
		const struct sp_block *b = sp_vec_at(&m->live, struct sp_block, i);
		if (b->birth_ns >= birth_ns)
			*sp_vec_at(&m->live, struct sp_block, kept++) = *b;
	}
	m->live.nr = kept;
	sp_vec_clear(&m->removed);
}

static struct sp_block *live_at(const struct sp_watch_mappings *m, size_t i)
{
	return sp_vec_at(&m->live, struct sp_block, i);
}

/* Sums that saturate: the target chooses the numbers. */
static uint64_t end_of(uint64_t addr, uint64_t size)
{
	return addr + size < addr ? UINT64_MAX : addr + size;
}

/* Index of the first live range that ends after addr. */
static size_t first_after(const struct sp_watch_mappings *m, uint64_t addr)
{
	size_t lo = 0, hi = m->live.nr;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct sp_block *b = live_at(m, mid);
		if (end_of(b->addr, b->size) > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int insert_at(struct sp_watch_mappings *m, size_t i, const struct sp_block *b)
{
	int err = sp_vec_push(&m->live, b);

	if (err)
		return err;
	memmove(live_at(m, i + 1), live_at(m, i), (m->live.nr - 1 - i) * sizeof(*b));
	*live_at(m, i) = *b;
	return 0;
}

static void erase(struct sp_watch_mappings *m, size_t i, size_t nr)
{
	memmove(live_at(m, i), live_at(m, i + nr), (m->live.nr - i - nr) * sizeof(struct sp_block));
	m->live.nr -= nr;
}

/* Notes the part of b inside [addr, end) as removed by tid; tid 0: for good. */
static int keep_removed(struct sp_watch_mappings *m, uint32_t tid, const struct sp_block *b, uint64_t addr,
			uint64_t end)
{
	struct removed r = {.piece = *b, .tid = tid};
	uint64_t b_end = end_of(b->addr, b->size);

	if (!tid)
		return 0;
	if (m->removed.nr == MAX_REMOVED) {
		m->removed.nr /= 2;
		memmove(m->removed.data, sp_vec_at(&m->removed, struct removed, MAX_REMOVED - m->removed.nr),
			m->removed.nr * sizeof(r));
	}
	r.piece.addr = b->addr > addr ? b->addr : addr;
	r.piece.size = (b_end < end ? b_end : end) - r.piece.addr;
	return sp_vec_push(&m->removed, &r);
}

static void forget_removed(struct sp_watch_mappings *m, uint32_t tid)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->removed.nr; i++) {
		struct removed *r = sp_vec_at(&m->removed, struct removed, i);
		if (r->tid != tid)
			*sp_vec_at(&m->removed, struct removed, kept++) = *r;
	}
	m->removed.nr = kept;
}

/* Takes [addr, end) out of the one range at i, which overlaps it. Returns how many ranges now stand in its place. */
static int cut(struct sp_watch_mappings *m, size_t i, uint64_t addr, uint64_t end)
{
	struct sp_block *b = live_at(m, i);
	uint64_t b_end = end_of(b->addr, b->size);
	struct sp_block tail = *b;

	if (b->addr < addr && b_end > end) {
		tail.addr = end;
		tail.size = b_end - end;
		b->size = addr - b->addr;
		int err = insert_at(m, i + 1, &tail);
		return err ? err : 2;
	}
	if (b->addr < addr) {
		b->size = addr - b->addr;
		return 1;
	}
	if (b_end > end) {
		b->addr = end;
		b->size = b_end - end;
		return 1;
	}
	erase(m, i, 1);
	return 0;
}

int sp_watch_mappings_remove(struct sp_watch_mappings *m, uint32_t tid, uint64_t addr, uint64_t size)
{
	uint64_t end = end_of(addr, (size + 4095) & ~4095ULL); /* the kernel rounds up to pages */
	size_t i = first_after(m, addr);
	int err = 0;

	forget_removed(m, tid);
	while (i < m->live.nr && live_at(m, i)->addr < end) {
		err = keep_removed(m, tid, live_at(m, i), addr, end);
		int nr = cut(m, i, addr, end);
		if (nr < 0)
			return nr;
		i += (size_t)nr;
	}
	return err;
}

int sp_watch_mappings_add(struct sp_watch_mappings *m, const struct sp_block *b)
{
	int err = sp_watch_mappings_remove(m, 0, b->addr, b->size); /* MAP_FIXED over something */

	if (err)
		return err;
	return insert_at(m, first_after(m, b->addr), b);
}

int sp_watch_mappings_undo(struct sp_watch_mappings *m, uint32_t tid)
{
	int err = 0;

	for (size_t i = 0; i < m->removed.nr; i++) {
		const struct removed *r = sp_vec_at(&m->removed, struct removed, i);
		if (r->tid != tid)
			continue;
		int failed = insert_at(m, first_after(m, r->piece.addr), &r->piece);
		err = err ? err : failed;
	}
	forget_removed(m, tid);
	return err;
}

/* Appends to *ret the parts of b that are mapped; *i: the first mapping that ends after b begins. */
static int push_mapped(const struct sp_block *b, const struct sp_maps *maps, size_t *i, struct sp_vec *ret)
{
	uint64_t at = b->addr, end = end_of(b->addr, b->size);
	int err = 0;

	while (*i < maps->nr && maps->list[*i].end <= at)
		++*i;
	for (size_t k = *i; k < maps->nr && maps->list[k].start < end && !err;) {
		struct sp_block part = *b;
		part.addr = maps->list[k].start > at ? maps->list[k].start : at;
		at = maps->list[k].end;
		for (k++; k < maps->nr && maps->list[k].start == at; k++) /* neighbours with other rights */
			at = maps->list[k].end;
		part.size = (at < end ? at : end) - part.addr;
		err = sp_vec_push(ret, &part);
	}
	return err;
}

int sp_watch_mappings_reconcile(struct sp_watch_mappings *m, const struct sp_maps *maps)
{
	struct sp_vec kept;
	size_t at = 0;
	int err = 0;

	sp_vec_init(&kept, sizeof(struct sp_block), SP_MAX_LIVE_MAPPINGS);
	for (size_t i = 0; i < m->live.nr && !err; i++)
		err = push_mapped(live_at(m, i), maps, &at, &kept);
	if (err) {
		sp_vec_done(&kept);
		return err;
	}
	sp_vec_done(&m->live);
	m->live = kept;
	sp_vec_clear(&m->removed);
	return 0;
}
