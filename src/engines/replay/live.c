// SPDX-License-Identifier: Apache-2.0
/* Live blocks by address. A removed block's place is taken by the last one. */
#include "engines/replay/live.h"

#include <errno.h>

void sp_replay_live_init(struct sp_replay_live *l)
{
	sp_vec_init(&l->blocks, sizeof(struct sp_block), SP_REPLAY_MAX_BLOCKS);
	sp_u64map_init(&l->at, SP_REPLAY_MAX_BLOCKS);
}

void sp_replay_live_done(struct sp_replay_live *l)
{
	sp_vec_done(&l->blocks);
	sp_u64map_done(&l->at);
}

void sp_replay_live_clear(struct sp_replay_live *l)
{
	sp_vec_clear(&l->blocks);
	sp_u64map_clear(&l->at);
}

int sp_replay_live_add(struct sp_replay_live *l, const struct sp_block *b)
{
	uint64_t *at = sp_u64map_find(&l->at, b->addr);

	if (at) {
		*sp_vec_at(&l->blocks, struct sp_block, *at) = *b;
		return 0;
	}
	int err = sp_vec_push(&l->blocks, b);
	if (err)
		return err;
	err = sp_u64map_set(&l->at, b->addr, l->blocks.nr - 1);
	if (err)
		l->blocks.nr--;
	return err;
}

bool sp_replay_live_remove(struct sp_replay_live *l, uint64_t addr)
{
	uint64_t *found = sp_u64map_find(&l->at, addr);

	if (!found)
		return false;
	size_t at = (size_t)*found;
	const struct sp_block *last = sp_vec_at(&l->blocks, struct sp_block, l->blocks.nr - 1);
	*sp_u64map_find(&l->at, last->addr) = at;
	*sp_vec_at(&l->blocks, struct sp_block, at) = *last;
	l->blocks.nr--;
	return sp_u64map_remove(&l->at, addr);
}
