// SPDX-License-Identifier: Apache-2.0
/*
 * The order of a scan:
 *
 *	1. target	found and opened; entering it is prepared
 *	2. source	a snapshot (the target stops for milliseconds), or registers and then live reads
 *	3. heap		models walk, marking
 *	4. again	2 and 3 after a while, when something is leaked: what the first scan does not confirm is spared
 *	5. groups	first bytes and types of what is left, as long as the snapshot is there
 *	6. release	the snapshot goes; everything after this costs the target nothing
 *	7. names
 */
#include "session/scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "session/scan_groups.h"
#include "session/scan_source.h"

#define LARGE_BYTES (512U << 20) /* looking through them takes about a second on a slow machine */

struct sp_scan_store {
	const struct sp_scan_options *o;
	sp_scan_notice_fn notice;
	void *notice_arg;
	struct sp_proc *proc;
	struct sp_inject *inject;
	struct sp_scan_source source;
	bool has_source;
	struct sp_heap *heap, *earlier, *first; /* the last look, the one before, the one that is to be kept */
	uint64_t first_ns;
	struct sp_scan_groups groups;
	struct sp_scan scan;
};

static void say(const struct sp_scan_store *s, const char *text)
{
	if (s->notice)
		s->notice(text, s->notice_arg);
}

static int open_target(struct sp_scan_store *s, struct sp_why *why)
{
	pid_t pid;
	int rc = sp_proc_find(s->o->procfs, s->o->target, &pid, why);

	if (rc == 0)
		rc = sp_proc_open(s->o->procfs, pid, &s->proc, why);
	if (rc < 0)
		return rc;
	s->scan.pid = pid;
	s->scan.comm = sp_proc_comm(s->proc);
	return 0;
}

void sp_scan_let_go(struct sp_scan_store *s)
{
	uint64_t held = sp_clock_ns() - s->source.taken_ns;

	if (!s->has_source)
		return;
	if (s->source.snapshot && held > s->scan.held_ns)
		s->scan.held_ns = held;
	sp_scan_source_release(&s->source);
	sp_inject_close(s->inject); /* between two looks nothing of ours is there: an engine may come */
	s->inject = NULL;
}

static void release(struct sp_scan_store *s)
{
	sp_scan_let_go(s);
	if (s->has_source)
		sp_scan_source_close(&s->source);
	s->has_source = false;
}

static int take_source(struct sp_scan_store *s, struct sp_why *why)
{
	const struct sp_inject_opts opts = {.max_pause_ns = s->o->max_pause_ns};
	struct sp_why racy_why = {0};
	int rc = s->inject ? 0 : sp_inject_open(s->proc, &opts, &s->inject, why);

	if (rc == 0)
		rc = sp_scan_source_open(s->proc, s->inject, s->o->no_snapshot, &s->source, &racy_why, why);

	if (rc < 0)
		return rc;
	s->has_source = true;
	if (s->source.pause_ns > s->scan.pause_ns)
		s->scan.pause_ns = s->source.pause_ns;
	if (!s->source.snapshot && !s->o->no_snapshot && !s->scan.is_racy) {
		snprintf(s->scan.racy_why, sizeof(s->scan.racy_why), "%s",
			 racy_why.what[0] ? racy_why.what : "it was refused");
		say(s, "no snapshot; reading the process while it runs");
	}
	s->scan.is_racy |= !s->source.snapshot;
	s->scan.kept_out_bytes = s->source.kept_out.bytes;
	return 0;
}

/* One scan: source, walk, mark. The source is kept. */
static int scan_once(struct sp_scan_store *s, struct sp_why *why)
{
	struct sp_heap_limits limits = {.max_bytes = s->o->max_bytes};
	uint64_t bytes = sp_proc_rss_bytes(s->proc);
	int rc = take_source(s, why);
	char text[64];

	if (rc == 0 && bytes >= LARGE_BYTES) {
		snprintf(text, sizeof(text), "looking for pointers in up to %s", SP_BYTES(bytes));
		say(s, text);
	}

	if (rc == 0)
		rc = sp_heap_open(&s->source.heap, &limits, &s->heap, why);
	if (rc == 0)
		rc = sp_heap_mark(s->heap, why);
	if (rc < 0)
		return rc;
	s->scan.read_ns = sp_clock_ns() - s->source.taken_ns;
	s->scan.cost_bytes = sp_heap_cost(s->heap) + (s->earlier ? sp_heap_cost(s->earlier) : 0);
	s->scan.nr_scans++;
	return 0;
}

static int stop_at_leak(const struct sp_heap_block *b, void *arg)
{
	(void)arg;
	return b->class == SP_HEAP_LEAKED;
}

void sp_scan_wait(const struct sp_scan_store *s)
{
	uint64_t gap = s->o->gap_ns ? s->o->gap_ns : SP_SCAN_GAP_NS;
	struct timespec t = {.tv_sec = (time_t)(gap / 1000000000u), .tv_nsec = (long)(gap % 1000000000u)};

	nanosleep(&t, NULL);
}

int sp_scan_look(struct sp_scan_store *s, struct sp_why *why)
{
	release(s);
	sp_heap_close(s->earlier);
	s->earlier = s->heap;
	s->heap = NULL;
	return scan_once(s, why);
}

void sp_scan_rest(struct sp_scan_store *s)
{
	release(s);
}

void sp_scan_keep_first(struct sp_scan_store *s)
{
	sp_heap_close(s->first);
	s->first_ns = s->source.taken_ns;
	s->first = s->heap;
	s->heap = NULL;
	s->scan.nr_scans = 0;
	release(s);
}

/* ---- what of the first look was wrong ---- */

struct recheck {
	struct sp_scan_store *s;
	const struct sp_scan_owners *owners;
};

static int take_mistake(const struct sp_heap_block *b, void *arg)
{
	const struct recheck *r = arg;
	struct sp_heap_block now;

	if (b->class != SP_HEAP_LEAKED && b->class != SP_HEAP_INDIRECT)
		return 0;
	const struct sp_block *owner = sp_scan_owner(r->owners, b->addr);
	if ((owner && owner->birth_ns > r->s->first_ns) || !sp_heap_find(r->s->heap, b->addr, &now) ||
	    now.addr != b->addr)
		r->s->scan.nr_mistakes++;
	return 0;
}

static void fill(struct sp_scan_store *s)
{
	struct sp_scan *scan = &s->scan;

	sp_heap_lost(s->heap, &scan->lost);
	for (unsigned i = 0; i < sp_heap_nr_models(s->heap) && i < SP_SCAN_MAX_MODELS; i++)
		scan->models[scan->nr_models++] = *sp_heap_model_info(s->heap, i);
	memcpy(scan->sums, s->groups.sums, sizeof(scan->sums));
	scan->has_resident = s->groups.proc;
	scan->groups = s->groups.groups.data;
	scan->nr_groups = s->groups.groups.nr;
	scan->nr_ungrouped = s->groups.nr_ungrouped;
	scan->nr_unlisted = s->groups.nr_unlisted;
	clock_gettime(CLOCK_REALTIME, &scan->time);
}

/* What needs the last look's source: it goes at the end of this. */
static int conclude(struct sp_scan_store *s, const struct sp_scan_owners *owners, struct sp_why *why)
{
	struct recheck recheck = {.s = s, .owners = owners};
	int rc = sp_scan_groups_init(&s->groups, s->o->list, s->o->resident ? s->proc : NULL);

	if (rc == 0 && s->earlier)
		rc = sp_heap_confirm(s->heap, s->earlier, &s->scan.nr_spared);
	if (rc == 0)
		rc = sp_scan_groups_gather(&s->groups, s->heap, owners);
	sp_scan_let_go(s);
	if (rc == 0 && s->first)
		(void)sp_heap_for_each(s->first, take_mistake, &recheck);
	if (rc == 0)
		rc = sp_scan_groups_finish(&s->groups);
	return rc == 0 ? 0 : sp_why_set(why, SP_FAULT_OURS, -rc, "the scan failed: %s", strerror(-rc));
}

int sp_scan_finish(struct sp_scan_store *s, const struct sp_scan_owners *owners, struct sp_scan *ret,
		   struct sp_why *why)
{
	int rc = conclude(s, owners, why);

	if (rc < 0)
		return rc;
	fill(s);
	*ret = s->scan;
	return 0;
}

int sp_scan_open(const struct sp_scan_options *o, sp_scan_notice_fn notice, void *arg, struct sp_scan_store **ret,
		 struct sp_why *why)
{
	struct sp_scan_store *s = calloc(1, sizeof(*s));

	if (!s) {
		(void)sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory for a scan");
		return -ENOMEM;
	}
	s->o = o;
	s->notice = notice;
	s->notice_arg = arg;
	int rc = open_target(s, why);
	if (rc < 0) {
		sp_scan_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

pid_t sp_scan_pid(const struct sp_scan_store *s)
{
	return s->scan.pid;
}

struct sp_heap *sp_scan_heap(const struct sp_scan_store *s)
{
	return s->heap;
}

struct sp_scan_source *sp_scan_source(struct sp_scan_store *s)
{
	return &s->source;
}

struct sp_proc *sp_scan_proc(const struct sp_scan_store *s)
{
	return s->proc;
}

static int sum_block(const struct sp_heap_block *b, void *arg)
{
	struct sp_scan_sum *sums = arg;

	sums[b->class].bytes += b->size;
	sums[b->class].blocks++;
	return 0;
}

void sp_scan_facts(struct sp_scan_store *s, struct sp_scan *ret)
{
	(void)sp_heap_for_each(s->heap, sum_block, s->groups.sums);
	fill(s);
	*ret = s->scan;
}

static int look_until_sure(struct sp_scan_store *s, struct sp_why *why)
{
	int rc = sp_scan_look(s, why);

	if (rc < 0 || s->o->once || !sp_heap_for_each(s->heap, stop_at_leak, NULL))
		return rc;
	release(s);
	say(s, "something is leaked by the first scan; a second one must agree");
	sp_scan_wait(s);
	return sp_scan_look(s, why);
}

int sp_scan_run(const struct sp_scan_options *o, sp_scan_notice_fn notice, void *arg, struct sp_scan_store **ret_store,
		struct sp_scan *ret, struct sp_why *why)
{
	struct sp_scan_store *s = NULL;
	int rc = sp_scan_open(o, notice, arg, &s, why);

	if (rc < 0)
		return rc;
	rc = look_until_sure(s, why);
	if (rc == 0)
		rc = sp_scan_finish(s, NULL, ret, why);
	if (rc < 0) {
		sp_scan_free(s);
		return sp_why_set(why, SP_FAULT_OURS, -rc, "the scan failed: %s", strerror(-rc));
	}
	*ret_store = s;
	return 0;
}

void sp_scan_free(struct sp_scan_store *s)
{
	if (!s)
		return;
	release(s);
	sp_heap_close(s->heap);
	sp_heap_close(s->earlier);
	sp_heap_close(s->first);
	sp_scan_groups_done(&s->groups);
	sp_inject_close(s->inject);
	sp_proc_close(s->proc);
	free(s);
}
