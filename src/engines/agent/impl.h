// SPDX-License-Identifier: Apache-2.0
/* The agent engine's own business: what its files say to each other. */
#ifndef SEEP_ENGINES_AGENT_IMPL_H
#define SEEP_ENGINES_AGENT_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/u64map.h"
#include "engines/engine.h"
#include "engines/watch/watch.h"
#include "inject/inject.h"
#include "pure/agent.h"

extern const struct sp_engine_ops sp_engine_agent;

#define SP_AGENT_DEFAULT_MEAN (512u << 10) /* of sampling, when exact tracking finds no more room */

/* ---- rules ---- */

/* How calls are recorded. */
struct sp_agent_rules {
	enum sp_agent_mode mode;
	uint64_t mean;    /* of the intervals between sampled calls; also for exact tracking that finds no more room */
	bool is_by_calls; /* intervals are of calls, all equal; else of bytes, by chance */
	bool is_tiny;     /* two blocks may begin within 32 bytes */
};

/* ---- how much memory the target can spare (budget.c) ---- */

struct sp_agent_budget {
	uint64_t memory;         /* bytes that the tables may take */
	uint64_t address;        /* bytes of address space for them */
	bool is_made_beforehand; /* all of it, so that no page is ever refused to the target */
};

/* `wanted` 0: the smaller of 256 MB and a tenth of what the target may use. */
sp_must_check int sp_agent_budget_find(struct sp_proc *p, uint64_t wanted, struct sp_agent_budget *ret,
				       struct sp_why *why);

/* How the tables are sized for it. */
void sp_agent_limits_choose(const struct sp_engine_config *c, const struct sp_agent_budget *b, uint32_t nr_rows,
			    struct sp_agent_limits *ret);

/* ---- the data region (data.c) ---- */

struct sp_agent_data {
	int fd;        /* of its memory; -1: none */
	uint64_t addr; /* in the target; 0: not mapped there */
	uint64_t bytes;
	struct sp_agent_limits limits;
	uint64_t offsets[SP_AGENT_NR_AREAS];
	/* Mapped by us; the target may write all of it at any time. */
	void *front, *ring_map, *keys_map;
	struct sp_agent_header *header;
	const struct sp_agent_event *ring;
	uint64_t *thread_keys;
};

#define SP_AGENT_DATA_EMPTY ((struct sp_agent_data){.fd = -1})

/* Makes it in the target and maps what we need of it. On failure nothing stays but an empty descriptor. */
sp_must_check int sp_agent_data_make(struct sp_agent_data *d, struct sp_inject *in, struct sp_proc *p,
				     const struct sp_agent_limits *limits, bool is_made_beforehand, struct sp_why *why);

/* Our side of one that exists: takes fd over, also on failure. is_made_beforehand: all its pages are. */
sp_must_check int sp_agent_data_open(struct sp_agent_data *d, int fd, const struct sp_agent_limits *limits,
				     bool is_made_beforehand);

/* Gives its memory back, whoever still maps it. */
void sp_agent_data_done(struct sp_agent_data *d);

/* Bytes that it takes. */
uint64_t sp_agent_data_used(const struct sp_agent_data *d);

/* All of len bytes at an offset, copied once; what was never written is zeroes. */
sp_must_check int sp_agent_data_read(const struct sp_agent_data *d, uint64_t offset, void *buf, size_t len);

/*
 * The next piece of [*offset, end) that may hold something, copied to buf (size bytes). Returns its length, 0 at the
 * end, -errno; *offset: where it begins.
 */
ssize_t sp_agent_data_next(const struct sp_agent_data *d, uint64_t *offset, uint64_t end, void *buf, size_t size);

/* Where the walkers of the target find their rows. */
struct sp_watch_shared sp_agent_data_shared(const struct sp_agent_data *d);

static inline uint64_t sp_agent_data_area(const struct sp_agent_data *d, enum sp_agent_area area)
{
	return d->offsets[area];
}

/* ---- call paths (paths.c) ---- */

struct sp_agent_paths {
	struct sp_vec nodes;         /* struct sp_agent_node: our copies */
	struct sp_vec ids;           /* uint32_t: by node, 1 + the ledger's id; 0: not asked yet */
	struct sp_symbolizer *names; /* says whose the addresses were; NULL: nobody knows */
	uint64_t epoch;              /* of names, that ids are of */
	struct sp_u64map finished;   /* by node of an unfinished walk: where its pcs begin in the following */
	struct sp_vec finished_pcs;  /* uint64_t: how many, then the pcs */
	struct sp_vec stale;         /* struct sp_agent_stale, rising */
	uint64_t nr_cut_short;       /* paths of blocks, since the reading began, that are not certain further out */
};

/* Code that had gone before the agent's rows followed: what was called there then was walked by another's rows. */
struct sp_agent_stale {
	uint64_t start, end;
	uint64_t from_ns, until_ns;
};

/* To be said before the names are refreshed. */
void sp_agent_paths_stale(struct sp_agent_paths *p, const struct sp_agent_stale *s);

void sp_agent_paths_init(struct sp_agent_paths *p, struct sp_symbolizer *names);
void sp_agent_paths_done(struct sp_agent_paths *p);

/* The ledger's id of the path of a block of this time; SP_NO_PATH: not known, or no valid node. */
uint32_t sp_agent_paths_id(struct sp_agent_paths *p, const struct sp_agent_data *d, struct sp_ledger *l, uint32_t node,
			   uint64_t when_ns);

/* What the agent left unfinished is this path. */
void sp_agent_paths_finish(struct sp_agent_paths *p, uint32_t node, const uint64_t *pcs, unsigned nr);

/* ---- walks that the agent left to us (unfinished.c) ---- */

struct sp_agent_unfinished_reader {
	uint64_t tail;     /* walks taken */
	uint64_t stuck_ns; /* since when the next one has not come; 0: it has */
	uint64_t nr_broken, nr_cut;
};

bool sp_agent_unfinished_is_there(const struct sp_agent_unfinished_reader *r, const struct sp_agent_data *d);
void sp_agent_unfinished_finish(struct sp_agent_unfinished_reader *r, const struct sp_agent_data *d,
				const struct sp_unwind *tables, struct sp_agent_paths *paths, uint64_t now_ns);

/* ---- live blocks (blocks.c) ---- */

struct sp_agent_reading {
	const struct sp_agent_data *data;
	struct sp_agent_paths *paths;
	struct sp_ledger *ledger; /* NULL: only births are renewed */
	const struct sp_engine_config *config;
	const struct sp_agent_rules *rules;
	uint64_t begin_ns; /* of tick 0 */
	uint32_t now;      /* tick */
};

/* Every live block to the ledger. What the region says is not believed: each word is read once and checked. */
sp_must_check int sp_agent_blocks_read(const struct sp_agent_reading *r);

/* ---- mappings (events.c) ---- */

struct sp_agent_events {
	struct sp_watch_mappings mappings;
	uint64_t tail;       /* events taken */
	uint64_t stuck_ns;   /* since when the next one has not come; 0: it has */
	uint64_t nr_refused; /* could not be kept */
};

void sp_agent_events_init(struct sp_agent_events *e);
void sp_agent_events_done(struct sp_agent_events *e);
void sp_agent_events_drain(struct sp_agent_events *e, const struct sp_agent_reading *r, uint64_t now_ns);

/* ---- threads (threads.c) ---- */

struct sp_agent_threads {
	uint64_t known[1 << 12]; /* by slot: the thread pointer that was seen there */
	bool was_used[1 << 12];
	unsigned nr_used; /* slots taken now */
};

/* Are there threads that we know nothing of? From any of our threads. */
bool sp_agent_threads_have_come(const struct sp_agent_threads *t, const struct sp_agent_data *d);

/* Tells the agent where the stacks of new threads are. */
void sp_agent_threads_update(struct sp_agent_threads *t, const struct sp_agent_data *d, const struct sp_maps *maps);

/* Is the table nearly full? */
bool sp_agent_threads_are_many(const struct sp_agent_threads *t, const struct sp_agent_data *d);

/* Frees the slots of threads that have ended. */
void sp_agent_threads_reclaim(struct sp_agent_threads *t, const struct sp_agent_data *d,
			      const struct sp_inject_threads *alive);

/* What the agent could not do, in all. */
void sp_agent_threads_lost(struct sp_agent_threads *t, const struct sp_agent_data *d, uint64_t ret[SP_NR_LOST]);

/* ---- where stacks may be (stacks.c) ---- */

/* Tells the agent in which mappings there may be stacks that are no thread's own. NULL: nothing is known. */
void sp_agent_stacks_publish(const struct sp_agent_data *d, const struct sp_maps *maps);

/* ---- the agent's code and its hooks (plant.c) ---- */

/* Functions that the target's allocator has. */
struct sp_agent_wants {
	struct sp_vec list;
	char *allocator; /* path of the file whose malloc is watched */
	bool is_tiny;
};

sp_must_check int sp_agent_wants_find(struct sp_agent_wants *w, const struct sp_engine_config *c,
				      const struct sp_maps *maps, struct sp_why *why);
void sp_agent_wants_done(struct sp_agent_wants *w);

struct sp_agent_planted {
	uint64_t code;        /* of the region in the target; 0: none */
	struct sp_vec hooked; /* struct sp_agent_hooked */
	char *allocator;
	uint64_t max_pause_ns;
};

struct sp_agent_hooked {
	uint64_t addr, dev, inode;
	bool is_loader; /* no function of the allocator */
};

void sp_agent_planted_init(struct sp_agent_planted *pl);
void sp_agent_planted_done(struct sp_agent_planted *pl);

/* Plans in h what is not hooked already; takes the allocator's name over. Nothing is changed in the target. */
sp_must_check int sp_agent_plan(struct sp_agent_planted *pl, struct sp_agent_wants *wants, struct sp_inject_hooks *h,
				struct sp_why *why);

/* Maps the code region, without its bytes. */
sp_must_check int sp_agent_code_map(struct sp_agent_planted *pl, struct sp_inject *in, struct sp_why *why);
/* Writes them. */
sp_must_check int sp_agent_code_write(const struct sp_agent_planted *pl, struct sp_inject *in, struct sp_proc *p,
				      const struct sp_maps *maps, const struct sp_agent_rules *rules,
				      const struct sp_agent_data *d, struct sp_why *why);
/* From now on calls are recorded, or not. */
sp_must_check int sp_agent_code_set_active(const struct sp_agent_planted *pl, struct sp_inject *in, bool active,
					   struct sp_why *why);
/* Is what the target runs now what we entered? Not after exec. */
bool sp_agent_code_is_there(const struct sp_agent_planted *pl, struct sp_proc *p);
/* Unwind rows of the agent's code; returns how many. */
uint32_t sp_agent_code_rows(const struct sp_row **ret);
uint64_t sp_agent_code_end(const struct sp_agent_planted *pl);

/* Jumps in. */
sp_must_check int sp_agent_hooks_apply(struct sp_agent_planted *pl, struct sp_inject_hooks *h, struct sp_why *why);

/* ---- what goes on beside (ticker.c) ---- */

/* A thread that keeps the agent's clock, watches over its memory and wakes the engine. */
struct sp_agent_ticker {
	pthread_t thread;
	bool is_running;
	atomic_bool must_end;
	int wake_fd;
	int mem_fd; /* the target's memory as it was at the start: gone after exec */
	uint64_t code;
	const struct sp_agent_data *data;
	const struct sp_agent_threads *threads;
	uint64_t begin_ns, max_memory;
	atomic_bool is_gone;    /* that memory */
	atomic_bool is_over;    /* memory used up: it has gone over to sampling */
	_Atomic uint64_t taken; /* of the ring */
	uint64_t nr_unknown;    /* when it last looked */
	uint64_t nr_foreign;
};

#define SP_AGENT_TICKER_EMPTY ((struct sp_agent_ticker){.mem_fd = -1})

sp_must_check int sp_agent_ticker_start(struct sp_agent_ticker *t, struct sp_proc *p);
void sp_agent_ticker_stop(struct sp_agent_ticker *t);
uint32_t sp_agent_tick(uint64_t begin_ns);

/* The agent's tick, which may be a little ahead of the clock's. */
uint32_t sp_agent_tick_there(const struct sp_agent_data *d, uint64_t begin_ns);

/* ---- one stay in a target (stay.c) ---- */

struct sp_agent_stay {
	const struct sp_engine_config *c;
	struct sp_inject_guard *guard;
	struct sp_agent_data data;
	struct sp_agent_planted planted;
	struct sp_watch_tables tables;
	struct sp_agent_paths paths;
	struct sp_agent_events events;
	struct sp_agent_unfinished_reader unfinished;
	struct sp_agent_threads threads;
	struct sp_agent_ticker ticker;
	struct sp_agent_rules rules;
	uint64_t begin_ns; /* of tick 0 */
	uint64_t max_memory;
	uint64_t nr_unknown; /* at the last look at the target's code */
	uint64_t nr_foreign; /* at the last look at its stacks */
	bool has_left;
};

/* Enters. wake_fd: an eventfd for when the engine has something to do. On failure nothing stays in the target but what
 * *why says. */
sp_must_check int sp_agent_stay_begin(struct sp_agent_stay *s, const struct sp_engine_config *c, int wake_fd,
				      struct sp_why *why);

/* Hooks that a module brought which has come since. */
sp_must_check int sp_agent_stay_extend(struct sp_agent_stay *s, struct sp_why *why);

/*
 * Tells the agent of code that has come or gone, and the paths of what can no longer be told apart. True: some has, at
 * *ret_changed_ns (or since the look then).
 */
bool sp_agent_stay_look_at_code(struct sp_agent_stay *s, uint64_t *ret_changed_ns);

/* Tells the agent of stacks that have come. From the mappings as they are now. */
void sp_agent_stay_look_at_stacks(struct sp_agent_stay *s);

/* Takes everything out of the target; what has been recorded stays readable. True: nothing is left in it. */
bool sp_agent_stay_leave(struct sp_agent_stay *s, struct sp_why *why);

/* Frees what is ours. */
void sp_agent_stay_end(struct sp_agent_stay *s);

struct sp_agent_reading sp_agent_stay_reading(struct sp_agent_stay *s, struct sp_ledger *l);

#endif
