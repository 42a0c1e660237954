// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    one look at which blocks of a process nothing points to: snapshot (or live read), models, marking, twice.
 * Runs in: our process, main thread.
 * May not: print, keep the snapshot for longer than reading takes.
 * Owns:    what the scan consists of, until sp_scan_free().
 * Fails by: -errno with a reason.
 */
#ifndef SEEP_SESSION_SCAN_H
#define SEEP_SESSION_SCAN_H

#include "base/base.h"
#include "heap/heap.h"
#include "ledger/ledger.h"

#define SP_SCAN_GAP_NS 500000000ull /* between the two scans that must agree */

struct sp_scan_options {
	const char *target;             /* pid or program name */
	bool once;                      /* one scan is enough */
	bool no_snapshot;               /* read the running process */
	bool list;                      /* every block of each group, too */
	bool resident;                  /* look how much of each group is in physical memory */
	uint64_t gap_ns;                /* 0: SP_SCAN_GAP_NS */
	uint64_t max_bytes;             /* of our memory; 0: a tenth of the heap and at least 64 MiB */
	uint64_t max_pause_ns;          /* 0: what inject/ allows */
	const struct sp_procfs *procfs; /* NULL: /proc */
};

/* Blocks that look alike: one class, one size, one type. */
struct sp_scan_group {
	enum sp_heap_class class;
	uint64_t bytes, blocks;
	uint64_t resident_bytes; /* of bytes, in physical memory; only with scan.has_resident */
	uint64_t size;           /* of each, as the allocator has it: at least what was asked for */
	const char *type;        /* C++ class; NULL: not known */
	const char *text;        /* the first bytes of one of them, when they are text; NULL: they are not */
	uint64_t example;        /* address of one of them */
	const uint64_t *list;    /* addresses, ascending; NULL unless asked for */
	size_t nr_list;
};

struct sp_scan_sum {
	uint64_t bytes, blocks;
};

enum { SP_SCAN_MAX_MODELS = 16, SP_SCAN_NR_CLASSES = SP_HEAP_INDIRECT + 1 };

struct sp_scan {
	pid_t pid;
	const char *comm;
	struct timespec time;    /* CLOCK_REALTIME of the last scan */
	unsigned nr_scans;       /* that agree: 1 or 2 */
	bool is_racy;            /* read while it ran */
	bool has_resident;       /* asked for, and it could be told */
	char racy_why[512];      /* why without a snapshot; "": asked for */
	uint64_t pause_ns;       /* the longest stop of the target */
	uint64_t read_ns;        /* one scan, from the stop to the end of marking */
	uint64_t held_ns;        /* how long the snapshot lived, the longer of the two */
	uint64_t cost_bytes;     /* our memory for it */
	uint64_t kept_out_bytes; /* that the target keeps out of snapshots: read while it ran */
	struct sp_heap_lost lost;
	uint64_t nr_mistakes;                        /* blocks that the first look called leaked, given back since */
	uint64_t nr_spared;                          /* leaked in the last scan, but not in the first */
	uint64_t nr_unlisted;                        /* blocks that --list has no room for */
	uint64_t nr_ungrouped;                       /* blocks beyond the last group */
	struct sp_scan_sum sums[SP_SCAN_NR_CLASSES]; /* by enum sp_heap_class */
	struct sp_heap_model_info models[SP_SCAN_MAX_MODELS];
	unsigned nr_models;
	const struct sp_scan_group *groups; /* leaked first, then indirect, then possible; most bytes first */
	size_t nr_groups;
};

struct sp_scan_store; /* owner of a scan's arrays and strings */

/*
 * `notice` (may be NULL) hears one line for each thing a person should know meanwhile. No model knows the heap:
 * success, with nr_models == 0 or reasons in the models.
 */
typedef void (*sp_scan_notice_fn)(const char *text, void *arg);
sp_must_check int sp_scan_run(const struct sp_scan_options *o, sp_scan_notice_fn notice, void *arg,
			      struct sp_scan_store **ret_store, struct sp_scan *ret, struct sp_why *why);
void sp_scan_free(struct sp_scan_store *s); /* NULL is fine */

/* True when the answer "nothing" would be worth nothing: no model knows the heap, or all of it was given up. */
static inline bool sp_scan_is_blind(const struct sp_scan *s)
{
	for (unsigned i = 0; i < s->nr_models; i++)
		if (s->models[i].nr_regions)
			return false;
	return true;
}

/*
 * ---- what it is made of, for whoever has something to do between two looks ----
 *
 * open, any number of looks, finish: the last look counts, confirmed by the one before it. `o` must live as long.
 */
sp_must_check int sp_scan_open(const struct sp_scan_options *o, sp_scan_notice_fn notice, void *arg,
			       struct sp_scan_store **ret, struct sp_why *why);
pid_t sp_scan_pid(const struct sp_scan_store *s);
sp_must_check int sp_scan_look(struct sp_scan_store *s, struct sp_why *why);

/* The snapshot of the last look goes: nothing is to be asked of it before the next one. */
void sp_scan_rest(struct sp_scan_store *s);

/* Only what costs the target something goes: what the source has read stays until the next look. */
void sp_scan_let_go(struct sp_scan_store *s);

/* The last look is the first of a watch: finish says what of that it called leaked was given back meanwhile. */
void sp_scan_keep_first(struct sp_scan_store *s);

/* What the last look saw; the source until sp_scan_rest(), the process and the heap as long as the store. */
struct sp_scan_source;
struct sp_heap *sp_scan_heap(const struct sp_scan_store *s);
struct sp_scan_source *sp_scan_source(struct sp_scan_store *s);
struct sp_proc *sp_scan_proc(const struct sp_scan_store *s);

/* Instead of finish, and once: how it was looked at, without groups. */
void sp_scan_facts(struct sp_scan_store *s, struct sp_scan *ret);

/* The time between two scans that must agree. */
void sp_scan_wait(const struct sp_scan_store *s);

/* The first bytes of a block when they are text: SP_HEAP_HEAD_MAX + 1 bytes at ret, "" when they are not. */
void sp_scan_text(const struct sp_heap_look *look, char *ret);

/* Blocks that somebody has recorded, by address: they are not put into groups, ret_classes has the class of each. */
struct sp_scan_owners {
	const struct sp_block *list;
	size_t nr;
	enum sp_heap_class *ret_classes; /* SP_HEAP_FREE: not in use any more */
};
sp_must_check int sp_scan_finish(struct sp_scan_store *s, const struct sp_scan_owners *owners, struct sp_scan *ret,
				 struct sp_why *why);

#endif
