// SPDX-License-Identifier: Apache-2.0
/* The processes that are to be watched, each with the child that does it, and what that has said last. */
#ifndef SEEP_SERVE_TARGETS_H
#define SEEP_SERVE_TARGETS_H

#include <poll.h>

#include "report/report.h"
#include "serve/metrics.h"
#include "serve/serve.h"

struct sp_targets;

/* Finds the pids among the words: -ESRCH with a reason when one is no process. `o` must live as long. */
sp_must_check int sp_targets_new(const struct sp_serve_options *o, sp_serve_say_fn say, void *arg,
				 struct sp_targets **ret, struct sp_why *why);

/* Ends the children, and waits until they have left their targets. NULL is fine. */
void sp_targets_free(struct sp_targets *ts);

/* Looks for new processes, starts children, tries again where it failed. When it is time; call it once a second. */
void sp_targets_tick(struct sp_targets *ts);

/* Descriptors to wait for, at most SP_SERVE_MAX_TARGETS; returns their number. Then: takes what has come. */
size_t sp_targets_fds(const struct sp_targets *ts, struct pollfd *ret);
void sp_targets_take(struct sp_targets *ts);

/* After a SIGCHLD: children that have ended. */
void sp_targets_reap(struct sp_targets *ts);

/* Only pids were given, and all have ended. */
bool sp_targets_are_over(const struct sp_targets *ts);

/* Fills at most SP_SERVE_MAX_TARGETS rows, good until the next call of anything here; returns their number. */
size_t sp_targets_list(const struct sp_targets *ts, struct sp_metrics_target *ret);
uint64_t sp_targets_nr_refused(const struct sp_targets *ts);

/*
 * The report of a process, as it was at asked_ns (CLOCK_MONOTONIC) or up to a second before. Its child is asked when
 * it has not been yet. *ret_fd stays ours. -EAGAIN: it will come; -ESRCH: no such target; -ENODATA: not watched now.
 */
sp_must_check int sp_targets_report(struct sp_targets *ts, pid_t pid, enum sp_report_format format, uint64_t asked_ns,
				    int *ret_fd, uint64_t *ret_size);

#endif
