// SPDX-License-Identifier: Apache-2.0
/* The processes and their histories, look by look. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "triage/impl.h"

int sp_triage_new(size_t max_processes, struct sp_triage **ret)
{
	struct sp_triage *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	sp_vec_init(&t->processes, sizeof(struct sp_triaged), max_processes);
	sp_u64map_init(&t->by_pid, max_processes);
	t->timeline.stride = 1;
	*ret = t;
	return 0;
}

void sp_triage_free(struct sp_triage *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->processes.nr; i++)
		free(sp_vec_at(&t->processes, struct sp_triaged, i)->history);
	sp_vec_done(&t->processes);
	sp_u64map_done(&t->by_pid);
	free(t);
}

const struct sp_machine *sp_triage_first(const struct sp_triage *t)
{
	return &t->first;
}

const struct sp_machine *sp_triage_now(const struct sp_triage *t)
{
	return &t->now;
}

uint64_t sp_triage_span_ns(const struct sp_triage *t)
{
	return t->now_ns - t->first_ns;
}

uint64_t sp_triage_refused(const struct sp_triage *t)
{
	return t->nr_refused;
}

/* ---- the timeline ---- */

/* Keeps the points 0, 2, 4... of everything. */
static void thin_out(struct sp_triage *t)
{
	struct sp_timeline *line = &t->timeline;

	for (size_t i = 0; i < line->nr / 2; i++)
		line->at_ns[i] = line->at_ns[2 * i];
	for (size_t i = 0; i < t->processes.nr; i++) {
		struct sp_triaged *p = sp_vec_at(&t->processes, struct sp_triaged, i);

		p->first_point = (p->first_point + 1) / 2;
		for (size_t j = p->first_point; p->history && j < line->nr / 2; j++)
			p->history->values[j] = p->history->values[2 * j];
	}
	line->nr /= 2;
	line->stride *= 2;
}

void sp_triage_begin(struct sp_triage *t, uint64_t now_ns, const struct sp_machine *m)
{
	if (!t->nr_looks) {
		t->first = *m;
		t->first_ns = now_ns;
	}
	t->before_ns = t->nr_looks ? t->now_ns : now_ns;
	t->now = *m;
	t->now_ns = now_ns;
	t->nr_refused = 0;
	if (t->timeline.nr == SP_TREND_POINTS)
		thin_out(t);
	t->is_point = t->nr_looks % t->timeline.stride == 0;
	if (t->is_point)
		t->timeline.at_ns[t->timeline.nr++] = now_ns;
	t->nr_looks++;
}

/* ---- one process ---- */

static struct sp_triaged *find(struct sp_triage *t, const struct sp_ps *ps)
{
	uint64_t *at = sp_u64map_find(&t->by_pid, (uint64_t)ps->pid);

	return at ? sp_vec_at(&t->processes, struct sp_triaged, *at) : NULL;
}

/*
 * What a process that has come meanwhile did not take itself: the pages that a fork shares with its parent until one of
 * them writes to them are counted in both. Once it runs another program, nothing is shared.
 */
static uint64_t inherited(const struct sp_triage *t, const struct sp_ps *ps)
{
	const uint64_t *at = sp_u64map_find(&t->by_pid, (uint64_t)ps->ppid);
	const struct sp_triaged *parent = at ? sp_vec_at(&t->processes, struct sp_triaged, *at) : NULL;
	uint64_t held = sp_held_bytes(ps);

	if (!parent || strcmp(parent->ps.comm, ps->comm) != 0)
		return 0;
	return held < sp_held_bytes(&parent->ps) ? held : sp_held_bytes(&parent->ps);
}

/* A process seen for the first time. */
static struct sp_triaged start(const struct sp_triage *t, const struct sp_ps *ps)
{
	return (struct sp_triaged){
	    .ps = *ps,
	    .first_ns = t->now_ns,
	    .first_bytes = sp_held_bytes(ps),
	    .base_bytes = t->nr_looks > 1 ? inherited(t, ps) : sp_held_bytes(ps),
	    .first_data_bytes = ps->data_bytes,
	    .first_shmem_bytes = ps->shmem_bytes,
	    .first_point = t->timeline.nr - t->is_point,
	    .peak_bytes = sp_held_bytes(ps),
	    .rose_ns = t->now_ns,
	    .is_new = t->nr_looks > 1,
	    .look = t->nr_looks,
	};
}

static int add(struct sp_triage *t, const struct sp_ps *ps)
{
	const struct sp_triaged fresh = start(t, ps);
	int err = sp_u64map_set(&t->by_pid, (uint64_t)ps->pid, t->processes.nr);

	if (!err)
		err = sp_vec_push(&t->processes, &fresh);
	if (err)
		sp_u64map_remove(&t->by_pid, (uint64_t)ps->pid);
	if (err != -ENOSPC)
		return err;
	t->nr_refused++;
	return 0;
}

/*
 * Growing is told from trickling: a rise counts when it is more than a hundredth of what came before. Smaller ones are
 * not lost, they add up until they count.
 */
static void note_rise(const struct sp_triage *t, struct sp_triaged *p, uint64_t held)
{
	uint64_t gap = t->now_ns - p->rose_ns, fell = p->peak_bytes > held ? p->peak_bytes - held : 0;

	if (fell > p->drawdown_bytes)
		p->drawdown_bytes = fell;
	if (held <= p->peak_bytes || (held - p->peak_bytes) * 100 < p->peak_bytes - p->first_bytes)
		return;
	p->gap_ns = gap > p->gap_ns ? gap : p->gap_ns;
	p->rose_ns = t->now_ns;
	p->peak_bytes = held;
	p->nr_rises++;
}

/* The first change makes the history: until then every point was the first value. */
static int note_point(const struct sp_triage *t, struct sp_triaged *p, uint64_t held)
{
	size_t at = t->timeline.nr - 1;

	if (!p->history && held == p->first_bytes)
		return 0;
	if (!p->history) {
		p->history = calloc(1, sizeof(*p->history));
		if (!p->history)
			return -ENOMEM;
		for (size_t i = p->first_point; i < t->timeline.nr; i++)
			p->history->values[i] = p->first_bytes;
	}
	if (t->is_point)
		p->history->values[at] = held;
	return 0;
}

int sp_triage_process(struct sp_triage *t, const struct sp_ps *ps)
{
	struct sp_triaged *p = find(t, ps);

	if (!p)
		return add(t, ps);
	if (p->ps.start_time != ps->start_time) { /* its pid was given to another one */
		free(p->history);
		*p = start(t, ps);
		return 0;
	}
	p->ps = *ps;
	p->look = t->nr_looks;
	note_rise(t, p, sp_held_bytes(ps));
	return note_point(t, p, sp_held_bytes(ps));
}

void sp_triage_end(struct sp_triage *t)
{
	for (size_t i = 0; i < t->processes.nr;) {
		struct sp_triaged *p = sp_vec_at(&t->processes, struct sp_triaged, i);
		uint64_t *at;

		if (p->look == t->nr_looks) {
			i++;
			continue;
		}
		sp_u64map_remove(&t->by_pid, (uint64_t)p->ps.pid);
		free(p->history);
		*p = *sp_vec_at(&t->processes, struct sp_triaged, --t->processes.nr);
		at = i < t->processes.nr ? sp_u64map_find(&t->by_pid, (uint64_t)p->ps.pid) : NULL;
		if (at)
			*at = i;
	}
}
