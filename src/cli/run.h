// SPDX-License-Identifier: Apache-2.0
/* What trace, kernel and memleak share: the words as session options, and a session whose views go to a writer. */
#ifndef SEEP_CLI_RUN_H
#define SEEP_CLI_RUN_H

#include "cli/command.h"
#include "report/report.h"
#include "session/session.h"

struct sp_run {
	const struct sp_cli *cli;
	struct sp_session_options session;
	struct sp_report_options report;
	sp_report_fn *write;
	bool only_last; /* nothing is written before the last report */
	int (*take)(const struct sp_view *v, void *arg, struct sp_why *why); /* instead of a writer */
	void *take_arg;
	enum sp_screen_answer (*event)(enum sp_screen_event e, void *take_arg); /* who draws; NULL: nobody */
	int key_fd;                                                             /* with event */
	struct sp_why take_why;                                                 /* why it could not */
	/* What the session has to say; returns 0 or -errno of stdout. */
	int (*talk)(const struct sp_run *run, enum sp_notice n, pid_t pid, const char *text);
	const void *talk_arg;         /* the command's own */
	const char *suppressions;     /* file; NULL: none */
	bool suppress_runtime;        /* what the C and C++ runtimes keep until the end, too */
	bool take_suppresses;         /* `take` leaves out what `suppress` takes; the session leaves out nothing */
	struct sp_suppress *suppress; /* while the session runs; NULL: none */
	struct sp_run_end {
		uint64_t bytes, blocks; /* of the last report */
		bool target_ended;
		int child_status; /* as from waitpid; -1: not launched, or still running */
	} end;
	int write_err; /* first -errno of stdout: then nothing more is written */
};

/*
 * Fills the parts of *run that mean the same in every command. -EINVAL with SP_FAULT_USAGE when options contradict each
 * other. `args` must outlive *run.
 */
sp_must_check int sp_run_init(struct sp_run *run, const struct sp_cli *cli, const struct sp_args *args,
			      struct sp_why *why);

/* The writer of a format; one that describes an instant gets every path, once. */
void sp_run_set_format(struct sp_run *run, enum sp_report_format f);

/* How reports look, by the words and the terminal. */
struct sp_report_options sp_run_report_options(const struct sp_args *args);

/* What a run that reported to stdout came to: prints why it failed. Returns the exit status. */
int sp_run_finish(const struct sp_cli *cli, int err, struct sp_why *why);

/* Runs the session to its end; prints what went wrong. Returns the exit status. */
int sp_run_session(struct sp_run *run);

/* Notices on stderr, each behind the program's name. */
int sp_run_talk_stderr(const struct sp_run *run, enum sp_notice n, pid_t pid, const char *text);

/* Flushes stdout. Returns 0 or -errno of whatever was written to it. */
int sp_run_flush(void);

/* Keeps the first failure of stdout and ends the session for it, from places that cannot return one. */
void sp_run_stdout_failed(struct sp_run *run, int err);

#endif
