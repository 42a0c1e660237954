// SPDX-License-Identifier: Apache-2.0
/*
 * Groups of blocks. Each block gets an address that no other one of the recording has, so that the ledger can tell
 * which of them have lived for long; nobody is shown it.
 */
#include "engines/replay/groups.h"

#include <errno.h>

void sp_replay_groups_init(struct sp_replay_groups *g)
{
	sp_vec_init(&g->list, sizeof(struct sp_replay_group), SP_REPLAY_MAX_BLOCKS);
	sp_vec_init(&g->ids, sizeof(uint64_t), SP_REPLAY_MAX_BLOCKS);
	sp_u64map_init(&g->at, SP_REPLAY_MAX_BLOCKS);
	g->next = 1;
	g->nr_blocks = 0;
}

void sp_replay_groups_done(struct sp_replay_groups *g)
{
	sp_vec_done(&g->list);
	sp_vec_done(&g->ids);
	sp_u64map_done(&g->at);
}

void sp_replay_groups_clear(struct sp_replay_groups *g)
{
	sp_vec_clear(&g->list);
	sp_vec_clear(&g->ids);
	sp_u64map_clear(&g->at);
	g->nr_blocks = 0;
}

int sp_replay_groups_add(struct sp_replay_groups *g, uint64_t id, const struct sp_block *b, uint64_t nr)
{
	struct sp_replay_group group = {.first = *b, .nr = nr};

	if (sp_u64map_find(&g->at, id))
		return -EEXIST;
	if (nr > SP_REPLAY_MAX_BLOCKS - g->nr_blocks)
		return -ENOSPC;
	group.first.addr = g->next;
	int err = sp_vec_push(&g->ids, &id);
	if (!err)
		err = sp_vec_push(&g->list, &group);
	if (!err)
		err = sp_u64map_set(&g->at, id, g->list.nr - 1);
	g->next += nr;
	g->nr_blocks += nr;
	return err;
}

/* Its place is taken by the last one. */
static void drop(struct sp_replay_groups *g, uint64_t id, size_t at)
{
	uint64_t last = *sp_vec_at(&g->ids, uint64_t, --g->ids.nr);

	*sp_u64map_find(&g->at, last) = at;
	*sp_vec_at(&g->ids, uint64_t, at) = last;
	*sp_vec_at(&g->list, struct sp_replay_group, at) = *sp_vec_at(&g->list, struct sp_replay_group, g->list.nr - 1);
	g->list.nr--;
	sp_u64map_remove(&g->at, id);
}

int sp_replay_groups_left(struct sp_replay_groups *g, uint64_t id, uint64_t nr)
{
	const uint64_t *at = sp_u64map_find(&g->at, id);

	if (!at)
		return -ENOENT;
	struct sp_replay_group *group = sp_vec_at(&g->list, struct sp_replay_group, *at);
	if (nr > group->nr)
		return -ERANGE;
	g->nr_blocks -= group->nr - nr;
	group->nr = nr;
	if (!nr)
		drop(g, id, (size_t)*at);
	return 0;
}
