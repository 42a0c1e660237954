// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a view: what a report may see of the ledger's current snapshot. Copies everything but names, which belong to
 * the symbolizer: a view stays as it is while the ledger goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session/impl.h"

#define MAX_PATHS            (1u << 24)
#define MAX_BLOCKS           ((size_t)1 << 32)
#define MAX_FRAMES           (1u << 22) /* in one view: 400 MB of them */
#define MAX_FRAMES_OF_A_PATH 512        /* source frames; 127 functions with what is inlined into them */

/* What stands where no frame can. */
static const struct sp_frame path_unknown = {.function = "[call path unknown]"};
static const struct sp_frame path_empty = {.function = "[no frames]"};
static const struct sp_frame page_fault = {.function = "[page fault]"};
static const struct sp_frame frames_cut = {.function = "[more frames, not shown]"};

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

static uint64_t scaled(uint64_t n, uint64_t scale)
{
	return __builtin_mul_overflow(n, scale, &n) ? UINT64_MAX : n;
}

static int64_t scaled_signed(int64_t n, uint64_t scale)
{
	__int128 product = (__int128)n * scale; /* below 2^127 */

	if (product > INT64_MAX)
		return INT64_MAX;
	return product < INT64_MIN ? INT64_MIN : (int64_t)product;
}

static void scale_sum(struct sp_path_sum *s, uint64_t scale)
{
	s->bytes = scaled(s->bytes, scale);
	s->blocks = scaled(s->blocks, scale);
	s->growth_bytes = scaled_signed(s->growth_bytes, scale);
	s->growth_blocks = scaled_signed(s->growth_blocks, scale);
	s->total_growth_bytes = scaled_signed(s->total_growth_bytes, scale);
	s->old_seen = scaled(s->old_seen, scale);
	s->old_freed = scaled(s->old_freed, scale);
}

/* ---- sums ---- */

static size_t cut(size_t nr, unsigned top)
{
	return top && top < nr ? top : nr;
}

static int take_sums(struct sp_view_store *store, const struct sp_ledger *l, const struct sp_session_options *o,
		     struct sp_view *v)
{
	int r = sp_ledger_paths(l, &o->filter, o->sort, &store->sums);

	if (r < 0)
		return r;
	for (size_t i = 0; i < store->sums.nr; i++)
		scale_sum(sp_vec_at(&store->sums, struct sp_path_sum, i), v->scale);
	/* Only its names tell whether a path is suppressed. */
	v->nr_paths = cut(store->sums.nr, o->suppress ? 0 : o->top);
	store->paths = calloc(v->nr_paths + 1, sizeof(store->paths[0]));
	if (!store->paths)
		return -ENOMEM;
	for (size_t i = 0; i < v->nr_paths; i++)
		store->paths[i].sum = *sp_vec_at(&store->sums, struct sp_path_sum, i);
	v->paths = store->paths;
	v->sums = store->sums.data;
	return 0;
}

/* ---- names ---- */

static bool is_faults(const uint64_t *pcs, unsigned nr_pcs)
{
	return nr_pcs && pcs[0] == SP_PC_FAULT;
}

static unsigned name_address(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret,
			     unsigned max)
{
	if (s)
		return sp_symbolize(s, address, is_return, ret, max);
	*ret = (struct sp_frame){.address = address};
	return 1;
}

/* Names a whole path into `ret`, which has MAX_FRAMES_OF_A_PATH + 1 elements. */
static unsigned name_path(struct sp_symbolizer *s, const uint64_t *pcs, unsigned nr_pcs, struct sp_frame *ret)
{
	unsigned first = is_faults(pcs, nr_pcs) ? 1 : 0, nr = first;

	if (first)
		ret[0] = page_fault;
	for (unsigned i = first; i < nr_pcs; i++) {
		if (nr == MAX_FRAMES_OF_A_PATH) {
			ret[nr++] = frames_cut;
			break;
		}
		nr += name_address(s, pcs[i], !first || i > first, &ret[nr], MAX_FRAMES_OF_A_PATH - nr);
	}
	return nr;
}

static int push_frames(struct sp_vec *frames, const struct sp_frame *list, unsigned nr)
{
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++)
		r = sp_vec_push(frames, &list[i]);
	return r;
}

/* Puts one path's frames at the end of store->frames, or lets it point to one that stands for them. */
static int take_path_frames(struct sp_view_store *store, const struct sp_ledger *l, struct sp_symbolizer *s,
			    struct sp_view_path *p, struct sp_frame *scratch)
{
	const struct sp_frame *instead = &path_unknown;
	unsigned nr_pcs = 0, nr = 0;
	const uint64_t *pcs = p->sum.path == SP_NO_PATH ? NULL : sp_ledger_path_pcs(l, p->sum.path, &nr_pcs);
	int r = 0;

	p->is_faults = pcs && is_faults(pcs, nr_pcs);
	if (pcs) {
		instead = nr_pcs ? &frames_cut : &path_empty;
		nr = store->frames.nr + MAX_FRAMES_OF_A_PATH < MAX_FRAMES ? name_path(s, pcs, nr_pcs, scratch) : 0;
		r = push_frames(&store->frames, scratch, nr);
	}
	p->nr_frames = nr ? nr : 1;
	p->frames = nr ? NULL : instead;
	return r;
}

static int take_frames(struct sp_view_store *store, const struct sp_ledger *l, struct sp_symbolizer *s, size_t nr_paths)
{
	sp_autofree struct sp_frame *scratch = calloc(MAX_FRAMES_OF_A_PATH + 1, sizeof(*scratch));
	const struct sp_frame *next;
	int r = scratch ? 0 : -ENOMEM;

	for (size_t i = 0; i < nr_paths && !r; i++)
		r = take_path_frames(store, l, s, &store->paths[i], scratch);
	if (r)
		return r;
	/* Only now do the frames stay where they are. */
	next = store->frames.data;
	for (size_t i = 0; i < nr_paths; i++) {
		if (store->paths[i].frames)
			continue;
		store->paths[i].frames = next;
		next += store->paths[i].nr_frames;
	}
	return 0;
}

/* ---- what the user does not want to hear of ---- */

/* Moves the sums of suppressed paths behind all others, and takes them out of the totals. */
static int drop_suppressed(struct sp_view_store *store, struct sp_suppress *suppress, struct sp_view *v)
{
	sp_autofree struct sp_path_sum *dropped = calloc(v->nr_paths + 1, sizeof(*dropped));
	size_t nr_dropped = 0, nr_kept = 0;

	if (!dropped)
		return -ENOMEM;
	sp_suppress_reset(suppress);
	for (size_t i = 0; i < v->nr_paths; i++) {
		const struct sp_view_path p = store->paths[i];
		if (sp_suppress_take(suppress, p.frames, p.nr_frames, p.sum.bytes, p.sum.blocks)) {
			v->suppressed_bytes = saturating_add(v->suppressed_bytes, p.sum.bytes);
			v->suppressed_blocks = saturating_add(v->suppressed_blocks, p.sum.blocks);
			dropped[nr_dropped++] = p.sum;
			continue;
		}
		*sp_vec_at(&store->sums, struct sp_path_sum, nr_kept) = p.sum;
		store->paths[nr_kept++] = p;
	}
	if (nr_dropped)
		memcpy(sp_vec_at(&store->sums, struct sp_path_sum, nr_kept), dropped, nr_dropped * sizeof(*dropped));
	v->suppressed_paths = nr_dropped;
	return 0;
}

static void sum_up(const struct sp_vec *sums, const struct sp_ledger *l, struct sp_view *v)
{
	v->total_paths = sums->nr - v->suppressed_paths;
	v->total_bytes = v->total_blocks = 0;
	for (size_t i = 0; i < v->total_paths; i++) {
		const struct sp_path_sum *s = sp_vec_at(sums, struct sp_path_sum, i);
		unsigned nr_pcs = 0;
		const uint64_t *pcs = v->is_growth ? sp_ledger_path_pcs(l, s->path, &nr_pcs) : NULL;

		if (pcs && is_faults(pcs, nr_pcs))
			v->fault_bytes = saturating_add(v->fault_bytes, s->bytes);
		v->total_bytes = saturating_add(v->total_bytes, s->bytes);
		v->total_blocks = saturating_add(v->total_blocks, s->blocks);
	}
}

static int suppress(struct sp_view_store *store, const struct sp_ledger *l, const struct sp_session_options *o,
		    struct sp_view *v)
{
	int r = o->suppress ? drop_suppressed(store, o->suppress, v) : 0;

	sum_up(&store->sums, l, v);
	v->nr_paths = cut(v->total_paths, o->top);
	return r;
}

/* ---- blocks ---- */

/* rank[path id + 1]: the path's place in the view; SP_NO_PATH + 1 is 0. */
static int by_rank(const void *pa, const void *pb, void *arg)
{
	const struct sp_block *a = pa, *b = pb;
	const uint32_t *rank = arg;
	uint32_t ra = rank[(uint32_t)(a->path + 1)], rb = rank[(uint32_t)(b->path + 1)];

	if (ra != rb)
		return ra < rb ? -1 : 1;
	return (a->addr > b->addr) - (a->addr < b->addr);
}

/*
 * Ranks of all paths that have blocks under the filter: the place of one that is shown, nr_paths of one that is not,
 * nr_paths + 1 of one that is suppressed.
 */
static uint32_t *make_ranks(const struct sp_vec *sums, const struct sp_view *v)
{
	uint32_t last = 0, *rank;

	for (size_t i = 0; i < sums->nr; i++) {
		uint32_t at = sp_vec_at(sums, struct sp_path_sum, i)->path + 1;

		last = at > last ? at : last;
	}
	rank = calloc((size_t)last + 1, sizeof(*rank));
	for (size_t i = 0; i < sums->nr && rank; i++)
		rank[(uint32_t)(sp_vec_at(sums, struct sp_path_sum, i)->path + 1)] =
		    (uint32_t)(i < v->nr_paths      ? i
			       : i < v->total_paths ? v->nr_paths
						    : v->nr_paths + 1);
	return rank;
}

/* One list, sorted by path in the view's order: one pass over the ledger, however many paths are shown. */
static int take_lists(struct sp_view_store *store, const struct sp_view *v)
{
	sp_autofree uint32_t *rank = make_ranks(&store->sums, v);
	const struct sp_block *b = store->blocks.data, *end = b + store->blocks.nr;

	if (!rank)
		return -ENOMEM;
	if (store->blocks.nr)
		qsort_r(store->blocks.data, store->blocks.nr, sizeof(struct sp_block), by_rank, rank);
	for (size_t i = 0; i < v->nr_paths; i++) {
		store->paths[i].list = b;
		while (b < end && rank[(uint32_t)(b->path + 1)] == i)
			b++;
		store->paths[i].nr_list = (size_t)(b - store->paths[i].list);
	}
	return 0;
}

static int drop_suppressed_blocks(struct sp_view_store *store, const struct sp_view *v)
{
	sp_autofree uint32_t *rank = v->suppressed_paths ? make_ranks(&store->sums, v) : NULL;
	struct sp_block *list = store->blocks.data;
	size_t kept = 0;

	if (!v->suppressed_paths)
		return 0;
	if (!rank)
		return -ENOMEM;
	for (size_t i = 0; i < store->blocks.nr; i++)
		if (rank[(uint32_t)(list[i].path + 1)] <= v->nr_paths)
			list[kept++] = list[i];
	store->blocks.nr = kept;
	return 0;
}

static int take_blocks(struct sp_view_store *store, const struct sp_ledger *l, const struct sp_session_options *o,
		       struct sp_view *v)
{
	/* An empty list is one that was asked for: it must not be NULL. */
	static const struct sp_block none;
	int r = sp_ledger_blocks(l, true, 0, &o->filter, &store->blocks);

	if (!r && o->list == SP_LIST_PATH)
		return take_lists(store, v);
	if (!r)
		r = drop_suppressed_blocks(store, v);
	if (r < 0)
		return r;
	v->list = store->blocks.nr ? store->blocks.data : &none;
	v->nr_list = store->blocks.nr;
	return 0;
}

/* ---- what of it is in physical memory ---- */

struct share {
	uint64_t recorded, resident; /* bytes */
};

/* The part of `bytes`, which may stand for more than was recorded, that is resident in proportion. */
static uint64_t part_of(uint64_t bytes, const struct share *s)
{
	return s->recorded ? (uint64_t)((unsigned __int128)bytes * s->resident / s->recorded) : 0;
}

/* shares[nr_paths] is that of the paths that are not shown, the one behind it of what is suppressed. */
static void add_shares(struct share *shares, const struct sp_vec *blocks, const struct sp_range *ranges,
		       const uint32_t *rank)
{
	for (size_t i = 0; i < blocks->nr; i++) {
		struct share *s = &shares[rank[(uint32_t)(sp_vec_at(blocks, struct sp_block, i)->path + 1)]];

		s->recorded = saturating_add(s->recorded, ranges[i].size);
		s->resident = saturating_add(s->resident, ranges[i].resident);
	}
}

static int look_at_pages(struct share *shares, const struct sp_vec *blocks, const uint32_t *rank, struct sp_proc *p)
{
	sp_autofree struct sp_range *ranges = calloc(blocks->nr + 1, sizeof(*ranges));
	int r;

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < blocks->nr; i++) {
		const struct sp_block *b = sp_vec_at(blocks, struct sp_block, i);

		ranges[i] = (struct sp_range){.addr = b->addr, .size = b->size};
	}
	r = sp_proc_resident(p, ranges, blocks->nr);
	if (!r)
		add_shares(shares, blocks, ranges, rank);
	return r;
}

int sp_view_add_resident(struct sp_view *v, const struct sp_view_store *store, const struct sp_ledger *l,
			 struct sp_proc *p)
{
	sp_autofree struct share *shares = calloc(v->nr_paths + 2, sizeof(*shares));
	sp_autofree uint32_t *rank = make_ranks(&store->sums, v);
	struct share all = {0};
	struct sp_vec blocks;
	int r = shares && rank ? 0 : -ENOMEM;

	sp_vec_init(&blocks, sizeof(struct sp_block), MAX_BLOCKS);
	if (!r)
		r = sp_ledger_blocks(l, true, 0, &v->filter, &blocks);
	if (!r)
		r = look_at_pages(shares, &blocks, rank, p);
	sp_vec_done(&blocks);
	if (r)
		return r;
	for (size_t i = 0; i < v->nr_paths; i++)
		store->paths[i].resident_bytes = part_of(store->paths[i].sum.bytes, &shares[i]);
	for (size_t i = 0; i <= v->nr_paths; i++) {
		all.recorded = saturating_add(all.recorded, shares[i].recorded);
		all.resident = saturating_add(all.resident, shares[i].resident);
	}
	v->resident_bytes = part_of(v->total_bytes, &all);
	v->has_resident = true;
	return 0;
}

/* ---- the whole ---- */

static void take_found(struct sp_view_store *store, const struct sp_ledger *l, struct sp_view *v)
{
	const struct sp_found_all *found = sp_ledger_found(l);

	if (!found)
		return;
	v->has_found = true;
	v->found = *found;
	for (size_t i = 0; i < v->nr_paths; i++)
		store->paths[i].unreached = sp_ledger_unreached(l, store->paths[i].sum.path);
}

static int fill(struct sp_view_store *store, const struct sp_ledger *l, struct sp_symbolizer *s,
		const struct sp_session_options *o, struct sp_view *v)
{
	int r = take_sums(store, l, o, v);

	if (!r)
		r = take_frames(store, l, s, v->nr_paths);
	if (!r)
		r = suppress(store, l, o, v);
	if (!r && o->list != SP_LIST_NONE)
		r = take_blocks(store, l, o, v);
	take_found(store, l, v);
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		v->lost[i] = sp_ledger_lost(l, (enum sp_lost_id)i);
	if (s)
		v->lost[SP_LOST_NAMES] += sp_symbolizer_nr_unnamed(s);
	if (s)
		v->lost[SP_LOST_UNSEEN] += sp_symbolizer_nr_unseen(s);
	return r;
}

int sp_view_make(const struct sp_ledger *l, struct sp_symbolizer *s, const struct sp_session_options *o, uint64_t scale,
		 struct sp_view_store **ret_store, struct sp_view *ret)
{
	struct sp_view_store *store = calloc(1, sizeof(*store));
	struct sp_view v = {.engine = "",
			    .comm = "",
			    .now_ns = sp_ledger_now_ns(l),
			    .interval_ns = sp_ledger_interval_ns(l),
			    .scale = scale ? scale : 1,
			    .filter = o->filter,
			    .is_growth = o->engine_config.growth,
			    .top = o->top};
	int r;

	if (!store)
		return -ENOMEM;
	sp_vec_init(&store->sums, sizeof(struct sp_path_sum), MAX_PATHS);
	sp_vec_init(&store->frames, sizeof(struct sp_frame), MAX_FRAMES);
	sp_vec_init(&store->blocks, sizeof(struct sp_block), MAX_BLOCKS);
	r = fill(store, l, s, o, &v);
	if (r < 0) {
		sp_view_store_free(store);
		return r;
	}
	*ret_store = store;
	*ret = v;
	return 0;
}

void sp_view_store_free(struct sp_view_store *s)
{
	if (!s)
		return;
	sp_vec_done(&s->sums);
	sp_vec_done(&s->frames);
	sp_vec_done(&s->blocks);
	free(s->paths);
	free(s->histories);
	free(s);
}
