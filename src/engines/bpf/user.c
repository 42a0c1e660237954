// SPDX-License-Identifier: Apache-2.0
/* The bpf engine on a process: programs on its allocator, its unwind tables in the kernel. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "bpf/user.skel.h"
#pragma GCC diagnostic pop
#include "engines/bpf/impl.h"
#include "unwind/unwind.h"

#define DEFAULT_BLOCKS (1 << 21)
#define DEFAULT_PATHS  (1 << 16)
#define EVENT_BUFFER   (1 << 22) /* some 400 stacks */
#define STACKS         400       /* to be handed over between two changes of the tables */
#define TRACE_BUFFER   (1 << 24)
#define MAX_ROWS       (32 << 20)    /* 256 MB of rows: chromium has 3 M */
#define SPARE_ROWS     (512 << 10)   /* room for what the target loads later, beside half of what it has */
#define LOOK_NS        1000000000ULL /* at the mappings, when nothing says that they changed */
#define LOOK_HINTED    20            /* times what a look costs, when a walk met code that is in none of them */
#define INITIAL_PID_NS 0xEFFFFFFC    /* PROC_PID_INIT_INO (linux/proc_ns.h) */

struct user {
	struct sp_engine engine;
	struct sp_engine_config c;
	struct sp_user_bpf *skel;
	struct sp_bpf_ctl *ctl; /* mapped */
	struct sp_row *rows;    /* mapped */
	uint32_t nr_rows_max;   /* of the map */
	size_t nr_rows_published;
	struct sp_unwind *unwind;
	struct sp_bpf_functions functions;
	struct sp_bpf_links links;
	struct sp_bpf_store store;
	uint64_t code_hash; /* of the mappings that the tables are of */
	uint64_t last_look_ns;
	uint64_t look_cost_ns;
	bool modules_changed; /* and the session has not been told yet */
	uint64_t nr_unknown;  /* as of the last look */
	uint32_t nr_execs;
	bool multi;
	struct sp_engine_stats stats;
};

/* ---- publishing the unwind tables ---- */

/* New ranges into the half that is not in use, new rows behind the old; then one switch. */
static int publish(struct user *u)
{
	size_t nr_ranges, nr_rows;
	const struct sp_row_range *ranges = sp_unwind_ranges(u->unwind, &nr_ranges);
	const struct sp_row *rows = sp_unwind_rows(u->unwind, &nr_rows);
	uint32_t half = !u->ctl->half;
	int fd = bpf_map__fd(u->skel->maps.ranges);

	if (nr_rows > u->nr_rows_published && nr_rows <= u->nr_rows_max) {
		memcpy(u->rows + u->nr_rows_published, rows + u->nr_rows_published,
		       (nr_rows - u->nr_rows_published) * sizeof(*rows));
		u->nr_rows_published = nr_rows;
	}
	if (nr_ranges > SP_MAX_RANGES)
		nr_ranges = SP_MAX_RANGES;
	for (uint32_t i = 0; i < nr_ranges; i++) {
		struct sp_row_range r = ranges[i];
		uint32_t key = half * SP_MAX_RANGES + i;
		if (r.row0 + (size_t)r.nr_rows > u->nr_rows_published)
			r.nr_rows = 0; /* no room in the kernel's table: by the frame pointer, walks that end early are
					  counted */
		if (bpf_map_update_elem(fd, &key, &r, BPF_ANY))
			return -errno;
	}
	__atomic_store_n(&u->ctl->nr_ranges, (uint32_t)nr_ranges, __ATOMIC_RELEASE);
	__atomic_store_n(&u->ctl->half, half, __ATOMIC_RELEASE);
	__atomic_store_n(&u->ctl->gen, u->ctl->gen % 15 + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&u->ctl->stacks_left, STACKS, __ATOMIC_RELEASE);
	u->stats.nr_rows = nr_rows;
	u->stats.nr_modules = (unsigned)sp_unwind_nr_files(u->unwind);
	return 0;
}

/* ---- following the target's mappings ---- */

/* FNV-1a over what unwinding needs of the mappings: a heap that grows changes nothing here. */
static uint64_t code_hash(const struct sp_maps *maps)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		const uint64_t words[] = {m->start, m->end, m->offset, m->inode, m->dev_major, m->dev_minor};
		if (!(m->prot & SP_PROT_X))
			continue;
		for (size_t k = 0; k < SP_ARRAY_SIZE(words); k++)
			h = (h ^ words[k]) * 0x100000001b3;
	}
	return h;
}

/* Reads the mappings again; when code has come or gone the tables follow. */
static void look(struct user *u)
{
	struct sp_maps maps = {0};

	u->last_look_ns = sp_bpf_now_ns();
	u->nr_unknown = u->ctl->nr_unknown;
	if (sp_proc_maps(u->c.target, &maps, NULL))
		return;
	uint64_t hash = code_hash(&maps);
	if (maps.nr && hash != u->code_hash) {
		u->code_hash = hash;
		if (!sp_unwind_update(u->unwind, u->c.target, &maps) && !publish(u))
			u->modules_changed = true;
	}
	sp_maps_done(&maps);
	u->look_cost_ns = sp_bpf_now_ns() - u->last_look_ns;
}

/* A walk that stopped at code which came after the last look. */
static enum sp_walk_end finish_walk(const struct sp_bpf_stack *s, uint64_t *pcs, unsigned *nr, void *arg)
{
	struct user *u = arg;
	unsigned known = s->nr - 1, more;
	struct sp_walk w = {.pc = s->pcs[known], .sp = s->sp, .bp = s->bp, .is_exact = s->is_exact};
	struct sp_stack_copy stack = {.addr = s->sp, .bytes = s->bytes, .len = s->len};

	if (s->event.time_ns > u->last_look_ns)
		look(u);
	memcpy(pcs, s->pcs, known * sizeof(*pcs));
	enum sp_walk_end end = sp_unwind_walk(u->unwind, &w, &stack, pcs + known, SP_MAX_FRAMES - known, &more);
	*nr = known + more;
	return end;
}

/* ---- start ---- */

static int tables_build(struct user *u, const struct sp_maps *maps, struct sp_why *why)
{
	int err = sp_unwind_new(MAX_ROWS, &u->unwind);

	if (!err)
		err = sp_unwind_update(u->unwind, u->c.target, maps);
	if (err)
		sp_why_set(why, SP_FAULT_OURS, -err, "cannot build unwind tables: %s", strerror(-err));
	u->code_hash = code_hash(maps);
	u->last_look_ns = sp_bpf_now_ns();
	return err;
}

static int size_maps(struct user *u)
{
	struct sp_user_bpf *s = u->skel;
	size_t nr_rows;
	int err;

	sp_unwind_rows(u->unwind, &nr_rows);
	u->nr_rows_max = (uint32_t)(nr_rows + nr_rows / 2 + SPARE_ROWS);
	err = bpf_map__set_max_entries(s->maps.rows, u->nr_rows_max);
	if (!err)
		err = bpf_map__set_max_entries(s->maps.blocks, sp_bpf_or_default(u->c.max_blocks, DEFAULT_BLOCKS));
	if (!err)
		err = bpf_map__set_max_entries(s->maps.paths, sp_bpf_or_default(u->c.max_paths, DEFAULT_PATHS));
	if (!err)
		err = bpf_map__set_max_entries(s->maps.events, u->c.on_event ? TRACE_BUFFER : EVENT_BUFFER);
	return err;
}

static int map_tables(struct user *u)
{
	void *ctl = mmap(NULL, sizeof(*u->ctl), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(u->skel->maps.ctl), 0);
	if (ctl == MAP_FAILED)
		return -errno;
	u->ctl = ctl;
	void *rows = mmap(NULL, (size_t)u->nr_rows_max * sizeof(*u->rows), PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(u->skel->maps.rows), 0);
	if (rows == MAP_FAILED)
		return -errno;
	u->rows = rows;
	return 0;
}

static int load(struct user *u, struct sp_why *why)
{
	int err;

	libbpf_set_print(NULL);
	u->skel = sp_user_bpf__open();
	if (!u->skel)
		return sp_bpf_explain(-errno, "open the BPF programs", why);
	u->skel->rodata->cfg_min_size = u->c.min_size;
	u->skel->rodata->cfg_max_size = u->c.max_size ? u->c.max_size : UINT64_MAX;
	u->skel->rodata->cfg_sample_rate = u->c.sample_rate;
	u->skel->rodata->cfg_trace = u->c.on_event != NULL;
	u->multi = sp_bpf_has_uprobe_multi();
	if (u->multi) {
		sp_bpf_want_uprobe_multi(u->skel->progs.sp_enter);
		sp_bpf_want_uprobe_multi(u->skel->progs.sp_return);
	}
	err = size_maps(u);
	if (!err)
		err = sp_user_bpf__load(u->skel);
	if (err)
		return sp_bpf_explain(err, "load the BPF programs", why);
	err = map_tables(u);
	if (!err)
		err = publish(u);
	return err ? sp_bpf_explain(err, "fill the unwind tables", why) : 0;
}

static void unload(struct user *u)
{
	if (u->ctl)
		u->ctl->active = 0;
	sp_bpf_links_done(&u->links);
	sp_bpf_store_close(&u->store);
	sp_bpf_functions_done(&u->functions);
	sp_unwind_free(u->unwind);
	if (u->rows)
		munmap(u->rows, (size_t)u->nr_rows_max * sizeof(*u->rows));
	if (u->ctl)
		munmap(u->ctl, sizeof(*u->ctl));
	sp_user_bpf__destroy(u->skel);
	free(u);
}

static int plant(struct user *u, struct sp_why *why)
{
	u->stats.nr_functions = u->functions.nr_functions;
	u->stats.allocator = u->functions.allocator;
	return sp_bpf_attach(&u->links, &u->functions, sp_proc_pid(u->c.target), u->multi, u->skel->progs.sp_enter,
			     u->skel->progs.sp_return, why);
}

static int watch_execs(struct user *u, struct sp_why *why)
{
	/* The programs learn the target's pid in the initial namespace from their first hit; there we know it now. */
	if (sp_proc_ns(NULL, 0, "pid") == INITIAL_PID_NS)
		u->ctl->tgid = (uint32_t)sp_proc_pid(u->c.target);
	u->skel->links.sp_exec = bpf_program__attach(u->skel->progs.sp_exec);
	return u->skel->links.sp_exec ? 0 : sp_bpf_explain(-errno, "watch for execve", why);
}

/* Everything up to "the probes are in", the target's allocator first: most of what can fail fails there. */
static int start(struct user *u, const struct sp_maps *maps, struct sp_why *why)
{
	struct sp_user_bpf *s;
	int err = sp_bpf_functions_find(&u->c, maps, &u->functions, why);

	if (!err)
		err = tables_build(u, maps, why);
	if (!err)
		err = load(u, why);
	if (err)
		return err;
	s = u->skel;
	err = sp_bpf_store_open(&u->store, &u->c, s->maps.blocks, s->maps.paths, s->maps.events, s->maps.lost, why);
	u->store.on_stack = finish_walk;
	u->store.on_stack_arg = u;
	if (!err)
		err = watch_execs(u, why);
	if (err)
		return err;
	u->ctl->active = 1;
	return plant(u, why);
}

/* ---- while it runs ---- */

/* The target has become another program: its allocator may be another too. */
static void start_over(struct user *u, struct sp_ledger *l)
{
	struct sp_bpf_links old = u->links;
	struct sp_maps maps = {0};

	u->nr_execs = u->ctl->nr_execs;
	u->store.exec_ns = u->ctl->exec_ns;
	sp_bpf_mappings_clear(&u->store.mappings);
	sp_ledger_clear(l);
	sp_bpf_links_init(&u->links);
	sp_bpf_functions_done(&u->functions);
	look(u);
	if (!sp_proc_maps(u->c.target, &maps, NULL) && !sp_bpf_functions_find(&u->c, &maps, &u->functions, NULL) &&
	    plant(u, NULL))
		u->stats.nr_functions = 0;
	sp_maps_done(&maps);
	sp_bpf_links_done(&old);
}

/* Is it time to look? A program that maps code all the time (a JIT) gets a twentieth of one CPU at most. */
static bool is_look_due(const struct user *u)
{
	uint64_t since = sp_bpf_now_ns() - u->last_look_ns;

	return since > LOOK_NS || (u->ctl->nr_unknown != u->nr_unknown && since > LOOK_HINTED * u->look_cost_ns);
}

static enum sp_engine_news user_poll(struct sp_engine *e, struct sp_ledger *l)
{
	struct user *u = (struct user *)e;
	bool changed;

	sp_bpf_store_drain(&u->store, l);
	if (u->ctl->nr_execs != u->nr_execs) {
		start_over(u, l);
		return SP_NEWS_EXEC;
	}
	if (is_look_due(u))
		look(u);
	changed = u->modules_changed;
	u->modules_changed = false;
	return changed ? SP_NEWS_MODULES : SP_NEWS_NONE;
}

static int user_read(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why)
{
	struct user *u = (struct user *)e;
	uint64_t missed = sp_bpf_missed(u->skel->progs.sp_enter) + sp_bpf_missed(u->skel->progs.sp_return);

	sp_bpf_store_drain(&u->store, l);
	return sp_bpf_store_read(&u->store, l, missed, why);
}

static int user_fd(struct sp_engine *e)
{
	return sp_bpf_store_fd(&((struct user *)e)->store);
}

static uint64_t user_now_ns(struct sp_engine *e)
{
	(void)e;
	return sp_bpf_now_ns();
}

static void user_stats(struct sp_engine *e, struct sp_engine_stats *ret)
{
	*ret = ((struct user *)e)->stats;
}

static void user_stop(struct sp_engine *e)
{
	if (e)
		unload((struct user *)e);
}

static const struct sp_engine_ops user_ops = {
    .name = "bpf",
    .fd = user_fd,
    .poll = user_poll,
    .read = user_read,
    .now_ns = user_now_ns,
    .stats = user_stats,
    .stop = user_stop,
};

int sp_bpf_user_start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	uint64_t start_ns = sp_bpf_now_ns();
	struct user *u = calloc(1, sizeof(*u));
	struct sp_maps maps = {0};
	int err;

	if (!u)
		return -ENOMEM;
	u->engine.ops = &user_ops;
	u->c = *c;
	u->stats.scale = c->sample_rate > 1 ? c->sample_rate : 1;
	sp_bpf_links_init(&u->links);
	err = sp_proc_maps(c->target, &maps, why);
	if (!err)
		err = start(u, &maps, why);
	sp_maps_done(&maps);
	if (err) {
		unload(u);
		return err;
	}
	u->stats.start_ns = sp_bpf_now_ns() - start_ns;
	*ret = &u->engine;
	return 0;
}
