// SPDX-License-Identifier: Apache-2.0
/* The records of what a scan found: scan, unreached. */
#include "engines/replay/impl.h"

static int take_sum(struct sp_replay *r, char **w, struct sp_found_sum *ret, struct sp_why *why)
{
	int err = sp_replay_number(r, "BYTES", w[0], UINT64_MAX, &ret->bytes, why);

	return err ? err : sp_replay_number(r, "BLOCKS", w[1], UINT64_MAX, &ret->blocks, why);
}

int sp_replay_take_scan(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	struct sp_found_all found = {.now_ns = r->now_ns};
	int err = sp_replay_number(r, "PAUSE", w[1], UINT64_MAX, &found.pause_ns, why);

	(void)nr;
	for (unsigned i = 0; i < SP_NR_FOUND && !err; i++)
		err = take_sum(r, w + 2 + 2 * (size_t)i, &found.sums[i], why);
	if (!err)
		sp_ledger_set_found(r->ledger, &found);
	return err;
}

int sp_replay_take_unreached(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	struct sp_found_sum sum = {0};
	uint32_t path = SP_NO_PATH;
	int err = sp_replay_path(r, w[1], &path, why);

	(void)nr;
	if (!err)
		err = take_sum(r, w + 2, &sum, why);
	if (!err && !sp_ledger_found(r->ledger))
		err = sp_replay_bad(&r->in, why, "unreached before any scan");
	if (err)
		return err;
	err = sp_ledger_set_unreached(r->ledger, path, &sum);
	return err ? sp_replay_failed(r, err, "unreached", why) : 0;
}
