// SPDX-License-Identifier: Apache-2.0
/* One look of seep map: mappings, threads' stacks, heap, and the segments that these make. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proc/smaps.h"
#include "session/map_impl.h"

enum {
	MAX_THREADS = 1 << 16,
	MAX_DATA = 1 << 16,
	MAX_DEVICES = 4096,
	MAX_REGIONS = 1 << 20,
	NR_TRIES = 5, /* of a thread that runs: it may wait a moment later */
};

/* ---- threads ---- */

/* The stack pointers that are not known yet. Returns how many are still missing. */
static size_t ask(struct sp_proc *p, struct sp_vec *threads)
{
	size_t nr_missing = 0;

	for (size_t i = 0; i < threads->nr; i++) {
		struct sp_segment_thread *t = sp_vec_at(threads, struct sp_segment_thread, i);

		if (!t->sp && !sp_proc_tid_sp(p, t->tid, &t->sp))
			nr_missing++;
	}
	return nr_missing;
}

static int by_sp(const void *a, const void *b)
{
	const struct sp_segment_thread *x = a, *y = b;

	return (x->sp > y->sp) - (x->sp < y->sp);
}

static int look_at_threads(struct sp_proc *p, struct sp_map_look *l)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	struct sp_vec tids;
	int rc;

	sp_vec_init(&tids, sizeof(pid_t), MAX_THREADS);
	rc = sp_proc_tids(p, &tids);
	for (size_t i = 0; i < tids.nr && rc == 0; i++)
		rc = sp_vec_push(&l->threads, &(struct sp_segment_thread){.tid = *sp_vec_at(&tids, pid_t, i)});
	sp_vec_done(&tids);
	for (unsigned i = 0; i < NR_TRIES && rc == 0; i++) {
		if (i)
			nanosleep(&pause, NULL);
		l->nr_threads_unknown = ask(p, &l->threads);
		if (!l->nr_threads_unknown)
			break;
	}
	if (l->threads.nr)
		qsort(l->threads.data, l->threads.nr, sizeof(struct sp_segment_thread), by_sp);
	return rc == -ENOSPC || rc == -ESRCH ? 0 : rc;
}

/* ---- the look ---- */

static int sort(struct sp_map_look *l)
{
	const struct sp_segment_facts facts = {
	    .threads = l->threads.data,
	    .nr_threads = l->threads.nr,
	    .regions = l->regions.data,
	    .nr_regions = l->regions.nr,
	    .data = l->data.data,
	    .nr_data = l->data.nr,
	    .memory_devices = l->devices.data,
	    .nr_memory_devices = l->devices.nr,
	};

	return sp_segments_of(&l->smaps, &facts, &l->segments);
}

/* Mount tables may be hidden: then shared files in memory count as files. */
static int look_at_devices(struct sp_proc *p, struct sp_map_look *l)
{
	int rc = sp_proc_memory_devices(p, &l->devices);

	return rc == -ENOMEM ? rc : 0;
}

int sp_map_look(struct sp_proc *p, bool with_heap, struct sp_map_look *ret, struct sp_why *why)
{
	struct sp_map_look l = {.now_ns = sp_clock_ns()};
	int rc;

	sp_vec_init(&l.threads, sizeof(struct sp_segment_thread), MAX_THREADS);
	sp_vec_init(&l.data, sizeof(struct sp_data_range), MAX_DATA);
	sp_vec_init(&l.devices, sizeof(uint64_t), MAX_DEVICES);
	sp_vec_init(&l.regions, sizeof(struct sp_segment_region), MAX_REGIONS);
	clock_gettime(CLOCK_REALTIME, &l.time);
	rc = sp_proc_smaps(p, &l.smaps, why);
	if (rc == 0)
		rc = look_at_threads(p, &l);
	if (rc == 0)
		rc = look_at_devices(p, &l);
	if (rc == 0)
		rc = sp_proc_data_ranges(p, &l.smaps, &l.data);
	if (rc == 0 && with_heap)
		rc = sp_map_look_inside(p, &l);
	if (rc == 0)
		rc = sort(&l);
	if (rc < 0) {
		sp_map_look_done(&l);
		return sp_why_set(why, SP_FAULT_OURS, -rc, "cannot look at process %d: %s", (int)sp_proc_pid(p),
				  strerror(-rc));
	}
	l.took_ns = sp_clock_ns() - l.now_ns;
	*ret = l;
	return 0;
}

void sp_map_look_done(struct sp_map_look *l)
{
	sp_segments_done(&l->segments);
	sp_smaps_done(&l->smaps);
	sp_vec_done(&l->threads);
	sp_vec_done(&l->data);
	sp_vec_done(&l->devices);
	sp_vec_done(&l->regions);
}
