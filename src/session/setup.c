// SPDX-License-Identifier: Apache-2.0
/*
 * The order in which a session comes and goes. Every step depends on those above it:
 *
 *	1. launch	before signals are blocked: the child must not inherit our mask. It stands still until step 8
 *	2. signals	from here on nothing but SIGKILL ends us without step 9
 *	3. target	opened, so that its pid stays its own
 *	4. names	of a launched program while it stands still: a short life may be over before its first report
 *	5. ledger
 *	6. engine	probes are in place when it has started
 *	7. zero		an empty first snapshot, against which the first report's growth is measured
 *	8. resume	a launched program runs its first own instruction, watched
 *	9. close	the engine first: probes must go while the target is still open
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "session/impl.h"

void sp_session_notice(struct sp_session *s, enum sp_notice n, pid_t pid, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	if (!s->cb->notice)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	s->cb->notice(n, pid, text, s->cb->arg);
}

pid_t sp_session_pid(const struct sp_session *s)
{
	return s->proc ? sp_proc_pid(s->proc) : s->stats.pid;
}

int sp_session_read(struct sp_session *s)
{
	struct sp_why reason = {0};
	int r;

	clock_gettime(CLOCK_REALTIME, &s->read_time);
	r = s->ops->read(s->engine, s->ledger, &reason);
	if (r == -ESRCH) {
		s->has_ended = true;
		return 0;
	}
	if (r < 0 && s->why && !sp_why_is_set(s->why))
		*s->why = reason;
	return r;
}

/* ---- the target ---- */

static int check_options(const struct sp_session *s)
{
	const struct sp_session_options *o = s->o;

	if (!o->interval_ns && !s->is_recording && !o->no_reports)
		return sp_why_set(s->why, SP_FAULT_USAGE, EINVAL, "the interval must be more than 0");
	if (!o->target && !o->argv && !o->kernel && !s->is_recording)
		return sp_why_set(s->why, SP_FAULT_USAGE, EINVAL, "no target given");
	return 0;
}

static int open_process(struct sp_session *s, pid_t pid)
{
	int r = sp_proc_open(s->o->procfs, pid, &s->proc, s->why);

	if (r < 0)
		return r;
	sp_session_notice(s, SP_NOTICE_TARGET, pid, "%s", sp_proc_comm(s->proc));
	return 0;
}

static int open_target(struct sp_session *s)
{
	pid_t pid;
	int r;

	if (s->is_recording)
		return 0;
	if (s->launch)
		return open_process(s, sp_launch_pid(s->launch));
	if (s->o->kernel) {
		sp_session_notice(s, SP_NOTICE_TARGET, 0, "kernel");
		return 0;
	}
	r = sp_proc_find(s->o->procfs, s->o->target, &pid, s->why);
	return r < 0 ? r : open_process(s, pid);
}

/* ---- names ---- */

/* A kernel that hides its addresses is no reason to show nothing. */
static int open_kernel_names(struct sp_session *s)
{
	struct sp_why hidden = {0};
	int r = sp_symbolizer_open_kernel(s->o->procfs, &s->own_symbolizer, &hidden);

	if (r == -ENOMEM)
		return sp_why_set(s->why, SP_FAULT_OURS, ENOMEM, "%s", hidden.what);
	if (r < 0)
		sp_session_notice(s, SP_NOTICE_INFO, 0, "no names: %s%s%s", hidden.what, hidden.hint[0] ? "; " : "",
				  hidden.hint);
	return 0;
}

static int open_names(struct sp_session *s)
{
	int r = 0;

	if (s->proc)
		r = sp_symbolizer_open(s->proc, &s->o->symbolize, &s->own_symbolizer, s->why);
	else if (s->o->kernel && !s->is_recording)
		r = open_kernel_names(s);
	s->symbolizer = s->own_symbolizer;
	return r;
}

static int make_ledger(struct sp_session *s)
{
	const struct sp_ledger_limits limits = {.max_blocks = s->o->engine_config.max_blocks,
						.max_paths = s->o->engine_config.max_paths};
	int r = sp_ledger_new(&limits, &s->ledger);

	return r < 0 ? sp_why_set(s->why, SP_FAULT_OURS, -r, "cannot make a ledger: %s", strerror(-r)) : 0;
}

/* ---- the engine ---- */

static int start_named(struct sp_session *s, const struct sp_engine_config *c)
{
	s->ops = sp_engine_find(s->o->engine);
	if (!s->ops)
		return sp_why_set(s->why, SP_FAULT_USAGE, EINVAL, "no engine is called '%s'", s->o->engine);
	int r = s->ops->probe(c, s->why);
	return r < 0 ? r : s->ops->start(c, &s->engine, s->why);
}

/* The best engine that can be started. *ret_instead: why it is not a better one. On failure the best one's reason. */
static int start_best(struct sp_session *s, const struct sp_engine_config *c, struct sp_why *ret_instead)
{
	const struct sp_engine_ops *tried = NULL;
	int r, first_err = 0;

	while (!(r = sp_engine_choose(c, tried, &s->ops, ret_instead))) {
		struct sp_why reason = {0};

		r = s->ops->start(c, &s->engine, &reason);
		if (!r)
			return 0;
		if (!sp_why_is_set(ret_instead))
			*ret_instead = reason;
		first_err = first_err ? first_err : r;
		tried = s->ops;
	}
	if (s->why && !sp_why_is_set(s->why))
		*s->why = *ret_instead;
	return first_err ? first_err : r;
}

static void say_watching(struct sp_session *s, const struct sp_why *instead)
{
	char functions[48] = "", allocator[300] = "", ready[16], why_not[640] = "", pause[40] = "";

	if (s->stats.nr_functions)
		snprintf(functions, sizeof(functions), ", %u function%s", s->stats.nr_functions,
			 s->stats.nr_functions == 1 ? "" : "s");
	if (s->stats.allocator)
		snprintf(allocator, sizeof(allocator), " of %s", s->stats.allocator);
	if (s->stats.pause_ns)
		snprintf(pause, sizeof(pause), ", stopped for %.1fms", (double)s->stats.pause_ns / 1e6);
	if (sp_why_is_set(instead) && s->proc)
		snprintf(why_not, sizeof(why_not), " (%s)", instead->what);
	sp_session_notice(s, SP_NOTICE_WATCHING, sp_session_pid(s), "engine %s%s%s%s, ready in %s%s", s->ops->name,
			  why_not, functions, allocator, sp_text_duration(ready, sizeof(ready), s->stats.start_ns),
			  pause);
	if (s->stats.scale > 1)
		sp_session_notice(s, SP_NOTICE_INFO, sp_session_pid(s),
				  "sampling: one call in %llu is recorded, sums are multiplied by it",
				  (unsigned long long)s->stats.scale);
	if (s->stats.sample_bytes)
		sp_session_notice(s, SP_NOTICE_INFO, sp_session_pid(s),
				  "sampling: about one block every %s is recorded, sums are estimates",
				  sp_text_bytes(ready, sizeof(ready), s->stats.sample_bytes));
}

static void say(const char *text, void *arg)
{
	struct sp_session *s = arg;

	sp_session_notice(s, SP_NOTICE_INFO, sp_session_pid(s), "%s", text);
}

static int start_engine(struct sp_session *s)
{
	struct sp_engine_config c = s->o->engine_config;
	struct sp_why instead = {0};
	int r;

	c.target = s->proc;
	c.names = s->own_symbolizer;
	c.is_held = s->launch != NULL;
	c.say = say;
	c.say_arg = s;
	r = s->o->engine && strcmp(s->o->engine, "auto") != 0 ? start_named(s, &c) : start_best(s, &c, &instead);
	if (r < 0)
		return r;
	s->ops = s->engine->ops; /* one of an engine's modes may have a table of its own */
	s->ops->stats(s->engine, &s->stats);
	if (!s->symbolizer && s->ops->symbolizer)
		s->symbolizer = s->ops->symbolizer(s->engine);
	if (s->is_recording)
		sp_session_notice(s, SP_NOTICE_TARGET, s->stats.pid, "%s", s->stats.comm ? s->stats.comm : "");
	say_watching(s, &instead);
	return 0;
}

/* ---- all of it ---- */

static int launch(struct sp_session *s)
{
	if (!s->o->argv || s->is_recording)
		return 0;
	return sp_launch_start(s->o->argv, &s->launch, s->why);
}

/* What was allocated while we were getting ready grew under our watch, so the zero is empty and not a reading. */
static int set_zero(struct sp_session *s)
{
	int r;

	if (s->is_recording)
		return 0;
	r = sp_ledger_begin(s->ledger, s->ops->now_ns(s->engine));
	if (!r)
		r = sp_ledger_end(s->ledger);
	return r < 0 ? sp_why_set(s->why, SP_FAULT_OURS, -r, "cannot begin the ledger: %s", strerror(-r)) : 0;
}

static int resume(struct sp_session *s)
{
	return s->launch ? sp_launch_resume(s->launch, s->why) : 0;
}

static int init_waiter(struct sp_session *s)
{
	return sp_waiter_init(&s->waiter, s->why);
}

int sp_session_open(struct sp_session *s)
{
	static int (*const steps[])(struct sp_session *) = {launch,      init_waiter,  open_target, open_names,
							    make_ledger, start_engine, set_zero,    resume};
	int r;

	s->is_recording = s->o->engine && !strcmp(s->o->engine, "replay");
	r = check_options(s);
	for (size_t i = 0; i < SP_ARRAY_SIZE(steps) && !r; i++)
		r = steps[i](s);
	return r;
}

void sp_session_reap(struct sp_session *s)
{
	int status;

	if (s->launch && s->child_status == -1 && sp_launch_reap(s->launch, &status))
		s->child_status = status;
}

void sp_session_close(struct sp_session *s)
{
	if (s->engine)
		s->ops->stop(s->engine);
	sp_session_reap(s);
	sp_ledger_free(s->ledger);
	sp_symbolizer_close(s->own_symbolizer);
	sp_proc_close(s->proc);
	sp_launch_close(s->launch);
	sp_waiter_done(&s->waiter);
}
