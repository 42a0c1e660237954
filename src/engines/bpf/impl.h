// SPDX-License-Identifier: Apache-2.0
/* The bpf engine's own business: what its files say to each other. */
#ifndef SEEP_ENGINES_BPF_IMPL_H
#define SEEP_ENGINES_BPF_IMPL_H

#include "engines/engine.h"
#include "unwind/walk.h"
#include "wire/bpf.h"

extern const struct sp_engine_ops sp_engine_bpf;

/* ---- where to put a probe (place.c) ---- */

/*
 * The offset from a function's entry at which a breakpoint is cheap: the first instruction that the kernel emulates,
 * when everything before it leaves the argument registers, rsp and control flow alone and nothing in the function
 * jumps into what was skipped. 0: the entry itself. `code` holds the first len bytes of the function.
 */
unsigned sp_bpf_place(const uint8_t *code, size_t len);

/* ---- which functions to watch (functions.c) ---- */

struct sp_bpf_site {
	uint64_t offset; /* in the file */
	uint64_t cookie;
	bool has_return; /* its return is watched too */
};

/* One file of the target with the probes in it. */
struct sp_bpf_object {
	int fd;
	uint64_t dev, inode;
	struct sp_vec sites; /* struct sp_bpf_site */
};

struct sp_bpf_functions {
	struct sp_vec objects; /* struct sp_bpf_object */
	unsigned nr_functions;
	char *allocator; /* path of the file whose malloc is watched */
};

/* Finds the allocator functions as the target resolves them (or in config->object). */
sp_must_check int sp_bpf_functions_find(const struct sp_engine_config *c, const struct sp_maps *maps,
					struct sp_bpf_functions *ret, struct sp_why *why);
void sp_bpf_functions_done(struct sp_bpf_functions *f);

/* ---- attaching (attach.c) ---- */

struct bpf_program;

struct sp_bpf_links {
	struct sp_vec fds;     /* int: raw uprobe.multi links */
	struct sp_vec objects; /* struct bpf_link *: one per perf uprobe */
};

/* Does this kernel have uprobe.multi links? */
bool sp_bpf_has_uprobe_multi(void);

/* To be called before the programs are loaded, if they shall be attached through uprobe.multi. */
void sp_bpf_want_uprobe_multi(struct bpf_program *prog);

void sp_bpf_links_init(struct sp_bpf_links *l);

/* Plants every probe of f in process pid. Probes planted before a failure stay in l. */
sp_must_check int sp_bpf_attach(struct sp_bpf_links *l, const struct sp_bpf_functions *f, pid_t pid, bool multi,
				struct bpf_program *enter, struct bpf_program *ret, struct sp_why *why);

/* Takes all away, many at a time: each waits for the kernel's grace periods. */
void sp_bpf_links_done(struct sp_bpf_links *l);

/* ---- mappings (mappings.c): live mmaps, with partial unmapping ---- */

struct sp_bpf_mappings {
	struct sp_vec live;    /* struct sp_block, sorted by address, not overlapping */
	struct sp_vec removed; /* what unmaps took away and may have to be put back: struct removed */
};

#define SP_MAX_LIVE_MAPPINGS (1 << 20)

void sp_bpf_mappings_init(struct sp_bpf_mappings *m);
void sp_bpf_mappings_done(struct sp_bpf_mappings *m);
void sp_bpf_mappings_clear(struct sp_bpf_mappings *m);

/* [b->addr, b->addr + b->size) is mapped now, over whatever was there. -ENOSPC, -ENOMEM: not kept. */
sp_must_check int sp_bpf_mappings_add(struct sp_bpf_mappings *m, const struct sp_block *b);

/* Thread tid is about to unmap a range: pieces outside it stay. */
sp_must_check int sp_bpf_mappings_remove(struct sp_bpf_mappings *m, uint32_t tid, uint64_t addr, uint64_t size);

/* The last remove of tid did not happen after all. */
sp_must_check int sp_bpf_mappings_undo(struct sp_bpf_mappings *m, uint32_t tid);

/* ---- reading what the programs have stored (store.c) ---- */

struct bpf_map;
struct ring_buffer;

struct sp_bpf_store {
	struct bpf_map *blocks, *paths, *events, *lost;
	struct ring_buffer *ring;
	struct sp_u64map path_ids; /* key in `paths` -> id in the ledger */
	struct sp_bpf_mappings mappings;
	struct sp_ledger *ledger; /* during drain and read */
	uint64_t exec_ns;         /* what is older is void */
	void (*on_event)(const struct sp_event *e, void *arg);
	void *on_event_arg;
	uint64_t own_lost[SP_NR_LOST]; /* found out on our side */
	/* Finishes a walk that met unknown code; fills in pcs, returns how it ended. NULL: none will come. */
	enum sp_walk_end (*on_stack)(const struct sp_bpf_stack *s, uint64_t *pcs, unsigned *nr, void *arg);
	void *on_stack_arg;
};

sp_must_check int sp_bpf_store_open(struct sp_bpf_store *s, const struct sp_engine_config *c, struct bpf_map *blocks,
				    struct bpf_map *paths, struct bpf_map *events, struct bpf_map *lost,
				    struct sp_why *why);
void sp_bpf_store_close(struct sp_bpf_store *s);
int sp_bpf_store_fd(const struct sp_bpf_store *s);

/* Works off the events that have come. */
void sp_bpf_store_drain(struct sp_bpf_store *s, struct sp_ledger *l);

/* A snapshot of all live blocks into the ledger, and the counters of what was lost. */
sp_must_check int sp_bpf_store_read(struct sp_bpf_store *s, struct sp_ledger *l, uint64_t nr_missed,
				    struct sp_why *why);

/* ---- small things (common.c) ---- */

uint64_t sp_bpf_now_ns(void);
/* Hits of a program that the kernel skipped. */
uint64_t sp_bpf_missed(struct bpf_program *prog);
/* Sizes a map before it is loaded; 0 keeps the default given. */
uint32_t sp_bpf_or_default(uint32_t wanted, uint32_t by_default);
/* -errno of a failed load or attach, with what the user can do about it. */
int sp_bpf_explain(int err, const char *doing, struct sp_why *why);
/* What both modes need of the machine: privileges, BTF. */
int sp_bpf_probe_machine(struct sp_why *why);

/* ---- the two modes ---- */

int sp_bpf_user_start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why);
int sp_bpf_kernel_start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why);

#endif
