// SPDX-License-Identifier: Apache-2.0
/*
 * A copy of the target's memory that stands still while the target runs: a child that never runs.
 *
 *   1. All threads are stopped, and their registers read.
 *   2. One of them is sent through the stub, whose call is clone(CLONE_FILES | CLONE_FS) without an exit signal. It is
 *      traced with PTRACE_O_TRACECLONE, so the kernel attaches the child to us before it runs its first instruction,
 *      and tells us while the parent still stands in the call.
 *   3. All threads go on. The child stays stopped. It alone gets PTRACE_O_EXITKILL (on the parent that would kill the
 *      target with us); until then, should we die, the child finds itself in the stub and ends.
 *   4. Release: the child is killed, and the target is made to wait for it, so that no zombie stays. Without an exit
 *      signal it got no SIGCHLD, and no wait of its own sees such a child unless it asks for __WALL or __WCLONE.
 *
 * The thread that traces the child must live as long as the snapshot; it sleeps meanwhile.
 * Sharing files and working directory with the target makes the clone cheaper and holds no file open that it closes.
 */
#include "inject/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

struct sp_inject_snapshot {
	struct sp_inject *in;
	struct sp_inject_threads threads;
	struct sp_inject_pause pause;
	pid_t child;       /* in our pid namespace; 0: none */
	uint64_t seq;      /* of the stub */
	bool is_diverted;  /* a thread was sent there */
	int64_t inner_pid; /* what clone returned in the target; 0: not known */
	int dirfd, memfd;
	pthread_t thread;
	pid_t tracer; /* the thread id of that */
	sem_t taken, release;
	int rc;
	struct sp_why *why; /* until taken */
};

enum {
	POLL_NS = 20000,
	PID_MAX = 1 << 22,     /* include/linux/threads.h, PID_MAX_LIMIT */
	CLONE_NS = 2000000000, /* a large address space takes 20 ms a gigabyte */
};

static struct sp_inject_call clone_call(void)
{
	return (struct sp_inject_call){.nr = sp_inject_arch.nr_clone, .args = {CLONE_FILES | CLONE_FS, 0, 0, 0, 0, 0}};
}

/* ---- in the tracing thread ---- */

/* The stopped thread that is to make the call. NULL: none may. */
static struct sp_task *choose(struct sp_inject *in, struct sp_tasks *tasks, struct sp_arch_regs *ret_regs)
{
	for (size_t i = 0; i < tasks->list.nr; i++) {
		struct sp_task *t = sp_vec_at(&tasks->list, struct sp_task, i);
		if (t->is_stopped && sp_inject_arch.get_regs(t->tid, ret_regs) == 0 &&
		    sp_calls_is_suitable(in, t, ret_regs))
			return t;
	}
	return NULL;
}

/* True when the stub has stored its result: clone made no child, or there would have been the event. */
static bool has_failed(struct sp_inject *in, int *ret_err)
{
	int64_t seq_and_result[2];

	_Static_assert(SP_MAILBOX_RESULTS == SP_MAILBOX_SEQ + sizeof(int64_t), "read as one");
	if (sp_inject_read(in, in->mailbox + SP_MAILBOX_SEQ, seq_and_result, sizeof(seq_and_result)) < 0 ||
	    (uint64_t)seq_and_result[0] != in->seq)
		return false;
	*ret_err = seq_and_result[1] < 0 ? (int)seq_and_result[1] : -EAGAIN;
	return true;
}

/* Runs the thread up to the event inside clone. 0: *ret is the child. */
static int run_to_clone(struct sp_inject *in, struct sp_task *t, pid_t *ret)
{
	enum { LOOK_NS = 500000 };
	uint64_t deadline = sp_inject_now_ns() + CLONE_NS;
	unsigned long pid = 0;
	int err;

	if (ptrace(PTRACE_SETOPTIONS, t->tid, 0, PTRACE_O_TRACECLONE) < 0)
		return -errno;
	do {
		if (t->is_stopped && ptrace(PTRACE_CONT, t->tid, 0, t->sig) < 0)
			return -errno;
		t->is_stopped = t->is_asked = false;
		int rc = sp_task_wait(in, t, sp_inject_now_ns() + LOOK_NS);
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		if (rc == -EAGAIN && has_failed(in, &err))
			return err;
		if (sp_inject_now_ns() > deadline)
			return -EAGAIN;
	} while (!t->is_stopped || t->event != PTRACE_EVENT_CLONE);
	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &pid) < 0)
		return -errno;
	*ret = (pid_t)pid;
	sp_inject_fault_point(SP_FAULT_POINT_CLONED);
	return 0;
}

/* It is attached to us already, with the parent's options; its first stop is on its way. */
static int take_child(struct sp_inject *in, pid_t pid)
{
	uint64_t deadline = sp_inject_now_ns() + CLONE_NS;
	struct sp_task child = {.tid = pid};
	int rc;

	while ((rc = sp_task_look(in, &child)) == 0) {
		if (sp_inject_now_ns() > deadline)
			return -EAGAIN;
		sp_inject_sleep_ns(POLL_NS);
	}
	if (rc < 0)
		return rc;
	return ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL) < 0 ? -errno : 0;
}

static int open_child(struct sp_inject_snapshot *s)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", (int)s->child);
	s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return -errno;
	s->memfd = openat(s->dirfd, "mem", O_RDONLY | O_CLOEXEC);
	return s->memfd < 0 ? -errno : 0;
}

static int divert_to_clone(struct sp_inject_snapshot *s, struct sp_task *t, const struct sp_arch_regs *regs)
{
	struct sp_inject *in = s->in;
	struct sp_inject_call call = clone_call();
	struct sp_stub stub = {
	    .calls = &call, .nr_calls = 1, .mailbox = in->mailbox, .seq = ++in->seq, .is_clone = true};

	int rc = sp_seccomp_check(in, t->tid, &call, 1, in->slack.addr + SP_INJECT_MARK_BYTES, s->why);
	if (rc == 0)
		rc = sp_stub_place(in, t->tid, &stub, regs);
	if (rc == 0)
		rc = sp_stub_divert(in, t, regs);
	s->seq = stub.seq;
	s->is_diverted = rc == 0;
	return rc;
}

/* Everything from the first interrupt to the last resumption. */
static int clone_stopped(struct sp_inject_snapshot *s, struct sp_tasks *tasks)
{
	struct sp_inject *in = s->in;
	struct sp_arch_regs regs;

	int rc = sp_tasks_stop_all(in, tasks, sp_inject_now_ns() + in->opts.max_pause_ns, s->why);
	if (rc < 0)
		return rc;
	rc = sp_threads_read(tasks, &s->threads);
	if (rc < 0)
		return sp_inject_no_memory(s->why);
	struct sp_task *t = choose(in, tasks, &regs);
	if (!t)
		return -EAGAIN;
	rc = divert_to_clone(s, t, &regs);
	return rc ? rc : run_to_clone(in, t, &s->child);
}

static int take(struct sp_inject_snapshot *s)
{
	struct sp_tasks tasks;

	sp_tasks_init(&tasks);
	int rc = clone_stopped(s, &tasks);
	sp_pause_note(&s->pause, sp_tasks_resume_all(s->in, &tasks), tasks.list.nr);
	sp_tasks_done(&tasks);
	if (rc < 0)
		return rc;
	rc = take_child(s->in, s->child);
	if (rc == 0)
		rc = open_child(s);
	if (rc == 0)
		sp_inject_fault_point(SP_FAULT_POINT_SNAPSHOT);
	return rc;
}

static void end_child(struct sp_inject_snapshot *s)
{
	siginfo_t info;

	if (!s->child)
		return;
	(void)kill(s->child, SIGKILL);
	while (waitid(P_PID, (id_t)s->child, &info, WEXITED | __WALL) < 0 && errno == EINTR)
		;
}

static void *trace(void *arg)
{
	struct sp_inject_snapshot *s = arg;

	s->tracer = gettid();
	sp_inject_session_boost();
	s->rc = take(s);
	sp_inject_session_unboost();
	(void)sem_post(&s->taken);
	while (sem_wait(&s->release) < 0 && errno == EINTR)
		;
	end_child(s);
	return NULL;
}

/* ---- in the caller's thread ---- */

static int start_thread(struct sp_inject_snapshot *s)
{
	int rc = sp_thread_start(&s->thread, trace, s);

	while (rc == 0 && sem_wait(&s->taken) < 0 && errno == EINTR)
		;
	return rc;
}

/* The parent has left the stub, which has stored what clone returned. */
static void finish_stub(struct sp_inject_snapshot *s)
{
	enum { PATIENCE_NS = 200000000 };
	struct sp_inject *in = s->in;
	uint64_t deadline = sp_inject_now_ns() + PATIENCE_NS, seq = 0;

	if (!s->is_diverted || s->inner_pid)
		return;
	while (sp_inject_read(in, in->mailbox + SP_MAILBOX_SEQ, &seq, sizeof(seq)) == 0 && seq != s->seq &&
	       sp_inject_now_ns() < deadline)
		sp_inject_sleep_ns(POLL_NS);
	if (seq != s->seq ||
	    sp_inject_read(in, in->mailbox + SP_MAILBOX_RESULTS, &s->inner_pid, sizeof(s->inner_pid)) < 0)
		s->inner_pid = 0;
	if (in->slack.is_used)
		(void)!sp_slack_restore(in);
}

static int refuse(struct sp_inject_snapshot *s, int err, struct sp_why *why)
{
	if (err == ESRCH)
		return sp_inject_refuse_gone(s->in, why);
	return sp_why_set(why, SP_FAULT_TARGET, err, "no snapshot of process %d: %s", (int)s->in->pid,
			  err == EAGAIN ? "not in the time allowed, or it may not start processes" : strerror(err));
}

static int take_once(struct sp_inject *in, struct sp_inject_snapshot **ret, struct sp_why *why)
{
	struct sp_inject_snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return sp_inject_no_memory(why);
	s->in = in;
	s->dirfd = s->memfd = -1;
	s->why = why;
	(void)sem_init(&s->taken, 0, 0);
	(void)sem_init(&s->release, 0, 0);
	int rc = start_thread(s);
	if (rc < 0) {
		free(s);
		return sp_why_set(why, SP_FAULT_OURS, -rc, "cannot start a thread: %s", strerror(-rc));
	}
	rc = s->rc;
	if (rc == 0)
		finish_stub(s);
	s->why = NULL;
	if (rc < 0) {
		rc = refuse(s, -rc, why);
		sp_inject_snapshot_release(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int sp_inject_snapshot_take(struct sp_inject *in, struct sp_inject_snapshot **ret, struct sp_why *why)
{
	if (in->opts.is_held)
		return sp_why_set(why, SP_FAULT_OURS, EINVAL, "no snapshot of a program that has not begun");
	int rc = in->guard ? 0 : sp_inject_guard_start(in->p, &in->guard, why);
	if (rc < 0)
		return rc;
	rc = sp_inject_turn_take(in);
	if (rc < 0)
		return sp_inject_refuse_ptrace(in, -rc, why);
	rc = sp_inject_need_mailbox(in, why);
	if (rc == 0)
		rc = sp_slack_need(in, why);
	if (rc == 0)
		rc = take_once(in, ret, why);
	sp_inject_turn_give(in);
	return rc;
}

const struct sp_inject_threads *sp_inject_snapshot_threads(const struct sp_inject_snapshot *s)
{
	return &s->threads;
}

const struct sp_inject_pause *sp_inject_snapshot_pause(const struct sp_inject_snapshot *s)
{
	return &s->pause;
}

ssize_t sp_inject_snapshot_read(struct sp_inject_snapshot *s, sp_raddr addr, void *buf, size_t len)
{
	ssize_t n;

	if (addr.v > (uint64_t)INT64_MAX - len)
		return -EIO;
	do
		n = pread(s->memfd, buf, len, (off_t)addr.v);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

sp_raddr sp_inject_own_page(const struct sp_inject *in)
{
	return (sp_raddr){in->mailbox};
}

int sp_inject_snapshot_dirfd(const struct sp_inject_snapshot *s)
{
	return s->dirfd;
}

/*
 * Has the target wait for this child of its own; only for one that sends no SIGCHLD, whatever the number was. One that
 * the kernel kills because we were is not dead at once.
 */
static int reap(struct sp_inject *in, int64_t inner_pid)
{
	enum { TRIES = 40, FIRST_NS = 1000000, LONGEST_NS = 50000000 };
	struct sp_inject_call call = {.nr = sp_inject_arch.nr_wait4,
				      .args = {(uint64_t)inner_pid, 0, WNOHANG | __WCLONE, 0}};
	uint64_t wait = FIRST_NS;
	int rc = 0;

	if (inner_pid <= 0 || inner_pid > PID_MAX)
		return 0;
	for (int i = 0; i < TRIES && rc == 0 && call.ret == 0; i++) {
		if (i)
			sp_inject_sleep_ns(wait);
		wait = i && wait < LONGEST_NS ? wait * 2 : wait;
		rc = sp_inject_calls(in, &call, 1, NULL);
	}
	return rc;
}

int sp_snapshot_reap_orphan(struct sp_inject *in, uint64_t mailbox)
{
	int64_t inner_pid;

	if (sp_inject_read(in, mailbox + SP_MAILBOX_RESULTS, &inner_pid, sizeof(inner_pid)) < 0)
		return 0;
	return reap(in, inner_pid);
}

void sp_inject_snapshot_release(struct sp_inject_snapshot *s)
{
	if (!s)
		return;
	(void)sem_post(&s->release);
	(void)pthread_join(s->thread, NULL); /* lets go of the parent, too, where we failed half way */
	sp_inject_session_wait_released(s->tracer);
	finish_stub(s);
	(void)reap(s->in, s->inner_pid);
	sp_close_p(&s->memfd);
	sp_close_p(&s->dirfd);
	sp_inject_threads_done(&s->threads);
	(void)sem_destroy(&s->taken);
	(void)sem_destroy(&s->release);
	free(s);
}
