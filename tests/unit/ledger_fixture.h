// SPDX-License-Identifier: Apache-2.0
/* Short ways to fill a ledger and to ask it, for the tests of ledger/. */
#ifndef SEEP_TESTS_LEDGER_FIXTURE_H
#define SEEP_TESTS_LEDGER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/ledger.h"

#define SECOND 1000000000ull

static inline struct sp_ledger *ledger_new(size_t max_blocks, size_t max_paths)
{
	struct sp_ledger_limits limits = {.max_blocks = max_blocks, .max_paths = max_paths};
	struct sp_ledger *l = NULL;

	assert_int_equal(sp_ledger_new(&limits, &l), 0);
	return l;
}

/* A path of three frames, all its own. */
static inline uint32_t path_add(struct sp_ledger *l, uint64_t pc)
{
	uint64_t pcs[] = {pc, pc + 0x100, 0x401000};
	uint32_t id = SP_NO_PATH;

	assert_int_equal(sp_ledger_path(l, pcs, 3, &id), 0);
	return id;
}

static inline void block_add(struct sp_ledger *l, uint64_t addr, uint64_t size, uint64_t birth_ns, uint32_t path)
{
	struct sp_block b = {.addr = addr, .size = size, .birth_ns = birth_ns, .path = path, .fn = SP_FN_MALLOC};

	assert_int_equal(sp_ledger_block(l, &b), 0);
}

/* The whole answer; the caller frees it. */
static inline struct sp_path_sum *ask_paths(const struct sp_ledger *l, const struct sp_ledger_filter *f,
					    enum sp_sort sort, size_t *ret_nr)
{
	struct sp_vec v;

	sp_vec_init(&v, sizeof(struct sp_path_sum), 1 << 20);
	assert_int_equal(sp_ledger_paths(l, f, sort, &v), 0);
	*ret_nr = v.nr;
	return v.data;
}

static inline struct sp_block *ask_blocks(const struct sp_ledger *l, bool all, uint32_t path,
					  const struct sp_ledger_filter *f, size_t *ret_nr)
{
	struct sp_vec v;

	sp_vec_init(&v, sizeof(struct sp_block), 1 << 20);
	assert_int_equal(sp_ledger_blocks(l, all, path, f, &v), 0);
	*ret_nr = v.nr;
	return v.data;
}

/* The sum of one path; all zero when it has no block. */
static inline struct sp_path_sum ask_path(const struct sp_ledger *l, const struct sp_ledger_filter *f, uint32_t path)
{
	size_t nr = 0;
	struct sp_path_sum *sums = ask_paths(l, f, SP_SORT_BYTES, &nr), found = {0};

	for (size_t i = 0; i < nr; i++)
		if (sums[i].path == path)
			found = sums[i];
	free(sums);
	return found;
}

#endif
