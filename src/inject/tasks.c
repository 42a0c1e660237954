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
	LATE_NS = 2000000000,    /* for a thread that did not stop in time and is to go on */
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

/* Without a tracer it would not even have been sent (kernel/signal.c, sig_ignored). */
static bool is_ignored(struct sp_inject *in, pid_t tid, int sig)
{
	uint64_t ignored = 0, caught = 0, bit = 1ull << (sig - 1);

	if (!sp_inject_status_u64(in, tid, "SigIgn", 16, &ignored) ||
	    !sp_inject_status_u64(in, tid, "SigCgt", 16, &caught))
		return false;
	bool by_default = sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
	return (ignored & bit) || (by_default && !(caught & bit));
}

static void note_stop(struct sp_inject *in, struct sp_task *t, int status)
{
	int sig = status & 0xff, event = status >> 8;

	/* A signal on its way to the thread is passed on when it goes on; an event's SIGTRAP is none. */
	t->sig = event ? 0 : sig;
	t->event = event;
	t->is_stopped = true;
	if (t->sig && is_ignored(in, t->tid, t->sig))
		t->sig = 0;
	if (event == STOP_EVENT || !t->sig)
		(void)sp_inject_arch.mend_interrupted(t->tid);
}

int sp_task_look(struct sp_inject *in, struct sp_task *t)
{
	siginfo_t info = {};

	if (waitid(P_PID, (id_t)t->tid, &info, WSTOPPED | WNOHANG | __WALL) < 0)
		return errno == EINTR ? 0 : -ESRCH;
	if (!info.si_pid)
		return 0;
	note_stop(in, t, info.si_status);
	return 1;
}

int sp_task_wait(struct sp_inject *in, struct sp_task *t, uint64_t deadline_ns)
{
	uint64_t look_again = sp_inject_now_ns() + LOOK_AGAIN_NS;

	for (;;) {
		int rc = sp_task_look(in, t);
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

/* Interrupted before by this very thread, and late: its stop is still to come. */
static bool is_seized(struct sp_inject *in, pid_t tid)
{
	uint64_t tracer;

	return sp_inject_status_u64(in, tid, "TracerPid", 10, &tracer) && tracer == (uint64_t)gettid();
}

int sp_task_stop(struct sp_inject *in, struct sp_task *t, uint64_t deadline_ns)
{
	if (in->opts.is_held) {
		t->is_stopped = true;
		return 0;
	}
	int rc = sp_task_seize(t->tid, 0);
	if (rc == -EPERM && is_seized(in, t->tid))
		return sp_task_wait(in, t, deadline_ns);
	if (rc < 0)
		return rc;
	if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		return -errno;
	t->is_asked = true;
	return sp_task_wait(in, t, deadline_ns);
}

/*
 * Not stopped, but told to: it will, and nobody would mend the call that it was taken out of. It runs meanwhile, so
 * this is worth waiting for; who waits in the kernel, uninterruptibly, is let go with our end.
 */
static void let_late_one_go(struct sp_inject *in, struct sp_task *t)
{
	if (t->is_asked && !t->is_stopped && !t->is_gone)
		(void)sp_task_wait(in, t, sp_inject_now_ns() + LATE_NS);
}

void sp_task_resume(struct sp_inject *in, struct sp_task *t)
{
	if (!in->opts.is_held)
		let_late_one_go(in, t);
	if (t->is_stopped && !in->opts.is_held)
		(void)ptrace(PTRACE_DETACH, t->tid, 0, t->sig); /* fails only when it was killed */
	t->is_stopped = t->is_asked = false;
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
		else if (!task->is_gone)
			task->is_asked = ptrace(PTRACE_INTERRUPT, task->tid, 0, 0) == 0;
		task->is_gone |= !task->is_asked && !task->is_stopped;
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

/* The one with this id; most come in the order of the list. */
static struct sp_task *find_task(struct sp_tasks *t, pid_t tid, size_t *guess)
{
	for (size_t n = 0; n < t->list.nr; n++, ++*guess) {
		struct sp_task *task = sp_vec_at(&t->list, struct sp_task, *guess % t->list.nr);
		if (task->tid == tid)
			return task;
	}
	return NULL;
}

/* Takes note of all that have stopped by now. Returns how many. */
static size_t take_stops(struct sp_inject *in, struct sp_tasks *t, size_t *guess)
{
	siginfo_t info = {};
	size_t nr = 0;

	/* Of this thread only: others of our process may trace, too. */
	while (waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG | __WALL | __WNOTHREAD) == 0 && info.si_pid) {
		struct sp_task *task = find_task(t, info.si_pid, guess);
		if (task && !task->is_stopped) {
			note_stop(in, task, info.si_status);
			sp_inject_fault_point(SP_FAULT_POINT_STOPPED);
			nr++;
		}
		info.si_pid = 0;
	}
	return nr;
}

/* Of those from `first` on. Who has died is not waited for. */
static size_t nr_pending(struct sp_inject *in, struct sp_tasks *t, size_t first, bool looks, struct sp_task **ret_one)
{
	size_t nr = 0;

	for (size_t i = first; i < t->list.nr; i++) {
		struct sp_task *task = sp_vec_at(&t->list, struct sp_task, i);
		if (looks && !task->is_stopped && !task->is_gone)
			task->is_gone = is_dead(in, task->tid);
		if (!task->is_stopped && !task->is_gone) {
			*ret_one = task;
			nr++;
		}
	}
	return nr;
}

/*
 * Each is noted as soon as it has stopped, in whatever order they come: were we killed before, the call that it was
 * taken out of would fail with EINTR.
 */
static int wait_for_all(struct sp_inject *in, struct sp_tasks *t, size_t first, uint64_t deadline_ns,
			struct sp_why *why)
{
	uint64_t look_again = sp_inject_now_ns() + LOOK_AGAIN_NS;
	struct sp_task *late = NULL;
	size_t guess = first;

	size_t nr = nr_pending(in, t, first, false, &late);
	while (nr) {
		size_t nr_came = take_stops(in, t, &guess);
		nr -= nr_came < nr ? nr_came : nr;
		uint64_t now = sp_inject_now_ns();
		if (!nr || now > look_again) {
			nr = nr_pending(in, t, first, now > look_again, &late);
			look_again = now + LOOK_AGAIN_NS;
		}
		if (nr && now > deadline_ns)
			return refuse_late(in, late, why);
		if (nr && !nr_came)
			sp_inject_sleep_ns(POLL_NS);
	}
	return 0;
}

int sp_tasks_stop_all(struct sp_inject *in, struct sp_tasks *t, uint64_t deadline_ns, struct sp_why *why)
{
	int nr_new = seize_new(in, t, why);
	size_t first = 0;

	sp_inject_fault_point(SP_FAULT_POINT_SEIZED);
	t->start_ns = sp_inject_now_ns();
	while (nr_new > 0) {
		interrupt_all(in, t, first);
		int rc = wait_for_all(in, t, first, deadline_ns, why);
		if (rc < 0)
			return rc;
		first = t->list.nr;
		nr_new = seize_new(in, t, why);
	}
	return nr_new;
}

uint64_t sp_tasks_resume_all(struct sp_inject *in, struct sp_tasks *t)
{
	for (size_t i = 0; i < t->list.nr; i++) {
		struct sp_task *task = sp_vec_at(&t->list, struct sp_task, i);
		if (task->is_stopped)
			sp_task_resume(in, task);
	}
	uint64_t pause_ns = t->start_ns ? sp_inject_now_ns() - t->start_ns : 0;
	for (size_t i = 0; i < t->list.nr; i++)
		sp_task_resume(in, sp_vec_at(&t->list, struct sp_task, i));
	return pause_ns;
}
