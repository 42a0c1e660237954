// SPDX-License-Identifier: Apache-2.0
/* What a session waits for, in one poll(): signals, the next report's time, the target's end, the engine. */
#ifndef SEEP_SESSION_WAITER_H
#define SEEP_SESSION_WAITER_H

#include <signal.h>

#include "base/base.h"

enum {
	SP_WAKE_SIGNAL = 1, /* SIGINT, SIGTERM or SIGHUP */
	SP_WAKE_PIPE = 2,   /* SIGPIPE: nobody reads what we write */
	SP_WAKE_TIMER = 4,  /* a report is due */
	SP_WAKE_TARGET = 8, /* the target has ended */
	SP_WAKE_KEY = 16,   /* the terminal has something to read; it and the next two after sp_waiter_add_terminal() */
	SP_WAKE_RESIZE = 32, /* SIGWINCH, or SIGCONT: the screen must be drawn anew */
	SP_WAKE_STOP = 64,   /* SIGTSTP: somebody wants us to stop, which is ours to do */
};

struct sp_waiter {
	int signal_fd, timer_fd;
	int key_fd; /* -1: no terminal */
	sigset_t old_mask;
	bool is_masked;
};

#define SP_WAITER_EMPTY ((struct sp_waiter){.signal_fd = -1, .timer_fd = -1, .key_fd = -1})

/* Blocks the signals. On failure nothing has changed; done() is fine then, and on an empty waiter. */
sp_must_check int sp_waiter_init(struct sp_waiter *w, struct sp_why *why);
void sp_waiter_done(struct sp_waiter *w);

/* A first wake one interval from now, and every interval. */
sp_must_check int sp_waiter_start_timer(struct sp_waiter *w, uint64_t interval_ns, struct sp_why *why);

/*
 * From now on it also waits for keys at `fd`, a terminal, and for the signals that concern who draws on one. `fd` stays
 * the caller's; -1: only the signals.
 */
sp_must_check int sp_waiter_add_terminal(struct sp_waiter *w, int fd, struct sp_why *why);

/*
 * Waits at most timeout_ms for any of it. Descriptors -1: not waited for. *ret_wake: SP_WAKE_*, 0 when only the engine
 * has something to do or the time is over.
 */
sp_must_check int sp_waiter_wait(struct sp_waiter *w, int engine_fd, int target_fd, int timeout_ms, unsigned *ret_wake);

/* After a first signal: from now on a second one has its usual effect. */
void sp_waiter_let_signals_through(struct sp_waiter *w);

#endif
