// SPDX-License-Identifier: Apache-2.0
/* The bpf engine's own business: what its files say to each other. */
#ifndef SEEP_ENGINES_BPF_IMPL_H
#define SEEP_ENGINES_BPF_IMPL_H

#include "engines/engine.h"
#include "engines/watch/watch.h"
#include "unwind/unwind.h"
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
	uint64_t entry; /* offset of the function's first instruction */
	uint64_t taken; /* SP_TAKEN_*: other tools are there */
};

enum { SP_TAKEN_PLACE = 1, SP_TAKEN_ENTRY = 2 };

/* Is its return watched, too? */
static inline bool sp_bpf_site_returns(const struct sp_bpf_site *s)
{
	sp_w32 kind = SP_COOKIE_KIND(s->cookie);

	return kind != SP_KIND_FREE && kind != SP_KIND_THROW && kind != SP_KIND_PASSED && kind != SP_KIND_LOADER;
}

/* One file of the target with the probes in it. */
struct sp_bpf_object {
	int fd;
	uint64_t dev, inode;
	struct sp_vec sites; /* struct sp_bpf_site */
};

/* What is done about functions that may throw (throwing.c). */
enum sp_bpf_throwing {
	SP_THROWING_NEVER,  /* their calls are counted, not followed (or there are none) */
	SP_THROWING_SMALL,  /* only calls that cannot fail are followed */
	SP_THROWING_REPAIR, /* program `thrower` watches where exceptions begin */
};

#define SP_THROWING_SMALL_BYTES (64 << 20)

enum sp_bpf_throwing sp_bpf_throwing_find(const struct sp_proc *p);

struct sp_bpf_functions {
	struct sp_vec objects; /* struct sp_bpf_object */
	unsigned nr_functions;
	unsigned nr_crowded; /* functions that are not watched for the sake of other tools' targets (others.c) */
	enum sp_bpf_throwing throwing;
	char *allocator; /* path of the file whose malloc is watched */
};

/* Finds the allocator functions as the target resolves them (or in config->object). */
sp_must_check int sp_bpf_functions_find(const struct sp_engine_config *c, const struct sp_maps *maps,
					struct sp_bpf_functions *ret, struct sp_why *why);
void sp_bpf_functions_done(struct sp_bpf_functions *f);
/* Calls of those that may throw are counted, not followed. */
void sp_bpf_functions_pass_throwing(struct sp_bpf_functions *f, const struct sp_proc *target);
bool sp_bpf_functions_are_equal(const struct sp_bpf_functions *a, const struct sp_bpf_functions *b);

/* Where tools that watch other processes than `target` have probes, as far as the kernel says (others.c). */
void sp_bpf_mark_taken(struct sp_bpf_functions *f, pid_t target);

/* ---- attaching (attach.c) ---- */

struct bpf_map;
struct bpf_program;

struct sp_bpf_links {
	struct sp_vec fds;     /* int: raw uprobe.multi links */
	struct sp_vec objects; /* struct bpf_link *: one per perf uprobe */
};

/* How the kernel can plant probes; the later the better. */
enum sp_bpf_attach_mode {
	SP_ATTACH_PERF,    /* one by one */
	SP_ATTACH_MULTI,   /* uprobe.multi links (Linux 6.6) */
	SP_ATTACH_SESSION, /* and those whose entry says whether the return shall be watched (6.13) */
};

/* The programs by their tasks; unused ones may be there. */
struct sp_bpf_programs {
	enum sp_bpf_attach_mode mode;
	struct bpf_program *enter, *ret; /* without sessions */
	struct bpf_program *session;     /* entry and return in one */
	struct bpf_program *thrower;     /* where exceptions begin; NULL: not loaded */
};

enum sp_bpf_attach_mode sp_bpf_best_attach_mode(void);

/* To be called before the programs are loaded: how they will be attached, and which at all. */
void sp_bpf_prepare_programs(const struct sp_bpf_programs *p);

void sp_bpf_links_init(struct sp_bpf_links *l);

/* Plants every probe of f in process pid. Probes planted before a failure stay in l. */
sp_must_check int sp_bpf_attach(struct sp_bpf_links *l, const struct sp_bpf_functions *f, pid_t pid,
				const struct sp_bpf_programs *p, struct sp_why *why);

/* Takes all away, many at a time: each waits for the kernel's grace periods. */
void sp_bpf_links_done(struct sp_bpf_links *l);

/* ---- growth of the process itself (growth.c) ---- */

/* Does the kernel tell of each page that comes? */
bool sp_bpf_growth_is_confirmed(void);

/* Attaches those of the programs that are loaded. `threads`: the programs' map of that name. */
sp_must_check int sp_bpf_growth_attach(struct sp_bpf_links *l, struct bpf_program *const *programs, size_t nr,
				       struct bpf_map *threads, const struct sp_proc *target, struct sp_why *why);

/* ---- call paths (paths.c) ---- */

struct sp_bpf_paths {
	struct bpf_map *map;
	struct sp_symbolizer *names; /* says whose the addresses were; NULL: nobody knows */
	struct sp_u64map ids;        /* key -> id in the ledger, or that it depends on the time (paths.c) */
	struct sp_u64map walked;     /* the same of paths that are not in the table */
	uint64_t epoch;              /* of names, that ids are of */
	struct sp_u64map named;      /* keys that live blocks name; only while tidying */
	struct sp_vec suspects;      /* uint64_t: keys that none named in the report before */
	struct sp_vec copies;        /* struct sp_bpf_path: what was deleted after the report before */
	struct sp_u64map copy_of;    /* key -> index in copies */
	uint64_t looked_ns, nr_refused;
	bool is_tidying;
};

void sp_bpf_paths_init(struct sp_bpf_paths *p, struct bpf_map *map, struct sp_symbolizer *names);
void sp_bpf_paths_done(struct sp_bpf_paths *p);

/* The ledger's id of the path that a block of this time names by its key; SP_NO_PATH when it is not there. */
uint32_t sp_bpf_paths_id(struct sp_bpf_paths *p, struct sp_ledger *l, uint64_t key, uint64_t when_ns);
/* A path that is not in the table, walked by us. pcs are bound to who was there then. */
sp_must_check int sp_bpf_paths_add(struct sp_bpf_paths *p, struct sp_ledger *l, uint64_t key, uint64_t when_ns,
				   uint64_t *pcs, unsigned nr);

/* Around the reading of all live blocks. nr_refused: paths that found the table full until now. */
void sp_bpf_paths_begin(struct sp_bpf_paths *p, uint64_t now_ns, uint64_t nr_refused);
void sp_bpf_paths_end(struct sp_bpf_paths *p);

/* ---- pages that call paths have faulted in (runs.c) ---- */

/* Pages that one call path faulted in one after another. */
struct sp_bpf_run {
	uint64_t start, end;
	uint64_t birth_ns;
	uint64_t key;  /* in the programs' table */
	uint32_t path; /* in the ledger */
	bool is_alive; /* something of it is still there */
};

/* A part of one. */
struct sp_bpf_piece {
	uint64_t start, end;
	uint32_t run; /* index */
};

struct sp_bpf_runs {
	struct sp_vec list; /* struct sp_bpf_run: of the reading that is under way */
};

void sp_bpf_runs_init(struct sp_bpf_runs *r);
void sp_bpf_runs_done(struct sp_bpf_runs *r);

/* Sorts the runs, and appends for every address in one which is the youngest there: struct sp_bpf_piece. -ENOMEM. */
sp_must_check int sp_bpf_runs_overlay(struct sp_vec *runs, struct sp_vec *ret);

/* What is still there goes to the ledger, runs of which nothing is are deleted from the map. The list is empty then. */
sp_must_check int sp_bpf_runs_settle(struct sp_bpf_runs *r, struct sp_proc *target, struct bpf_map *map,
				     struct sp_ledger *l);

/* ---- reading what the programs have stored (store.c) ---- */

struct ring_buffer;

struct sp_bpf_store {
	struct bpf_map *blocks, *events, *lost;
	struct ring_buffer *ring;
	struct sp_bpf_paths paths;
	struct sp_watch_mappings mappings;
	struct sp_proc *target; /* NULL: the kernel */
	struct sp_bpf_runs runs;
	struct sp_ledger *ledger; /* during drain and read */
	uint64_t exec_ns;         /* what is older is void */
	uint64_t until_ns;        /* what is younger is of a program that has not been noticed yet; 0: no limit */
	uint32_t nr_execs;        /* as in the keys of the blocks */
	void (*on_event)(const struct sp_event *e, void *arg);
	void *on_event_arg;
	uint64_t own_lost[SP_NR_LOST]; /* found out on our side */
	struct sp_vec waiting;         /* struct sp_bpf_stack: not ready yet */
	/* Has the engine looked at the code since this came, or can it do so now? */
	bool (*is_stack_ready)(const struct sp_bpf_stack *s, void *arg);
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

/* The target became its nr_execs-th other program then: what is older is void and makes room. */
void sp_bpf_store_exec(struct sp_bpf_store *s, uint64_t exec_ns, uint32_t nr_execs);

/* A snapshot of all live blocks into the ledger, and the counters of what was lost. */
sp_must_check int sp_bpf_store_read(struct sp_bpf_store *s, struct sp_ledger *l, uint64_t nr_missed,
				    struct sp_why *why);

/* So many events have been lost until now. */
uint64_t sp_bpf_store_events_lost(const struct sp_bpf_store *s);

/* ---- unwind tables in the kernel (tables.c) ---- */

struct sp_bpf_tables {
	struct sp_watch_tables watch;
	struct sp_bpf_ctl *ctl; /* this and the next three: mapped */
	struct sp_row_range *ranges;
	uint64_t *row_cache;
	struct sp_row *rows;
	uint64_t nr_unknown; /* as of the last look */
	uint64_t changed_ns; /* since when what the last look saw may be so, as far as is known */
	uint64_t unsure_ns;  /* until then code may have come and gone unseen after changed_ns; 0: it cannot */
};

struct sp_bpf_table_fds {
	int ctl, ranges, row_cache, rows;
};

/* Maps the kernel's side and publishes to it. */
sp_must_check int sp_bpf_tables_map(struct sp_bpf_tables *t, const struct sp_bpf_table_fds *fds);
void sp_bpf_tables_done(struct sp_bpf_tables *t);

/* Reads the mappings and sets changed_ns and unsure_ns; when code has come or gone the tables follow: true. */
bool sp_bpf_tables_look(struct sp_bpf_tables *t, struct sp_proc *p);
/* Is it time to look? */
bool sp_bpf_tables_is_look_due(const struct sp_bpf_tables *t);

/* ---- the kernel's types, cut down (types.c) ---- */

struct btf;
struct bpf_object;

/*
 * Of the kernel's types (data: as in /sys/kernel/btf/vmlinux) the structs that `ours` names, too, with all members:
 * what libbpf needs to relocate. *ret is the caller's (btf__free). -EINVAL: not understood. -ENOMEM, -ENOSPC.
 */
sp_must_check int sp_bpf_types_cut(const void *data, size_t size, const struct btf *ours, struct btf **ret);

/* A file in memory with them, for bpf_object_open_opts.btf_custom_path. */
struct sp_bpf_types {
	int fd;
	char path[32];
};

/* Opens an empty one. Where that fails the path is NULL: libbpf reads the kernel's types itself. */
void sp_bpf_types_open(struct sp_bpf_types *t);
const char *sp_bpf_types_path(const struct sp_bpf_types *t);
/* Between opening the object and loading it. Whatever cannot be cut is given whole. -errno. */
sp_must_check int sp_bpf_types_fill(struct sp_bpf_types *t, const struct bpf_object *o);
void sp_bpf_types_close(struct sp_bpf_types *t);

/* ---- small things (common.c) ---- */

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
