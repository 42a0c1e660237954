// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    finds the blocks of a process' heap from the allocator's own structures, and which of them nothing points
 * to. Runs in: our process, one thread. The memory it reads is untrusted and may change under it. May not: stop or
 * change the target, read /proc (a source does), know symbols, print. Owns:    half a byte for each 16 (or 8) bytes of
 * heap: 3.2 (6.4) percent of it, however many blocks there are; while marking a snapshot, copies of its pages, up to 64
 * MiB. All of it within sp_heap_limits. Fails by: -errno with a reason; what a model does not understand is not judged,
 * and said.
 *
 * Order: make a source, sp_heap_open() (the models walk), sp_heap_mark() (reachability), then ask.
 * Adding an allocator is one file and one row in sp_heap_models[]: heap/model.h.
 */
#ifndef SEEP_HEAP_HEAP_H
#define SEEP_HEAP_HEAP_H

#include <sys/types.h>

#include "base/base.h"
#include "proc/proc.h"

/* ---- the source: somebody's memory, frozen or not ---- */

/* What stands behind a run of pages. */
enum sp_heap_pages {
	SP_HEAP_PAGES_RESIDENT, /* reading is cheap and changes nothing */
	SP_HEAP_PAGES_EMPTY,    /* never written: zeros */
	SP_HEAP_PAGES_FILE,     /* as in its file, never written by the target: no pointer to a block */
	SP_HEAP_PAGES_AWAY,     /* swapped out: not read in */
};

struct sp_heap_thread {
	pid_t tid;    /* as the target's own pid namespace numbers it; 0: not known */
	uint64_t sp;  /* 0: not known, then its whole stack is a root */
	uint64_t fs;  /* base of the fs segment: the thread control block; 0: not known */
	size_t first; /* its words (registers) are source->words[first, first + nr) */
	size_t nr;    /* 0: not known */
};

/* A block that an engine recorded. The list is in address order. */
struct sp_heap_recorded {
	uint64_t addr, size;
};

/*
 * A live process, a snapshot of one, a core file or a test's array: whoever fills this in. Everything is borrowed and
 * must outlive the heap.
 */
struct sp_heap_source {
	/* Reads up to len bytes: the number read (short at the first unreadable page) or -errno. */
	ssize_t (*read)(void *arg, uint64_t addr, void *buf, size_t len);
	/*
	 * The kind of the pages from `addr` (at a page) on, and where that run ends: addr < *ret_end <= end. NULL:
	 * everything is resident. An error counts as resident: reading will tell.
	 */
	enum sp_heap_pages (*pages)(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end);
	void *arg;

	const struct sp_maps *maps;
	const struct sp_heap_thread *threads;
	size_t nr_threads;
	const uint64_t *words; /* root words outside memory: registers, then what the kernel keeps for the target */
	size_t nr_words;

	const struct sp_heap_recorded *recorded; /* judged where no model knows the memory */
	size_t nr_recorded;

	bool is_live; /* it runs while we read: answers are racy */
};

/* ---- the heap ---- */

enum sp_heap_class {
	SP_HEAP_FREE,     /* not a block in use: free, cached, or the allocator's own */
	SP_HEAP_UNJUDGED, /* in use; before sp_heap_mark() */
	SP_HEAP_REACHED,  /* a chain of pointers leads to it from a root */
	SP_HEAP_POSSIBLE, /* only chains with a pointer into a block's middle */
	SP_HEAP_LEAKED,   /* no chain, and no other leaked block points to it (of a ring: one of its blocks) */
	SP_HEAP_INDIRECT, /* only leaked blocks lead to it */
};

struct sp_heap_block {
	uint64_t addr; /* as malloc returned it */
	uint64_t size; /* usable bytes (at least what was asked for) */
	enum sp_heap_class class;
	unsigned model; /* index for sp_heap_model_info() */
};

/* What a model found. */
struct sp_heap_model_info {
	const char *name;                 /* "glibc" */
	uint64_t used_bytes, used_blocks; /* usable bytes of the blocks in use */
	uint64_t free_bytes, free_blocks; /* free inside its regions; caches of free blocks included */
	uint64_t region_bytes;            /* address space of its regions: used, free and the allocator's own */
	uint64_t nr_regions;
	char gave_up[256]; /* what it does not understand, printable; "": nothing. May stand beside found blocks */
};

struct sp_heap_region_info {
	uint64_t start, end;
	unsigned model;
};

/* What was not looked at; every number is for the report. */
struct sp_heap_lost {
	uint64_t away_bytes;       /* roots and blocks that are swapped out: unreached blocks are then only possible */
	uint64_t unreadable_bytes; /* roots and blocks that could not be read */
	uint64_t unjudged_bytes;   /* regions given up: their bytes serve as roots */
	uint64_t threads_unknown;  /* threads without registers: unreached blocks are then only possible */
};

struct sp_heap_limits {
	uint64_t max_bytes; /* of our own memory; 0: default, a tenth of the heap and at least 64 MiB */
};

struct sp_heap;

/*
 * Walks with every model. *ret is good even when no model found anything (sp_heap_nr_models() == 0): then nothing can
 * be judged. -ENOMEM, -ENOSPC (limits).
 */
sp_must_check int sp_heap_open(const struct sp_heap_source *src, const struct sp_heap_limits *limits,
			       struct sp_heap **ret, struct sp_why *why);
void sp_heap_close(struct sp_heap *h); /* NULL is fine */

/* Models that found something or gave up; the order is that of sp_heap_models[]. */
unsigned sp_heap_nr_models(const struct sp_heap *h);
const struct sp_heap_model_info *sp_heap_model_info(const struct sp_heap *h, unsigned i);

/* Regions by address: memory that belongs to an allocator. */
size_t sp_heap_nr_regions(const struct sp_heap *h);
void sp_heap_region_info(const struct sp_heap *h, size_t i, struct sp_heap_region_info *ret);

/* Reachability: gives every block in use its class. Once. */
sp_must_check int sp_heap_mark(struct sp_heap *h, struct sp_why *why);

/*
 * What another scan of the same process, a while ago, does not confirm as leaked or indirect at the same address in the
 * same size is REACHED after all, and so is what it leads to. To be called while the source is still there. Returns
 * how many blocks were spared.
 */
sp_must_check int sp_heap_confirm(struct sp_heap *h, const struct sp_heap *earlier, uint64_t *ret_spared);

#define SP_HEAP_TYPE_MAX 256
#define SP_HEAP_HEAD_MAX 32

/* What a block looks like, for people. */
struct sp_heap_look {
	uint64_t vtable;             /* its first word, where that leads to a C++ class; 0: it does not */
	char type[SP_HEAP_TYPE_MAX]; /* of that class as the compiler writes it ("3Foo"); "": not known */
	unsigned char head[SP_HEAP_HEAD_MAX];
	unsigned nr_head; /* first bytes that could be read */
};
void sp_heap_look(const struct sp_heap *h, const struct sp_heap_block *b, struct sp_heap_look *ret);

/*
 * Blocks in use by address. for_each ends early when fn returns non-zero and returns that. find: the block whose
 * usable bytes (or start) contain addr; false: none in use.
 */
typedef int (*sp_heap_block_fn)(const struct sp_heap_block *b, void *arg);
int sp_heap_for_each(const struct sp_heap *h, sp_heap_block_fn fn, void *arg);
bool sp_heap_find(const struct sp_heap *h, uint64_t addr, struct sp_heap_block *ret);

/* The same for anything that begins in an allocator's memory: free and internal pieces have the class FREE. */
bool sp_heap_at(const struct sp_heap *h, uint64_t addr, struct sp_heap_block *ret);

/* ---- who points to a block ---- */

/*
 * Where a pointer stands that is not in memory: source->words[(at - SP_HEAP_AT_WORDS) / 8], or what a thread is known
 * by (stack pointer, control block): source->threads[at - SP_HEAP_AT_THREADS].
 */
#define SP_HEAP_AT_WORDS   ((uint64_t)1 << 62)
#define SP_HEAP_AT_THREADS ((uint64_t)1 << 61)

/* A pointer and the block that it leads to. */
struct sp_heap_step {
	uint64_t at; /* where it stands: in a root, or in the block of the step before; 0: nothing points to `block` */
	uint64_t to; /* its value: in `block` */
	struct sp_heap_block block;
};

enum { SP_HEAP_CHAIN_STEPS = 32 };

/* From a root, or from a block that nothing points to, to the block that was asked for, which is the last step's. */
struct sp_heap_chain {
	uint64_t nr_left_out; /* steps before steps[SP_HEAP_CHAIN_STEPS / 2] that there is no room for */
	unsigned nr;
	struct sp_heap_step steps[SP_HEAP_CHAIN_STEPS];
};

struct sp_heap_holders {
	unsigned nr_chains;
	uint64_t nr_pointers; /* that were found to lead to the block, also from places whose chains are not told */
};

/*
 * The shortest chains that lead to a block that sp_heap_mark() has judged, at most `max`, each through another holder.
 * Chains from what lasts (variables, thread-local ones, what the kernel keeps) come before those from stacks and
 * registers, and blocks are reached through what lasts where they can be. Of a leaked block: chains from blocks that
 * nothing points to; when it is one of those, the ring that leads back to it, if it is in one. Costs some 24 bytes of
 * our memory for each block in use. -ENOMEM, -ENOSPC.
 */
sp_must_check int sp_heap_holders(struct sp_heap *h, const struct sp_heap_block *b, struct sp_heap_chain *ret_chains,
				  unsigned max, struct sp_heap_holders *ret, struct sp_why *why);

/*
 * Where the root stands that a shortest chain to each block begins at, as in sp_heap_step.at; 0: no root leads to it.
 * ret_at[i] is for the block that begins at addrs[i].
 */
sp_must_check int sp_heap_roots_of(struct sp_heap *h, const uint64_t *addrs, size_t nr, uint64_t *ret_at,
				   struct sp_why *why);

void sp_heap_lost(const struct sp_heap *h, struct sp_heap_lost *ret);

/* Bytes of our own memory in use for this heap. */
uint64_t sp_heap_cost(const struct sp_heap *h);

#endif
