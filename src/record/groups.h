// SPDX-License-Identifier: Apache-2.0
/*
 * Blocks without their addresses: those of one call path, size and function that one look saw first are a group, of
 * which the looks behind it only say how many are left. Inside of record/.
 */
#ifndef SEEP_RECORD_GROUPS_H
#define SEEP_RECORD_GROUPS_H

#include <stdio.h>

#include "ledger/ledger.h"

struct sp_groups {
	struct sp_vec list;             /* struct group: by id; those with no block wait in `unused` */
	struct sp_vec unused;           /* uint32_t: ids that may be given again */
	struct sp_vec changed;          /* uint32_t: ids that this look has something to say of */
	struct sp_vec of_block, coming; /* uint32_t: a block's group, in the order of the last view; of this one */
	struct sp_u64map fresh;         /* hash of what a group has in common -> its id; this look's */
};

void sp_groups_init(struct sp_groups *g, size_t max_blocks);
void sp_groups_done(struct sp_groups *g);

/* None of them lives any more, and nobody needs to be told. */
void sp_groups_forget(struct sp_groups *g);

/*
 * One look: each block of the last view either stays or is gone, each other one of this view came; in the order of the
 * views. Then put() writes what has changed. -ENOMEM, -ENOSPC: they are of no use any more.
 */
void sp_groups_gone(struct sp_groups *g, size_t place_before);
sp_must_check int sp_groups_stays(struct sp_groups *g, size_t place_before);
sp_must_check int sp_groups_came(struct sp_groups *g, const struct sp_block *b, uint64_t birth_ns);
void sp_groups_put(struct sp_groups *g, FILE *f);

#endif
