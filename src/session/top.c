// SPDX-License-Identifier: Apache-2.0
/* seep top's life: a look at once and one every interval, a report of each, a last one. */
#include "session/top.h"

#include <errno.h>
#include <string.h>

#include "session/top_impl.h"
#include "session/waiter.h"

#define ENDLESS_MS 60000 /* everything that matters wakes the wait */

struct run {
	struct sp_top top;
	struct sp_waiter waiter;
	const struct sp_top_callbacks *cb;
	struct sp_why *why;
	bool has_said_last;
};

static int report(struct run *r, bool is_fresh, bool is_last)
{
	struct sp_top_view v;
	int err = sp_top_make_view(&r->top, &v);

	if (err)
		return sp_why_set(r->why, SP_FAULT_OURS, -err, "cannot make a report: %s", strerror(-err));
	v.is_fresh = is_fresh;
	v.is_last = is_last;
	r->has_said_last |= is_last;
	err = r->cb->report(&v, r->cb->arg);
	if (err && err != -EPIPE)
		sp_why_set(r->why, SP_FAULT_OURS, -err, "cannot write the report: %s", strerror(-err));
	return err;
}

static bool is_count_reached(const struct run *r)
{
	return r->top.o->count && r->top.nr_looks >= r->top.o->count;
}

static int look_and_report(struct run *r, bool *ret_goes_on)
{
	int err = sp_top_look(&r->top, r->why);

	if (err)
		return err;
	*ret_goes_on = !is_count_reached(r);
	return report(r, true, !*ret_goes_on);
}

static int heed(struct run *r, enum sp_screen_event e, bool *ret_goes_on)
{
	enum sp_screen_answer answer = r->cb->event(e, r->cb->arg);

	if (answer == SP_SCREEN_END)
		*ret_goes_on = false;
	return answer == SP_SCREEN_REDRAW ? report(r, false, false) : 0;
}

static int turn(struct run *r, bool *ret_goes_on)
{
	unsigned wake = 0;
	int err = sp_waiter_wait(&r->waiter, -1, -1, ENDLESS_MS, &wake);

	if (err)
		return sp_why_set(r->why, SP_FAULT_OURS, -err, "cannot wait: %s", strerror(-err));
	if (wake & SP_WAKE_SIGNAL)
		*ret_goes_on = false;
	if (*ret_goes_on && wake & SP_WAKE_STOP)
		err = heed(r, SP_SCREEN_STOP, ret_goes_on);
	if (!err && *ret_goes_on && wake & SP_WAKE_RESIZE)
		err = heed(r, SP_SCREEN_RESIZE, ret_goes_on);
	if (!err && *ret_goes_on && wake & SP_WAKE_KEY)
		err = heed(r, SP_SCREEN_KEY, ret_goes_on);
	if (!err && *ret_goes_on && wake & SP_WAKE_TIMER && !r->top.o->show->paused)
		err = look_and_report(r, ret_goes_on);
	return err;
}

static int run(struct run *r)
{
	const struct sp_top_options *o = r->top.o;
	bool goes_on = true;
	int err = sp_waiter_init(&r->waiter, r->why);

	if (!err && o->key_fd >= 0)
		err = sp_waiter_add_terminal(&r->waiter, o->key_fd, r->why);
	if (!err)
		err = look_and_report(r, &goes_on);
	if (!err)
		err = sp_waiter_start_timer(&r->waiter, o->interval_ns, r->why);
	while (!err && goes_on)
		err = turn(r, &goes_on);
	if (err || r->has_said_last)
		return err;
	sp_waiter_let_signals_through(&r->waiter);
	return report(r, false, true);
}

int sp_top_run(const struct sp_top_options *o, const struct sp_top_callbacks *cb, struct sp_why *why)
{
	struct run r = {.waiter = SP_WAITER_EMPTY, .cb = cb, .why = why};
	int err = sp_top_open(&r.top, o, why);

	if (!err)
		err = run(&r);
	sp_waiter_done(&r.waiter);
	sp_top_close(&r.top);
	return err;
}
