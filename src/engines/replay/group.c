// SPDX-License-Identifier: Apache-2.0
/* The records of blocks without addresses: group, left. */
#include "engines/replay/impl.h"

static int parse_group(struct sp_replay *r, char **w, unsigned nr, struct sp_block *ret, struct sp_why *why)
{
	int err = sp_replay_path(r, w[2], &ret->path, why);

	if (!err)
		err = sp_replay_number(r, "SIZE", w[3], UINT64_MAX, &ret->size, why);
	if (!err)
		err = sp_replay_birth(r, w[5], &ret->birth_ns, why);
	if (!err)
		err = sp_replay_fn(r, w[6], &ret->fn, why);
	return err || nr < 8 ? err : sp_replay_sampled(r, w[7], &ret->sampled, why);
}

int sp_replay_take_group(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	struct sp_block b = {0};
	uint64_t id = 0, count = 0;
	int err = sp_replay_number(r, "ID", w[1], UINT32_MAX, &id, why);

	if (!err)
		err = sp_replay_number(r, "COUNT", w[4], SP_REPLAY_MAX_BLOCKS, &count, why);
	if (!err)
		err = parse_group(r, w, nr, &b, why);
	if (!err && !count)
		err = sp_replay_bad(&r->in, why, "a group of no block");
	if (!err && r->live.blocks.nr)
		err = sp_replay_bad(&r->in, why, "block and group in one recording");
	if (err)
		return err;
	err = sp_replay_groups_add(&r->groups, id, &b, count);
	if (err == -EEXIST)
		return sp_replay_bad(&r->in, why, "group %s is there already", w[1]);
	return err ? sp_replay_failed(r, err, "group", why) : 0;
}

int sp_replay_take_left(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	uint64_t id = 0, count = 0;
	int err = sp_replay_number(r, "ID", w[1], UINT32_MAX, &id, why);

	(void)nr;
	if (!err)
		err = sp_replay_number(r, "COUNT", w[2], SP_REPLAY_MAX_BLOCKS, &count, why);
	if (err)
		return err;
	err = sp_replay_groups_left(&r->groups, id, count);
	if (err == -ENOENT)
		return sp_replay_bad(&r->in, why, "no group %s", w[1]);
	return err ? sp_replay_bad(&r->in, why, "group %s has fewer blocks than %s", w[1], w[2]) : 0;
}
