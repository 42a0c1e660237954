// SPDX-License-Identifier: Apache-2.0
/* The ledger as a whole: birth, death, counters, and forgetting. */
#include "ledger/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "ledger/impl.h"

#define DEFAULT_MAX_BLOCKS ((size_t)16 << 20)
#define DEFAULT_MAX_PATHS  ((size_t)256 << 10)
#define MOST_BLOCKS        ((size_t)UINT32_MAX - 2)               /* struct sp_size_count counts in 32 bits */
#define MOST_PATHS         (((size_t)1 << SP_SIZE_PATH_BITS) - 2) /* and has so many for a path; SP_NO_PATH is no id */

static size_t limit(size_t asked, size_t by_default, size_t most)
{
	if (!asked)
		return by_default;
	return asked < most ? asked : most;
}

int sp_ledger_new(const struct sp_ledger_limits *limits, struct sp_ledger **ret)
{
	size_t max_blocks = limit(limits ? limits->max_blocks : 0, DEFAULT_MAX_BLOCKS, MOST_BLOCKS);
	size_t max_paths = limit(limits ? limits->max_paths : 0, DEFAULT_MAX_PATHS, MOST_PATHS);
	struct sp_ledger *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	sp_vec_init(&l->current.blocks, sizeof(struct sp_block), max_blocks);
	sp_vec_init(&l->making.blocks, sizeof(struct sp_block), max_blocks);
	sp_history_init(&l->history, max_paths);
	sp_found_init(&l->found, max_paths);
	err = sp_intern_init(&l->paths, max_paths);
	if (err) {
		sp_ledger_free(l);
		return err;
	}
	*ret = l;
	return 0;
}

static void forget_snapshots(struct sp_ledger *l)
{
	sp_snapshot_done(&l->current);
	sp_snapshot_done(&l->making);
	sp_sizes_done(&l->previous);
	sp_sizes_done(&l->first);
	l->first_is_previous = false;
	l->is_making = false;
	l->interval_ns = 0;
	l->nr_snapshots = 0;
	l->refused[SP_LOST_BLOCKS_FULL] = 0;
}

void sp_ledger_free(struct sp_ledger *l)
{
	if (!l)
		return;
	forget_snapshots(l);
	sp_history_done(&l->history);
	sp_found_done(&l->found);
	sp_intern_done(&l->paths);
	free(l);
}

void sp_ledger_clear(struct sp_ledger *l)
{
	forget_snapshots(l);
	sp_history_forget(&l->history);
	sp_found_forget(&l->found);
	sp_intern_forget_survival(&l->paths);
}

int sp_ledger_path(struct sp_ledger *l, const uint64_t *pcs, unsigned nr, uint32_t *ret_id)
{
	int err;

	if (nr > SP_MAX_FRAMES)
		return -EINVAL;
	err = sp_intern_add(&l->paths, pcs, nr, ret_id);
	if (err == -ENOSPC)
		l->refused[SP_LOST_PATHS_FULL]++;
	return err;
}

const uint64_t *sp_ledger_path_pcs(const struct sp_ledger *l, uint32_t id, unsigned *ret_nr)
{
	const struct sp_path_entry *e;

	if (id >= l->paths.entries.nr)
		return NULL;
	e = sp_vec_at(&l->paths.entries, struct sp_path_entry, id);
	*ret_nr = e->nr;
	return e->pcs;
}

void sp_ledger_set_sampling(struct sp_ledger *l, uint64_t mean_bytes)
{
	l->sample_mean = mean_bytes;
}

void sp_ledger_set_lost(struct sp_ledger *l, enum sp_lost_id id, uint64_t total)
{
	if ((unsigned)id < SP_NR_LOST)
		l->lost[id] = total;
}

uint64_t sp_ledger_lost(const struct sp_ledger *l, enum sp_lost_id id)
{
	return (unsigned)id < SP_NR_LOST ? sp_sat_add(l->lost[id], l->refused[id]) : 0;
}

uint64_t sp_ledger_now_ns(const struct sp_ledger *l)
{
	return l->current.now_ns;
}

uint64_t sp_ledger_interval_ns(const struct sp_ledger *l)
{
	return l->interval_ns;
}

unsigned sp_ledger_nr_snapshots(const struct sp_ledger *l)
{
	return l->nr_snapshots;
}
