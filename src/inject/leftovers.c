// SPDX-License-Identifier: Apache-2.0
/* Questions about a target that change nothing: what of ours is in it, who is inside. */
#include "inject/impl.h"

#include <errno.h>
#include <string.h>

static void add_owner(const struct sp_inject_mark *m, struct sp_inject_leftovers *ret)
{
	if (!m->magic || m->owner_pid_ns != sp_proc_ns(NULL, 0, "pid"))
		return;
	ret->owner_pid = (pid_t)m->owner_pid;
	ret->is_owner_alive = sp_proc_start_time_of(NULL, ret->owner_pid) == m->owner_start;
}

static void add_region(const struct sp_region *r, struct sp_inject_leftovers *ret)
{
	ret->nr_regions++;
	ret->bytes += r->bytes;
	if (r->kind == SP_INJECT_CODE)
		ret->code.v = r->start;
	add_owner(&r->mark, ret);
}

static int add_files(struct sp_inject *in, struct sp_inject_leftovers *ret)
{
	struct sp_vec files;

	sp_vec_init(&files, sizeof(struct sp_left_file), SP_INJECT_MAX_REGIONS);
	int rc = sp_files_find(in, &files);
	for (size_t i = 0; i < files.nr; i++)
		add_owner(&sp_vec_at(&files, struct sp_left_file, i)->mark, ret);
	ret->nr_files = (unsigned)files.nr;
	sp_vec_done(&files);
	return rc;
}

static int find_leftovers(struct sp_inject *in, struct sp_inject_leftovers *ret, struct sp_why *why)
{
	struct sp_vec regions, patches;
	struct sp_maps maps;

	int rc = sp_proc_maps(in->p, &maps, why);
	if (rc < 0)
		return rc;
	sp_vec_init(&regions, sizeof(struct sp_region), SP_INJECT_MAX_REGIONS);
	sp_vec_init(&patches, sizeof(struct sp_patch), SP_INJECT_MAX_PATCHES);
	rc = sp_regions_find(in, &maps, &regions);
	if (rc == 0)
		rc = sp_patches_find(in, &maps, &regions, &patches);
	for (size_t i = 0; i < regions.nr; i++)
		add_region(sp_vec_at(&regions, struct sp_region, i), ret);
	ret->nr_patches = (unsigned)patches.nr;
	if (rc == 0)
		rc = add_files(in, ret);
	sp_vec_done(&patches);
	sp_vec_done(&regions);
	sp_maps_done(&maps);
	return rc < 0 ? sp_inject_no_memory(why) : 0;
}

int sp_inject_leftovers_find(struct sp_proc *p, struct sp_inject_leftovers *ret, struct sp_why *why)
{
	struct sp_inject_leftovers found = {};
	struct sp_inject *in;

	int rc = sp_inject_open(p, NULL, &in, why);
	if (rc < 0)
		return rc;
	rc = find_leftovers(in, &found, why);
	sp_inject_close(in);
	if (rc == 0)
		*ret = found;
	return rc;
}

/* ---- a question of callers ---- */

struct question {
	const struct sp_inject_range *ranges;
	size_t nr;
	bool is_inside;
	struct sp_inject_pause pause;
	struct sp_maps maps;
	struct sp_why *why;
};

static int ask(struct sp_inject *in, void *arg)
{
	uint64_t deadline = sp_inject_now_ns() + in->opts.max_pause_ns;
	struct question *q = arg;
	struct sp_tasks tasks;

	sp_tasks_init(&tasks);
	int rc = sp_tasks_stop_all(in, &tasks, deadline, q->why);
	if (rc == 0)
		rc = sp_inside_find(in, &tasks, &q->maps, q->ranges, q->nr, deadline, &q->is_inside);
	sp_pause_note(&q->pause, sp_tasks_resume_all(in, &tasks), tasks.list.nr);
	sp_tasks_done(&tasks);
	return rc;
}

int sp_inject_threads_inside(struct sp_inject *in, const struct sp_inject_range *ranges, size_t nr, bool *ret,
			     struct sp_inject_pause *ret_pause, struct sp_why *why)
{
	struct question q = {.ranges = ranges, .nr = nr, .why = why};

	int rc = sp_proc_maps(in->p, &q.maps, why);
	if (rc < 0)
		return rc;
	rc = sp_inject_session(in, ask, &q);
	sp_maps_done(&q.maps);
	if (rc < 0)
		return sp_why_set(why, SP_FAULT_TARGET, -rc, "the threads of process %d could not be looked at: %s",
				  (int)in->pid, strerror(-rc));
	*ret = q.is_inside;
	if (ret_pause)
		*ret_pause = q.pause;
	return 0;
}
