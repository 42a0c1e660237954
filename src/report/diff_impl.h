// SPDX-License-Identifier: Apache-2.0
/* What diff.c has worked out, for the writers of diff_write.c. Inside of report/. */
#ifndef SEEP_REPORT_DIFF_IMPL_H
#define SEEP_REPORT_DIFF_IMPL_H

#include "report/diff.h"

/* id, word */
#define SP_DIFF_CHANGES(X)                                                                                             \
	X(NEW, "new")                                                                                                  \
	X(GREW, "grew")                                                                                                \
	X(SHRANK, "shrank")                                                                                            \
	X(GONE, "gone")                                                                                                \
	X(SAME, "same") /* as many bytes in another number of blocks */

enum sp_diff_change {
#define SP_DIFF_ENUM(id, word) SP_DIFF_##id,
	SP_DIFF_CHANGES(SP_DIFF_ENUM)
#undef SP_DIFF_ENUM
};

struct sp_diff_path {
	const uint32_t *ids; /* of its frames, innermost first: sp_diff.frames */
	unsigned nr_frames;
	uint64_t bytes[SP_NR_DIFF_SIDES], blocks[SP_NR_DIFF_SIDES];
	int64_t growth_bytes, growth_blocks;
	enum sp_diff_change change;
};

struct sp_diff_side_of {
	struct sp_view view; /* no paths and no lists; its strings are the two below */
	char *engine, *comm;
	uint64_t watched_ns;
};

struct sp_diff {
	struct sp_diff_side_of sides[SP_NR_DIFF_SIDES];
	struct sp_vec frames;        /* struct known_frame (diff.c) */
	struct sp_vec ids;           /* uint32_t: the frames of all paths, one behind the other */
	struct sp_vec paths;         /* struct known_path (diff.c) */
	struct sp_vec builds;        /* struct known_build (diff.c) */
	struct sp_u64map by_content; /* hash -> index + 1 of a frame */
	struct sp_vec changed;       /* struct sp_diff_path: those that changed, sorted */
	uint64_t grown_bytes, shrunk_bytes, nr_grown, nr_shrunk;
};

/* A frame as it was copied. */
const struct sp_frame *sp_diff_frame(const struct sp_diff *d, uint32_t id);

#endif
