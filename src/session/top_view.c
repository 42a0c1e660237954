// SPDX-License-Identifier: Apache-2.0
/* Makes seep top's view: suspects in order with what is known of them, the verdict, its sentence. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session/top_impl.h"

/* PSS costs a walk of a process' page tables: never more than this part of an interval, however many are shown. */
#define PSS_SHARE 500

/* A page table's walk, by what it was measured to take at most; a process that would take the whole allowance has none.
 */
#define PSS_NS_PER_MIB 8000u

static const char *label_of(const struct sp_top *t, const struct sp_suspect *s)
{
	return sp_cgroup_label(t->cgroups, s->ps.cgroup);
}

/* ---- rows ---- */

/* What the order is about: with `growth`, only who has grown. */
static bool is_wanted(const struct sp_top *t, const struct sp_suspect *s)
{
	switch (t->o->show->sort) {
	case SP_SUSPECT_GROWTH:
		return s->growth_bytes > 0;
	case SP_SUSPECT_SWAP:
		return s->ps.swap_bytes > 0;
	default:
		return true;
	}
}

static bool passes(const struct sp_top *t, const struct sp_suspect *s, struct sp_top_row *row)
{
	const char *filter = t->o->show->filter;

	if (!is_wanted(t, s))
		return false;
	row->suspect = *s;
	row->cgroup = label_of(t, s);
	sp_text_printable(row->comm, sizeof(row->comm), s->ps.comm);
	if (!filter || !*filter || strstr(row->comm, filter) || strstr(row->cgroup, filter))
		return true;
	sp_ps_describe(t->table, s->ps.pid, row->command, sizeof(row->command));
	return strstr(row->command, filter) != NULL;
}

static size_t rows_wanted(const struct sp_top *t)
{
	unsigned top = t->o->show->top;

	return top && top < SP_TOP_MAX_ROWS ? top : SP_TOP_MAX_ROWS;
}

static int take_rows(struct sp_top *t, struct sp_top_view *v)
{
	int err = sp_triage_suspects(t->triage, t->o->show->sort, &t->suspects);

	sp_vec_clear(&t->rows);
	for (size_t i = 0; i < t->suspects.nr && !err; i++) {
		struct sp_top_row row = {0};

		if (!passes(t, sp_vec_at(&t->suspects, struct sp_suspect, i), &row))
			continue;
		v->nr_matching++;
		if (t->rows.nr >= rows_wanted(t))
			continue;
		if (!row.command[0])
			sp_ps_describe(t->table, row.suspect.ps.pid, row.command, sizeof(row.command));
		err = sp_vec_push(&t->rows, &row);
	}
	v->rows = t->rows.data;
	v->nr_rows = t->rows.nr;
	v->nr_processes = t->suspects.nr;
	return err;
}

/* By what it should take, so that nobody is walked who would take too long; smaller ones further down still are. */
static void take_pss(struct sp_top *t)
{
	uint64_t left = t->o->interval_ns / PSS_SHARE;

	for (size_t i = 0; i < t->rows.nr; i++) {
		struct sp_top_row *row = sp_vec_at(&t->rows, struct sp_top_row, i);
		uint64_t cost = (1 + (row->suspect.ps.rss_bytes >> 20)) * PSS_NS_PER_MIB;

		if (cost > left)
			continue;
		left -= cost;
		row->has_pss = sp_ps_pss(t->table, row->suspect.ps.pid, &row->pss_bytes);
	}
}

/* ---- slab ---- */

static uint64_t bytes_before(const struct sp_top *t, const char *name)
{
	for (size_t i = 0; i < t->slabs_before.nr; i++) {
		const struct sp_slab *s = sp_vec_at(&t->slabs_before, struct sp_slab, i);

		if (!strcmp(s->name, name))
			return s->bytes;
	}
	return 0;
}

static void insert_slab(struct sp_top_view *v, const struct sp_top_slab *s)
{
	size_t i = v->nr_slabs < SP_TOP_NR_SLABS ? v->nr_slabs++ : SP_TOP_NR_SLABS - 1;

	if (v->slabs[i].name[0] && v->slabs[i].growth_bytes >= s->growth_bytes)
		return;
	for (; i && v->slabs[i - 1].growth_bytes < s->growth_bytes; i--)
		v->slabs[i] = v->slabs[i - 1];
	v->slabs[i] = *s;
}

/* Slabinfo stops every cache for a moment, so it is read only when there is something to explain. */
static void take_slabs(struct sp_top *t, struct sp_top_view *v)
{
	bool has_grown = v->verdict.cause == SP_CAUSE_SLAB || v->verdict.cause == SP_CAUSE_SLAB_GIVES;

	if (!t->has_slabs || !has_grown || sp_slabs_read(t->o->procfs, &t->slabs_now) < 0)
		return;
	for (size_t i = 0; i < t->slabs_now.nr; i++) {
		const struct sp_slab *now = sp_vec_at(&t->slabs_now, struct sp_slab, i);
		struct sp_top_slab s = {.growth_bytes = (int64_t)(now->bytes - bytes_before(t, now->name))};

		if (s.growth_bytes < (int64_t)v->verdict.noise_bytes)
			continue;
		sp_text_printable(s.name, sizeof(s.name), now->name);
		insert_slab(v, &s);
	}
}

/* ---- the verdict's words ---- */

static double percent_of(uint64_t before_us, uint64_t now_us, uint64_t ns)
{
	return ns && now_us > before_us ? (double)(now_us - before_us) * 1e5 / (double)ns : 0;
}

static void take_pressure(const struct sp_top *t, struct sp_top_view *v)
{
	const struct sp_pressure *a = &t->before.pressure, *b = &t->now.pressure;

	v->has_pressure = a->known && b->known;
	if (!v->has_pressure)
		return;
	v->some_percent = percent_of(a->some_us, b->some_us, v->interval_ns);
	v->full_percent = percent_of(a->full_us, b->full_us, v->interval_ns);
}

#define WAITED_MIN_PERCENT 5 /* of the whole watch: below it nobody has noticed */

static void take_words(struct sp_top *t, struct sp_top_view *v)
{
	const struct sp_diagnosis *verdict = &v->verdict;
	const struct sp_suspect *s = verdict->has_steady ? &verdict->steady : verdict->has_who ? &verdict->who : NULL;
	struct sp_diagnosis_more more = {0};
	double waited = percent_of(t->first.pressure.some_us, t->now.pressure.some_us, v->span_ns);

	if (s && s->growth_bytes > 0 && sp_cgroup_limit_read(t->cgroups, s->ps.cgroup, &more.limit))
		more.cgroup = label_of(t, s);
	if (v->nr_cgroups && !(more.cgroup && v->cgroups[0].limit.limit_bytes == more.limit.limit_bytes)) {
		more.full_cgroup = v->cgroups[0].name;
		more.full = v->cgroups[0].limit;
	}
	if (v->nr_slabs) {
		more.slab = v->slabs[0].name;
		more.slab_bytes = v->slabs[0].growth_bytes;
	}
	if (v->has_pressure && waited >= WAITED_MIN_PERCENT)
		more.waited_percent = (unsigned)waited;
	v->sentence = sp_triage_sentence(verdict, &more, t->sentence, sizeof(t->sentence));
	v->next = sp_triage_next(verdict, t->next, sizeof(t->next));
}

int sp_top_make_view(struct sp_top *t, struct sp_top_view *ret)
{
	struct sp_top_view v = {
	    .time = t->now.time,
	    .interval_ns = t->now.now_ns - t->before.now_ns,
	    .nr_look = t->nr_looks,
	    .period_ns = t->o->interval_ns,
	    .first = *sp_triage_first(t->triage),
	    .now = *sp_triage_now(t->triage),
	    .span_ns = sp_triage_span_ns(t->triage),
	    .nr_lost = sp_ps_refused(t->table) + sp_triage_refused(t->triage),
	};
	int err = take_rows(t, &v);

	if (!err)
		err = sp_triage_judge(t->triage, &v.verdict);
	if (err)
		return err;
	v.line = sp_vmstat_line_of(t->nr_looks > 1 ? &t->before.activity : NULL, &t->now.activity, v.interval_ns,
				   &t->now.mem, (uint64_t)sysconf(_SC_PAGESIZE));
	take_pss(t);
	take_pressure(t, &v);
	take_slabs(t, &v);
	sp_top_put_cgroups(t, &v);
	take_words(t, &v);
	*ret = v;
	return 0;
}
