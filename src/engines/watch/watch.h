// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    what every engine on a live process needs: its allocator's functions, its live mappings, looks at its code.
 * Runs in: our process, the engine's thread.
 * May not: plant anything, know which engine asks.
 * Owns:    the lists that it is given to keep.
 * Fails by: -errno, with a reason where the user can do something.
 */
#ifndef SEEP_ENGINES_WATCH_WATCH_H
#define SEEP_ENGINES_WATCH_WATCH_H

#include "elf/elf.h"
#include "engines/engine.h"
#include "unwind/unwind.h"

/* CLOCK_MONOTONIC: the engines' clock. */
uint64_t sp_watch_now_ns(void);
/* CPU time of the calling thread: what looks cost. */
uint64_t sp_watch_cpu_ns(void);

/* ---- which functions to watch (functions.c) ---- */

struct sp_watch_fn {
	const char *symbol;
	enum sp_fn_kind kind;
	unsigned size_arg;
	enum sp_fn_where where;
};

/* The row of wire/fns.h. */
const struct sp_watch_fn *sp_watch_fn(enum sp_fn fn);

/* One function that the target uses; good during the call that hands it out. */
struct sp_watch_found {
	enum sp_fn fn;
	const struct sp_module *module;
	struct sp_elf *elf;
	const struct sp_elf_symbol *symbol;
};

/* Takes one over; -errno ends the search with it. */
typedef int sp_watch_take(const struct sp_watch_found *f, void *arg);

/*
 * Hands out the allocator's functions as the target resolves them (or those of config->object). *ret_allocator: path of
 * the file whose malloc is watched, the caller's to free. -ENOENT: it has no allocator (yet).
 */
sp_must_check int sp_watch_functions(const struct sp_engine_config *c, const struct sp_maps *maps, sp_watch_take *take,
				     void *arg, char **ret_allocator, struct sp_why *why);

/*
 * The mappings of the target, and what `find` makes of them. A program that has just been started may have no libraries
 * yet: while find says -ENOENT and the mappings change, both are asked again, some 50 ms in all; while the dynamic
 * linker is there but no libc, 2 seconds (a busy machine does not let it go on).
 */
typedef int sp_watch_find(const struct sp_engine_config *c, const struct sp_maps *maps, void *ret, struct sp_why *why);
sp_must_check int sp_watch_find_mapped(const struct sp_engine_config *c, struct sp_maps *maps, sp_watch_find *find,
				       void *ret, struct sp_why *why);

/* Is this file glibc's dynamic linker? */
bool sp_watch_is_linker(const char *path);

/* Where a function of the module is in the target; 0: that part of the file is not mapped as code. */
uint64_t sp_watch_address(const struct sp_maps *maps, const struct sp_module *m, uint64_t file_offset);

/* ---- looks at the mappings (look.c) ---- */

struct sp_watch_look {
	uint64_t code_hash; /* of the mappings as they were last followed */
	uint64_t look_ns;   /* when they were last read */
	int64_t saved_ns;   /* CPU time that looks may take beyond what comes in */
};

/* `maps` are what is known already. */
void sp_watch_look_init(struct sp_watch_look *l, const struct sp_maps *maps);

/* Follows the new mappings; false: could not, ask again next time. */
typedef bool sp_watch_follow(struct sp_proc *p, const struct sp_maps *maps, void *arg);

/* Reads the mappings, and when code has come or gone calls `follow`. True: it has followed. */
bool sp_watch_look(struct sp_watch_look *l, struct sp_proc *p, sp_watch_follow *follow, void *arg);

/* May we afford a look that is asked for? A program that maps code all the time must not keep us busy. */
bool sp_watch_look_is_affordable(const struct sp_watch_look *l);

/* Has nothing been looked at for a second? */
bool sp_watch_look_is_due(const struct sp_watch_look *l);

/* ---- unwind tables for walkers elsewhere (tables.c) ---- */

/* Where the walkers read; mapped by us. Whoever may write there: we only write. */
struct sp_watch_shared {
	uint32_t *gen;       /* one more with each publication; its lowest bit is the half of the ranges in use */
	uint32_t *nr_ranges; /* [2] */
	struct sp_row_range *ranges; /* two halves of SP_MAX_RANGES */
	struct sp_row *rows;
	uint64_t *row_cache;
	size_t cache_bytes;
	uint32_t cache_gens; /* publications that its entries tell apart */
};

struct sp_watch_tables {
	struct sp_unwind *unwind;
	struct sp_watch_shared shared;
	struct sp_row_range own; /* nr_rows 0: none */
	struct sp_watch_look look;
	uint32_t gen;
	uint32_t nr_rows_max; /* room for rows */
	size_t nr_rows_published;
};

/* Builds them on our side. */
sp_must_check int sp_watch_tables_build(struct sp_watch_tables *t, struct sp_proc *p, const struct sp_maps *maps,
					struct sp_why *why);
/* For how many rows there shall be room. To be called once, before they are shared. */
uint32_t sp_watch_tables_room(struct sp_watch_tables *t);
void sp_watch_tables_share(struct sp_watch_tables *t, const struct sp_watch_shared *shared);
/* Rows of code at [start, end) that is in no file. There is room for them behind that for all others. */
void sp_watch_tables_own(struct sp_watch_tables *t, uint64_t start, uint64_t end, const struct sp_row *rows,
			 uint32_t nr_rows);
void sp_watch_tables_done(struct sp_watch_tables *t);

/* To the walkers, in one instant. */
void sp_watch_tables_publish(struct sp_watch_tables *t);
/* Reads the mappings; when code has come or gone the tables follow: true. */
bool sp_watch_tables_look(struct sp_watch_tables *t, struct sp_proc *p);
void sp_watch_tables_count(const struct sp_watch_tables *t, struct sp_engine_stats *ret);

/* ---- mappings (mappings.c): live mmaps, with partial unmapping ---- */

struct sp_watch_mappings {
	struct sp_vec live;    /* struct sp_block, sorted by address, not overlapping */
	struct sp_vec removed; /* what unmaps took away and may have to be put back: struct removed */
};

#define SP_MAX_LIVE_MAPPINGS (1 << 20)

void sp_watch_mappings_init(struct sp_watch_mappings *m);
void sp_watch_mappings_done(struct sp_watch_mappings *m);

/* The target has become another program at that time. */
void sp_watch_mappings_forget_before(struct sp_watch_mappings *m, uint64_t birth_ns);

/* Events were lost: what is not mapped any more is taken out. On failure nothing has changed. */
sp_must_check int sp_watch_mappings_reconcile(struct sp_watch_mappings *m, const struct sp_maps *maps);

/* [b->addr, b->addr + b->size) is mapped now, over whatever was there. -ENOSPC, -ENOMEM: not kept. */
sp_must_check int sp_watch_mappings_add(struct sp_watch_mappings *m, const struct sp_block *b);

/* Thread tid is about to unmap a range: pieces outside it stay. */
sp_must_check int sp_watch_mappings_remove(struct sp_watch_mappings *m, uint32_t tid, uint64_t addr, uint64_t size);

/* The last remove of tid did not happen after all. */
sp_must_check int sp_watch_mappings_undo(struct sp_watch_mappings *m, uint32_t tid);

#endif
