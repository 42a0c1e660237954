// SPDX-License-Identifier: Apache-2.0
/* What threads have in their registers, read in one short stop. */
#include "inject/impl.h"

#include <errno.h>

int sp_threads_read(const struct sp_tasks *tasks, struct sp_inject_threads *ret)
{
	struct sp_arch_regs regs;

	struct sp_inject_thread *list = calloc(tasks->list.nr + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	size_t nr = 0;
	for (size_t i = 0; i < tasks->list.nr; i++) {
		const struct sp_task *t = sp_vec_at(&tasks->list, struct sp_task, i);
		if (!t->is_stopped || sp_inject_arch.get_regs(t->tid, &regs) < 0)
			continue; /* killed */
		sp_inject_arch.fill_thread(t->tid, &regs, &list[nr++]);
	}
	*ret = (struct sp_inject_threads){.list = list, .nr = nr};
	return 0;
}

void sp_pause_note(struct sp_inject_pause *p, uint64_t ns, size_t nr_threads)
{
	p->ns = ns;
	p->max_ns = ns > p->max_ns ? ns : p->max_ns;
	p->nr_threads = (unsigned)nr_threads;
	p->nr_stops++;
}

struct request {
	struct sp_inject_threads threads;
	struct sp_inject_pause pause;
	struct sp_why *why;
};

static int read_all(struct sp_inject *in, void *arg)
{
	struct request *r = arg;
	struct sp_tasks tasks;

	sp_tasks_init(&tasks);
	int rc = sp_tasks_stop_all(in, &tasks, sp_inject_now_ns() + in->opts.max_pause_ns, r->why);
	if (rc == 0 && sp_threads_read(&tasks, &r->threads) < 0)
		rc = sp_inject_no_memory(r->why);
	sp_pause_note(&r->pause, sp_tasks_resume_all(in, &tasks), tasks.list.nr);
	sp_tasks_done(&tasks);
	return rc;
}

int sp_inject_threads(struct sp_inject *in, struct sp_inject_threads *ret, struct sp_inject_pause *ret_pause,
		      struct sp_why *why)
{
	struct request r = {.why = why};

	int rc = sp_inject_session(in, read_all, &r);
	if (rc < 0)
		return rc;
	*ret = r.threads;
	if (ret_pause)
		*ret_pause = r.pause;
	return 0;
}

void sp_inject_threads_done(struct sp_inject_threads *t)
{
	free(t->list);
	*t = (struct sp_inject_threads){};
}
