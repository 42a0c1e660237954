// SPDX-License-Identifier: Apache-2.0
/* What the files of triage/ share. Not for other rooms. */
#ifndef SEEP_TRIAGE_IMPL_H
#define SEEP_TRIAGE_IMPL_H

#include "triage/triage.h"

enum { SP_TREND_POINTS = 32 }; /* of a history: 496 pairs of points, about 20 us */

/*
 * Everybody's history has its points at the same times: those of the timeline. When it is full every second point
 * goes, and from then on only every second look becomes one: a watch of a week has as many points as one of a minute.
 */
struct sp_timeline {
	uint64_t at_ns[SP_TREND_POINTS];
	size_t nr;
	uint64_t stride; /* looks a point */
};

struct sp_history {
	uint64_t values[SP_TREND_POINTS]; /* of anonymous memory with swap; valid from the process' first point on */
};

struct sp_triaged {
	struct sp_ps ps;
	uint64_t first_ns, first_bytes; /* anonymous memory with swap at the first sight */
	uint64_t base_bytes;            /* what its growth is counted from */
	uint64_t first_data_bytes, first_shmem_bytes;
	size_t first_point;  /* in the timeline */
	uint64_t peak_bytes; /* largest seen; lowest it fell below that */
	uint64_t drawdown_bytes;
	uint64_t rose_ns, gap_ns; /* when it last grew, and its longest pause before that */
	unsigned nr_rises;
	bool is_new;
	uint64_t look;              /* that saw it last */
	struct sp_history *history; /* NULL: it has never changed */
};

struct sp_triage {
	struct sp_machine first, now;
	uint64_t first_ns, now_ns, before_ns;
	uint64_t nr_looks;
	struct sp_timeline timeline;
	bool is_point;           /* the look in progress is the timeline's last point */
	struct sp_vec processes; /* struct sp_triaged */
	struct sp_u64map by_pid;
	uint64_t nr_refused;
};

static inline uint64_t sp_held_bytes(const struct sp_ps *ps)
{
	return ps->anon_bytes + ps->swap_bytes;
}

static inline int64_t sp_change(uint64_t before, uint64_t now)
{
	return (int64_t)(now - before);
}

#endif
