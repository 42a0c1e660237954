// SPDX-License-Identifier: Apache-2.0
/*
 * One stay in a target, from the way in to the way out. Everything that can fail is done while nothing leads to the
 * agent yet:
 *
 *   1. functions	which ones there are to hook; a program that is being loaded may have none yet
 *   2. rows		unwind tables of all its code, on our side
 *   3. guard		from here on somebody cleans up if we are killed
 *   4. memory		the code region and the data region, mapped by the target, filled by us
 *   5. plan		stubs and trampolines near the functions
 *   6. clock		runs
 *   7. active		the agent would record
 *   8. jumps		in one stop, all of them or none
 *
 * The way out is inject's, from whatever step.
 */
#include <errno.h>
#include <string.h>

#include "engines/agent/impl.h"

#define PATIENCE_NS     2000000000ull /* for threads that are in the allocator when we leave */
#define LOOKS_AT_STACKS 3             /* while the target unmaps all the time */

/* ---- before the way in ---- */

static int find_wants(const struct sp_engine_config *c, const struct sp_maps *maps, void *ret, struct sp_why *why)
{
	return sp_agent_wants_find(ret, c, maps, why);
}

static void choose_rules(struct sp_agent_stay *s, const struct sp_agent_wants *w)
{
	const struct sp_engine_config *c = s->c;
	bool is_by_calls = c->sample_rate > 1;

	s->rules = (struct sp_agent_rules){
	    .mode = c->sample_bytes || is_by_calls ? SP_AGENT_SAMPLED : SP_AGENT_EXACT,
	    .mean = is_by_calls       ? c->sample_rate
		    : c->sample_bytes ? c->sample_bytes
				      : SP_AGENT_DEFAULT_MEAN,
	    .is_by_calls = is_by_calls,
	    .is_tiny = w->is_tiny,
	};
}

static int open_inject(struct sp_agent_stay *s, bool is_held, struct sp_inject **ret, struct sp_why *why)
{
	const struct sp_inject_opts opts = {.max_pause_ns = s->c->max_pause_ns, .is_held = is_held};

	return sp_inject_open(s->c->target, &opts, ret, why);
}

/* ---- the way in ---- */

static void begin_header(struct sp_agent_stay *s)
{
	struct sp_agent_header *h = s->data.header;

	h->mode = s->rules.mode;
	h->mean = s->rules.mean;
	h->is_regular = s->rules.is_by_calls;
}

static void share_tables(struct sp_agent_stay *s)
{
	const struct sp_watch_shared shared = sp_agent_data_shared(&s->data);
	const struct sp_row *rows;
	uint32_t nr = sp_agent_code_rows(&rows);

	sp_watch_tables_share(&s->tables, &shared);
	sp_watch_tables_own(&s->tables, s->planted.code, sp_agent_code_end(&s->planted), rows, nr);
	if (!sp_watch_tables_look(&s->tables, s->c->target)) /* our own mappings are new */
		sp_watch_tables_publish(&s->tables);
}

static int make_memory(struct sp_agent_stay *s, struct sp_inject *in, const struct sp_maps *maps, struct sp_why *why)
{
	const struct sp_row *rows;
	struct sp_agent_budget budget;
	struct sp_agent_limits limits;
	int err = sp_agent_budget_find(s->c->target, s->c->max_memory, &budget, why);

	if (err)
		return err;
	sp_agent_limits_choose(s->c, &budget, sp_watch_tables_room(&s->tables) + sp_agent_code_rows(&rows), &limits);
	s->max_memory = budget.is_made_beforehand ? UINT64_MAX : budget.memory; /* its tables are full by themselves */
	err = sp_agent_code_map(&s->planted, in, why);
	if (!err)
		err = sp_agent_data_make(&s->data, in, s->c->target, &limits, budget.is_made_beforehand, why);
	if (err)
		return err;
	begin_header(s);
	share_tables(s);
	return sp_agent_code_write(&s->planted, in, s->c->target, maps, &s->rules, &s->data, why);
}

static int start_clock(struct sp_agent_stay *s, struct sp_why *why)
{
	s->begin_ns = sp_watch_now_ns() - SP_AGENT_TICK_NS; /* ticks begin with 1 */
	s->ticker.code = s->planted.code;
	s->ticker.data = &s->data;
	s->ticker.threads = &s->threads;
	s->ticker.begin_ns = s->begin_ns;
	s->ticker.max_memory = s->max_memory;
	int err = sp_agent_ticker_start(&s->ticker, s->c->target);
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "cannot start the agent's clock: %s", strerror(-err)) : 0;
}

/* Steps 5 to 8; later, for modules that have come, 5 and 8. */
static int hook(struct sp_agent_stay *s, struct sp_inject *in, struct sp_agent_wants *w, struct sp_why *why)
{
	struct sp_inject_hooks *h;
	int err = sp_inject_hooks_new(in, &h, why);

	if (err)
		return err;
	err = sp_agent_plan(&s->planted, w, h, why);
	if (!err && sp_inject_hooks_nr(h))
		err = sp_inject_hooks_prepare(h, why);
	if (!err && !s->ticker.is_running)
		err = start_clock(s, why);
	if (!err)
		err = sp_agent_code_set_active(&s->planted, in, true, why);
	if (!err)
		err = sp_agent_hooks_apply(&s->planted, h, why);
	sp_inject_hooks_free(h);
	return err;
}

static int enter(struct sp_agent_stay *s, struct sp_agent_wants *w, const struct sp_maps *maps, struct sp_why *why)
{
	struct sp_inject *in;
	int err = sp_inject_guard_start(s->c->target, &s->guard, why);

	if (!err)
		err = open_inject(s, s->c->is_held, &in, why);
	if (err)
		return err;
	err = make_memory(s, in, maps, why);
	if (!err)
		err = hook(s, in, w, why);
	if (err) {
		struct sp_inject_left left;
		(void)!sp_inject_leave(in, PATIENCE_NS, &left, NULL);
	}
	sp_inject_close(in);
	return err;
}

static int begin(struct sp_agent_stay *s, struct sp_maps *maps, struct sp_why *why)
{
	struct sp_agent_wants w;
	int err = sp_watch_find_mapped(s->c, maps, find_wants, &w, why);

	if (err)
		return err;
	choose_rules(s, &w);
	err = sp_watch_tables_build(&s->tables, s->c->target, maps, why);
	if (!err)
		err = enter(s, &w, maps, why);
	sp_agent_wants_done(&w);
	return err;
}

int sp_agent_stay_begin(struct sp_agent_stay *s, const struct sp_engine_config *c, int wake_fd, struct sp_why *why)
{
	struct sp_maps maps = {0};

	*s = (struct sp_agent_stay){.c = c, .data = SP_AGENT_DATA_EMPTY, .ticker = SP_AGENT_TICKER_EMPTY};
	s->ticker.wake_fd = wake_fd;
	sp_agent_planted_init(&s->planted);
	sp_agent_paths_init(&s->paths, s->c->names);
	sp_agent_events_init(&s->events);
	int err = begin(s, &maps, why);
	sp_maps_done(&maps);
	if (err)
		sp_agent_stay_end(s);
	else
		sp_agent_stay_look_at_stacks(s);
	return err;
}

/* ---- while we stay ---- */

int sp_agent_stay_extend(struct sp_agent_stay *s, struct sp_why *why)
{
	size_t nr_hooked = s->planted.hooked.nr;
	struct sp_maps maps = {0};
	struct sp_agent_wants w;
	struct sp_inject *in;
	int err = sp_proc_maps(s->c->target, &maps, why);

	if (!err)
		err = sp_agent_wants_find(&w, s->c, &maps, why);
	sp_maps_done(&maps);
	if (err)
		return err;
	err = open_inject(s, false, &in, why);
	if (!err) {
		/* Looked at after opening: what we have open is what we entered, not what an exec has made of it. */
		err = sp_agent_code_is_there(&s->planted, s->c->target) ? hook(s, in, &w, why) : -ESRCH;
		sp_inject_close(in);
	}
	if (err)
		s->planted.hooked.nr = nr_hooked;
	sp_agent_wants_done(&w);
	return err;
}

/* The instant at which a tick that the agent has written down begins. */
static uint64_t instant(const struct sp_agent_stay *s, uint32_t tick)
{
	uint32_t latest = sp_agent_tick(s->begin_ns) + SP_AGENT_MAX_AHEAD + 1;

	return s->begin_ns + (uint64_t)(tick < latest ? tick : latest) * SP_AGENT_TICK_NS;
}

static bool has_range(const struct sp_row_range *list, size_t nr, const struct sp_row_range *r)
{
	for (size_t i = 0; i < nr; i++)
		if (list[i].start == r->start && list[i].end == r->end && list[i].base == r->base &&
		    list[i].row0 == r->row0)
			return true;
	return false;
}

/* What was called in them from then on, until just now, was walked by rows of theirs and may have been another's. */
static void note_stale(struct sp_agent_stay *s, const struct sp_row_range *before, size_t nr_before, uint64_t from_ns)
{
	size_t nr;
	const struct sp_row_range *now = sp_unwind_ranges(s->tables.unwind, &nr);
	uint64_t until_ns = instant(s, sp_agent_tick_there(&s->data, s->begin_ns) + 1);

	for (size_t i = 0; i < nr_before; i++) {
		const struct sp_agent_stale gone = {
		    .start = before[i].start, .end = before[i].end, .from_ns = from_ns, .until_ns = until_ns};
		if (!has_range(now, nr, &before[i]))
			sp_agent_paths_stale(&s->paths, &gone);
	}
}

/* Looks at the mappings when the dynamic linker has acted, from changed_ns on. */
static bool look_after_loader(struct sp_agent_stay *s, uint64_t changed_ns)
{
	size_t nr;
	const struct sp_row_range *ranges = sp_unwind_ranges(s->tables.unwind, &nr);
	sp_autofree struct sp_row_range *before = malloc((nr + 1) * sizeof(*before));

	if (!before)
		return false; /* next time */
	memcpy(before, ranges, nr * sizeof(*before));
	bool has_changed = sp_watch_tables_look(&s->tables, s->c->target);
	if (has_changed)
		note_stale(s, before, nr, changed_ns);
	return has_changed;
}

bool sp_agent_stay_look_at_code(struct sp_agent_stay *s, uint64_t *ret_changed_ns)
{
	struct sp_agent_header *h = s->data.header;
	uint32_t acted = __atomic_exchange_n(&h->loader_tick, 0, __ATOMIC_SEQ_CST);
	uint32_t unloaded = __atomic_exchange_n(&h->unload_tick, 0, __ATOMIC_SEQ_CST);
	uint64_t changed_ns = acted ? instant(s, acted) : s->tables.look.look_ns;

	*ret_changed_ns = changed_ns;
	/* The first that goes was there at the look before; whoever goes after it may have come after it. */
	if (acted && s->c->names && instant(s, unloaded) > changed_ns)
		sp_symbolizer_unsure(s->c->names, changed_ns, instant(s, unloaded));
	return acted ? look_after_loader(s, changed_ns) : sp_watch_tables_look(&s->tables, s->c->target);
}

void sp_agent_stay_look_at_stacks(struct sp_agent_stay *s)
{
	const struct sp_agent_header *h = s->data.header;

	s->nr_foreign = __atomic_load_n(&h->nr_foreign, __ATOMIC_RELAXED);
	for (int i = 0; i < LOOKS_AT_STACKS; i++) {
		uint64_t nr_unmapped = __atomic_load_n(&h->nr_unmapped, __ATOMIC_SEQ_CST);
		struct sp_maps maps = {0};
		if (sp_proc_maps(s->c->target, &maps, NULL))
			return;
		sp_agent_threads_update(&s->threads, &s->data, &maps);
		sp_agent_stacks_publish(&s->data, &maps);
		sp_maps_done(&maps);
		if (__atomic_load_n(&h->nr_unmapped, __ATOMIC_SEQ_CST) == nr_unmapped)
			return;
	}
	sp_agent_stacks_publish(&s->data, NULL); /* what we read may be gone by now */
}

struct sp_agent_reading sp_agent_stay_reading(struct sp_agent_stay *s, struct sp_ledger *l)
{
	return (struct sp_agent_reading){.data = &s->data,
					 .paths = &s->paths,
					 .ledger = l,
					 .config = s->c,
					 .rules = &s->rules,
					 .begin_ns = s->begin_ns,
					 .now = sp_agent_tick_there(&s->data, s->begin_ns)};
}

/* ---- the way out ---- */

bool sp_agent_stay_leave(struct sp_agent_stay *s, struct sp_why *why)
{
	struct sp_inject_left left = {0};
	struct sp_inject *in;

	if (!s->planted.code || s->has_left)
		return true;
	s->has_left = true;
	/* Finds what there is by itself, so after exec it finds nothing. */
	int err = open_inject(s, false, &in, NULL);
	if (!err) {
		err = sp_inject_leave(in, PATIENCE_NS, &left, why);
		sp_inject_close(in);
	}
	return err == -ESRCH || (!err && !left.nr_kept) || !sp_proc_is_alive(s->c->target);
}

/* What could not be taken out (the target is stopped, a debugger has come) the guard takes out when it can. */
static void end_guard(struct sp_agent_stay *s)
{
	struct sp_inject_leftovers found = {0};

	if (!s->guard)
		return;
	bool is_left = sp_proc_is_alive(s->c->target) && (sp_inject_leftovers_find(s->c->target, &found, NULL) ||
							  found.nr_regions || found.nr_patches || found.nr_files);
	if (is_left)
		sp_inject_guard_hand_over(sp_take_ptr(s->guard));
	else
		sp_inject_guard_stop(sp_take_ptr(s->guard));
}

void sp_agent_stay_end(struct sp_agent_stay *s)
{
	sp_agent_ticker_stop(&s->ticker);
	sp_agent_data_done(&s->data);
	sp_agent_events_done(&s->events);
	sp_agent_paths_done(&s->paths);
	sp_watch_tables_done(&s->tables);
	sp_agent_planted_done(&s->planted);
	end_guard(s);
}
