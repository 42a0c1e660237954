// SPDX-License-Identifier: Apache-2.0
/*
 * Stops threads of the target and lets them go on.
 *
 * PTRACE_SEIZE does not stop, so it is done to all threads before the first PTRACE_INTERRUPT: the stop begins late. A
 * thread may be made while the others are being stopped; the list is read again until it holds nobody new.
 *
 * Waiting looks for stops only (never for exits): when the target is our own child its exit status belongs to somebody
 * else in this process.
 */
#include "inject/impl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum {
	POLL_NS = 20000,         /* between two looks */
	LOOK_AGAIN_NS = 1000000, /* a thread that does not come: is it still there? */
	STOP_EVENT = 128,        /* PTRACE_EVENT_STOP */
};

void sp_tasks_init(struct sp_tasks *t)
{
	*t = (struct sp_tasks){};
	sp_vec_init(&t->list, sizeof(struct sp_task), SP_INJECT_MAX_TASKS);
}

void sp_tasks_done(struct sp_tasks *t)
{
	sp_vec_done(&t->list);
}

static bool is_dead(struct sp_inject *in, pid_t tid)
{
	char state = sp_proc_tid_state(in->p, tid);

	return state == 0 || state == 'Z' || state == 'X' || state == 'x';
}

int sp_task_seize(pid_t tid, long options)
{
	return ptrace(PTRACE_SEIZE, tid, 0, options) < 0 ? -errno : 0;
}

int sp_task_look(struct sp_task *t)
{
	siginfo_t info = {};

	if (waitid(P_PID, (id_t)t->tid, &info, WSTOPPED | WNOHANG | __WALL) < 0)
		return errno == EINTR ? 0 : -ESRCH;
	if (!info.si_pid)
		return 0;
	int sig = info.si_status & 0xff, event = info.si_status >> 8;
	/* A signal on its way to the thread is passed on when it goes on; an event's SIGTRAP is none. */
	t->sig = event ? 0 : sig;
	t->event = event;
	t->is_stopped = true;
	if (event == STOP_EVENT)
		(void)sp_inject_arch.mend_interrupted(t->tid);
	return 1;
}

int sp_task_wait(struct sp_inject *in, struct sp_task *t, uint64_t deadline_ns)
{
	uint64_t look_again = sp_inject_now_ns() + LOOK_AGAIN_NS;

	for (;;) {
		int rc = sp_task_look(t);
		if (rc == 1)
			return 0;
		uint64_t now = sp_inject_now_ns();
		if (rc < 0 || (now > look_again && is_dead(in, t->tid))) {
			t->is_gone = true;
			return -ESRCH;
		}
		if (now > deadline_ns)
			return -EAGAIN;
		if (now > look_again)
			look_again = now + LOOK_AGAIN_NS;
		sp_inject_sleep_ns(POLL_NS);
	}
}

int sp_task_stop(struct sp_inject *in, struct sp_task *t, uint64_t deadline_ns)
{
	if (in->opts.is_held) {
		t->is_stopped = true;
		return 0;
	}
	int rc = sp_task_seize(t->tid, 0);
	if (rc < 0)
		return rc;
	if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		return -errno;
	return sp_task_wait(in, t, deadline_ns);
}

void sp_task_resume(struct sp_inject *in, struct sp_task *t)
{
	if (t->is_stopped && !in->opts.is_held)
		(void)ptrace(PTRACE_DETACH, t->tid, 0, t->sig); /* fails only when it was killed */
	t->is_stopped = false;
}

static bool is_known(const struct sp_tasks *t, pid_t tid)
{
	for (size_t i = 0; i < t->list.nr; i++)
		if (sp_vec_at(&t->list, struct sp_task, i)->tid == tid)
			return true;
	return false;
}

/* Seizes whom the list of threads has and ours has not. Returns how many, or -errno. */
static int seize_new(struct sp_inject *in, struct sp_tasks *t, struct sp_why *why)
{
	struct sp_vec tids;
	int nr_new = 0;

	sp_vec_init(&tids, sizeof(pid_t), SP_INJECT_MAX_TASKS);
	int rc = sp_proc_tids(in->p, &tids);
	size_t nr_known = t->list.nr;
	for (size_t i = 0; rc == 0 && i < tids.nr; i++) {
		struct sp_task task = {.tid = *sp_vec_at(&tids, pid_t, i)};
		/* Threads are listed in the order in which they were made: most are in their old place. */
		if (i < nr_known && sp_vec_at(&t->list, struct sp_task, i)->tid == task.tid)
			continue;
		if (is_known(t, task.tid))
			continue;
		rc = in->opts.is_held ? 0 : sp_task_seize(task.tid, 0);
		if (rc < 0 && is_dead(in, task.tid)) {
			task.is_gone = true; /* on the list, so that it is not taken for a new one */
			rc = 0;
		} else if (rc == 0) {
			nr_new++;
		}
		if (rc == 0)
			rc = sp_vec_push(&t->list, &task);
	}
	sp_vec_done(&tids);
	if (rc == -ESRCH)
		return sp_inject_refuse_gone(in, why);
	if (rc == -ENOMEM || rc == -ENOSPC)
		return sp_inject_no_memory(why);
	return rc < 0 ? sp_inject_refuse_ptrace(in, -rc, why) : nr_new;
}

static void interrupt_all(struct sp_inject *in, struct sp_tasks *t, size_t first)
{
	for (size_t i = first; i < t->list.nr; i++) {
		struct sp_task *task = sp_vec_at(&t->list, struct sp_task, i);
		if (in->opts.is_held)
			task->is_stopped = true;
		else if (!task->is_gone && ptrace(PTRACE_INTERRUPT, task->tid, 0, 0) < 0)
			task->is_gone = true;
	}
}

static int refuse_late(struct sp_inject *in, const struct sp_task *t, struct sp_why *why)
{
	char state = sp_proc_tid_state(in->p, t->tid);
	int rc = sp_why_set(why, SP_FAULT_TARGET, EAGAIN, "thread %d of process %d could not be stopped in time%s",
			    (int)t->tid, (int)in->pid, state == 'D' ? ": it waits in the kernel, uninterruptibly" : "");

	sp_why_hint(why, "try again, or allow a longer stop: --max-pause");
	return rc;
}

int sp_tasks_stop_all(struct sp_inject *in, struct sp_tasks *t, uint64_t deadline_ns, struct sp_why *why)
{
	int nr_new = seize_new(in, t, why);
	size_t first = 0;

	sp_inject_fault_point(SP_FAULT_POINT_SEIZED);
	t->start_ns = sp_inject_now_ns();
	while (nr_new > 0) {
		interrupt_all(in, t, first);
		for (size_t i = first; i < t->list.nr; i++) {
			struct sp_task *task = sp_vec_at(&t->list, struct sp_task, i);
			if (!task->is_gone && !task->is_stopped && sp_task_wait(in, task, deadline_ns) == -EAGAIN)
				return refuse_late(in, task, why);
			if (i == 0)
				sp_inject_fault_point(SP_FAULT_POINT_STOPPED);
		}
		first = t->list.nr;
		nr_new = seize_new(in, t, why);
	}
	return nr_new;
}

uint64_t sp_tasks_resume_all(struct sp_inject *in, struct sp_tasks *t)
{
	for (size_t i = 0; i < t->list.nr; i++)
		sp_task_resume(in, sp_vec_at(&t->list, struct sp_task, i));
	return t->start_ns ? sp_inject_now_ns() - t->start_ns : 0;
}
