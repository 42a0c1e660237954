// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that a process keeps out of its children (MADV_DONTFORK), hence out of a snapshot: V8 does so with the whole
 * JavaScript heap. Its pointers count all the same, so it is read from the running process.
 */
#ifndef SEEP_SESSION_KEPT_OUT_H
#define SEEP_SESSION_KEPT_OUT_H

#include "proc/proc.h"

struct sp_kept_out {
	struct sp_maps now;  /* of the process: owns the paths of what was added */
	struct sp_vec added; /* struct sp_mapping, by address */
	uint64_t bytes;      /* of it, address space */
};

/*
 * Adds to `maps`, a snapshot's, what the process has besides, but for the mapping at own_page, which is ours. To be
 * called at once after the snapshot was taken.
 */
sp_must_check int sp_kept_out_add(struct sp_proc *p, uint64_t own_page, struct sp_maps *maps, struct sp_kept_out *ret);
void sp_kept_out_done(struct sp_kept_out *k);

/* The added mapping around addr; NULL: it is in the snapshot, or in none. */
const struct sp_mapping *sp_kept_out_find(const struct sp_kept_out *k, uint64_t addr);

#endif
