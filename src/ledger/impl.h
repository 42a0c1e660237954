// SPDX-License-Identifier: Apache-2.0
/* What the files of the ledger share. Nothing outside this folder includes it. */
#ifndef SEEP_LEDGER_IMPL_H
#define SEEP_LEDGER_IMPL_H

#include "ledger/ledger.h"

struct sp_path_entry {
	const uint64_t *pcs; /* in an arena chunk: never moves */
	uint64_t hash;
	unsigned nr;
};

/* See struct sp_path_sum in ledger.h. */
struct sp_survival {
	uint64_t old_seen, old_freed;
};

/* Call paths by content: an array of entries, a hash index into it, and chunks that hold the pcs. */
struct sp_intern {
	struct sp_vec entries;  /* struct sp_path_entry; the index is the id */
	struct sp_vec survival; /* struct sp_survival; [0]: SP_NO_PATH, then one an entry (or one more) */
	struct sp_vec chunks;   /* uint64_t *, owned */
	size_t chunk_used;      /* pcs in the last chunk */
	uint32_t *index;        /* id + 1, 0: empty */
	size_t index_cap;       /* a power of two; at most half in use */
	uint64_t seed;
};

/* The distinct (path, size) pairs of a snapshot, for growth under a filter by size: 16 bytes a pair. */
struct sp_size_count {
	uint64_t size;
	uint32_t key;    /* sp_size_key() */
	uint32_t blocks; /* 0: an empty slot while the table is made */
};

#define SP_SIZE_PATH_BITS 27 /* of a key; the rest: struct sp_block's `sampled` */

static inline uint32_t sp_size_key(const struct sp_block *b)
{
	return (b->path & ((1u << SP_SIZE_PATH_BITS) - 1)) | (uint32_t)b->sampled << SP_SIZE_PATH_BITS;
}

/* SP_NO_PATH + 1 is 0: the path's place in tables. */
static inline uint32_t sp_size_place(const struct sp_size_count *c)
{
	return (c->key + 1) & ((1u << SP_SIZE_PATH_BITS) - 1);
}

struct sp_sizes {
	struct sp_size_count *list; /* in no order */
	size_t nr;
};

/* Blocks in address order, one per address. */
struct sp_snapshot {
	struct sp_vec blocks;
	uint64_t *old; /* a bit per block: it was in the snapshot before, too; NULL: none was */
	uint64_t now_ns;
};

/* The bytes of the paths at some of the snapshots, all at the same times. */
struct sp_history {
	uint64_t times_ns[SP_HISTORY_POINTS];
	unsigned nr;           /* points; the last one is the current snapshot */
	unsigned every;        /* of so many snapshots one is kept for good */
	unsigned since;        /* snapshots since the last one kept for good; 0: the last point is such a one */
	struct sp_vec series;  /* struct sp_series */
	struct sp_vec of_path; /* uint32_t: index in series + 1, 0: none; [0]: SP_NO_PATH */
	uint64_t total[SP_HISTORY_POINTS]; /* bytes of all paths, also of those that have no series */
};

struct sp_series {
	uint64_t bytes[SP_HISTORY_POINTS];
};

/* See ledger.h. By path + 1. */
struct sp_found_paths {
	bool is_known;
	struct sp_found_all sum;
	struct sp_u64map bytes, blocks;
};

struct sp_ledger {
	struct sp_history history;
	struct sp_found_paths found;
	struct sp_intern paths;
	struct sp_snapshot current;
	struct sp_snapshot making;
	struct sp_sizes previous; /* the snapshot before the current one */
	struct sp_sizes first;    /* the first one; empty while `first_is_previous` */
	bool first_is_previous;
	bool is_making;
	int making_err; /* a block was lost for want of memory: end() must fail */
	uint64_t making_refused;
	uint64_t interval_ns;
	unsigned nr_snapshots;
	uint64_t sample_mean;         /* bytes; 0: nothing is sampled */
	uint64_t lost[SP_NR_LOST];    /* as the engine says */
	uint64_t refused[SP_NR_LOST]; /* our own */
};

/* ---- paths.c ---- */
sp_must_check int sp_intern_init(struct sp_intern *in, size_t max_paths);
void sp_intern_done(struct sp_intern *in);
sp_must_check int sp_intern_add(struct sp_intern *in, const uint64_t *pcs, unsigned nr, uint32_t *ret_id);
void sp_intern_forget_survival(struct sp_intern *in);

/* SP_NO_PATH + 1 is 0. */
static inline struct sp_survival *sp_survival_of(const struct sp_intern *in, uint32_t path)
{
	return sp_vec_at(&in->survival, struct sp_survival, (uint32_t)(path + 1));
}

/* ---- weight.c ---- */

/* A sum of blocks: what is known, and what sampled blocks stand for. */
struct sp_estimate {
	uint64_t bytes, blocks;         /* of blocks that stand for themselves */
	double more_bytes, more_blocks; /* of sampled ones, weighted */
	double bytes_var, blocks_var;   /* of the two before */
};

/* nr blocks of one size. `mean` and `sampled`: see sp_ledger_set_sampling(). */
void sp_estimate_add(struct sp_estimate *e, uint64_t mean, unsigned sampled, uint64_t size, uint64_t nr);
/* One block's, weighted. */
uint64_t sp_weighted_bytes(uint64_t mean, const struct sp_block *b);
uint64_t sp_estimate_bytes(const struct sp_estimate *e);
uint64_t sp_estimate_blocks(const struct sp_estimate *e);

/* Standard errors. */
uint64_t sp_estimate_bytes_error(const struct sp_estimate *e);
uint64_t sp_estimate_blocks_error(const struct sp_estimate *e);

/* ---- sort.c ---- */
/* Puts struct sp_block into address order; of equal addresses the last one stays. -ENOMEM: nothing has changed. */
sp_must_check int sp_blocks_sort(struct sp_vec *blocks);

/* ---- sizes.c ---- */
sp_must_check int sp_sizes_make(const struct sp_vec *blocks, struct sp_sizes *ret);
void sp_sizes_done(struct sp_sizes *s);

/* ---- snapshot.c ---- */
void sp_snapshot_done(struct sp_snapshot *s);

/* ---- history.c ---- */
void sp_history_init(struct sp_history *h, size_t max_paths);
void sp_history_done(struct sp_history *h);
void sp_history_forget(struct sp_history *h);
/* Makes the current snapshot the last point. Paths for which there is no room have no history. -ENOMEM. */
sp_must_check int sp_history_add(struct sp_history *h, const struct sp_snapshot *s, size_t nr_paths,
				 uint64_t sample_mean);
/* NULL: none was kept. */
const struct sp_series *sp_history_find(const struct sp_history *h, uint32_t path);

/* ---- found.c ---- */
void sp_found_init(struct sp_found_paths *f, size_t max_paths);
void sp_found_done(struct sp_found_paths *f);
void sp_found_forget(struct sp_found_paths *f);

/* Sums that a hostile target could overflow stay at the top. */
static inline uint64_t sp_sat_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t sp_sat_mul(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

#endif
