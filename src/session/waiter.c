// SPDX-License-Identifier: Apache-2.0
/* One poll() over everything that a session waits for. */
#include "session/waiter.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#define NS_PER_S 1000000000u

/* timeout(1) sends its signal twice within microseconds, to us and to our group: that is one signal, not two. */
#define SAME_SIGNAL_MS 50

static bool is_ignored(int sig)
{
	struct sigaction sa;

	return !sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN;
}

/* SIGINT is taken even when ignored: shells start background jobs so, and `kill -INT` must still end us in order. */
static void make_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGPIPE);
	if (!is_ignored(SIGHUP))
		sigaddset(set, SIGHUP);
}

int sp_waiter_init(struct sp_waiter *w, struct sp_why *why)
{
	sigset_t set;

	*w = SP_WAITER_EMPTY;
	make_set(&set);
	w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w->signal_fd < 0)
		return sp_why_set(why, SP_FAULT_OURS, errno, "cannot wait for signals: %s", strerror(errno));
	w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer_fd < 0)
		return sp_why_set(why, SP_FAULT_OURS, errno, "cannot make a timer: %s", strerror(errno));
	pthread_sigmask(SIG_BLOCK, &set, &w->old_mask);
	w->is_masked = true;
	return 0;
}

int sp_waiter_start_timer(struct sp_waiter *w, uint64_t interval_ns, struct sp_why *why)
{
	const struct timespec t = {.tv_sec = (time_t)(interval_ns / NS_PER_S),
				   .tv_nsec = (long)(interval_ns % NS_PER_S)};
	const struct itimerspec every = {.it_value = t, .it_interval = t};

	if (timerfd_settime(w->timer_fd, 0, &every, NULL))
		return sp_why_set(why, SP_FAULT_OURS, errno, "cannot set a timer: %s", strerror(errno));
	return 0;
}

int sp_waiter_add_terminal(struct sp_waiter *w, int fd, struct sp_why *why)
{
	sigset_t set;

	make_set(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGTSTP);
	if (signalfd(w->signal_fd, &set, 0) < 0)
		return sp_why_set(why, SP_FAULT_OURS, errno, "cannot wait for signals: %s", strerror(errno));
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	w->key_fd = fd;
	return 0;
}

static unsigned wake_of(uint32_t sig)
{
	switch (sig) {
	case SIGPIPE:
		return SP_WAKE_PIPE;
	case SIGWINCH:
	case SIGCONT:
		return SP_WAKE_RESIZE;
	case SIGTSTP:
		return SP_WAKE_STOP;
	default:
		return SP_WAKE_SIGNAL;
	}
}

/* Takes everything out of the signal descriptor. */
static unsigned read_signals(struct sp_waiter *w)
{
	struct signalfd_siginfo info;
	unsigned wake = 0;

	while (read(w->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		wake |= wake_of(info.ssi_signo);
	return wake;
}

int sp_waiter_wait(struct sp_waiter *w, int engine_fd, int target_fd, int timeout_ms, unsigned *ret_wake)
{
	struct pollfd fds[] = {
	    {.fd = w->signal_fd, .events = POLLIN}, {.fd = w->timer_fd, .events = POLLIN},
	    {.fd = target_fd, .events = POLLIN},    {.fd = engine_fd, .events = POLLIN},
	    {.fd = w->key_fd, .events = POLLIN},
	};
	unsigned wake = 0;
	uint64_t expired;

	if (poll(fds, SP_ARRAY_SIZE(fds), timeout_ms) < 0 && errno != EINTR)
		return -errno;
	if (fds[0].revents)
		wake |= read_signals(w);
	if (fds[1].revents && read(w->timer_fd, &expired, sizeof(expired)) == (ssize_t)sizeof(expired))
		wake |= SP_WAKE_TIMER;
	if (fds[2].revents)
		wake |= SP_WAKE_TARGET;
	if (fds[4].revents)
		wake |= SP_WAKE_KEY;
	*ret_wake = wake;
	return 0;
}

void sp_waiter_let_signals_through(struct sp_waiter *w)
{
	const struct timespec pause = {.tv_nsec = SAME_SIGNAL_MS * 1000000L};
	sigset_t set;

	nanosleep(&pause, NULL);
	read_signals(w);
	make_set(&set);
	sigdelset(&set, SIGPIPE);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A SIGPIPE of ours must not kill the caller the moment it is let through. */
static void swallow_sigpipe(void)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	while (sigtimedwait(&set, NULL, &now) == SIGPIPE)
		;
}

void sp_waiter_done(struct sp_waiter *w)
{
	if (w->is_masked) {
		swallow_sigpipe();
		pthread_sigmask(SIG_SETMASK, &w->old_mask, NULL);
	}
	if (w->signal_fd >= 0)
		close(w->signal_fd);
	if (w->timer_fd >= 0)
		close(w->timer_fd);
	*w = SP_WAITER_EMPTY;
}
