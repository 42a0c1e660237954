// SPDX-License-Identifier: Apache-2.0
/*
 * Takes everything of ours out of a target. There is one way out, for the run that entered, for its guard after it was
 * killed, and for `seep detach` long afterwards; it works from what is there and from the files:
 *
 *   1. The agent is told to do nothing (active = 0): hooks pass on.
 *   2. In one stop the code gets the file's bytes: nobody enters any more. A thread may stand anywhere, also at the
 *      jump: its address is the beginning of an instruction in the file, too.
 *   3. Short stops, until no thread stands in the regions and no word on a stack leads there (inside.c). At that stop
 *      a stub that was left in slack goes as well.
 *   4. The regions are unmapped by calls (calls.c): hooks' first, the agent's, its data. A descriptor of it is closed.
 *
 * When a thread does not come out in time the regions stay. They do nothing, and a later run clears them.
 */
#include "inject/impl.h"

#include <errno.h>
#include <string.h>

struct leave {
	struct sp_inject *in;
	struct sp_maps maps;
	struct sp_vec regions; /* of struct sp_region */
	struct sp_vec patches; /* of struct sp_patch */
	struct sp_vec ranges;  /* of struct sp_inject_range: nobody may be in them */
	struct sp_inject_left left;
	bool is_out; /* nobody is inside */
	struct sp_why *why;
};

static int push_range(struct leave *l, uint64_t addr, uint64_t bytes)
{
	struct sp_inject_range r = {.addr = {addr}, .bytes = bytes};

	return sp_vec_push(&l->ranges, &r);
}

static int collect(struct leave *l)
{
	int rc = sp_regions_find(l->in, &l->maps, &l->regions);

	if (rc == 0)
		rc = sp_patches_find(l->in, &l->maps, &l->regions, &l->patches);
	for (size_t i = 0; rc == 0 && i < l->regions.nr; i++) {
		const struct sp_region *r = sp_vec_at(&l->regions, struct sp_region, i);
		if (r->kind == SP_INJECT_CODE || r->kind == SP_INJECT_NEAR)
			rc = push_range(l, r->start, r->bytes);
	}
	for (size_t i = 0; rc == 0 && i < l->patches.nr; i++) {
		const struct sp_patch *p = sp_vec_at(&l->patches, struct sp_patch, i);
		if (p->is_stub)
			rc = push_range(l, p->addr, p->bytes);
	}
	return rc;
}

static void make_inert(struct leave *l)
{
	static const uint32_t zero;

	for (size_t i = 0; i < l->regions.nr; i++) {
		const struct sp_region *r = sp_vec_at(&l->regions, struct sp_region, i);
		if (r->kind == SP_INJECT_CODE && r->mark.active_offset)
			(void)!sp_inject_write(l->in, (sp_raddr){r->start + r->mark.active_offset}, &zero,
					       sizeof(zero));
	}
}

/* What is there is still what was found; it may have been unmapped, or mapped anew, meanwhile. */
static bool is_unchanged(struct sp_inject *in, const struct sp_patch *p)
{
	uint8_t now[SP_HOOK_JUMP_BYTES];

	return sp_inject_read(in, p->addr, now, sizeof(now)) == 0 && !memcmp(now, p->now, sizeof(now));
}

static void restore(struct leave *l, bool stubs)
{
	for (size_t i = 0; i < l->patches.nr; i++) {
		struct sp_patch *p = sp_vec_at(&l->patches, struct sp_patch, i);
		if (p->is_stub != stubs || !is_unchanged(l->in, p))
			continue;
		if (sp_inject_write(l->in, (sp_raddr){p->addr}, p->file, p->bytes) == 0)
			l->left.nr_patches++;
		sp_inject_fault_point(SP_FAULT_POINT_RESTORED);
	}
}

/* Steps 2 and 3, once. */
static int stop_and_look(struct sp_inject *in, void *arg)
{
	uint64_t deadline = sp_inject_now_ns() + in->opts.max_pause_ns;
	struct leave *l = arg;
	struct sp_tasks tasks;
	bool is_inside = true;

	sp_tasks_init(&tasks);
	int rc = sp_tasks_stop_all(in, &tasks, deadline, l->why);
	if (rc == 0) {
		restore(l, false);
		sp_inject_fault_point(SP_FAULT_POINT_REMOVED);
		rc = sp_inside_find(in, &tasks, &l->maps, l->ranges.data, l->ranges.nr, deadline, &is_inside);
	}
	if (rc == 0 && !is_inside)
		restore(l, true);
	sp_pause_note(&l->left.pause, sp_tasks_resume_all(in, &tasks), tasks.list.nr);
	sp_tasks_done(&tasks);
	l->is_out = rc == 0 && !is_inside;
	return rc;
}

static int wait_until_out(struct leave *l, uint64_t patience_ns)
{
	enum { FIRST_NS = 1000000, LONGEST_NS = 500000000 };
	uint64_t deadline = sp_inject_now_ns() + patience_ns, wait = FIRST_NS;
	struct sp_why late;

	if (!l->patches.nr && !l->ranges.nr) {
		l->is_out = true;
		return 0;
	}
	for (;;) {
		late = (struct sp_why){};
		l->why = &late;
		int rc = sp_inject_session(l->in, stop_and_look, l);
		if ((rc < 0 && rc != -EAGAIN) || l->is_out)
			return rc;
		if (sp_inject_now_ns() > deadline)
			return 0;
		sp_inject_sleep_ns(wait);
		wait = wait * 2 < LONGEST_NS ? wait * 2 : LONGEST_NS;
		/* Stacks may be new. */
		struct sp_maps maps;
		if (sp_proc_maps(l->in->p, &maps, NULL) < 0)
			return -ESRCH;
		sp_maps_done(&l->maps);
		l->maps = maps;
	}
}

static int unmap_region(struct leave *l, const struct sp_region *r, struct sp_why *why)
{
	struct sp_inject_call call = {.nr = sp_inject_arch.nr_munmap, .args = {r->start, r->bytes}};

	int rc = sp_inject_calls(l->in, &call, 1, why);
	if (rc == 0 && call.ret == 0)
		l->left.nr_unmapped++;
	return rc;
}

static int unmap_kind(struct leave *l, uint32_t kind, struct sp_why *why)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->regions.nr; i++) {
		const struct sp_region *r = sp_vec_at(&l->regions, struct sp_region, i);
		if (r->kind != kind || r->start == l->in->mailbox)
			continue;
		if (kind == SP_INJECT_MAILBOX)
			rc = sp_snapshot_reap_orphan(l->in, r->start);
		if (rc == 0)
			rc = unmap_region(l, r, why);
	}
	return rc;
}

static int unmap_all(struct leave *l, struct sp_why *why)
{
	static const uint32_t ORDER[] = {SP_INJECT_NEAR, SP_INJECT_CODE, SP_REGION_DATA, SP_INJECT_MAILBOX};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < SP_ARRAY_SIZE(ORDER); i++)
		rc = unmap_kind(l, ORDER[i], why);
	if (rc == 0)
		rc = sp_files_close(l->in, &l->left.nr_closed, why);
	sp_inject_fault_point(SP_FAULT_POINT_UNMAPPED);
	return rc;
}

static unsigned nr_kept(const struct leave *l)
{
	unsigned nr = 0;

	for (size_t i = 0; i < l->regions.nr; i++)
		nr += sp_vec_at(&l->regions, struct sp_region, i)->start != l->in->mailbox;
	return nr - l->left.nr_unmapped;
}

/* A stub that was under way when its maker was killed has done its work since: what it mapped is there now. */
static int collect_again(struct leave *l)
{
	bool had_stub = false;
	struct sp_maps maps;

	for (size_t i = 0; i < l->patches.nr; i++)
		had_stub |= sp_vec_at(&l->patches, struct sp_patch, i)->is_stub;
	if (!had_stub)
		return 0;
	int rc = sp_proc_maps(l->in->p, &maps, NULL);
	if (rc < 0)
		return rc;
	sp_maps_done(&l->maps);
	l->maps = maps;
	sp_vec_clear(&l->regions);
	return sp_regions_find(l->in, &l->maps, &l->regions);
}

static int leave(struct leave *l, uint64_t patience_ns, struct sp_why *why)
{
	int rc = collect(l);
	if (rc < 0)
		return sp_inject_no_memory(why);
	make_inert(l);
	rc = wait_until_out(l, patience_ns);
	if (rc == -ESRCH)
		return sp_inject_refuse_gone(l->in, why);
	if (rc < 0)
		return sp_inject_refuse_ptrace(l->in, -rc, why);
	if (l->is_out)
		rc = collect_again(l);
	if (rc < 0)
		return sp_inject_no_memory(why);
	return l->is_out ? unmap_all(l, why) : 0;
}

static int leave_in_turn(struct sp_inject *in, uint64_t patience_ns, struct sp_inject_left *ret, struct sp_why *why)
{
	struct leave l = {.in = in};

	int rc = in->slack.is_used ? sp_slack_restore(in) : 0;
	if (rc < 0 && rc != -EAGAIN)
		return sp_inject_refuse_ptrace(in, -rc, why);
	rc = sp_proc_maps(in->p, &l.maps, why);
	if (rc < 0)
		return rc;
	sp_vec_init(&l.regions, sizeof(struct sp_region), SP_INJECT_MAX_REGIONS);
	sp_vec_init(&l.patches, sizeof(struct sp_patch), SP_INJECT_MAX_PATCHES);
	sp_vec_init(&l.ranges, sizeof(struct sp_inject_range), SP_INJECT_MAX_REGIONS + SP_INJECT_MAX_PATCHES);
	rc = leave(&l, patience_ns, why);
	l.left.nr_kept = nr_kept(&l);
	sp_vec_done(&l.ranges);
	sp_vec_done(&l.patches);
	sp_vec_done(&l.regions);
	sp_maps_done(&l.maps);
	if (rc == 0)
		*ret = l.left;
	return rc;
}

int sp_inject_leave(struct sp_inject *in, uint64_t patience_ns, struct sp_inject_left *ret, struct sp_why *why)
{
	int rc = sp_inject_turn_take(in);

	if (rc < 0)
		return sp_inject_refuse_ptrace(in, -rc, why);
	rc = leave_in_turn(in, patience_ns, ret, why);
	sp_inject_turn_give(in);
	return rc;
}
