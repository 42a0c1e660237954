// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    writes the views of a session into a file that the engine `replay` reads (doc/file-format.md).
 * Runs in: our process, main thread.
 * May not: print; read anything but the views.
 * Owns:    the file, and a copy of the last view's blocks, to know what has changed: 36 bytes a block.
 * Fails by: -errno with a reason. What was written before stays readable.
 */
#ifndef SEEP_RECORD_RECORD_H
#define SEEP_RECORD_RECORD_H

#include "session/leaks.h"
#include "session/session.h"

struct sp_recorder;

struct sp_recorder_options {
	const char *path;   /* must not exist; "-": standard output */
	uint64_t max_bytes; /* of the file; at least SP_RECORDER_MIN_BYTES */
	bool lists;         /* every block with its address; else how many there are of each kind */
};

#define SP_RECORDER_MIN_BYTES ((uint64_t)64 << 10)

/* Makes the file. -EEXIST: something is there, and stays. */
sp_must_check int sp_recorder_open(const struct sp_recorder_options *o, struct sp_recorder **ret, struct sp_why *why);

/*
 * Adds one view: it must hold every path with its frames (top 0) and every block (SP_LIST_ALL), unfiltered. Each view
 * is written at once and whole, as what has changed since the one before. The nearer the file comes to its maximum, the
 * fewer views are kept: of each half of what room is left, half as many a second as of the one before; the last view
 * is always kept when there is room. scan: what a scan that followed this view has found (such a view is always kept);
 * NULL: none did. -ENOSPC and the like: the file cannot be written any more.
 */
sp_must_check int sp_recorder_add(struct sp_recorder *r, const struct sp_view *v, const struct sp_leaks_found *scan,
				  struct sp_why *why);

struct sp_recorder_stats {
	uint64_t nr_views;   /* written */
	uint64_t nr_skipped; /* for want of room */
	uint64_t bytes;      /* of the file */
};
void sp_recorder_stats(const struct sp_recorder *r, struct sp_recorder_stats *ret);

/* Ends the file properly. NULL is fine. */
sp_must_check int sp_recorder_finish(struct sp_recorder *r, struct sp_why *why);

/* Closes it as it is: without sp_recorder_finish() it counts as cut off. NULL is fine. */
void sp_recorder_free(struct sp_recorder *r);

#endif
