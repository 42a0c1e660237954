// SPDX-License-Identifier: Apache-2.0
/* What the files of seep map's session share. Not for other rooms. */
#ifndef SEEP_SESSION_MAP_IMPL_H
#define SEEP_SESSION_MAP_IMPL_H

#include "session/map.h"

/* One look at a process, complete in itself: two of them are compared. */
struct sp_map_look {
	struct timespec time;
	uint64_t now_ns, took_ns;
	struct sp_smaps smaps;
	struct sp_vec threads; /* struct sp_segment_thread, by sp */
	size_t nr_threads_unknown;
	struct sp_vec data;    /* struct sp_data_range */
	struct sp_vec devices; /* uint64_t */
	struct sp_vec regions; /* struct sp_segment_region */
	struct sp_segments segments;
	struct sp_map_heap heaps[SP_MAP_MAX_MODELS];
	size_t nr_heaps;
	char heap_why[512];
};

/* Fills *ret. On failure it is empty again. */
sp_must_check int sp_map_look(struct sp_proc *p, bool with_heap, struct sp_map_look *ret, struct sp_why *why);
void sp_map_look_done(struct sp_map_look *l);

/* ---- map_heap.c: the heap from inside ---- */

/* Fills heaps, regions and heap_why of a look that has its mappings. -ENOMEM. */
sp_must_check int sp_map_look_inside(struct sp_proc *p, struct sp_map_look *l);

#endif
