// SPDX-License-Identifier: Apache-2.0
/* seep map's life: open the process, look, compare with the look before, report, wait. */
#include "session/map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "session/map_impl.h"
#include "session/waiter.h"

#define ENDLESS_MS  60000        /* everything that matters wakes the wait */
#define LARGE_BYTES (512U << 20) /* reading them takes about a second on a slow machine */

struct run {
	const struct sp_map_options *o;
	struct sp_proc *proc;
	struct sp_map_look before, now;
	uint64_t nr_looks;
	struct sp_waiter waiter;
	sp_map_report_fn *report;
	void *arg;
	struct sp_why *why;
	char sentence[512], next[64];
};

/* ---- the view ---- */

static int64_t grown(uint64_t now, uint64_t before)
{
	return (int64_t)(now - before);
}

static void take_growth(struct sp_map_view *v, const struct sp_map_look *before)
{
	for (size_t i = 0; i < v->nr_heaps; i++)
		for (size_t j = 0; j < before->nr_heaps; j++) {
			const struct sp_map_heap *old = &before->heaps[j];
			struct sp_map_heap *h = &v->heaps[i];

			bool is_same = h->name && old->name && !strcmp(h->name, old->name);

			if (!is_same || h->gave_up[0] || old->gave_up[0])
				continue;
			h->has_growth = true;
			h->growth_used_bytes = grown(h->used_bytes, old->used_bytes);
			h->growth_held_bytes = grown(h->held_bytes, old->held_bytes);
			h->growth_used_blocks = grown(h->used_blocks, old->used_blocks);
		}
}

/* All allocators as one. One that has given up something counts with what it found. */
static struct sp_segment_heap sum_of(const struct sp_map_view *v)
{
	struct sp_segment_heap sum = {.has_growth = v->nr_heaps > 0};
	uint64_t largest = 0;

	for (size_t i = 0; i < v->nr_heaps; i++) {
		const struct sp_map_heap *h = &v->heaps[i];

		sum.is_known |= h->nr_regions > 0;
		sum.has_growth &= h->has_growth;
		sum.used += h->used_bytes;
		sum.free += h->free_bytes;
		sum.held += h->held_bytes;
		sum.used_held += h->used_held_bytes;
		sum.growth_used += h->growth_used_bytes;
		sum.growth_held += h->growth_held_bytes;
		if (h->region_bytes < largest)
			continue;
		largest = h->region_bytes;
		sum.name = h->name;
	}
	return sum;
}

static const char *thread_name(const struct sp_map_view *v, pid_t tid, char *buf, size_t size)
{
	return sp_proc_tid_comm(v->thread_arg, tid, buf, size);
}

static void make_view(struct run *r, struct sp_map_view *v)
{
	bool is_first = r->nr_looks == 1;

	*v = (struct sp_map_view){
	    .pid = sp_proc_pid(r->proc),
	    .comm = sp_proc_comm(r->proc),
	    .time = r->now.time,
	    .interval_ns = is_first ? 0 : r->now.now_ns - r->before.now_ns,
	    .nr_look = r->nr_looks,
	    .took_ns = r->now.took_ns,
	    .nr_threads = r->now.threads.nr,
	    .nr_threads_unknown = r->now.nr_threads_unknown,
	    .segments = &r->now.segments,
	    .thread_name = thread_name,
	    .thread_arg = r->proc,
	    .has_heap = !r->o->no_heap,
	    .heap_why = r->now.heap_why,
	    .nr_heaps = r->now.nr_heaps,
	    .nr_lost = r->now.smaps.nr_refused,
	};
	memcpy(v->heaps, r->now.heaps, sizeof(v->heaps));
	if (!is_first)
		take_growth(v, &r->before);
	v->heap = sum_of(v);
	v->verdict = sp_segments_judge(v->segments, &v->heap, v->interval_ns);
	v->sentence = sp_segments_sentence(&v->verdict, v->segments, &v->heap, r->sentence, sizeof(r->sentence));
	v->next = sp_segments_next(&v->verdict, v->pid, r->next, sizeof(r->next));
}

/* ---- the run ---- */

static void tell_of_large_heap(const struct run *r)
{
	uint64_t bytes = sp_proc_rss_bytes(r->proc);
	char text[96];

	if (r->nr_looks || r->o->no_heap || !r->o->notice || bytes < LARGE_BYTES)
		return;
	snprintf(text, sizeof(text), "looking into a heap of up to %s; --no-heap leaves that out", SP_BYTES(bytes));
	r->o->notice(text, r->o->notice_arg);
}

static int look(struct run *r)
{
	struct sp_map_look fresh;

	tell_of_large_heap(r);
	int err = sp_map_look(r->proc, !r->o->no_heap, &fresh, r->why);

	if (err)
		return err;
	sp_map_look_done(&r->before);
	r->before = r->now;
	r->now = fresh;
	if (r->nr_looks++)
		sp_segments_compare(&r->now.segments, &r->before.segments);
	return 0;
}

static bool goes_on(const struct run *r)
{
	return r->o->interval_ns && (!r->o->count || r->nr_looks < r->o->count);
}

static int look_and_report(struct run *r)
{
	struct sp_map_view v;
	int err = look(r);

	if (err)
		return err;
	make_view(r, &v);
	v.is_last = !goes_on(r);
	err = r->report(&v, r->arg);
	if (err && err != -EPIPE)
		sp_why_set(r->why, SP_FAULT_OURS, -err, "cannot write the report: %s", strerror(-err));
	return err;
}

static int loop(struct run *r, bool *ret_has_ended)
{
	int err = sp_waiter_init(&r->waiter, r->why);

	if (!err)
		err = look_and_report(r);
	if (!err && goes_on(r))
		err = sp_waiter_start_timer(&r->waiter, r->o->interval_ns, r->why);
	while (!err && goes_on(r)) {
		unsigned wake = 0;

		err = sp_waiter_wait(&r->waiter, -1, sp_proc_pidfd(r->proc), ENDLESS_MS, &wake);
		if (err)
			return sp_why_set(r->why, SP_FAULT_OURS, -err, "cannot wait: %s", strerror(-err));
		if (wake & SP_WAKE_SIGNAL)
			break;
		*ret_has_ended = (wake & SP_WAKE_TARGET) || !sp_proc_is_alive(r->proc);
		if (*ret_has_ended)
			break;
		if (wake & SP_WAKE_TIMER)
			err = look_and_report(r);
	}
	if (err == -ESRCH && r->nr_looks) {
		*ret_has_ended = true;
		return 0;
	}
	return err;
}

int sp_map_run(const struct sp_map_options *o, sp_map_report_fn *report, void *arg, bool *ret_has_ended,
	       struct sp_why *why)
{
	struct run r = {.o = o, .waiter = SP_WAITER_EMPTY, .report = report, .arg = arg, .why = why};
	pid_t pid;
	int err = sp_proc_find(o->procfs, o->target, &pid, why);

	if (!err)
		err = sp_proc_open(o->procfs, pid, &r.proc, why);
	if (!err)
		err = loop(&r, ret_has_ended);
	sp_waiter_done(&r.waiter);
	sp_map_look_done(&r.before);
	sp_map_look_done(&r.now);
	sp_proc_close(r.proc);
	return err;
}
