// SPDX-License-Identifier: Apache-2.0
/* What a scan said: of the heap, and of each call path of which it said something. */
#include "ledger/impl.h"

void sp_found_init(struct sp_found_paths *f, size_t max_paths)
{
	f->is_known = false;
	sp_u64map_init(&f->bytes, max_paths + 1);
	sp_u64map_init(&f->blocks, max_paths + 1);
}

void sp_found_done(struct sp_found_paths *f)
{
	sp_u64map_done(&f->bytes);
	sp_u64map_done(&f->blocks);
}

void sp_found_forget(struct sp_found_paths *f)
{
	f->is_known = false;
	sp_u64map_clear(&f->bytes);
	sp_u64map_clear(&f->blocks);
}

void sp_ledger_set_found(struct sp_ledger *l, const struct sp_found_all *found)
{
	sp_found_forget(&l->found);
	l->found.is_known = true;
	l->found.sum = *found;
}

int sp_ledger_set_unreached(struct sp_ledger *l, uint32_t path, const struct sp_found_sum *sum)
{
	int err = sp_u64map_set(&l->found.bytes, (uint64_t)path + 1, sum->bytes);

	return err ? err : sp_u64map_set(&l->found.blocks, (uint64_t)path + 1, sum->blocks);
}

const struct sp_found_all *sp_ledger_found(const struct sp_ledger *l)
{
	return l->found.is_known ? &l->found.sum : NULL;
}

struct sp_found_sum sp_ledger_unreached(const struct sp_ledger *l, uint32_t path)
{
	const uint64_t *bytes = sp_u64map_find(&l->found.bytes, (uint64_t)path + 1);
	const uint64_t *blocks = sp_u64map_find(&l->found.blocks, (uint64_t)path + 1);

	return (struct sp_found_sum){bytes ? *bytes : 0, blocks ? *blocks : 0};
}
