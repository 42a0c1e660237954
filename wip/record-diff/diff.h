// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    compares two views by what their call paths are called, so that they may be of two runs.
 * Runs in: our process, main thread.
 * May not: print; keep anything of a view but copies.
 * Owns:    its copies.
 * Fails by: -errno.
 */
#ifndef SEEP_RECORD_DIFF_H
#define SEEP_RECORD_DIFF_H

#include "session/session.h"

struct sp_diff;

enum sp_diff_side { SP_DIFF_BEFORE, SP_DIFF_AFTER };

/* One call path: names, not addresses, tell it from others. */
struct sp_diff_path {
	const struct sp_frame *frames; /* function, module, file, line, inlined; innermost first */
	unsigned nr_frames;
	uint64_t bytes[2], blocks[2]; /* by side */
};

struct sp_diff_side_info {
	char comm[64];
	pid_t pid;
	struct timespec time;
	uint64_t watched_ns; /* since the first view */
	uint64_t bytes, blocks;
	bool is_taken;
};

sp_must_check int sp_diff_new(struct sp_diff **ret);
void sp_diff_free(struct sp_diff *d); /* NULL is fine */

/* Replaces what this side was before. The view holds every path (top 0). */
sp_must_check int sp_diff_take(struct sp_diff *d, enum sp_diff_side side, const struct sp_view *v, uint64_t watched_ns);

const struct sp_diff_side_info *sp_diff_side(const struct sp_diff *d, enum sp_diff_side side);

/* Paths that changed, the one that grew most first, and of equal ones the one that comes first by name. */
const struct sp_diff_path *sp_diff_paths(struct sp_diff *d, size_t *ret_nr);

/* The bytes by which paths grew, or shrank, all together. */
void sp_diff_totals(const struct sp_diff *d, uint64_t *ret_grew, uint64_t *ret_shrank);

#endif
