// SPDX-License-Identifier: Apache-2.0
/*
 * Does a call path grow?
 *
 * A path is growing when all of this is so:
 *   - its bytes rise over the whole watch, surely (Mann-Kendall), and in NEEDED_RISES steps at least: one big block
 *     is no trend;
 *   - they still rise in the second half of the watch, at no less than a quarter of the overall speed: a cache that
 *     fills up and then stays is not growing;
 *   - its older blocks are hardly ever freed: a queue or traffic that happens to swell is not a leak;
 *   - the blocks that live now were not all born in the last moments: that would be traffic, too.
 *
 * The test of trend takes points for independent. Bytes of a path are not (what lives now mostly lived a moment ago),
 * so a random walk looks sure far too often; it is the other witnesses that tell it from growth. Tried and dropped: the
 * slope alone with a threshold (no threshold suits both 8 KB/s and 8 MB/s), and survival alone (start-up data
 * survives).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "ledger/impl.h"

#define FEWEST_POINTS 6
#define NEEDED_RISES  4
#define SURE          0.99 /* of the whole watch */
#define SURE_HALF     0.90 /* of its second half, which has half of the points */
#define SPEED_SHARE   0.25 /* of the overall speed, in the second half */
#define FREED_SHARE   0.50 /* more of its older blocks freed: it is traffic */
#define NEWBORN_SHARE 0.60 /* more of those born during the watch born in its last span: traffic, too */
#define NS_PER_S      1e9

/* What one pass over the blocks tells of a path. */
struct tally {
	struct sp_estimate sum;
	uint64_t births[SP_BIRTH_SPANS];
};

static void tally_block(struct tally *t, const struct sp_block *b, uint64_t mean, uint64_t begin_ns, uint64_t span_ns)
{
	sp_estimate_add(&t->sum, mean, b->sampled, b->size, 1);
	if (b->birth_ns < begin_ns || !span_ns)
		return;
	uint64_t at = (uint64_t)((__uint128_t)(b->birth_ns - begin_ns) * SP_BIRTH_SPANS / span_ns);
	t->births[at < SP_BIRTH_SPANS ? at : SP_BIRTH_SPANS - 1]++;
}

static unsigned count_rises(const uint64_t *bytes, unsigned from, unsigned to)
{
	unsigned nr = 0;

	for (unsigned i = from + 1; i < to; i++)
		nr += bytes[i] > bytes[i - 1];
	return nr;
}

/* Of the points [from, h->nr). */
static int trend_of(const struct sp_history *h, const struct sp_series *s, unsigned from, struct sp_trend *ret)
{
	double x[SP_HISTORY_POINTS], y[SP_HISTORY_POINTS];

	for (unsigned i = from; i < h->nr; i++) {
		x[i - from] = (double)(h->times_ns[i] - h->times_ns[0]) / NS_PER_S;
		y[i - from] = (double)s->bytes[i];
	}
	return sp_trend_of(x, y, h->nr - from, ret);
}

static bool is_freed_in_time(const struct sp_verdict *v)
{
	return (double)v->old_freed > FREED_SHARE * (double)v->old_seen;
}

static bool is_newborn(const struct sp_verdict *v)
{
	uint64_t born = 0;

	for (unsigned i = 0; i < SP_BIRTH_SPANS; i++)
		born += v->births[i];
	return (double)v->births[SP_BIRTH_SPANS - 1] > NEWBORN_SHARE * (double)born;
}

static int judge(const struct sp_history *h, const struct sp_series *s, struct sp_verdict *v)
{
	unsigned middle = h->nr / 2;
	struct sp_trend half;

	v->class = SP_CLASS_UNKNOWN;
	v->nr_points = h->nr;
	if (!s || h->nr < FEWEST_POINTS)
		return 0;
	int err = trend_of(h, s, 0, &v->trend);
	if (!err)
		err = trend_of(h, s, middle, &half);
	if (err)
		return err;
	v->first_bytes = s->bytes[0];
	v->nr_rises = count_rises(s->bytes, 0, h->nr);
	v->class = SP_CLASS_STEADY;
	if (v->nr_rises < NEEDED_RISES || count_rises(s->bytes, middle, h->nr) < NEEDED_RISES / 2)
		return 0;
	if (v->trend.slope <= 0 || v->trend.confidence < SURE || half.slope < SPEED_SHARE * v->trend.slope ||
	    half.confidence < SURE_HALF || is_freed_in_time(v) || is_newborn(v))
		return 0;
	v->class = SP_CLASS_GROWING;
	v->confidence = fmin(v->trend.confidence, half.confidence);
	return 0;
}

static int judge_all(const struct sp_ledger *l, const struct tally *tallies, struct sp_vec *ret)
{
	const struct sp_history *h = &l->history;
	int err = 0;

	for (size_t i = 0; i < l->paths.entries.nr + 1 && !err; i++) {
		uint32_t path = (uint32_t)i - 1;
		const struct sp_survival *s = sp_survival_of(&l->paths, path);
		struct sp_verdict v = {
		    .path = path,
		    .bytes = sp_estimate_bytes(&tallies[i].sum),
		    .blocks = sp_estimate_blocks(&tallies[i].sum),
		    .old_seen = s->old_seen,
		    .old_freed = s->old_freed,
		    .span_ns = l->current.now_ns - h->times_ns[0],
		};
		if (!v.blocks)
			continue;
		for (unsigned k = 0; k < SP_BIRTH_SPANS; k++)
			v.births[k] = tallies[i].births[k];
		err = judge(h, sp_history_find(h, path), &v);
		if (sp_ledger_unreached(l, path).blocks)
			v.class = SP_CLASS_LEAKED;
		if (!err)
			err = sp_vec_push(ret, &v);
	}
	return err;
}

int sp_ledger_verdicts(const struct sp_ledger *l, struct sp_vec *ret)
{
	const struct sp_history *h = &l->history;
	size_t had = ret->nr;

	if (!h->nr)
		return 0;
	struct tally *tallies = calloc(l->paths.entries.nr + 1, sizeof(*tallies));
	if (!tallies)
		return -ENOMEM;
	for (size_t i = 0; i < l->current.blocks.nr; i++) {
		const struct sp_block *b = sp_vec_at(&l->current.blocks, struct sp_block, i);
		tally_block(&tallies[(uint32_t)(b->path + 1)], b, l->sample_mean, h->times_ns[0],
			    l->current.now_ns - h->times_ns[0]);
	}
	int err = judge_all(l, tallies, ret);
	if (err)
		ret->nr = had;
	free(tallies);
	return err;
}
