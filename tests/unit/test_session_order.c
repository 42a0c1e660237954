// SPDX-License-Identifier: Apache-2.0
/*
 * The order in which a session does things, with fakes for everything it stands on but the ledger: each fake notes that
 * it was called. Targets end and signals come at the engine's n-th poll or read.
 */
#include "session_fakes.h"

static char *const argv[] = {(char[]){"victim"}, NULL};

static struct sp_session_options attach(uint64_t count)
{
	return (struct sp_session_options){.target = "victim", .engine = "auto", .count = count, .interval_ns = 5 * MS};
}

static struct sp_session_options start_it(uint64_t count)
{
	return (struct sp_session_options){.argv = argv, .engine = "fake", .count = count, .interval_ns = 5 * MS};
}

static int run(const struct sp_session_options *o, int *ret_status, struct sp_why *why)
{
	const struct sp_session_callbacks cb = {.report = on_report, .notice = on_notice};

	return sp_session_run(o, &cb, ret_status, why);
}

static void assert_run(const struct sp_session_options *o, int want, int want_status)
{
	struct sp_why why = {0};
	int status = 77;

	assert_int_equal(run(o, &status, &why), want);
	assert_int_equal(status, want_status);
	assert_int_equal(sp_why_is_set(&why), want != 0 && want != -EPIPE);
}

#define OPENED   "find open TARGET(4242:victim) names choose start "
#define WATCHING "WATCHING(4242:engine fake, 14 functions of /lib/libc.so.6, ready in 35ms) "
#define CLOSED   " stop names-close close"

static void attach_reports_count_times_and_takes_everything_away(void **state)
{
	struct sp_session_options o = attach(2);

	(void)state;
	assert_run(&o, 0, -1);
	assert_string_equal(fake.log, OPENED WATCHING "read refresh report read refresh last-report" CLOSED);
	assert_ptr_equal(fake.config.target, &the_proc);
	assert_false(fake.target_ended);
}

static void launch_resumes_only_when_watched_and_leaves_the_child_running(void **state)
{
	struct sp_session_options o = start_it(1);

	(void)state;
	assert_run(&o, 0, -1);
	assert_string_equal(fake.log, "launch open TARGET(4242:victim) names find-engine probe start " WATCHING
				      "resume read refresh last-report" CLOSED " launch-close");
	assert_false(fake.mask_at_launch);
}

static void a_launched_program_that_ends_is_reaped_and_reported(void **state)
{
	struct sp_session_options o = start_it(0);

	(void)state;
	o.interval_ns = 3600 * 1000ull * MS;
	fake.end_at = 1;
	fake.child_status = W_EXITCODE(3, 0);
	assert_run(&o, 0, W_EXITCODE(3, 0));
	assert_non_null(
	    strstr(fake.log, "resume reap ENDED(4242:victim has ended with status 3) read refresh last-report stop"));
	assert_true(fake.target_ended);
}

static void a_killed_child_is_told_by_its_signal(void **state)
{
	struct sp_session_options o = start_it(0);

	(void)state;
	o.interval_ns = 3600 * 1000ull * MS;
	fake.end_at = 1;
	fake.child_status = W_EXITCODE(0, SIGKILL);
	assert_run(&o, 0, W_EXITCODE(0, SIGKILL));
	assert_non_null(strstr(fake.log, "ENDED(4242:victim was killed by signal 9 (Killed))"));
}

static void the_targets_end_brings_a_last_report(void **state)
{
	struct sp_session_options o = attach(0);

	(void)state;
	fake.end_at = 1;
	o.interval_ns = 3600 * 1000ull * MS;
	assert_run(&o, 0, -1);
	assert_non_null(strstr(fake.log, " ENDED(4242:victim has ended) read refresh last-report stop"));
	assert_true(fake.target_ended);
}

static void without_a_pidfd_the_end_is_noticed_all_the_same(void **state)
{
	struct sp_session_options o = attach(0);

	(void)state;
	close(fake.pidfd);
	fake.pidfd = -1;
	fake.end_at = 2;
	o.interval_ns = 3600 * 1000ull * MS;
	assert_run(&o, 0, -1);
	assert_true(fake.last && fake.target_ended);
}

static void an_engine_that_cannot_read_any_more_ends_with_what_it_had(void **state)
{
	struct sp_session_options o = attach(0);

	(void)state;
	fake.gone_at = 2;
	assert_run(&o, 0, -1);
	assert_string_equal(fake.log, OPENED WATCHING
			    "read refresh report read refresh last-report ENDED(4242:victim has ended)" CLOSED);
}

static void a_signal_brings_a_last_report(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < SP_ARRAY_SIZE(signals); i++) {
		struct sp_session_options o = attach(0);

		o.interval_ns = 3600 * 1000ull * MS;
		teardown(state);
		setup(state);
		fake.signal_at = 1;
		fake.signal = signals[i];
		assert_run(&o, 0, -1);
		assert_string_equal(fake.log, OPENED WATCHING "read refresh last-report" CLOSED);
		assert_false(fake.target_ended);
	}
}

static void nohup_is_respected(void **state)
{
	struct sp_session_options o = attach(3);

	(void)state;
	signal(SIGHUP, SIG_IGN);
	fake.signal_at = 1;
	fake.signal = SIGHUP;
	assert_run(&o, 0, -1);
	assert_int_equal(fake.reports, 3);
	signal(SIGHUP, SIG_DFL);
}

/* In a process of its own, since it dies: 200 ms after the first signal it is stuck in the last reading. */
static void a_second_signal_ends_at_once(void **state)
{
	struct sp_session_options o = attach(0);
	int status = 0;
	pid_t pid;

	(void)state;
	o.interval_ns = 3600 * 1000ull * MS;
	fake.signal_at = 1;
	fake.signal = SIGINT;
	fake.blocks_in_last_read = true;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct sp_why why = {0};

		alarm(20);
		_exit(run(&o, &status, &why) ? 1 : 2);
	}
	/* Signals of the first 50 ms after the first are the same one: go on until it has ended. */
	for (unsigned i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		usleep(20000);
		if (i > 20)
			kill(pid, SIGINT);
	}
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGINT);
}

static void exec_and_new_modules_refresh_the_names(void **state)
{
	struct sp_session_options o = attach(1);

	(void)state;
	o.interval_ns = 100 * MS;
	fake.engine_fd = eventfd(1, EFD_CLOEXEC); /* always readable: polled without waiting */
	fake.news_at = 1;
	fake.news = SP_NEWS_EXEC;
	assert_run(&o, 0, -1);
	assert_non_null(strstr(fake.log, "INFO(4242:) refresh read refresh last-report"));
	close(fake.engine_fd);
	teardown(state);
	setup(state);
	fake.news_at = 1;
	fake.news = SP_NEWS_MODULES;
	assert_run(&o, 0, -1);
	assert_null(strstr(fake.log, "INFO"));
	assert_non_null(strstr(fake.log, "refresh read refresh last-report"));
}

static void the_engine_is_polled_four_times_a_second_without_a_report(void **state)
{
	struct sp_session_options o = attach(1);

	(void)state;
	o.interval_ns = 1000 * MS;
	assert_run(&o, 0, -1);
	assert_in_range(fake.polls, 4, 20);
}

static void an_event_stream_makes_no_reports(void **state)
{
	struct sp_session_options o = attach(0);

	(void)state;
	o.no_reports = true;
	o.interval_ns = 0;
	fake.signal_at = 2;
	fake.signal = SIGINT;
	assert_run(&o, 0, -1);
	assert_string_equal(fake.log,
			    "find open TARGET(4242:victim) names choose start "
			    "WATCHING(4242:engine fake, 14 functions of /lib/libc.so.6, ready in 35ms)" CLOSED);
}

static void an_event_stream_without_a_reader_ends(void **state)
{
	struct sp_session_options o = attach(0);

	(void)state;
	o.no_reports = true;
	fake.signal_at = 2;
	fake.signal = SIGPIPE;
	assert_run(&o, -EPIPE, -1);
	assert_int_equal(fake.reports, 0);
}

static void a_reader_who_left_ends_it_in_order(void **state)
{
	struct sp_session_options o = attach(0);

	(void)state;
	fake.report_answer = -EPIPE;
	assert_run(&o, -EPIPE, -1);
	assert_string_equal(fake.log, OPENED WATCHING "read refresh report" CLOSED);
}

static void the_kernel_has_no_target_and_may_hide_its_names(void **state)
{
	struct sp_session_options o = {.kernel = true, .engine = "auto", .count = 1, .interval_ns = 5 * MS};

	(void)state;
	fake.fails = "kernel-names";
	assert_run(&o, 0, -1);
	assert_string_equal(fake.log, "TARGET(0:kernel) kernel-names INFO(0:) choose start "
				      "WATCHING(0:engine fake, 14 functions of /lib/libc.so.6, ready in 35ms) "
				      "read last-report stop");
	assert_null(fake.config.target);
}

/* Whatever step fails: its error and reason come back, and what was made is taken away, in the opposite order. */
/* ---- somebody draws ---- */

struct drawer {
	int fd; /* keys come here */
	struct sp_session_options *o;
	enum sp_screen_answer answers[4];
	unsigned nr;
};

static enum sp_screen_answer on_event(enum sp_screen_event e, void *arg)
{
	static const char *const names[] = {"KEY", "RESIZE", "STOP", "LAST"};
	struct drawer *d = arg;
	eventfd_t value;

	step(names[e]);
	if (e == SP_SCREEN_LAST)
		return SP_SCREEN_GO_ON;
	if (e == SP_SCREEN_KEY)
		assert_int_equal(eventfd_read(d->fd, &value), 0);
	d->o->paused = false;
	if (d->answers[d->nr] != SP_SCREEN_END && e == SP_SCREEN_KEY)
		assert_int_equal(eventfd_write(d->fd, 1), 0);
	return d->answers[d->nr++];
}

static void run_drawn(struct sp_session_options *o, struct drawer *d)
{
	const struct sp_session_callbacks cb = {
	    .report = on_report, .notice = on_notice, .event = on_event, .key_fd = d->fd, .arg = d};
	struct sp_why why = {0};
	int status;

	d->o = o;
	assert_int_equal(sp_session_run(o, &cb, &status, &why), 0);
	close(d->fd);
}

static void a_key_shows_the_same_look_again_or_ends(void **state)
{
	struct sp_session_options o = attach(0);
	struct drawer d = {.fd = eventfd(1, 0), .answers = {SP_SCREEN_REDRAW, SP_SCREEN_GO_ON, SP_SCREEN_END}};

	(void)state;
	o.interval_ns = 60ull * 1000 * MS;
	run_drawn(&o, &d);
	assert_string_equal(fake.log, OPENED WATCHING "refresh again KEY refresh again KEY KEY LAST "
						      "read refresh last-report" CLOSED);
}

static void a_paused_screen_gets_no_new_look_until_it_goes_on(void **state)
{
	struct sp_session_options o = attach(1);
	struct drawer d = {.fd = eventfd(0, 0), .answers = {SP_SCREEN_REDRAW}};

	(void)state;
	o.paused = true;
	fake.signal_at = 3; /* by then a report would have been due several times */
	fake.signal = SIGWINCH;
	run_drawn(&o, &d);
	assert_string_equal(fake.log,
			    OPENED WATCHING "refresh again RESIZE refresh again read refresh last-report LAST" CLOSED);
}

static void every_failing_step_is_undone(void **state)
{
	static const struct {
		const char *step;
		int want;
		const char *end;
	} cases[] = {
	    {"launch", -EPERM, "launch"},
	    {"open", -EPERM, "open launch-close"},
	    {"names", -EPERM, "names close launch-close"},
	    {"probe", -EPERM, "probe names-close close launch-close"},
	    {"start", -EPERM, "start names-close close launch-close"},
	    {"read", -EIO, "read stop names-close close launch-close"},
	    {"resume", -EPERM, "resume stop names-close close launch-close"},
	};

	for (size_t i = 0; i < SP_ARRAY_SIZE(cases); i++) {
		struct sp_session_options o = start_it(1);
		const char *end;

		teardown(state);
		setup(state);
		fake.fails = cases[i].step;
		assert_run(&o, cases[i].want, -1);
		end = fake.log + strlen(fake.log) - strlen(cases[i].end);
		assert_true(end >= fake.log);
		assert_string_equal(end, cases[i].end);
		assert_int_equal(fake.reports, 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(attach_reports_count_times_and_takes_everything_away),
	    T(launch_resumes_only_when_watched_and_leaves_the_child_running),
	    T(a_launched_program_that_ends_is_reaped_and_reported),
	    T(a_killed_child_is_told_by_its_signal),
	    T(the_targets_end_brings_a_last_report),
	    T(without_a_pidfd_the_end_is_noticed_all_the_same),
	    T(an_engine_that_cannot_read_any_more_ends_with_what_it_had),
	    T(a_signal_brings_a_last_report),
	    T(nohup_is_respected),
	    T(a_second_signal_ends_at_once),
	    T(exec_and_new_modules_refresh_the_names),
	    T(the_engine_is_polled_four_times_a_second_without_a_report),
	    T(an_event_stream_makes_no_reports),
	    T(an_event_stream_without_a_reader_ends),
	    T(a_reader_who_left_ends_it_in_order),
	    T(the_kernel_has_no_target_and_may_hide_its_names),
	    T(a_key_shows_the_same_look_again_or_ends),
	    T(a_paused_screen_gets_no_new_look_until_it_goes_on),
	    T(every_failing_step_is_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
