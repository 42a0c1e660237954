// SPDX-License-Identifier: Apache-2.0
/*
 * ptrace in threads of our own that end when the work is done.
 *
 * A thread of the target that was seized but does not come to its stop (it waits in the kernel, uninterruptibly) cannot
 * be let go: PTRACE_DETACH wants it stopped. Left to itself it would stop later, with nobody to resume it. But the
 * kernel lets go of everything that a tracer holds when the tracer, a thread, ends. So whatever happens in a session,
 * at its end nothing of the target is held.
 */
#include "inject/impl.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

struct session {
	struct sp_inject *in;
	int (*fn)(struct sp_inject *in, void *arg);
	void *arg;
	int rc;
	pid_t tid;
};

uint64_t sp_inject_now_ns(void)
{
	return sp_clock_ns();
}

void sp_inject_sleep_ns(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* Threads that were resumed compete with us for the CPU; measured: 20 to 50 times shorter stops than without. */
void sp_inject_session_boost(void)
{
	struct sched_param param = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) < 0)
		(void)setpriority(PRIO_PROCESS, 0, -10); /* of this thread; may be forbidden as well */
}

void sp_inject_session_unboost(void)
{
	struct sched_param param = {};

	if (sched_setscheduler(0, SCHED_OTHER, &param) < 0)
		(void)setpriority(PRIO_PROCESS, 0, 0);
}

static void *run(void *arg)
{
	struct session *s = arg;

	s->tid = gettid();
	sp_inject_session_boost();
	s->rc = s->fn(s->in, s->arg);
	return NULL;
}

/*
 * A thread is joined a moment before the kernel lets go of what it traced. Whoever wanted to seize that again in this
 * moment would be told that it is traced.
 */
void sp_inject_session_wait_released(pid_t tid)
{
	enum { POLL_NS = 10000 };

	while (tgkill(getpid(), tid, 0) == 0)
		sp_inject_sleep_ns(POLL_NS);
}

static int run_in_thread(struct sp_inject *in, int (*fn)(struct sp_inject *in, void *arg), void *arg)
{
	struct session s = {.in = in, .fn = fn, .arg = arg};
	pthread_t thread;
	int rc = sp_thread_start(&thread, run, &s);

	if (rc == 0)
		rc = -pthread_join(thread, NULL);
	if (rc < 0)
		return rc;
	sp_inject_session_wait_released(s.tid);
	return s.rc;
}

int sp_inject_session(struct sp_inject *in, int (*fn)(struct sp_inject *in, void *arg), void *arg)
{
	if (in->opts.is_held)
		return fn(in, arg);
	int rc = sp_inject_turn_take(in);
	if (rc < 0)
		return rc;
	rc = run_in_thread(in, fn, arg);
	sp_inject_turn_give(in);
	return rc;
}
