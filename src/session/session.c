// SPDX-License-Identifier: Apache-2.0
/* A session's life between its start and its end: when to look, when to report, when to stop. setup.c has the rest. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "session/impl.h"

#define HOUSEKEEPING_MS 200 /* engines are polled at least four times a second */
#define NS_PER_S        1000000000u

/* ---- reports ---- */

/* A recording shows its own clock, so that it gives the same report whenever it is played. */
static struct timespec time_of_view(const struct sp_session *s, const struct sp_view *v)
{
	if (!s->is_recording)
		return s->read_time;
	uint64_t ns = s->stats.epoch_ns + v->now_ns;
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static uint64_t own_cpu_ns(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* What the ledger does not know. */
static void complete_view(struct sp_session *s, struct sp_view *v)
{
	v->engine = s->stats.recorded ? s->stats.recorded : s->ops->name;
	v->pid = sp_session_pid(s);
	v->comm = s->proc ? sp_proc_comm(s->proc) : s->stats.comm ? s->stats.comm : "";
	v->is_kernel = !s->proc && !v->pid;
	v->time = time_of_view(s, v);
	v->nr_execs = s->nr_execs;
	v->nr_report = s->nr_reports;
	v->own_cpu_ns = own_cpu_ns();
	v->target_ended = s->has_ended && !s->is_recording;
	v->stats = s->stats;
	v->sample_bytes = s->stats.sample_bytes;
}

/* Lists were asked for that a recording does not hold. */
static int refuse_lists(struct sp_session *s)
{
	(void)sp_why_set(s->why, SP_FAULT_USAGE, ENODATA, "the recording holds no lists of blocks");
	sp_why_hint(s->why, "leave the list out, or record with seep record --blocks");
	return -ENODATA;
}

static int make_view(struct sp_session *s, struct sp_view_store **ret_store, struct sp_view *ret)
{
	int r;

	s->ops->stats(s->engine, &s->stats);
	if (s->stats.has_no_lists && s->o->list != SP_LIST_NONE)
		return refuse_lists(s);
	if (s->own_symbolizer) /* what came since the engine last looked: a plugin loaded a moment ago */
		sp_symbolizer_refresh(s->own_symbolizer, sp_ledger_now_ns(s->ledger));
	r = sp_view_make(s->ledger, s->symbolizer, s->o, s->stats.scale, ret_store, ret);
	if (r < 0)
		return sp_why_set(s->why, SP_FAULT_OURS, -r, "cannot make a report: %s", strerror(-r));
	complete_view(s, ret);
	if (s->o->resident && s->proc && !s->has_ended)
		(void)sp_view_add_resident(ret, *ret_store, s->ledger, s->proc); /* the view says that it is missing */
	if (s->o->verdicts)
		(void)sp_view_add_verdicts(ret, *ret_store, s->ledger); /* likewise */
	return 0;
}

static bool is_count_reached(const struct sp_session *s)
{
	return s->o->count && s->nr_reports >= s->o->count;
}

/* The next report is the last one. May be said twice. */
static void wind_down(struct sp_session *s)
{
	if (s->ops->wind_down)
		s->ops->wind_down(s->engine);
}

/* Is the next report the last of COUNT? */
static bool is_last_of_count(const struct sp_session *s)
{
	return s->o->count && s->nr_reports + 1 >= s->o->count;
}

static int hand_out(struct sp_session *s, const struct sp_view *v)
{
	int r = s->cb->report(v, s->cb->arg);

	if (r > 0)
		r = -EIO;
	if (r < 0 && r != -EPIPE)
		sp_why_set(s->why, SP_FAULT_OURS, -r, "cannot write the report: %s", strerror(-r));
	return r;
}

/* Reads and reports. A target that has ended is found out here at the latest: its report is the last. */
static int report(struct sp_session *s, bool is_last)
{
	struct sp_view_store *store;
	struct sp_view v;
	int r;

	if (is_last || is_last_of_count(s))
		wind_down(s);
	r = sp_session_read(s);
	if (r < 0)
		return r;
	s->nr_reports++;
	r = make_view(s, &store, &v);
	if (r < 0)
		return r;
	v.is_last = is_last || s->has_ended || is_count_reached(s);
	r = hand_out(s, &v);
	sp_view_store_free(store);
	return r;
}

/* The last look once more, as it is to be shown now. */
static int report_again(struct sp_session *s)
{
	struct sp_view_store *store;
	struct sp_view v;
	int r = make_view(s, &store, &v);

	if (r < 0)
		return r;
	v.is_again = true;
	r = hand_out(s, &v);
	sp_view_store_free(store);
	return r;
}

static int report_last(struct sp_session *s)
{
	if (s->o->no_reports)
		return 0;
	wind_down(s); /* before the pause, which would only add to it */
	sp_waiter_let_signals_through(&s->waiter);
	return report(s, true);
}

/* ---- what happens to the target ---- */

static void say_how_it_ended(struct sp_session *s)
{
	int status;

	sp_session_reap(s);
	status = s->child_status;
	if (status == -1)
		sp_session_notice(s, SP_NOTICE_ENDED, sp_session_pid(s), "%s has ended", sp_proc_comm(s->proc));
	else if (WIFSIGNALED(status))
		sp_session_notice(s, SP_NOTICE_ENDED, sp_session_pid(s), "%s was killed by signal %d (%s)",
				  sp_proc_comm(s->proc), WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		sp_session_notice(s, SP_NOTICE_ENDED, sp_session_pid(s), "%s has ended with status %d",
				  sp_proc_comm(s->proc), WEXITSTATUS(status));
}

/* What poll() said of the target. Returns false when nothing more will come. */
static bool heed(struct sp_session *s, enum sp_engine_news news)
{
	s->nr_execs += news == SP_NEWS_EXEC;
	if (news == SP_NEWS_EXEC)
		sp_session_notice(s, SP_NOTICE_INFO, sp_session_pid(s),
				  "it became another program (exec): started over");
	if ((news == SP_NEWS_EXEC || news == SP_NEWS_MODULES) && s->own_symbolizer)
		sp_symbolizer_refresh(s->own_symbolizer, s->ops->now_ns(s->engine));
	return news != SP_NEWS_END;
}

/* ---- live ---- */

/* Tells who draws. */
static int tell(struct sp_session *s, enum sp_screen_event e, bool *ret_goes_on)
{
	enum sp_screen_answer answer = s->cb->event(e, s->cb->arg);

	if (answer == SP_SCREEN_END)
		*ret_goes_on = false;
	return answer == SP_SCREEN_REDRAW ? report_again(s) : 0;
}

static int tell_all(struct sp_session *s, unsigned wake, bool *ret_goes_on)
{
	static const struct {
		unsigned wake;
		enum sp_screen_event event;
	} rows[] = {{SP_WAKE_STOP, SP_SCREEN_STOP}, {SP_WAKE_RESIZE, SP_SCREEN_RESIZE}, {SP_WAKE_KEY, SP_SCREEN_KEY}};
	int r = 0;

	for (size_t i = 0; i < SP_ARRAY_SIZE(rows) && !r && *ret_goes_on; i++)
		if (wake & rows[i].wake)
			r = tell(s, rows[i].event, ret_goes_on);
	return r;
}

/* One turn: waits, looks after the engine, reports when it is time. *ret_goes_on: another turn. */
static int live_turn(struct sp_session *s, bool *ret_goes_on)
{
	int target_fd = s->proc ? sp_proc_pidfd(s->proc) : -1;
	unsigned wake = 0;
	int r = sp_waiter_wait(&s->waiter, s->ops->fd(s->engine), target_fd, HOUSEKEEPING_MS, &wake);

	if (r < 0)
		return sp_why_set(s->why, SP_FAULT_OURS, -r, "cannot wait: %s", strerror(-r));
	if (s->proc && ((wake & SP_WAKE_TARGET) || (target_fd < 0 && !sp_proc_is_alive(s->proc))))
		s->has_ended = true;
	*ret_goes_on = heed(s, s->ops->poll(s->engine, s->ledger)) && !(wake & SP_WAKE_SIGNAL) && !s->has_ended;
	if ((wake & SP_WAKE_PIPE) && s->o->no_reports) /* report() would say so itself; SIGPIPE may be a socket's */
		return -EPIPE;
	r = tell_all(s, wake, ret_goes_on);
	if (r || !*ret_goes_on || !(wake & SP_WAKE_TIMER) || s->o->paused)
		return r;
	r = report(s, false);
	*ret_goes_on = !s->has_ended && !is_count_reached(s);
	return r;
}

static int start_live(struct sp_session *s)
{
	int r = s->o->no_reports ? 0 : sp_waiter_start_timer(&s->waiter, s->o->interval_ns, s->why);

	if (r || !s->cb->event)
		return r;
	r = sp_waiter_add_terminal(&s->waiter, s->cb->key_fd, s->why);
	return r ? r : report_again(s);
}

static int run_live(struct sp_session *s)
{
	bool goes_on = true;
	unsigned before = 0;
	int r = start_live(s);

	while (!r && goes_on) {
		before = s->nr_reports;
		r = live_turn(s, &goes_on);
	}
	if (s->cb->event)
		(void)s->cb->event(SP_SCREEN_LAST, s->cb->arg);
	if (r < 0)
		return r;
	if (s->has_ended && s->proc)
		say_how_it_ended(s);
	/* When the last turn has reported, that was the last report. */
	return s->nr_reports > before ? 0 : report_last(s);
}

/* ---- a recording: as fast as it can be read ---- */

/* Reads ahead for the report's is_last: when the view is made, what poll() does to the ledger is the next one's. */
static int replay_turn(struct sp_session *s, bool *ret_goes_on)
{
	enum sp_engine_news news;
	struct sp_view_store *store;
	struct sp_view v;
	unsigned wake = 0;
	int r = sp_session_read(s);

	*ret_goes_on = false;
	if (r < 0 || s->has_ended) /* nothing came after the last one */
		return r;
	s->nr_reports++;
	r = make_view(s, &store, &v);
	if (r < 0)
		return r;
	news = s->ops->poll(s->engine, s->ledger);
	r = sp_waiter_wait(&s->waiter, -1, -1, 0, &wake);
	v.is_last = news == SP_NEWS_END || (wake & SP_WAKE_SIGNAL) || is_count_reached(s);
	if (!r)
		r = hand_out(s, &v);
	sp_view_store_free(store);
	*ret_goes_on = heed(s, news) && !v.is_last;
	return r;
}

static int run_recording(struct sp_session *s)
{
	bool goes_on = heed(s, s->ops->poll(s->engine, s->ledger));
	int r = 0;

	while (!r && goes_on)
		r = replay_turn(s, &goes_on);
	return r;
}

int sp_session_run(const struct sp_session_options *o, const struct sp_session_callbacks *cb, int *ret_child_status,
		   struct sp_why *why)
{
	struct sp_session s = {.o = o, .cb = cb, .why = why, .waiter = SP_WAITER_EMPTY, .child_status = -1};
	int r = sp_session_open(&s);

	if (!r)
		r = s.is_recording ? run_recording(&s) : run_live(&s);
	sp_session_close(&s);
	*ret_child_status = s.child_status;
	return r;
}
