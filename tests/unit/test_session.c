// SPDX-License-Identifier: Apache-2.0
/* A whole session on recordings: the engine `replay`, ledger, views and callbacks together, with no target at all. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "session/session.h"

#define MAX_REPORTS 16

struct seen {
	unsigned nr;
	uint64_t bytes[MAX_REPORTS];
	bool last[MAX_REPORTS];
	struct sp_view view; /* the last one, its pointers dead */
	char comm[64];
	char leaf[64]; /* of the first path of the last view */
	char notices[1024];
	int answer; /* what the callback says */
	int raise;  /* this signal with the first report */
};

static int on_report(const struct sp_view *v, void *arg)
{
	struct seen *s = arg;

	assert_in_range(s->nr, 0, MAX_REPORTS - 1);
	s->bytes[s->nr] = v->total_bytes;
	s->last[s->nr++] = v->is_last;
	assert_int_equal(v->nr_report, s->nr);
	s->view = *v;
	snprintf(s->comm, sizeof(s->comm), "%s", v->comm);
	if (v->nr_paths && v->paths[0].frames[0].function)
		snprintf(s->leaf, sizeof(s->leaf), "%s", v->paths[0].frames[0].function);
	if (s->raise && s->nr == 1)
		raise(s->raise);
	return s->answer;
}

static void on_notice(enum sp_notice n, pid_t pid, const char *text, void *arg)
{
	static const char *const names[] = {"target", "watching", "info", "ended"};
	struct seen *s = arg;
	size_t len = strlen(s->notices);

	snprintf(s->notices + len, sizeof(s->notices) - len, "%s %d: %s\n", names[n], (int)pid, text);
}

static struct sp_session_options replay_of(const char *recording)
{
	return (struct sp_session_options){
	    .engine = "replay", .engine_config = {.replay_file = recording}, .top = 10, .interval_ns = 3600000000000u};
}

static int run(const struct sp_session_options *o, struct seen *s, struct sp_why *why)
{
	const struct sp_session_callbacks cb = {.report = on_report, .notice = on_notice, .arg = s};
	int status = 0, r = sp_session_run(o, &cb, &status, why);

	assert_int_equal(status, -1);
	return r;
}

static void the_classic_case_is_one_report(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/classic.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.nr, 1);
	assert_int_equal(s.bytes[0], 40960);
	assert_true(s.last[0]);
	assert_string_equal(s.view.engine, "replay");
	assert_int_equal(s.view.pid, 12512);
	assert_string_equal(s.comm, "app");
	assert_string_equal(s.leaf, "fibonacci");
	assert_false(s.view.is_kernel);
	assert_int_equal(s.view.time.tv_sec, 1005);
	assert_string_equal(s.notices, "target 12512: app\nwatching 12512: engine replay, ready in 0ms\n");
}

static void every_snapshot_is_a_report_and_the_last_one_knows_it(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/cache.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.nr, 8);
	assert_int_equal(s.bytes[0], 25 * 512);
	assert_int_equal(s.bytes[7], 100 * 512);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(s.last[i], i == 7);
}

static void count_ends_it_early(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/cache.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	o.count = 3;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.nr, 3);
	assert_true(s.last[2]);
}

static void nothing_outstanding_is_reported_too(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/empty.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.nr, 2);
	assert_int_equal(s.view.total_paths, 0);
	assert_true(s.last[1]);
}

static void exec_starts_over_between_two_reports(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/exec.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.nr, 4);
	assert_int_equal(s.bytes[1], 300);
	assert_int_equal(s.bytes[2], 8192);
	assert_string_equal(s.leaf, "payload");
	assert_non_null(strstr(s.notices, "info 99: it became another program (exec): started over\n"));
}

static void samples_are_scaled_and_announced(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/sampled.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.bytes[0], 409600);
	assert_int_equal(s.view.total_blocks, 50);
	assert_int_equal(s.view.scale, 10);
	assert_non_null(strstr(s.notices, "info 12512: sampling: one call in 10 "));
}

static void losses_reach_the_view(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/losses.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.view.lost[SP_LOST_BLOCKS_FULL], 7);
	assert_int_equal(s.view.lost[SP_LOST_STACK_CUT], 2);
	assert_int_equal(s.view.lost[SP_LOST_MISSED], 1);
}

static void the_kernel_is_known_by_pid_0(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/kernel.seepreplay");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_true(s.view.is_kernel);
	assert_int_equal(s.bytes[0], 1024);
}

static void a_reader_who_left_ends_it_without_a_reason(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/cache.seepreplay");
	struct seen s = {.answer = -EPIPE};
	struct sp_why why = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), -EPIPE);
	assert_int_equal(s.nr, 1);
	assert_false(sp_why_is_set(&why));
}

static void a_full_disk_ends_it_with_a_reason(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/cache.seepreplay");
	struct seen s = {.answer = -ENOSPC};
	struct sp_why why = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), -ENOSPC);
	assert_int_equal(s.nr, 1);
	assert_string_equal(why.what, "cannot write the report: No space left on device");
}

static void a_signal_ends_a_recording_with_a_last_report(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/cache.seepreplay");
	struct seen s = {.raise = SIGINT};
	struct sp_why why = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(s.nr, 2);
	assert_true(s.last[1]);
}

static void signals_are_as_before_afterwards(void **state)
{
	struct sp_session_options o = replay_of(SP_TEST_DATA "/classic.seepreplay");
	struct seen s = {.raise = SIGPIPE};
	struct sp_why why = {0};
	sigset_t before, after;

	(void)state;
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &before), 0);
	assert_int_equal(run(&o, &s, &why), 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
}

static void a_missing_recording_has_a_reason(void **state)
{
	struct sp_session_options o = replay_of("/nonexistent/recording");
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_true(run(&o, &s, &why) < 0);
	assert_true(sp_why_is_set(&why));
	assert_int_equal(s.nr, 0);
	assert_string_equal(s.notices, "");
}

static void an_unknown_engine_is_wrong_usage(void **state)
{
	struct sp_session_options o = {.kernel = true, .engine = "steam", .interval_ns = 1};
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_true(run(&o, &s, &why) < 0);
	assert_int_equal(why.fault, SP_FAULT_USAGE);
	assert_string_equal(why.what, "no engine is called 'steam'");
}

static void no_target_is_wrong_usage(void **state)
{
	struct sp_session_options o = {.engine = "auto", .interval_ns = 1};
	struct sp_why why = {0};
	struct seen s = {0};

	(void)state;
	assert_int_equal(run(&o, &s, &why), -EINVAL);
	assert_int_equal(why.fault, SP_FAULT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_classic_case_is_one_report),
	    cmocka_unit_test(every_snapshot_is_a_report_and_the_last_one_knows_it),
	    cmocka_unit_test(count_ends_it_early),
	    cmocka_unit_test(nothing_outstanding_is_reported_too),
	    cmocka_unit_test(exec_starts_over_between_two_reports),
	    cmocka_unit_test(samples_are_scaled_and_announced),
	    cmocka_unit_test(losses_reach_the_view),
	    cmocka_unit_test(the_kernel_is_known_by_pid_0),
	    cmocka_unit_test(a_reader_who_left_ends_it_without_a_reason),
	    cmocka_unit_test(a_full_disk_ends_it_with_a_reason),
	    cmocka_unit_test(a_signal_ends_a_recording_with_a_last_report),
	    cmocka_unit_test(signals_are_as_before_afterwards),
	    cmocka_unit_test(a_missing_recording_has_a_reason),
	    cmocka_unit_test(an_unknown_engine_is_wrong_usage),
	    cmocka_unit_test(no_target_is_wrong_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
