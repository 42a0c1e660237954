// SPDX-License-Identifier: Apache-2.0
/* The live blocks of a recording, of which most snapshots say only what has changed. */
#ifndef SEEP_ENGINES_REPLAY_LIVE_H
#define SEEP_ENGINES_REPLAY_LIVE_H

#include "ledger/ledger.h"

struct sp_replay_live {
	struct sp_vec blocks; /* struct sp_block, in no order */
	struct sp_u64map at;  /* address -> index */
};

#define SP_REPLAY_MAX_BLOCKS ((size_t)1 << 28)

void sp_replay_live_init(struct sp_replay_live *l);
void sp_replay_live_done(struct sp_replay_live *l);
void sp_replay_live_clear(struct sp_replay_live *l);

/* Replaces a block at the same address. -ENOSPC, -ENOMEM. */
sp_must_check int sp_replay_live_add(struct sp_replay_live *l, const struct sp_block *b);
/* False: there is none. */
bool sp_replay_live_remove(struct sp_replay_live *l, uint64_t addr);

#endif
