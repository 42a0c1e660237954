// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    seep map's order of things: look at a process' mappings, threads and heap once or every interval, hand out
 * views. Runs in: our process, main thread. May not: print, parse options, stop or change the target. Owns:    the
 * looks, while it runs. Fails by: -errno with a reason.
 */
#ifndef SEEP_SESSION_MAP_H
#define SEEP_SESSION_MAP_H

#include <time.h>

#include "base/base.h"
#include "proc/proc.h"
#include "segments/segments.h"

enum { SP_MAP_MAX_MODELS = 16 };

/* The heap from inside, as one allocator sees it. */
struct sp_map_heap {
	const char *name;                  /* "glibc" */
	uint64_t used_bytes, used_blocks;  /* in blocks in use */
	uint64_t free_bytes, free_blocks;  /* free inside the allocator, its caches included */
	uint64_t region_bytes, nr_regions; /* address space that it has */
	uint64_t held_bytes;               /* of it in memory */
	uint64_t used_held_bytes;          /* of that, under blocks in use */
	int64_t growth_used_bytes, growth_used_blocks, growth_held_bytes; /* since the look before */
	bool has_growth;                                                  /* understood now and at the look before */
	char gave_up[256]; /* what is not understood, printable; "": nothing */
};

/* What reports see. Read-only; good during the callback. */
struct sp_map_view {
	pid_t pid;
	const char *comm;     /* printable */
	struct timespec time; /* CLOCK_REALTIME of the look */
	uint64_t interval_ns; /* since the look before; 0: the first one */
	uint64_t nr_look;     /* 1 for the first */
	bool is_last;
	uint64_t took_ns; /* reading, of which the target sees little */
	size_t nr_threads;
	size_t nr_threads_unknown; /* they ran while we looked: their stacks are among the anonymous maps */
	const struct sp_segments *segments;
	const char *(*thread_name)(const struct sp_map_view *v, pid_t tid, char *buf, size_t size); /* printable */
	void *thread_arg;
	bool has_heap;        /* asked for */
	const char *heap_why; /* why no heap could be read; "": it could */
	struct sp_map_heap heaps[SP_MAP_MAX_MODELS];
	size_t nr_heaps;
	struct sp_segment_heap heap; /* all of them together */
	struct sp_segment_verdict verdict;
	const char *sentence; /* without a full stop */
	const char *next;     /* the command to type next; "" for none */
	uint64_t nr_lost;     /* mappings beyond our room */
};

typedef void sp_map_notice_fn(const char *text, void *arg);

struct sp_map_options {
	const char *target;             /* pid or program name */
	uint64_t interval_ns;           /* 0: one look */
	uint64_t count;                 /* looks, the first at once; 0: endless */
	bool no_heap;                   /* do not look inside: reads nothing of the target's memory */
	const struct sp_procfs *procfs; /* NULL: /proc */
	sp_map_notice_fn *notice;       /* what takes longer than a moment; NULL: nobody wants to know */
	void *notice_arg;
};

/* Non-zero ends the run (-EPIPE: reader gone; any other -errno: could not write). */
typedef int sp_map_report_fn(const struct sp_map_view *v, void *arg);

/*
 * Runs until COUNT looks, SIGINT, SIGTERM or SIGHUP, or the target's end (*ret_has_ended; only after a first look, else
 * that is a failure). Returns 0, or -errno with a reason (none for -EPIPE).
 */
sp_must_check int sp_map_run(const struct sp_map_options *o, sp_map_report_fn *report, void *arg, bool *ret_has_ended,
			     struct sp_why *why);

#endif
