// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    live blocks by call path, with ages, growth and survival, from successive full snapshots.
 * Runs in: our process, one thread.
 * May not: do I/O, read a clock, know engines, symbols or text.
 * Owns:    all it is told (copies).
 * Fails by: -errno; a table at its maximum refuses and counts (sp_ledger_lost).
 */
#ifndef SEEP_LEDGER_LEDGER_H
#define SEEP_LEDGER_LEDGER_H

#include "base/base.h"
#include "wire/classes.h"
#include "wire/fns.h"
#include "wire/lost.h"
#include "wire/rows.h"

#define SP_NO_PATH UINT32_MAX /* the call path is not known */

struct sp_block {
	uint64_t addr;     /* SP_FN_FAULT: plus 1 on its way in, for a mapping may begin there, too */
	uint64_t size;     /* as requested, bytes */
	uint64_t birth_ns; /* CLOCK_MONOTONIC */
	uint32_t path;     /* id from sp_ledger_path(), or SP_NO_PATH */
	uint16_t fn;       /* enum sp_fn */
	uint8_t sampled;   /* 0: stands for itself; else for others, too: see sp_ledger_set_sampling() */
};

struct sp_ledger_limits {
	size_t max_blocks; /* 0: default, 16 M */
	size_t max_paths;  /* 0: default, 256 K */
};

struct sp_ledger;

sp_must_check int sp_ledger_new(const struct sp_ledger_limits *limits, struct sp_ledger **ret);
void sp_ledger_free(struct sp_ledger *l);

/*
 * Interns a call path (return addresses, innermost first, nr <= SP_MAX_FRAMES, else -EINVAL). Equal paths get equal
 * ids. -ENOSPC at the maximum, counted as SP_LOST_PATHS_FULL: record the block with SP_NO_PATH. -ENOMEM.
 */
sp_must_check int sp_ledger_path(struct sp_ledger *l, const uint64_t *pcs, unsigned nr, uint32_t *ret_id);

/* The pcs of a path, good as long as the ledger; NULL for an unknown id. */
const uint64_t *sp_ledger_path_pcs(const struct sp_ledger *l, uint32_t id, unsigned *ret_nr);

/*
 * A snapshot is everything that is live at one instant: begin, any number of blocks, end. Between begin and end the
 * previous snapshot stays readable; end makes the new one current. abort forgets a half-made one.
 * Of two blocks at one address the later call counts. Time does not go back (-EINVAL).
 * block: -ENOSPC at the maximum; counted, and the snapshot is good without it (SP_LOST_BLOCKS_FULL says how many the
 * current snapshot lacks). -ENOMEM from block makes end fail too. When end fails, the half-made snapshot is forgotten
 * and the previous one is still there.
 */
sp_must_check int sp_ledger_begin(struct sp_ledger *l, uint64_t now_ns);
sp_must_check int sp_ledger_block(struct sp_ledger *l, const struct sp_block *b);
/* So many more blocks were not even handed over, because the ledger is full. */
void sp_ledger_refuse(struct sp_ledger *l, uint64_t nr);
sp_must_check int sp_ledger_end(struct sp_ledger *l);
void sp_ledger_abort(struct sp_ledger *l);

/* The target became another program (exec): forget blocks and history; paths' ids stay valid. */
void sp_ledger_clear(struct sp_ledger *l);

/*
 * Blocks whose `sampled` is k > 0 were chosen by bytes: each byte, and the block itself, with probability 1/m, whatever
 * the block (Poisson), m being mean_bytes << (k - 1), k at most SP_MAX_SAMPLED. A block of size s was so chosen with p
 * = 1 - exp(-(s + 1)/m), and sums count it 1/p times: without bias (Horvitz and Thompson, 1952). Sums of the others
 * stay exact.
 */
#define SP_MAX_SAMPLED 31
void sp_ledger_set_sampling(struct sp_ledger *l, uint64_t mean_bytes);

/* Counters of what was not seen. The engine sets totals; the ledger adds its own refusals. */
void sp_ledger_set_lost(struct sp_ledger *l, enum sp_lost_id id, uint64_t total);
uint64_t sp_ledger_lost(const struct sp_ledger *l, enum sp_lost_id id);

/* What a query leaves in. Zero everywhere, or NULL for the whole filter: everything. */
struct sp_ledger_filter {
	uint64_t min_age_ns; /* younger blocks are left out */
	uint64_t min_size;   /* bytes per block */
	uint64_t max_size;   /* 0: no limit */
};

/* One call path in the current snapshot, under a filter. */
struct sp_path_sum {
	uint32_t path; /* id, or SP_NO_PATH: all blocks whose path is unknown */
	uint64_t bytes, blocks;
	uint64_t error_bytes, error_blocks; /* standard errors of these, from sampling by bytes; 0: exact */
	int64_t growth_bytes; /* against the snapshot before (none: 0), same filter by size but no filter by age */
	int64_t growth_blocks;
	int64_t total_growth_bytes; /* since the first snapshot, likewise */
	uint64_t oldest_birth_ns;
	/* Survival: of the blocks that had lived through at least one whole interval, how many were ever freed. */
	uint64_t old_seen;  /* distinct blocks that were present in two successive snapshots */
	uint64_t old_freed; /* of those, gone since */
};

enum sp_sort { SP_SORT_BYTES, SP_SORT_BLOCKS, SP_SORT_GROWTH, SP_SORT_AGE };

/*
 * The current snapshot by call path, biggest first by `sort` (ties: bytes, then id). SP_SORT_GROWTH: by
 * growth_bytes, then bytes. Only paths with at least one block left by the filter. Elements of *ret are struct
 * sp_path_sum; ret was initialised by the caller; they are appended.
 */
sp_must_check int sp_ledger_paths(const struct sp_ledger *l, const struct sp_ledger_filter *f, enum sp_sort sort,
				  struct sp_vec *ret);

/* Blocks of the current snapshot: of one path, or of all (all = true), under the filter; address order. struct
 * sp_block, appended to *ret. */
sp_must_check int sp_ledger_blocks(const struct sp_ledger *l, bool all, uint32_t path, const struct sp_ledger_filter *f,
				   struct sp_vec *ret);

/*
 * ---- verdicts: does a call path grow, judged by every snapshot since the watch began (verdict.c) ----
 *
 * Three witnesses, none of which is enough alone: the trend of its bytes (over the whole watch, and over its second
 * half: a cache that has filled up rises no more), survival (were older blocks ever freed), and when the blocks that
 * live now were born (all of them just now: traffic). The history holds at most SP_HISTORY_POINTS snapshots, of a
 * longer watch ever fewer of each time span, and SP_HISTORY_PATHS paths: 33 MB at most.
 */
#define SP_HISTORY_POINTS 64
#define SP_HISTORY_PATHS  65536
#define SP_BIRTH_SPANS    8

struct sp_verdict {
	uint32_t path;         /* id, or SP_NO_PATH */
	enum sp_class class;   /* GROWING, STEADY or UNKNOWN; LEAKED: a scan found some of it */
	double confidence;     /* GROWING: 0..1 */
	struct sp_trend trend; /* bytes per second, of the whole watch */
	uint64_t first_bytes;  /* when the watch began */
	uint64_t bytes, blocks;
	uint64_t old_seen, old_freed;    /* see struct sp_path_sum */
	uint64_t births[SP_BIRTH_SPANS]; /* live blocks by their birth, in equal spans of the watch; not older ones */
	unsigned nr_points;              /* snapshots that were compared */
	unsigned nr_rises;               /* how often it held more than at the point before */
	uint64_t span_ns;                /* of the watch */
};

/* Judges every path that has live blocks; struct sp_verdict, in the order of ids, SP_NO_PATH first; appended. */
sp_must_check int sp_ledger_verdicts(const struct sp_ledger *l, struct sp_vec *ret);

/* The bytes of a path over the watch: at most SP_HISTORY_POINTS pairs of time and bytes; returns how many. */
unsigned sp_ledger_history(const struct sp_ledger *l, uint32_t path, uint64_t *ret_times_ns, uint64_t *ret_bytes);

/* The same of all paths together. */
unsigned sp_ledger_history_of_all(const struct sp_ledger *l, uint64_t *ret_times_ns, uint64_t *ret_bytes);

/*
 * ---- what a scan found, which is a witness of its own: a path of which it found something is leaked ----
 *
 * As a recording tells it. It holds until the next scan, or sp_ledger_clear(): what nothing points to stays.
 */
enum sp_found_kind { SP_FOUND_LEAKED, SP_FOUND_INDIRECT, SP_FOUND_POSSIBLE, SP_NR_FOUND };

struct sp_found_sum {
	uint64_t bytes, blocks;
};

struct sp_found_all {
	uint64_t now_ns;   /* of the snapshot that the scan followed */
	uint64_t pause_ns; /* the target's longest stop for it */
	struct sp_found_sum
	    sums[SP_NR_FOUND]; /* of all blocks, also from before the watch; as the allocator has them */
};

/* Forgets what the scan before said. */
void sp_ledger_set_found(struct sp_ledger *l, const struct sp_found_all *found);
/* Of a path's blocks, as requested: those that are leaked or that only leaked ones lead to. -ENOSPC, -ENOMEM. */
sp_must_check int sp_ledger_set_unreached(struct sp_ledger *l, uint32_t path, const struct sp_found_sum *sum);

/* NULL: there was no scan. */
const struct sp_found_all *sp_ledger_found(const struct sp_ledger *l);
struct sp_found_sum sp_ledger_unreached(const struct sp_ledger *l, uint32_t path);

uint64_t sp_ledger_now_ns(const struct sp_ledger *l);      /* instant of the current snapshot, 0: none yet */
uint64_t sp_ledger_interval_ns(const struct sp_ledger *l); /* since the one before, 0: none */
unsigned sp_ledger_nr_snapshots(const struct sp_ledger *l);

#endif
