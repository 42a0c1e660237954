// SPDX-License-Identifier: Apache-2.0
/* What the files of the session share. Nothing outside this folder includes it. */
#ifndef SEEP_SESSION_IMPL_H
#define SEEP_SESSION_IMPL_H

#include "session/session.h"
#include "session/waiter.h"

struct sp_session {
	const struct sp_session_options *o;
	const struct sp_session_callbacks *cb;
	struct sp_why *why;

	struct sp_launch *launch;
	struct sp_proc *proc; /* NULL: the kernel, or a recording */
	struct sp_waiter waiter;
	struct sp_ledger *ledger;
	struct sp_symbolizer *own_symbolizer;
	struct sp_symbolizer *symbolizer; /* our own, or the engine's; NULL: addresses only */
	const struct sp_engine_ops *ops;
	struct sp_engine *engine;
	struct sp_engine_stats stats;

	struct timespec read_time; /* CLOCK_REALTIME of the last reading */

	bool is_recording;
	bool has_ended; /* the target */
	unsigned nr_execs;
	unsigned nr_reports;
	int child_status; /* -1 until reaped */
};

/* The owner of a view's arrays. */
struct sp_view_store {
	struct sp_vec sums;   /* struct sp_path_sum: every path under the filter, best first */
	struct sp_vec frames; /* struct sp_frame: of all paths shown */
	struct sp_vec blocks; /* struct sp_block */
	struct sp_view_path *paths;
	uint64_t *histories; /* SP_HISTORY_POINTS a path shown; NULL: not asked for */
};

/* ---- setup.c ---- */

/*
 * Finds or launches the target and starts watching it; a launched one runs on return. On failure sp_session_close()
 * takes away what was made.
 */
sp_must_check int sp_session_open(struct sp_session *s);
void sp_session_close(struct sp_session *s);

/* Looks whether a launched program has ended. */
void sp_session_reap(struct sp_session *s);

sp_printf(4, 5) void sp_session_notice(struct sp_session *s, enum sp_notice n, pid_t pid, const char *fmt, ...);
pid_t sp_session_pid(const struct sp_session *s);

/* Makes the ledger's next snapshot. The target's end is no failure: s->has_ended, and what was read before stays. */
sp_must_check int sp_session_read(struct sp_session *s);

#endif
