// SPDX-License-Identifier: Apache-2.0
/* The agent engine: what the session asks of it, and what becomes of the target meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engines/agent/impl.h"

#define MAX_ENTRIES 5                /* into a program that executes others */
#define RENEW_NS    3600000000000ull /* births are renewed at least so often; needed every 11 hours */
#define YOUNG_NS    5000000000ull    /* a program may still be loading its allocator */

struct agent {
	struct sp_engine engine;
	struct sp_engine_config c;
	struct sp_agent_stay stay;
	bool is_in;  /* the stay has begun */
	int wake_fd; /* an eventfd, of all stays */
	struct sp_engine_stats stats;
	uint64_t nr_lost_events; /* when the live mappings were last compared with the real ones */
	uint64_t read_ns;
	uint64_t said_mean;
	bool modules_changed; /* and the session has not been told yet */
};

/* ---- targets that end, or become other programs, under our hands ---- */

/* Is the program that this descriptor's memory was of gone? */
static bool is_gone(int mem_fd)
{
	char byte;

	return pread(mem_fd, &byte, 1, SP_AGENT_PAGE) == 0;
}

/* It may still be on its way out: then it has no memory any more. */
static bool has_ended(struct sp_proc *p)
{
	int mem_fd = sp_proc_open_file(p, "mem", O_RDONLY);
	bool is_out = mem_fd == -ESRCH || mem_fd == -ENOENT || (mem_fd >= 0 && is_gone(mem_fd));

	if (mem_fd >= 0)
		close(mem_fd);
	return is_out || !sp_proc_is_alive(p);
}

/* Whatever it was that failed, this is why. */
static int explain_ended(struct sp_proc *p, struct sp_why *why)
{
	if (why)
		*why = (struct sp_why){0};
	return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "process %d has ended", (int)sp_proc_pid(p));
}

/* ---- can it watch this target? ---- */

static int refuse_use(const char *what, const char *hint, struct sp_why *why)
{
	sp_why_set(why, SP_FAULT_USAGE, EINVAL, "engine agent %s", what);
	sp_why_hint(why, "%s", hint);
	return -EINVAL;
}

/* What an earlier run, or one that goes on, has in the target. */
static int check_leftovers(struct sp_proc *p, struct sp_why *why)
{
	struct sp_inject_leftovers found = {0};
	int err = sp_inject_leftovers_find(p, &found, why);

	if (err || !found.is_owner_alive || (!found.nr_regions && !found.nr_patches && !found.nr_files))
		return err;
	sp_why_set(why, SP_FAULT_TARGET, EBUSY, "process %d is being watched by process %d already",
		   (int)sp_proc_pid(p), (int)found.owner_pid);
	sp_why_hint(why, "end process %d first", (int)found.owner_pid);
	return -EBUSY;
}

static int probe(const struct sp_engine_config *c, struct sp_why *why)
{
	if (!c->target)
		return refuse_use("watches processes only", "--engine bpf watches the kernel", why);
	if (c->on_event)
		return refuse_use("cannot print each call", "--engine bpf can", why);
	if (c->growth)
		return refuse_use("does not see the mapping calls that the allocator makes", "--engine bpf does", why);
	int err = check_leftovers(c->target, why);
	if (!err && !c->is_held)
		err = sp_inject_probe(c->target, why);
	return err && has_ended(c->target) ? explain_ended(c->target, why) : err;
}

/* ---- start ---- */

static unsigned nr_functions(const struct sp_vec *hooked)
{
	unsigned nr = 0;

	for (size_t i = 0; i < hooked->nr; i++)
		nr += !sp_vec_at(hooked, struct sp_agent_hooked, i)->is_loader;
	return nr;
}

static void count(struct agent *a)
{
	sp_watch_tables_count(&a->stay.tables, &a->stats);
	a->stats.nr_functions = nr_functions(&a->stay.planted.hooked);
	a->stats.allocator = a->stay.planted.allocator;
	a->stats.pause_ns = a->stay.planted.max_pause_ns;
}

/* A program that executes another one while we enter takes what we have put into it along: then once more. */
static int begin(struct agent *a, struct sp_why *why)
{
	struct sp_why reason = {0};
	bool again = true;
	int err = -ESRCH;

	for (int i = 0; i < MAX_ENTRIES && again; i++) {
		int mem_fd = sp_proc_open_file(a->c.target, "mem", O_RDONLY);
		reason = (struct sp_why){0};
		err = sp_agent_stay_begin(&a->stay, &a->c, a->wake_fd, &reason);
		again = err && mem_fd >= 0 && is_gone(mem_fd) && !a->c.is_held && !has_ended(a->c.target);
		if (mem_fd >= 0)
			close(mem_fd);
	}
	if (err && has_ended(a->c.target))
		err = explain_ended(a->c.target, &reason);
	if (err && why && !sp_why_is_set(why))
		*why = reason;
	a->is_in = !err;
	if (!err)
		count(a);
	return err;
}

/* Of a run that was killed together with its guard. */
static int clear_leftovers(struct sp_proc *p, struct sp_why *why)
{
	struct sp_inject_leftovers found = {0};
	struct sp_inject_left left;
	struct sp_inject *in;
	int err = sp_inject_leftovers_find(p, &found, why);

	if (err || (!found.nr_regions && !found.nr_patches && !found.nr_files))
		return err;
	err = sp_inject_open(p, NULL, &in, why);
	if (err)
		return err;
	err = sp_inject_leave(in, 1000000000ull, &left, why);
	sp_inject_close(in);
	return err;
}

static void end(struct agent *a)
{
	if (!a->is_in)
		return;
	sp_agent_stay_leave(&a->stay, NULL);
	sp_agent_stay_end(&a->stay);
	a->is_in = false;
	a->stats.allocator = NULL;
}

static void agent_stop(struct sp_engine *e)
{
	if (!e)
		return;
	end((struct agent *)e);
	sp_close_p(&((struct agent *)e)->wake_fd);
	free(e);
}

static const struct sp_engine_ops agent_ops;

static int start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	uint64_t start_ns = sp_watch_now_ns();
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->engine.ops = &agent_ops;
	a->c = *c;
	a->stats.scale = c->sample_rate > 1 ? c->sample_rate : 1;
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err =
	    a->wake_fd < 0 ? sp_why_set(why, SP_FAULT_OURS, errno, "cannot make an eventfd: %s", strerror(errno)) : 0;
	if (!err && !c->is_held)
		err = clear_leftovers(c->target, why);
	if (!err)
		err = begin(a, why);
	if (err) {
		agent_stop(&a->engine);
		return err;
	}
	a->c.is_held = false; /* from now on it runs */
	a->stats.start_ns = sp_watch_now_ns() - start_ns;
	*ret = &a->engine;
	return 0;
}

/* ---- while it runs ---- */

static void say(const struct agent *a, const char *text)
{
	if (a->c.say)
		a->c.say(text, a->c.say_arg);
}

/* Has it gone from exact to sampled by itself, or does it sample less often than before? */
static void say_degraded(struct agent *a)
{
	const struct sp_agent_header *h = a->stay.data.header;
	uint64_t mean = __atomic_load_n(&h->mean, __ATOMIC_RELAXED);
	bool is_news = __atomic_load_n(&h->mode, __ATOMIC_RELAXED) != a->stay.rules.mode || mean != a->stay.rules.mean;
	char text[200], size[16];

	if (!is_news || mean == a->said_mean)
		return;
	a->said_mean = mean;
	snprintf(text, sizeof(text),
		 "the agent's memory is used up (--max-memory): from now on about one block every %s is recorded",
		 sp_text_bytes(size, sizeof(size), mean));
	say(a, text);
}

static void look_at_stacks(struct agent *a)
{
	uint64_t begin_ns = sp_watch_cpu_ns();
	struct sp_agent_stay *s = &a->stay;
	bool has_foreign = __atomic_load_n(&s->data.header->nr_foreign, __ATOMIC_RELAXED) != s->nr_foreign;

	if ((!has_foreign && !sp_agent_threads_have_come(&s->threads, &s->data)) ||
	    !sp_watch_look_is_affordable(&s->tables.look))
		return;
	sp_agent_stay_look_at_stacks(s);
	s->tables.look.saved_ns -= (int64_t)(sp_watch_cpu_ns() - begin_ns);
}

static void look_at_code(struct agent *a)
{
	struct sp_agent_stay *s = &a->stay;
	uint64_t nr = __atomic_load_n(&s->data.header->nr_unknown, __ATOMIC_RELAXED);
	bool is_young = sp_watch_now_ns() - s->begin_ns < YOUNG_NS;

	if (!sp_watch_look_is_due(&s->tables.look) &&
	    (!(is_young || nr != s->nr_unknown) || !sp_watch_look_is_affordable(&s->tables.look)))
		return;
	s->nr_unknown = nr;
	uint64_t changed_ns;
	if (!sp_agent_stay_look_at_code(s, &changed_ns))
		return;
	a->modules_changed = true;
	if (a->c.names)
		sp_symbolizer_refresh(a->c.names, changed_ns);
	struct sp_why why = {0};
	if (!s->has_left && sp_agent_stay_extend(s, &why) && sp_why_is_set(&why) && sp_proc_is_alive(a->c.target))
		say(a, why.what);
	count(a);
}

/* The target's memory has gone: it has become another program, or it ends. False: that is not clear yet. */
static bool start_over(struct agent *a, struct sp_ledger *l)
{
	struct sp_maps maps = {0};
	struct sp_why why = {0};

	if (!sp_proc_is_alive(a->c.target) || sp_proc_maps(a->c.target, &maps, NULL))
		return false;
	bool is_empty = !maps.nr;
	sp_maps_done(&maps);
	if (is_empty)
		return false;
	uint64_t begin_ns = sp_watch_now_ns();
	char text[120], span[16];
	end(a);
	int err = begin(a, &why);
	sp_ledger_clear(l);
	if (!err)
		snprintf(text, sizeof(text), "what it allocated in its first %s was not seen (--engine bpf sees it)",
			 sp_text_duration(span, sizeof(span), sp_watch_now_ns() - begin_ns + SP_AGENT_TICK_NS));
	if (!err || sp_proc_is_alive(a->c.target))
		say(a, err ? why.what : text);
	return true;
}

/* They met code that had come since the last look. */
static void finish_walks(struct agent *a)
{
	struct sp_agent_stay *s = &a->stay;

	if (!sp_agent_unfinished_is_there(&s->unfinished, &s->data))
		return;
	look_at_code(a);
	sp_agent_unfinished_finish(&s->unfinished, &s->data, s->tables.unwind, &s->paths, sp_watch_now_ns());
}

static void drain(struct agent *a, struct sp_ledger *l)
{
	const struct sp_agent_reading r = sp_agent_stay_reading(&a->stay, l);

	finish_walks(a);
	sp_agent_events_drain(&a->stay.events, &r, sp_watch_now_ns());
	a->stay.ticker.taken = a->stay.events.tail;
}

static void renew_births(struct agent *a)
{
	const struct sp_agent_reading r = sp_agent_stay_reading(&a->stay, NULL);

	if (sp_watch_now_ns() - a->read_ns < RENEW_NS)
		return;
	(void)!sp_agent_blocks_read(&r);
	a->read_ns = sp_watch_now_ns();
}

static enum sp_engine_news agent_poll(struct sp_engine *e, struct sp_ledger *l)
{
	struct agent *a = (struct agent *)e;
	uint64_t nr;

	(void)!read(a->wake_fd, &nr, sizeof(nr));
	if (!a->is_in || a->stay.has_left)
		return SP_NEWS_NONE;
	if (a->stay.ticker.is_gone)
		return start_over(a, l) ? SP_NEWS_EXEC : SP_NEWS_NONE;
	drain(a, l);
	look_at_stacks(a);
	look_at_code(a);
	say_degraded(a);
	renew_births(a);
	bool changed = a->modules_changed;
	a->modules_changed = false;
	return changed ? SP_NEWS_MODULES : SP_NEWS_NONE;
}

/* ---- the ledger ---- */

static int read_mappings(struct agent *a, struct sp_ledger *l)
{
	const struct sp_vec *live = &a->stay.events.mappings.live;

	for (size_t i = 0; i < live->nr; i++) {
		int err = sp_ledger_block(l, sp_vec_at(live, struct sp_block, i));
		if (err && err != -ENOSPC)
			return err;
	}
	return 0;
}

static void set_lost(struct agent *a, struct sp_ledger *l)
{
	uint64_t lost[SP_NR_LOST];

	sp_agent_threads_lost(&a->stay.threads, &a->stay.data, lost);
	lost[SP_LOST_EVENTS] += a->stay.events.nr_refused;
	lost[SP_LOST_STACK_BROKEN] += a->stay.unfinished.nr_broken + a->stay.paths.nr_cut_short;
	lost[SP_LOST_STACK_CUT] += a->stay.unfinished.nr_cut;
	for (unsigned id = 0; id < SP_NR_LOST; id++)
		sp_ledger_set_lost(l, (enum sp_lost_id)id, lost[id]);
	/* After a loss of events the list of mappings may hold what is gone. */
	if (lost[SP_LOST_EVENTS] == a->nr_lost_events)
		return;
	struct sp_maps maps = {0};
	if (sp_proc_maps(a->c.target, &maps, NULL))
		return;
	if (!sp_watch_mappings_reconcile(&a->stay.events.mappings, &maps))
		a->nr_lost_events = lost[SP_LOST_EVENTS];
	sp_maps_done(&maps);
}

static int read_all(struct agent *a, struct sp_ledger *l)
{
	const struct sp_agent_reading r = sp_agent_stay_reading(&a->stay, l);

	if (a->stay.data.header->mode == SP_AGENT_SAMPLED && !a->stay.rules.is_by_calls)
		a->stats.sample_bytes = a->stay.rules.mean;
	sp_ledger_set_sampling(l, a->stats.sample_bytes);
	a->stay.paths.nr_cut_short = 0;
	int err = sp_agent_blocks_read(&r);
	if (!err)
		err = read_mappings(a, l);
	if (!err)
		set_lost(a, l);
	return err;
}

static int agent_read(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why)
{
	struct agent *a = (struct agent *)e;

	if (a->is_in && __atomic_load_n(&a->stay.data.header->loader_tick, __ATOMIC_RELAXED))
		look_at_code(a);
	if (a->is_in)
		drain(a, l);
	int err = sp_ledger_begin(l, sp_watch_now_ns());
	if (!err && a->is_in)
		err = read_all(a, l);
	if (err)
		sp_ledger_abort(l);
	else
		err = sp_ledger_end(l);
	a->read_ns = sp_watch_now_ns();
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "cannot read the agent's tables: %s", strerror(-err)) : 0;
}

/* ---- the rest ---- */

static void agent_wind_down(struct sp_engine *e)
{
	struct agent *a = (struct agent *)e;
	struct sp_why why = {0};
	char text[200];

	if (!a->is_in || a->stay.has_left || sp_agent_stay_leave(&a->stay, &why))
		return;
	snprintf(text, sizeof(text),
		 "the agent has stopped, but a thread is still inside: its code goes when that has left, or with seep "
		 "detach %d",
		 (int)sp_proc_pid(a->c.target));
	say(a, text);
}

static int agent_fd(struct sp_engine *e)
{
	return ((struct agent *)e)->wake_fd;
}

static uint64_t agent_now_ns(struct sp_engine *e)
{
	(void)e;
	return sp_watch_now_ns();
}

static void agent_stats(struct sp_engine *e, struct sp_engine_stats *ret)
{
	struct agent *a = (struct agent *)e;

	if (a->is_in)
		a->stats.memory = sp_agent_data_used(&a->stay.data);
	*ret = a->stats;
}

static const struct sp_engine_ops agent_ops = {
    .name = "agent",
    .fd = agent_fd,
    .poll = agent_poll,
    .read = agent_read,
    .now_ns = agent_now_ns,
    .stats = agent_stats,
    .wind_down = agent_wind_down,
    .stop = agent_stop,
};

/* The rest of the ops is in what start() returns. */
const struct sp_engine_ops sp_engine_agent = {.name = "agent", .probe = probe, .start = start};
