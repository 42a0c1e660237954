// SPDX-License-Identifier: Apache-2.0
/* What is kept of one look at one target: numbers and short texts, in one piece, so that a child can hand it over. */
#ifndef SEEP_SERVE_SAMPLE_H
#define SEEP_SERVE_SAMPLE_H

#include "session/leaks.h"

struct sp_sample_path {
	uint64_t id; /* hash of its frames' names: the same for the same code in another run, and another process */
	uint64_t bytes, blocks;
	uint64_t growing_bytes, growing_blocks; /* the same when its verdict says so, else 0 */
	uint64_t leaked_bytes, leaked_blocks;   /* by the last scan */
	double slope;                           /* bytes a second; order, not shown */
	char function[128];                     /* innermost with a name */
	char place[128];                        /* "leak.c:21" or its module; "": not known */
	char stack[512];                        /* "main;child;fibonacci", outermost first; cut at the outer end */
};

struct sp_sample {
	char comm[64], engine[16];
	uint64_t time_ms; /* CLOCK_REALTIME of the look */
	uint64_t looks;
	uint64_t bytes, blocks, nr_call_paths;
	uint64_t growing_bytes, growing_blocks;
	uint64_t has_leaked; /* a scan has said */
	uint64_t leaked_bytes, leaked_blocks, scans, scan_pause_ns;
	uint64_t scale, sample_bytes; /* 1, 0: exact */
	uint64_t suppressed_bytes, suppressed_blocks;
	uint64_t pause_ns, start_ns;
	uint64_t cpu_ns, own_bytes;             /* of the child that watches: CPUs' time; resident memory */
	uint64_t target_bytes;                  /* memory that watching takes in the target */
	uint64_t resident_bytes;                /* of the target */
	uint64_t limit_bytes, limit_used_bytes; /* of its memory cgroup with the least room; 0: none */
	uint64_t execs;
	uint64_t lost[SP_NR_LOST];
	uint64_t nr_paths; /* behind this */
	struct sp_sample_path paths[];
};

/*
 * Of a view with every path and verdicts. `top` paths: those that leak, then those that grow, then the biggest; paths
 * of the same names count as one. `leaks` may be NULL. What no view knows is left 0. free() it. NULL: no memory.
 */
struct sp_sample *sp_sample_make(const struct sp_view *v, unsigned top, const struct sp_leaks_found *leaks);

size_t sp_sample_size(uint64_t nr_paths);

/* Is it one, whole and with its texts ended? Of bytes that came from elsewhere. */
bool sp_sample_is_good(const struct sp_sample *s, size_t size);

#endif
