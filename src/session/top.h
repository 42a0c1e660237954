// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    seep top's order of things: look at the machine every interval, judge, hand out views, until told to end.
 * Runs in: our process, main thread.
 * May not: print, draw, read keys, parse options.
 * Owns:    the tables of processes and cgroups, and the histories, while it runs.
 * Fails by: -errno with a reason.
 */
#ifndef SEEP_SESSION_TOP_H
#define SEEP_SESSION_TOP_H

#include <time.h>

#include "base/base.h"
#include "proc/system.h"
#include "session/screen.h"
#include "triage/triage.h"

enum { SP_TOP_MAX_ROWS = 1000, SP_TOP_NR_SLABS = 3, SP_TOP_NR_CGROUPS = 3 };

/* A process as a report shows it. */
struct sp_top_row {
	struct sp_suspect suspect;
	const char *cgroup; /* which container or service, printable; "" for none */
	char comm[32];      /* printable */
	char command[160];  /* its command line, printable; "" when it has ended meanwhile */
	bool has_pss;
	uint64_t pss_bytes; /* looked up only where that is cheap */
};

struct sp_top_slab {
	char name[32];
	int64_t growth_bytes;
};

/* A cgroup that is nearly full. */
struct sp_top_cgroup {
	const char *name;
	struct sp_cgroup_limit limit;
};

/* What reports see. Read-only; good during the callback. */
struct sp_top_view {
	struct timespec time; /* CLOCK_REALTIME of the look */
	uint64_t interval_ns; /* since the look before; 0: the first one */
	uint64_t nr_look;     /* 1 for the first */
	bool is_fresh;        /* a new look; false: the same one again, in another order or as the last word */
	bool is_last;
	uint64_t period_ns; /* what was asked for */
	struct sp_vmstat_line line;
	struct sp_machine first, now;
	uint64_t span_ns;
	bool has_pressure;
	double some_percent, full_percent; /* of the interval, tasks waited for memory: some, all */
	const struct sp_top_row *rows;
	size_t nr_rows;
	size_t nr_matching;  /* processes that the filter lets through and that the order is about */
	size_t nr_processes; /* seen */
	struct sp_top_slab slabs[SP_TOP_NR_SLABS]; /* that grew most; only while slab grows */
	size_t nr_slabs;
	struct sp_top_cgroup cgroups[SP_TOP_NR_CGROUPS]; /* fullest first, from nine tenths on */
	size_t nr_cgroups;
	struct sp_diagnosis verdict;
	const char *sentence; /* without a full stop */
	const char *next;     /* the command to type next; "" for none */
	uint64_t nr_lost;     /* processes not looked at: table full */
};

/* What the user may change while it runs. */
struct sp_top_show {
	enum sp_suspect_sort sort;
	unsigned top;       /* rows at most, 0: SP_TOP_MAX_ROWS */
	const char *filter; /* part of the command, the name or the cgroup; NULL or "": everybody */
	bool paused;        /* no new looks */
};

struct sp_top_options {
	uint64_t interval_ns;
	uint64_t count; /* looks, the first at once; 0: endless */
	const struct sp_top_show *show;
	int key_fd;                     /* a terminal whose keys are waited for; -1: none */
	const struct sp_procfs *procfs; /* NULL: /proc */
};

struct sp_top_callbacks {
	/* Non-zero ends the run (-EPIPE: reader gone; any other -errno: could not write). */
	int (*report)(const struct sp_top_view *v, void *arg);
	/* With key_fd only: something to read there, the screen's size has changed, we are asked to stop (SIGTSTP). */
	enum sp_screen_answer (*event)(enum sp_screen_event e, void *arg);
	void *arg;
};

/*
 * Runs until COUNT looks, SIGINT, SIGTERM or SIGHUP, or SP_SCREEN_END; the last report has is_last. Signals are blocked
 * meanwhile, as in sp_session_run(). Returns 0, or -errno with a reason (none for -EPIPE).
 */
sp_must_check int sp_top_run(const struct sp_top_options *o, const struct sp_top_callbacks *cb, struct sp_why *why);

#endif
