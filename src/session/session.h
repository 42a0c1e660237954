// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    the order of things: open or launch the target, start an engine, read, make views, stop.
 * Runs in: our process, main thread.
 * May not: print (it calls back with views and notices), parse options.
 * Owns:    target, engine, ledger and symbolizer between open and close.
 * Fails by: -errno with a reason.
 */
#ifndef SEEP_SESSION_SESSION_H
#define SEEP_SESSION_SESSION_H

#include <time.h>

#include "base/base.h"
#include "engines/engine.h"
#include "ledger/ledger.h"
#include "session/screen.h"
#include "suppress/suppress.h"
#include "symbolize/symbolize.h"

/*
 * ---- the view: what reports may see. Read-only, complete, no pointers into the ledger. ----
 * The strings of its frames belong to the symbolizer, engine and comm to the session: good during the report callback.
 */

struct sp_view_path {
	struct sp_path_sum sum;        /* scaled when sampled */
	const struct sp_frame *frames; /* source-level frames, innermost first */
	unsigned nr_frames;
	const struct sp_block *list; /* its blocks, address order; NULL unless asked for */
	size_t nr_list;
	bool is_faults;                /* pages that were faulted in, no blocks; only with view.is_growth */
	uint64_t resident_bytes;       /* of sum.bytes, in physical memory; only with view.has_resident */
	struct sp_found_sum unreached; /* of its recorded blocks, by the last scan; only with view.has_found */
	struct sp_verdict verdict;     /* of its blocks of any age and size; only with view.has_verdicts */
	const uint64_t *history;       /* view.nr_history values: its bytes at view.history_ns[]; NULL: not kept */
};

struct sp_view {
	const char *engine; /* "bpf" */
	pid_t pid;          /* 0: the kernel */
	const char *comm;   /* "" for the kernel */
	bool is_kernel;
	struct timespec time; /* CLOCK_REALTIME at the reading; in a recording: its own clock, as if it began in 1970 */
	uint64_t now_ns;      /* same instant in the blocks' clock */
	uint64_t interval_ns; /* since the reading before; 0: first */
	uint64_t scale;       /* 1: exact; N: sampled one call in N and multiplied */
	uint64_t sample_bytes; /* 0: exact; else about one block in so many bytes was recorded, sums are estimates */
	unsigned nr_execs;     /* how often it became another program until now */
	unsigned nr_report;    /* how many looks there were: 1 for the first */
	bool is_again;         /* the same look as before, shown otherwise */
	bool is_last;          /* no more will follow (Ctrl-C, target ended, COUNT reached) */
	bool target_ended;
	struct sp_ledger_filter filter;
	unsigned top;                                                   /* how many paths were asked for */
	const struct sp_view_path *paths;                               /* biggest first */
	size_t nr_paths;                                                /* in paths[] */
	uint64_t total_paths, total_bytes, total_blocks;                /* under the filter, before the cut to `top` */
	uint64_t suppressed_paths, suppressed_bytes, suppressed_blocks; /* left out of all of the above, and of lists */
	const struct sp_block *list; /* every block under the filter (any path), address order; NULL unless asked for */
	size_t nr_list;
	bool is_growth;                 /* of the process itself: mappings, and pages that were faulted in */
	uint64_t fault_bytes;           /* of total_bytes, such pages */
	bool has_resident;              /* asked for, and the target was there to tell */
	uint64_t resident_bytes;        /* of total_bytes */
	const struct sp_path_sum *sums; /* of all total_paths under the filter, in the order of paths[] */
	bool has_found;                 /* a recording, and there was a scan until now */
	struct sp_found_all found;      /* what it said */
	bool has_verdicts;              /* asked for; then also the history of all blocks, of any age and size: */
	unsigned nr_history;            /* at most SP_HISTORY_POINTS */
	uint64_t history_ns[SP_HISTORY_POINTS], history_bytes[SP_HISTORY_POINTS];
	uint64_t own_cpu_ns; /* what we have used of the CPUs since our start */
	uint64_t lost[SP_NR_LOST];
	struct sp_engine_stats stats;
};

enum sp_list_mode {
	SP_LIST_NONE,
	SP_LIST_PATH, /* view.paths[i].list for the paths shown */
	SP_LIST_ALL,  /* view.list (bcc's -a lists every block, whatever -T says) */
};

struct sp_session_options {
	const char *target; /* pid or program name; NULL with `argv` or for the kernel */
	char *const *argv;  /* launch this; NULL: attach */
	bool kernel;
	const char *engine;                    /* "auto", "bpf", "replay" */
	struct sp_engine_config engine_config; /* target, on_event: filled by the session / the caller */
	struct sp_ledger_filter filter;
	enum sp_sort sort;
	unsigned top; /* 0: all */
	enum sp_list_mode list;
	uint64_t interval_ns;
	uint64_t count; /* reports, 0: endless */
	struct sp_symbolize_options symbolize;
	struct sp_suppress *suppress;   /* paths that it takes are left out, and counted there; NULL: none */
	bool resident;                  /* look how much is in physical memory; a live process only */
	bool verdicts;                  /* judge every path shown, and tell how its bytes went */
	bool paused;                    /* no new looks; a last report looks all the same */
	bool no_reports;                /* event stream only (memleak -t) */
	const struct sp_procfs *procfs; /* NULL: /proc */
};

enum sp_notice {
	SP_NOTICE_TARGET,   /* target known: pid, before attaching */
	SP_NOTICE_WATCHING, /* probes are in place: text says engine, allocator, time */
	SP_NOTICE_INFO,     /* for the user to know: exec, sampling */
	SP_NOTICE_ENDED,    /* the target ended: text says how */
};

struct sp_session_callbacks {
	/* A report is due. Non-zero ends the session (-EPIPE: reader gone; any other -errno: could not write). */
	int (*report)(const struct sp_view *v, void *arg);
	void (*notice)(enum sp_notice n, pid_t pid, const char *text, void *arg);
	/*
	 * NULL: nobody draws. Else the first report is made at once, before the first look, and what the options say of
	 * the show (filter, sort, top, list, resident, paused) may be changed here.
	 */
	enum sp_screen_answer (*event)(enum sp_screen_event e, void *arg);
	int key_fd; /* with event: where keys come from */
	void *arg;
};

/*
 * Runs a whole session: until COUNT reports, SIGINT/SIGTERM/SIGHUP (a last report first), or the end of the target (a
 * last report first). Everything is taken away again whatever happened. Returns 0, or -errno with a reason (none for
 * -EPIPE: the reader of the reports has gone, and there is nobody to tell).
 *
 * Those signals are blocked while it runs (SIGHUP not if it is ignored, as nohup does) and the mask is restored. A
 * second one while the last report is made ends the process at once, by the signal. SIGPIPE is blocked, too, and
 * swallowed: a write to a closed pipe fails with EPIPE, and ends the session even when the callback cannot say so
 * (on_event).
 *
 * The first report comes one interval after the start; a recording is not waited for. A launched program runs on when
 * the session ends before it (COUNT, SIGTERM); Ctrl-C reaches it from the terminal by itself.
 * *ret_child_status: as from waitpid when it launched a program that has ended, else -1.
 */
sp_must_check int sp_session_run(const struct sp_session_options *o, const struct sp_session_callbacks *cb,
				 int *ret_child_status, struct sp_why *why);

/* ---- for tests: the view by itself ---- */
struct sp_view_store; /* owner of a view's arrays */
sp_must_check int sp_view_make(const struct sp_ledger *l, struct sp_symbolizer *s, const struct sp_session_options *o,
			       uint64_t scale, struct sp_view_store **ret_store, struct sp_view *ret);
void sp_view_store_free(struct sp_view_store *s);

/*
 * Fills in how much of the view's blocks is in physical memory. On failure nothing is filled in: it has ended, or does
 * not let us look.
 */
int sp_view_add_resident(struct sp_view *v, const struct sp_view_store *store, const struct sp_ledger *l,
			 struct sp_proc *p);

/* Fills in verdicts and histories. On failure (-ENOMEM) nothing is filled in. */
int sp_view_add_verdicts(struct sp_view *v, struct sp_view_store *store, const struct sp_ledger *l);

#endif
