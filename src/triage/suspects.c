// SPDX-License-Identifier: Apache-2.0
/* What a process' history says of it, and the order of suspicion. */
#include <errno.h>
#include <stdlib.h>

#include "triage/impl.h"

/* A process' points: times and values, the look in progress included. */
struct points {
	double seconds[SP_TREND_POINTS], bytes[SP_TREND_POINTS];
	size_t nr;
};

static void take_point(struct points *pts, uint64_t at_ns, uint64_t bytes)
{
	pts->seconds[pts->nr] = (double)at_ns / 1e9;
	pts->bytes[pts->nr++] = (double)bytes;
}

static void take_points(const struct sp_triage *t, const struct sp_triaged *p, struct points *ret)
{
	ret->nr = 0;
	for (size_t i = p->first_point; i < t->timeline.nr; i++)
		take_point(ret, t->timeline.at_ns[i] - t->first_ns, p->history->values[i]);
	if (!t->is_point && ret->nr < SP_TREND_POINTS)
		take_point(ret, t->now_ns - t->first_ns, sp_held_bytes(&p->ps));
}

static double rise(const struct points *pts, size_t from, size_t to)
{
	return pts->bytes[to] - pts->bytes[from];
}

/*
 * Is its pause just one of its pauses? Two looks are no pause, nor is a quarter of the time; with some rises seen,
 * twice the longest pause between them is none either: memory that is allocated a megabyte at a time grows in steps.
 */
static bool is_growing(const struct sp_triage *t, const struct sp_triaged *p)
{
	uint64_t quiet = t->now_ns - p->rose_ns, allowed = (t->now_ns - p->first_ns) / 4;

	if (!p->nr_rises || sp_held_bytes(&p->ps) <= p->first_bytes)
		return false;
	if (allowed < 5 * (t->now_ns - t->before_ns) / 2)
		allowed = 5 * (t->now_ns - t->before_ns) / 2;
	if (p->nr_rises >= 3 && allowed < 2 * p->gap_ns)
		allowed = 2 * p->gap_ns;
	return quiet <= allowed;
}

/* Each half of its time brought at least a quarter of the growth: neither a start nor a cache that fills up. */
static bool is_even(const struct points *pts)
{
	double all = rise(pts, 0, pts->nr - 1), first_half = rise(pts, 0, pts->nr / 2);

	return first_half >= all / 4 && first_half <= all - all / 4;
}

#define STEADY_MIN_POINTS 6
#define STEADY_MIN_BYTES  (64.0 * 1024) /* a few pages come and go in any program */
#define STEADY_CONFIDENCE 0.99

static bool is_steady(const struct sp_suspect *s, const struct points *pts, const struct sp_triaged *p)
{
	return s->is_growing && pts->nr >= STEADY_MIN_POINTS && s->confidence >= STEADY_CONFIDENCE &&
	       rise(pts, 0, pts->nr - 1) >= STEADY_MIN_BYTES && p->drawdown_bytes <= (uint64_t)s->growth_bytes / 4 &&
	       is_even(pts);
}

static int take_trend(struct sp_suspect *s, const struct points *pts)
{
	struct sp_trend trend;
	int err = sp_trend_of(pts->seconds, pts->bytes, pts->nr, &trend);

	if (err)
		return err;
	s->per_second = trend.slope;
	s->confidence = trend.slope > 0 ? trend.confidence : 0;
	return 0;
}

/* Everything about one process; the trend is by far the dearest part. */
static int make_suspect(const struct sp_triage *t, const struct sp_triaged *p, struct sp_suspect *ret)
{
	struct sp_suspect s = {
	    .ps = p->ps,
	    .growth_bytes = sp_change(p->base_bytes, sp_held_bytes(&p->ps)),
	    .seen_ns = t->now_ns - p->first_ns,
	    .quiet_ns = t->now_ns - p->rose_ns,
	    .is_new = p->is_new,
	    .is_growing = is_growing(t, p),
	};
	struct points pts;
	int err = 0;

	if (p->history) {
		take_points(t, p, &pts);
		err = take_trend(&s, &pts);
		s.is_steady = !err && is_steady(&s, &pts, p);
	}
	if (!err)
		*ret = s;
	return err;
}

/* ---- order ---- */

static uint64_t key_of(const struct sp_suspect *s, enum sp_suspect_sort sort)
{
	switch (sort) {
	case SP_SUSPECT_ANON:
		return s->ps.anon_bytes;
	case SP_SUSPECT_RSS:
		return s->ps.rss_bytes;
	case SP_SUSPECT_SWAP:
		return s->ps.swap_bytes;
	default:
		return 0;
	}
}

static int by_pid(const struct sp_suspect *a, const struct sp_suspect *b)
{
	return (a->ps.pid > b->ps.pid) - (a->ps.pid < b->ps.pid);
}

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct sp_suspect *a = pa, *b = pb;
	enum sp_suspect_sort sort = *(const enum sp_suspect_sort *)arg;
	uint64_t ka = key_of(a, sort), kb = key_of(b, sort);

	if (sort == SP_SUSPECT_GROWTH && a->is_steady != b->is_steady)
		return a->is_steady ? -1 : 1;
	if (sort == SP_SUSPECT_GROWTH && a->growth_bytes != b->growth_bytes)
		return a->growth_bytes > b->growth_bytes ? -1 : 1;
	if (ka != kb)
		return ka > kb ? -1 : 1;
	return by_pid(a, b);
}

int sp_triage_suspects(const struct sp_triage *t, enum sp_suspect_sort sort, struct sp_vec *ret)
{
	int err = sp_vec_reserve(ret, t->processes.nr);

	sp_vec_clear(ret);
	for (size_t i = 0; i < t->processes.nr && !err; i++) {
		struct sp_suspect s;

		err = make_suspect(t, sp_vec_at(&t->processes, struct sp_triaged, i), &s);
		if (!err)
			err = sp_vec_push(ret, &s);
	}
	if (!err && ret->nr)
		qsort_r(ret->data, ret->nr, sizeof(struct sp_suspect), compare, &sort);
	return err;
}
