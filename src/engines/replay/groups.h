// SPDX-License-Identifier: Apache-2.0
/* Live blocks of a recording without addresses: how many there are of each group. */
#ifndef SEEP_ENGINES_REPLAY_GROUPS_H
#define SEEP_ENGINES_REPLAY_GROUPS_H

#include "engines/replay/live.h"

struct sp_replay_group {
	struct sp_block first; /* its address stands for the first block's; the others' follow */
	uint64_t nr;
};

struct sp_replay_groups {
	struct sp_vec list;  /* struct sp_replay_group, in no order; those with no block are left out */
	struct sp_u64map at; /* id -> index */
	struct sp_vec ids;   /* uint64_t: of list */
	uint64_t next;       /* address */
	uint64_t nr_blocks;
};

void sp_replay_groups_init(struct sp_replay_groups *g);
void sp_replay_groups_done(struct sp_replay_groups *g);
void sp_replay_groups_clear(struct sp_replay_groups *g);

/* `b` without an address. -EEXIST: the id is taken; -ENOSPC: too many blocks or groups; -ENOMEM. */
sp_must_check int sp_replay_groups_add(struct sp_replay_groups *g, uint64_t id, const struct sp_block *b, uint64_t nr);

/* So many of it are left. -ENOENT: there is no such group; -ERANGE: it had fewer. */
sp_must_check int sp_replay_groups_left(struct sp_replay_groups *g, uint64_t id, uint64_t nr);

#endif
