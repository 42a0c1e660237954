// SPDX-License-Identifier: Apache-2.0
/* A process as a source of heap/: a snapshot of it, or itself while it runs. */
#ifndef SEEP_SESSION_SCAN_SOURCE_H
#define SEEP_SESSION_SCAN_SOURCE_H

#include "heap/heap.h"
#include "inject/inject.h"
#include "session/kept_out.h"

/* Of a thread, what the heap need not know. */
struct sp_scan_thread {
	pid_t tid; /* as we number it */
	uint64_t pc, bp;
};

struct sp_scan_source {
	struct sp_heap_source heap; /* what the room heap/ sees */
	struct sp_proc *proc;
	struct sp_inject_snapshot *snapshot; /* NULL: live */
	struct sp_pagemap own, running;      /* of what is read; of the process */
	struct sp_maps maps;
	struct sp_kept_out kept_out; /* of maps: read from the process */
	struct sp_vec threads;       /* struct sp_heap_thread */
	struct sp_vec more;          /* struct sp_scan_thread, of the same threads */
	struct sp_vec words;         /* uint64_t */
	uint64_t pause_ns;
	uint64_t taken_ns; /* CLOCK_MONOTONIC, when it was taken */
};

/*
 * Takes a snapshot, or reads live when `in` allows none. *ret_racy_why: why there is no snapshot; may be NULL when
 * `live`. On failure nothing is held.
 */
sp_must_check int sp_scan_source_open(struct sp_proc *p, struct sp_inject *in, bool live, struct sp_scan_source *ret,
				      struct sp_why *ret_racy_why, struct sp_why *why);

/* Lets the snapshot go; maps, threads and words stay. */
void sp_scan_source_release(struct sp_scan_source *s);
void sp_scan_source_close(struct sp_scan_source *s);

#endif
