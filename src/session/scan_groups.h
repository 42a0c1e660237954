// SPDX-License-Identifier: Apache-2.0
/* Blocks that nothing points to, put together when they look alike. */
#ifndef SEEP_SESSION_SCAN_GROUPS_H
#define SEEP_SESSION_SCAN_GROUPS_H

#include "session/scan.h"

/* One group while it grows. */
struct sp_scan_bin {
	struct sp_scan_group g;
	uint64_t vtable;
	char rtti[SP_HEAP_TYPE_MAX];
	char text[SP_HEAP_HEAD_MAX + 1];
};

enum { SP_SCAN_RANGES = 4096 };

struct sp_scan_groups {
	struct sp_vec bins;     /* struct sp_scan_bin */
	struct sp_u64map index; /* of what is alike: number of the bin + 1 */
	struct sp_vec listed;   /* struct sp_scan_listed */
	bool list;
	struct sp_proc *proc;    /* NULL: how much is resident is not asked for, or cannot be told */
	struct sp_range *ranges; /* of blocks that are not looked up yet, SP_SCAN_RANGES */
	uint32_t *range_bins;
	size_t nr_ranges;
	uint64_t nr_ungrouped, nr_unlisted;
	struct sp_scan_sum sums[SP_SCAN_NR_CLASSES];
	/* after sp_scan_groups_finish() */
	struct sp_vec groups; /* struct sp_scan_group */
	uint64_t *addresses;
	char *types; /* SP_HEAP_TYPE_MAX bytes for each bin */
};

struct sp_scan_listed {
	uint64_t addr;
	uint32_t bin;
};

/* proc: whose blocks' pages are looked up; NULL: nobody's. */
sp_must_check int sp_scan_groups_init(struct sp_scan_groups *s, bool list, struct sp_proc *proc);
void sp_scan_groups_done(struct sp_scan_groups *s);

/* Reads the first bytes of what is leaked: while the heap's source is there. */
sp_must_check int sp_scan_groups_gather(struct sp_scan_groups *s, const struct sp_heap *h,
					const struct sp_scan_owners *owners);

/* The recorded block that begins at addr; NULL: there is none (or no owners). */
const struct sp_block *sp_scan_owner(const struct sp_scan_owners *owners, uint64_t addr);

/* Names types, sorts. */
sp_must_check int sp_scan_groups_finish(struct sp_scan_groups *s);

#endif
