// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    who holds a block of a running process: the shortest chains of pointers to it, with names.
 * Runs in: our process, main thread.
 * May not: print, keep the snapshot while it looks for names.
 * Owns:    what the answer consists of, until sp_holders_free().
 * Fails by: -errno with a reason; an address that is no block in use is one.
 */
#ifndef SEEP_SESSION_HOLDERS_H
#define SEEP_SESSION_HOLDERS_H

#include "session/scan.h"
#include "symbolize/symbolize.h"

struct sp_holders_options {
	struct sp_scan_options scan; /* of the target; once, list and resident are of no meaning */
	uint64_t address;            /* in the block */
	unsigned top;                /* how many chains, at most SP_HOLDERS_MAX; 0: that many */
	struct sp_symbolize_options symbolize;
};

enum { SP_HOLDERS_MAX = 100 };

enum sp_place_kind {
	SP_PLACE_NOTHING,         /* nothing points to the chain's first block: it is leaked */
	SP_PLACE_VARIABLE,        /* of the program or of a library */
	SP_PLACE_THREAD_VARIABLE, /* thread-local */
	SP_PLACE_KEY,             /* pthread_setspecific() */
	SP_PLACE_THREAD,          /* else a thread's control block */
	SP_PLACE_STACK,
	SP_PLACE_REGISTER,
	SP_PLACE_KERNEL, /* keeps it for the program: epoll, timers */
	SP_PLACE_MAPPING,
	SP_NR_PLACES,
};

/* Where a chain begins. */
struct sp_place {
	enum sp_place_kind kind;
	uint64_t address;      /* 0: not in memory */
	pid_t tid;             /* of the thread; 0: of none */
	const char *thread;    /* its name; NULL: unknown */
	const char *name;      /* of the variable, register or mapping; NULL: unknown */
	uint64_t offset;       /* in it; with a variable that has no name, in its module's own addresses */
	const char *module;    /* of the variable; NULL: unknown */
	unsigned key;          /* SP_PLACE_KEY */
	struct sp_frame frame; /* SP_PLACE_STACK: whose part of the stack it is; address 0: unknown */
};

struct sp_held_block {
	struct sp_heap_block block;
	uint64_t at;      /* offset in the block before (or 0, in the place) of the pointer that leads here */
	uint64_t into;    /* where in this block that pointer leads */
	const char *type; /* C++ class; NULL: not known */
	const char *text; /* first bytes, when they are text; NULL: they are not */
};

struct sp_held_chain {
	struct sp_place place;
	const struct sp_held_block *blocks; /* the last one is the block that was asked for */
	unsigned nr_blocks;
	uint64_t nr_left_out; /* blocks between blocks[SP_HEAP_CHAIN_STEPS / 2 - 1] and the next one */
};

struct sp_holders {
	struct sp_scan scan; /* how it was looked at; without groups */
	struct sp_held_block block;
	uint64_t offset; /* of the address in the block */
	const struct sp_held_chain *chains;
	unsigned nr_chains;
	uint64_t nr_pointers; /* found that lead to the block */
};

struct sp_holders_store;

sp_must_check int sp_holders_run(const struct sp_holders_options *o, sp_scan_notice_fn notice, void *arg,
				 struct sp_holders_store **ret_store, struct sp_holders *ret, struct sp_why *why);
void sp_holders_free(struct sp_holders_store *s); /* NULL is fine */

#endif
