// SPDX-License-Identifier: Apache-2.0
/* The records that make up a snapshot: block, gone, lost. */
#include <string.h>

#include "engines/replay/impl.h"

/* The symbol of a function that makes blocks; "-": not known, SP_NR_FNS. */
static bool find_fn(const char *symbol, uint16_t *ret)
{
	static const struct {
		const char *symbol;
		enum sp_fn_kind kind;
	} fns[] = {
#define ROW(id, symbol, kind, size, where) {symbol, kind},
	    SP_FNS(ROW)
#undef ROW
	};

	*ret = SP_NR_FNS;
	if (!sp_replay_known(symbol))
		return true;
	for (size_t i = 0; i < SP_ARRAY_SIZE(fns); i++) {
		if (strcmp(fns[i].symbol, symbol) != 0)
			continue;
		*ret = (uint16_t)i;
		return fns[i].kind != SP_KIND_FREE && fns[i].kind != SP_KIND_MUNMAP && fns[i].kind != SP_KIND_THROW;
	}
	return false;
}

int sp_replay_fn(struct sp_replay *r, const char *symbol, uint16_t *ret, struct sp_why *why)
{
	if (find_fn(symbol, ret))
		return 0;
	if (r->version < SP_REPLAY_LENIENT || *ret != SP_NR_FNS)
		return sp_replay_bad(&r->in, why, "%.64s is no function that allocates", symbol);
	r->nr_unknown++;
	return 0;
}

int sp_replay_birth(struct sp_replay *r, const char *word, uint64_t *ret, struct sp_why *why)
{
	int err = sp_replay_number(r, "BIRTH", word, UINT64_MAX, ret, why);

	if (!err && *ret > r->now_ns)
		return sp_replay_bad(&r->in, why, "BIRTH is after the snapshot");
	return err;
}

int sp_replay_path(struct sp_replay *r, const char *word, uint32_t *ret, struct sp_why *why)
{
	uint64_t path = 0, *ledger_id;

	*ret = SP_NO_PATH;
	if (!sp_replay_known(word))
		return 0;
	if (sp_replay_number(r, "PATH", word, UINT32_MAX, &path, why))
		return -EINVAL;
	ledger_id = sp_u64map_find(&r->paths, path);
	if (!ledger_id)
		return sp_replay_bad(&r->in, why, "no path %s", word);
	*ret = (uint32_t)*ledger_id;
	return 0;
}

int sp_replay_sampled(struct sp_replay *r, const char *word, uint8_t *ret, struct sp_why *why)
{
	uint64_t sampled = 0;

	if (sp_replay_number(r, "SAMPLED", word, SP_MAX_SAMPLED, &sampled, why))
		return -EINVAL;
	*ret = (uint8_t)sampled;
	return 0;
}

static int parse_block(struct sp_replay *r, char **w, unsigned nr, struct sp_block *ret, struct sp_why *why)
{
	int err = sp_replay_address(r, "ADDRESS", w[1], &ret->addr, why);

	if (!err)
		err = sp_replay_number(r, "SIZE", w[2], UINT64_MAX, &ret->size, why);
	if (!err)
		err = sp_replay_birth(r, w[3], &ret->birth_ns, why);
	if (!err)
		err = sp_replay_path(r, w[4], &ret->path, why);
	if (!err)
		err = sp_replay_fn(r, w[5], &ret->fn, why);
	return err || nr < 7 ? err : sp_replay_sampled(r, w[6], &ret->sampled, why);
}

int sp_replay_take_block(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	struct sp_block b = {0};
	int err = parse_block(r, w, nr, &b, why);

	if (!err && r->groups.next > 1)
		err = sp_replay_bad(&r->in, why, "block and group in one recording");
	if (err)
		return err;
	err = sp_replay_live_add(&r->live, &b);
	return err ? sp_replay_failed(r, err, "block", why) : 0;
}

int sp_replay_take_gone(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	uint64_t addr = 0;
	int err = sp_replay_address(r, "ADDRESS", w[1], &addr, why);

	(void)nr;
	if (err)
		return err;
	return sp_replay_live_remove(&r->live, addr) ? 0 : sp_replay_bad(&r->in, why, "no block at %s", w[1]);
}

int sp_replay_take_lost(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	static const char *const keys[] = {
#define ROW(id, key, text) key,
	    SP_LOST(ROW)
#undef ROW
	};
	uint64_t total = 0;
	int err = sp_replay_number(r, "N", w[2], UINT64_MAX, &total, why);

	(void)nr;
	if (err)
		return err;
	for (unsigned i = 0; i < SP_NR_LOST; i++) {
		if (!strcmp(keys[i], w[1])) {
			sp_ledger_set_lost(r->ledger, (enum sp_lost_id)i, total);
			return 0;
		}
	}
	if (r->version < SP_REPLAY_LENIENT)
		return sp_replay_bad(&r->in, why, "%.64s is not a kind of loss", w[1]);
	r->nr_unknown++;
	return 0;
}
