// SPDX-License-Identifier: Apache-2.0
/* The bpf engine on a process: programs on its allocator, its unwind tables in the kernel. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "bpf/user.skel.h"
#pragma GCC diagnostic pop
#include "engines/bpf/impl.h"

#define DEFAULT_BLOCKS (1 << 21)
#define DEFAULT_PATHS  (1 << 16)
#define EVENT_BUFFER   (1 << 22) /* some 400 stacks */
#define TRACE_BUFFER   (1 << 24)
#define SETTLING_NS    5000000000ULL /* after its start a program may still be loading its libraries */
#define FIND_TRIES     50
#define FIND_PAUSE_US  1000
#define INITIAL_PID_NS 0xEFFFFFFC /* PROC_PID_INIT_INO (linux/proc_ns.h) */

enum { NR_GROWTH = 5 };

struct user {
	struct sp_engine engine;
	struct sp_engine_config c;
	struct sp_user_bpf *skel;
	struct sp_bpf_tables tables;
	struct sp_bpf_functions functions;
	struct sp_bpf_programs programs;
	struct bpf_program *growth[NR_GROWTH]; /* with c.growth these watch, instead of the others */
	enum sp_bpf_throwing throwing;         /* what the programs do */
	struct sp_bpf_links links;
	pthread_t maker; /* of the map of blocks, while the rest is prepared */
	bool has_maker;
	int blocks_fd;
	pthread_t remover; /* takes the links away while the last report is made */
	bool has_remover;
	struct sp_bpf_store store;
	uint64_t settled_ns;     /* until then its allocator may be another one at the next look */
	uint64_t nr_lost_events; /* when the live mappings were last compared with the real ones */
	bool modules_changed;    /* and the session has not been told yet */
	uint32_t nr_execs;
	struct sp_engine_stats stats;
};

/* The dynamic linker of the program as it is now. */
static void find_loader(struct user *u)
{
	sp_raddr at = {0};

	(void)!sp_proc_r_debug(u->c.target, &at); /* not known: 0 */
	u->tables.ctl->r_debug = at.v;
}

/* ---- while it runs: what the programs ask for ---- */

static void look(struct user *u)
{
	uint64_t exec_ns = u->tables.ctl->exec_ns;
	bool has_changed = sp_bpf_tables_look(&u->tables, u->c.target);
	uint64_t since_ns = exec_ns > u->tables.changed_ns ? exec_ns : u->tables.changed_ns;

	if (u->c.names && u->tables.unsure_ns > since_ns)
		sp_symbolizer_unsure(u->c.names, since_ns, u->tables.unsure_ns);
	if (!has_changed)
		return;
	u->modules_changed = true;
	if (u->c.names)
		sp_symbolizer_refresh(u->c.names, since_ns);
	sp_watch_tables_count(&u->tables.watch, &u->stats);
}

static bool is_stack_ready(const struct sp_bpf_stack *s, void *arg)
{
	struct user *u = arg;

	if (s->event.time_ns > u->tables.watch.look.look_ns && sp_watch_look_is_affordable(&u->tables.watch.look))
		look(u);
	return s->event.time_ns <= u->tables.watch.look.look_ns;
}

/* A walk that stopped at code which came after the last look. */
static enum sp_walk_end finish_walk(const struct sp_bpf_stack *s, uint64_t *pcs, unsigned *nr, void *arg)
{
	struct user *u = arg;
	unsigned known = s->nr - 1, more;
	struct sp_walk w = {.pc = s->pcs[known], .sp = s->sp, .bp = s->bp, .is_exact = s->is_exact};
	struct sp_stack_copy stack = {.addr = s->sp, .bytes = s->bytes, .len = s->len};

	memcpy(pcs, s->pcs, known * sizeof(*pcs));
	enum sp_walk_end end =
	    sp_unwind_walk(u->tables.watch.unwind, &w, &stack, pcs + known, SP_MAX_FRAMES - known, &more);
	*nr = known + more;
	return end;
}

/* ---- start ---- */

static uint32_t max_blocks(const struct user *u)
{
	return sp_bpf_or_default(u->c.max_blocks, DEFAULT_BLOCKS);
}

/*
 * The kernel makes the table of blocks with all its buckets, 32 MB that nobody has touched before: a third of the time
 * that attaching takes, so it is made while we read the target's files. Where that fails, loading says why.
 */
static void *make_blocks(void *arg)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	struct user *u = arg;

	u->blocks_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "blocks", sizeof(uint64_t), sizeof(struct sp_bpf_block),
				      max_blocks(u), &opts);
	return NULL;
}

static void begin_blocks(struct user *u)
{
	u->blocks_fd = -1;
	u->has_maker = !sp_thread_start(&u->maker, make_blocks, u);
}

static void end_blocks(struct user *u)
{
	if (u->has_maker)
		pthread_join(u->maker, NULL);
	u->has_maker = false;
}

static int set_blocks(struct user *u)
{
	struct bpf_map *map = u->skel->maps.blocks;

	end_blocks(u);
	if (u->blocks_fd >= 0)
		return bpf_map__reuse_fd(map, u->blocks_fd);
	return bpf_map__set_max_entries(map, max_blocks(u));
}

static int size_maps(struct user *u)
{
	struct sp_user_bpf *s = u->skel;
	int err = bpf_map__set_max_entries(s->maps.rows, sp_watch_tables_room(&u->tables.watch));

	if (!err)
		err = set_blocks(u);
	if (!err)
		err = bpf_map__set_max_entries(s->maps.paths, sp_bpf_or_default(u->c.max_paths, DEFAULT_PATHS));
	if (!err)
		err = bpf_map__set_max_entries(s->maps.events, u->c.on_event ? TRACE_BUFFER : EVENT_BUFFER);
	return err;
}

/* Either the allocator's functions are watched, or the growth of the process itself. */
static void choose_programs(struct user *u)
{
	struct sp_user_bpf *s = u->skel;
	struct bpf_program *const growth[NR_GROWTH] = {s->progs.sp_fault_user, s->progs.sp_fault_kernel,
						       s->progs.sp_rss_stat, s->progs.sp_sys_enter,
						       s->progs.sp_sys_exit};
	struct bpf_program *const others[] = {s->progs.sp_enter, s->progs.sp_return, s->progs.sp_session};

	memcpy(u->growth, growth, sizeof(growth));
	for (size_t i = 0; i < NR_GROWTH; i++)
		bpf_program__set_autoload(growth[i], u->c.growth);
	for (size_t i = 0; i < SP_ARRAY_SIZE(others) && u->c.growth; i++)
		bpf_program__set_autoload(others[i], false);
	s->rodata->cfg_confirmed = u->c.growth && sp_bpf_growth_is_confirmed();
	if (!s->rodata->cfg_confirmed)
		bpf_program__set_autoload(s->progs.sp_rss_stat, false);
}

static void configure(struct user *u)
{
	struct sp_user_bpf *s = u->skel;

	u->throwing = u->functions.throwing;
	u->programs = (struct sp_bpf_programs){
	    .mode = sp_bpf_best_attach_mode(),
	    .enter = s->progs.sp_enter,
	    .ret = s->progs.sp_return,
	    .session = s->progs.sp_session,
	    .thrower = u->throwing == SP_THROWING_REPAIR ? s->progs.sp_throw : NULL,
	};
	bpf_program__set_autoload(s->progs.sp_throw, u->throwing == SP_THROWING_REPAIR);
	sp_bpf_prepare_programs(&u->programs);
	choose_programs(u);
	s->rodata->cfg_min_size = u->c.min_size;
	s->rodata->cfg_max_size = u->c.max_size ? u->c.max_size : UINT64_MAX;
	s->rodata->cfg_sample_rate = u->c.sample_rate;
	s->rodata->cfg_trace = u->c.on_event != NULL;
	s->rodata->cfg_max_new = u->throwing == SP_THROWING_SMALL ? SP_THROWING_SMALL_BYTES : UINT64_MAX;
	s->rodata->cfg_sessions = u->programs.mode == SP_ATTACH_SESSION;
}

static int fill_tables(struct user *u)
{
	const struct sp_bpf_table_fds fds = {
	    .ctl = bpf_map__fd(u->skel->maps.ctl),
	    .ranges = bpf_map__fd(u->skel->maps.ranges),
	    .row_cache = bpf_map__fd(u->skel->maps.row_cache),
	    .rows = bpf_map__fd(u->skel->maps.rows),
	};
	int err = sp_bpf_tables_map(&u->tables, &fds);

	if (err)
		return err;
	sp_watch_tables_count(&u->tables.watch, &u->stats);
	return 0;
}

static int load(struct user *u, struct sp_why *why)
{
	sp_cleanup(sp_bpf_types_close) struct sp_bpf_types types;
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	int err;

	libbpf_set_print(NULL);
	sp_bpf_types_open(&types);
	opts.btf_custom_path = sp_bpf_types_path(&types);
	u->skel = sp_user_bpf__open_opts(&opts);
	if (!u->skel)
		return sp_bpf_explain(-errno, "open the BPF programs", why);
	configure(u);
	err = sp_bpf_types_fill(&types, u->skel->obj);
	if (!err)
		err = size_maps(u); /* which waits for the table of blocks */
	if (!err)
		err = sp_user_bpf__load(u->skel);
	if (err)
		return sp_bpf_explain(err, "load the BPF programs", why);
	err = fill_tables(u);
	return err ? sp_bpf_explain(err, "fill the unwind tables", why) : 0;
}

/* All at the same time: the tracepoint, too, waits for a grace period when it goes. */
static void *remove_links(void *arg)
{
	struct user *u = arg;

	if (u->skel && u->skel->links.sp_exec && !sp_vec_push(&u->links.objects, &u->skel->links.sp_exec))
		u->skel->links.sp_exec = NULL;
	sp_bpf_links_done(&u->links);
	return NULL;
}

/* The kernel waits for its grace periods; the caller need not wait with it. */
static void user_wind_down(struct sp_engine *e)
{
	struct user *u = (struct user *)e;

	u->tables.ctl->active = 0;
	if (!u->has_remover)
		u->has_remover = !sp_thread_start(&u->remover, remove_links, u);
}

static void unload(struct user *u)
{
	if (u->tables.ctl)
		u->tables.ctl->active = 0;
	if (u->has_remover)
		pthread_join(u->remover, NULL);
	else
		remove_links(u);
	sp_bpf_store_close(&u->store);
	sp_bpf_functions_done(&u->functions);
	sp_bpf_tables_done(&u->tables);
	sp_user_bpf__destroy(u->skel);
	end_blocks(u);
	sp_close_p(&u->blocks_fd);
	free(u);
}

static int plant(struct user *u, struct sp_bpf_links *l, const struct sp_bpf_functions *f, struct sp_why *why)
{
	if (u->c.growth)
		return sp_bpf_growth_attach(l, u->growth, NR_GROWTH, u->skel->maps.threads, u->c.target, why);
	return sp_bpf_attach(l, f, sp_proc_pid(u->c.target), &u->programs, why);
}

/* f is watched from now on; u owns it. */
static void take_functions(struct user *u, struct sp_bpf_functions *f)
{
	sp_bpf_functions_done(&u->functions);
	u->functions = *f;
	u->stats.nr_functions = f->nr_functions;
	u->stats.allocator = f->allocator;
}

/*
 * Looks for the target's allocator again; where it has become another one, the probes follow. False: it has none (yet),
 * and the probes stay where they are.
 */
static bool replant(struct user *u)
{
	struct sp_bpf_links links, old = u->links;
	struct sp_bpf_functions f;
	struct sp_maps maps = {0};

	if (u->c.growth) /* whatever the allocator is */
		return true;
	if (sp_proc_maps(u->c.target, &maps, NULL))
		return false;
	int err = sp_bpf_functions_find(&u->c, &maps, &f, NULL);
	sp_maps_done(&maps);
	if (err)
		return false;
	find_loader(u);
	if (f.throwing != u->throwing) /* the programs are made for another way */
		sp_bpf_functions_pass_throwing(&f, u->c.target);
	if (sp_bpf_functions_are_equal(&f, &u->functions)) {
		sp_bpf_functions_done(&f);
		return true;
	}
	sp_bpf_links_init(&links);
	err = plant(u, &links, &f, NULL);
	if (err) {
		sp_bpf_links_done(&links);
		sp_bpf_functions_done(&f);
		return false;
	}
	u->links = links;
	take_functions(u, &f);
	sp_bpf_links_done(&old);
	return true;
}

static int watch_execs(struct user *u, struct sp_why *why)
{
	/* The programs learn the target's pid in the initial namespace from their first hit; there we know it now. */
	if (sp_proc_ns(NULL, 0, "pid") == INITIAL_PID_NS)
		u->tables.ctl->tgid = (uint32_t)sp_proc_pid(u->c.target);
	u->skel->links.sp_exec = bpf_program__attach(u->skel->progs.sp_exec);
	return u->skel->links.sp_exec ? 0 : sp_bpf_explain(-errno, "watch for execve", why);
}

static int find(const struct sp_engine_config *c, const struct sp_maps *maps, void *ret, struct sp_why *why)
{
	return sp_bpf_functions_find(c, maps, ret, why);
}

static int find_functions(struct user *u, struct sp_maps *maps, struct sp_why *why)
{
	struct sp_bpf_functions f;

	if (u->c.growth)
		return sp_proc_maps(u->c.target, maps, why);
	int err = sp_watch_find_mapped(&u->c, maps, find, &f, why);

	if (!err)
		take_functions(u, &f);
	return err;
}

/* Everything up to "the probes are in", the target's allocator first: most of what can fail fails there. */
static int start(struct user *u, struct sp_maps *maps, struct sp_why *why)
{
	struct sp_user_bpf *s;
	int err = find_functions(u, maps, why);

	if (!err)
		err = sp_watch_tables_build(&u->tables.watch, u->c.target, maps, why);
	if (!err)
		err = load(u, why);
	if (err)
		return err;
	s = u->skel;
	err = sp_bpf_store_open(&u->store, &u->c, s->maps.blocks, s->maps.paths, s->maps.events, s->maps.lost, why);
	u->store.is_stack_ready = is_stack_ready;
	u->store.on_stack = finish_walk;
	u->store.on_stack_arg = u;
	if (!err)
		err = watch_execs(u, why);
	if (err)
		return err;
	find_loader(u);
	u->tables.ctl->active = 1;
	err = plant(u, &u->links, &u->functions, why);
	/* What it loaded, or became, while we were not watching yet. */
	u->settled_ns = sp_watch_now_ns() + SETTLING_NS;
	look(u);
	if (!err && u->modules_changed)
		replant(u);
	return err;
}

/* ---- while it runs ---- */

/* The target has become another program: its allocator may be another too. */
static void start_over(struct user *u, struct sp_ledger *l)
{
	u->nr_execs = u->tables.ctl->nr_execs;
	u->settled_ns = sp_watch_now_ns() + SETTLING_NS;
	uint64_t exec_ns = u->tables.ctl->exec_ns;
	look(u);
	for (int i = 0; i < FIND_TRIES && !replant(u); i++)
		usleep(FIND_PAUSE_US);
	look(u);                    /* it allocates already: tables first, the rest can wait */
	u->modules_changed = false; /* SP_NEWS_EXEC says more */
	sp_bpf_store_exec(&u->store, exec_ns, u->nr_execs);
	sp_ledger_clear(l);
}

/* A young program is looked at each time: it may still be loading the library with its allocator. */
static void look_when_due(struct user *u)
{
	bool is_young = sp_watch_now_ns() < u->settled_ns && sp_watch_look_is_affordable(&u->tables.watch.look);

	if (!is_young && !sp_bpf_tables_is_look_due(&u->tables))
		return;
	look(u);
	if (is_young && u->modules_changed)
		replant(u);
}

static enum sp_engine_news user_poll(struct sp_engine *e, struct sp_ledger *l)
{
	struct user *u = (struct user *)e;
	bool changed;

	if (u->tables.ctl->nr_execs == u->nr_execs)
		look_when_due(u); /* before the events that may be of what has come */
	sp_bpf_store_drain(&u->store, l);
	if (u->tables.ctl->nr_execs != u->nr_execs) {
		start_over(u, l);
		return SP_NEWS_EXEC;
	}
	changed = u->modules_changed;
	u->modules_changed = false;
	return changed ? SP_NEWS_MODULES : SP_NEWS_NONE;
}

static uint64_t nr_missed(const struct user *u)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < NR_GROWTH && u->c.growth; i++)
		sum += bpf_program__autoload(u->growth[i]) ? sp_bpf_missed(u->growth[i]) : 0;
	if (u->c.growth)
		return sum;
	if (u->programs.mode == SP_ATTACH_SESSION)
		return sp_bpf_missed(u->programs.session);
	return sp_bpf_missed(u->programs.enter) + sp_bpf_missed(u->programs.ret);
}

/* After a loss of events the list of mappings may hold what is gone. */
static void reconcile(struct user *u)
{
	uint64_t nr = sp_bpf_store_events_lost(&u->store);
	struct sp_maps maps = {0};

	if (nr == u->nr_lost_events || sp_proc_maps(u->c.target, &maps, NULL))
		return;
	if (!sp_watch_mappings_reconcile(&u->store.mappings, &maps))
		u->nr_lost_events = nr;
	sp_maps_done(&maps);
}

static int user_read(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why)
{
	struct user *u = (struct user *)e;
	const struct sp_bpf_ctl *ctl = u->tables.ctl;

	if (ctl->nr_execs == u->nr_execs)
		look(u); /* a plugin loaded a moment ago: whose are the blocks that come now? */
	sp_bpf_store_drain(&u->store, l);
	reconcile(u);
	u->store.own_lost[SP_LOST_CROWDED] = u->functions.nr_crowded;
	/* An exec that poll() has not seen yet: until then the program before is what is shown. */
	u->store.until_ns = ctl->nr_execs != u->nr_execs ? ctl->exec_ns : 0;
	return sp_bpf_store_read(&u->store, l, nr_missed(u), why);
}

static int user_fd(struct sp_engine *e)
{
	return sp_bpf_store_fd(&((struct user *)e)->store);
}

static uint64_t user_now_ns(struct sp_engine *e)
{
	(void)e;
	return sp_watch_now_ns();
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
    .wind_down = user_wind_down,
    .stop = user_stop,
};

int sp_bpf_user_start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	uint64_t start_ns = sp_watch_now_ns();
	struct user *u = calloc(1, sizeof(*u));
	struct sp_maps maps = {0};

	if (!u)
		return -ENOMEM;
	u->engine.ops = &user_ops;
	u->c = *c;
	u->stats.scale = c->sample_rate > 1 ? c->sample_rate : 1;
	sp_bpf_links_init(&u->links);
	begin_blocks(u);
	int err = start(u, &maps, why);
	sp_maps_done(&maps);
	if (err) {
		unload(u);
		return err;
	}
	u->stats.start_ns = sp_watch_now_ns() - start_ns;
	*ret = &u->engine;
	return 0;
}
