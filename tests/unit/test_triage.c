// SPDX-License-Identifier: Apache-2.0
/* Whose anonymous memory grows: one process, many, none that can be seen; histories. */
#include "triage_fixture.h"

#include "failing_alloc.h"

/* ---- one process ---- */

static void a_leak_is_named_with_its_pace(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 12512, "app", 2 * MIB);

	look(w);
	for (int i = 0; i < 29; i++)
		grow(w, app, 2 * MIB), look(w);
	assert_said(w,
		    "free fell 58.0 MiB in 29s: 58.0 MiB is anonymous memory of app[12512], still growing 2.0 MiB/s; "
		    "page cache did not change; at this rate the machine is full in 57m51s",
		    "seep trace 12512");
	assert_false(w->d.has_steady);
}

static void a_slow_leak_is_found_though_free_does_not_fall(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 12512, "app", 2 * MIB);

	look(w);
	for (int i = 0; i < 29; i++)
		grow(w, app, 8192), look(w);
	assert_said(w,
		    "free did not change in 29s, but app[12512] grows steadily: 232.0 KiB of anonymous memory, 480.0 "
		    "KiB/min; page cache did not change",
		    "seep trace 12512");
}

/* Kernels before 6.17 may count pages in batches: the growth comes in steps. */
static void a_slow_leak_in_steps_is_found(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 12512, "app", 2 * MIB);

	look(w);
	for (int i = 0; i < 60; i++) {
		if (i % 5 == 4)
			grow(w, app, 128 << 10);
		look(w);
	}
	assert_cause(w, SP_CAUSE_SLOW);
}

static void a_cache_that_is_full_is_no_leak(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 77, "cachey", 2 * MIB);

	look(w);
	for (int i = 0; i < 10; i++)
		grow(w, app, 20 * MIB), look(w);
	looks(w, 20);
	assert_said(w,
		    "free fell 200.0 MiB in 30s: 200.0 MiB is anonymous memory of cachey[77], which has not grown for "
		    "20s: a cache that is full looks like this; page cache did not change",
		    "seep map 77");
}

static void a_sawtooth_is_not_steady(void **state)
{
	struct world *w = *state;
	struct sp_ps *gc = add(w, 77, "collector", 20 * MIB);

	look(w);
	for (int i = 0; i < 30; i++)
		grow(w, gc, i % 6 == 5 ? -5 * (int64_t)MIB : (int64_t)MIB), look(w);
	judge(w);
	assert_false(w->d.has_steady);
	assert_int_not_equal(w->d.cause, SP_CAUSE_SLOW);
}

static void a_start_is_not_steady(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 77, "starter", MIB);

	look(w);
	for (int i = 0; i < 30; i++)
		grow(w, app, i < 4 ? 256 << 10 : 1024), look(w);
	assert_cause(w, SP_CAUSE_NOTHING);
}

static void the_largest_is_the_cause_and_the_steady_one_is_named_besides(void **state)
{
	struct world *w = *state;
	struct sp_ps *leak = add(w, 10, "leak", MIB), *big = add(w, 11, "build", MIB);

	look(w);
	for (int i = 0; i < 20; i++) {
		grow(w, leak, MIB);
		if (i == 18)
			grow(w, big, 300 * MIB);
		look(w);
	}
	assert_cause(w, SP_CAUSE_PROCESS);
	assert_int_equal(w->d.who.ps.pid, 11);
	assert_true(w->d.has_steady);
	assert_int_equal(w->d.steady.ps.pid, 10);
	assert_string_equal(w->next, "seep trace 10");
	assert_non_null(strstr(w->sentence, "; and leak[10] grows steadily, 20.0 MiB, 1.0 MiB/s"));
}

static void what_is_swapped_out_is_still_held(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 12, "app", 100 * MIB);

	look(w);
	for (int i = 0; i < 20; i++) {
		app->swap_bytes += 10 * MIB; /* all that it allocates goes out again */
		w->m.swap_used += 10 * MIB;
		look(w);
	}
	assert_cause(w, SP_CAUSE_PROCESS);
	assert_int_equal(w->d.who.growth_bytes, 200 * MIB);
	assert_true(w->d.who.is_steady);
}

static void the_page_cache_giving_way_hides_no_leak(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 12, "app", 100 * MIB);

	look(w);
	for (int i = 0; i < 10; i++) {
		grow(w, app, 10 * MIB);
		take(w, SP_MEM_CACHE, -10 * (int64_t)MIB);
		look(w);
	}
	judge(w);
	assert_non_null(strstr(w->sentence, "free did not change in 10s, but 100.0 MiB went to anonymous memory of "
					    "app[12], still growing 10.0 MiB/s; page cache gave back 100.0 MiB"));
}

/* ---- several processes ---- */

static void a_crowd_of_small_ones_is_one_cause(void **state)
{
	struct world *w = *state;

	add(w, 100, "shell", MIB);
	look(w);
	for (int i = 0; i < 100; i++) {
		struct sp_ps *child = add(w, 1000 + i, "bomb", 3 * MIB);

		child->ppid = 100;
		take(w, SP_MEM_ANON, 3 * MIB);
	}
	looks(w, 5);
	assert_said(w,
		    "free fell 300.0 MiB in 5s: 300.0 MiB is anonymous memory of 100 processes named bomb, children of "
		    "process 100; page cache did not change",
		    "ps --ppid 100");
}

static void growth_of_many_names_is_spread(void **state)
{
	struct world *w = *state;
	char name[16];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		add(w, 10 + i, name, MIB);
	}
	look(w);
	for (int i = 0; i < 10; i++)
		grow(w, &w->ps[i], (int64_t)(5 + (i == 3)) * (int64_t)MIB);
	looks(w, 2);
	assert_cause(w, SP_CAUSE_SPREAD);
	assert_non_null(strstr(w->sentence, "the most, 6.0 MiB, is p3[13]"));
}

static void growth_that_nobody_shows_is_said_to_be_unseen(void **state)
{
	struct world *w = *state;

	add(w, 10, "app", MIB);
	look(w);
	take(w, SP_MEM_ANON, 100 * MIB);
	looks(w, 3);
	assert_cause(w, SP_CAUSE_UNSEEN);
	assert_string_equal(w->next, "");
}

static void a_forks_shared_pages_are_its_parents(void **state)
{
	struct world *w = *state;
	struct sp_ps *child;

	add(w, 10, "server", 500 * MIB);
	look(w);
	child = add(w, 11, "server", 500 * MIB); /* copy-on-write: the machine's sum has not changed */
	child->ppid = 10;
	looks(w, 2);
	assert_cause(w, SP_CAUSE_NOTHING);
	grow(w, child, 50 * MIB);
	looks(w, 2);
	judge(w);
	assert_int_equal(w->d.who.ps.pid, 11);
	assert_int_equal(w->d.who.growth_bytes, 50 * MIB);
}

static void a_pid_given_to_another_process_begins_anew(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 10, "app", 100 * MIB);

	looks(w, 3);
	app->start_time = 99;
	app->anon_bytes = 101 * MIB;
	look(w);
	judge(w);
	assert_int_equal(w->d.cause, SP_CAUSE_NOTHING);
	w->nr = 0;
	look(w);
	judge(w);
	assert_int_equal(w->d.cause, SP_CAUSE_NOTHING);
}

/* ---- histories ---- */

/* A watch of any length keeps 32 points: its slope and its verdict stay. */
static void a_long_watch_keeps_its_slope(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 10, "app", MIB);

	for (int i = 0; i < 5000; i++) {
		grow(w, app, 64 << 10);
		if (i == 1000)
			add(w, 11, "late", 2 * MIB);
		if (i > 1000)
			grow(w, &w->ps[1], 32 << 10);
		look(w);
	}
	judge(w);
	assert_true(w->d.who.ps.pid == 10 && w->d.who.is_steady);
	assert_true(w->d.who.per_second > 65535 && w->d.who.per_second < 65537);
	assert_true(w->d.has_steady == false || w->d.steady.ps.pid == 11);
}

static void ended_processes_make_room(void **state)
{
	struct world *w = *state;
	struct sp_vec list;

	sp_triage_free(w->t);
	assert_int_equal(sp_triage_new(10, &w->t), 0);
	for (int i = 0; i < 12; i++)
		add(w, 10 + i, "app", MIB);
	look(w);
	assert_int_equal(sp_triage_refused(w->t), 2);
	w->ps[0] = w->ps[11];
	w->nr = 10;
	looks(w, 2);
	assert_int_equal(sp_triage_refused(w->t), 0);
	sp_vec_init(&list, sizeof(struct sp_suspect), 10);
	assert_int_equal(sp_triage_suspects(w->t, SP_SUSPECT_PID, &list), 0);
	assert_int_equal(list.nr, 10);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(sp_vec_at(&list, struct sp_suspect, i)->ps.pid, i < 9 ? 11 + i : 21);
	sp_vec_done(&list);
}

static void steady_ones_come_before_larger_ones(void **state)
{
	struct world *w = *state;
	struct sp_ps *leak = add(w, 10, "leak", MIB), *big = add(w, 11, "big", MIB);
	struct sp_vec list;

	look(w);
	for (int i = 0; i < 20; i++) {
		grow(w, leak, 64 << 10);
		if (i == 2)
			grow(w, big, 100 * MIB);
		look(w);
	}
	sp_vec_init(&list, sizeof(struct sp_suspect), 10);
	assert_int_equal(sp_triage_suspects(w->t, SP_SUSPECT_GROWTH, &list), 0);
	assert_int_equal(sp_vec_at(&list, struct sp_suspect, 0)->ps.pid, 10);
	assert_int_equal(sp_triage_suspects(w->t, SP_SUSPECT_ANON, &list), 0);
	assert_int_equal(sp_vec_at(&list, struct sp_suspect, 0)->ps.pid, 11);
	sp_vec_done(&list);
}

static int scenario(struct world *w)
{
	struct sp_triage *t = NULL;
	int err = sp_triage_new(100, &t);

	for (int i = 0; i < 10 && !err; i++) {
		sp_triage_begin(t, w->now += S, &w->m);
		for (size_t j = 0; j < w->nr && !err; j++) {
			w->ps[j].anon_bytes += MIB;
			err = sp_triage_process(t, &w->ps[j]);
		}
		sp_triage_end(t);
		take(w, SP_MEM_ANON, (int64_t)(w->nr * MIB));
	}
	if (!err)
		err = sp_triage_judge(t, &w->d);
	sp_triage_free(t);
	return err;
}

static void no_allocation_failure_is_lost(void **state)
{
	struct world *w = *state;
	long n = 0;
	int err;

	for (int i = 0; i < 40; i++)
		add(w, 10 + i, "app", MIB);
	do {
		alloc_arm(n++);
		err = scenario(w);
	} while (alloc_disarm() && err == -ENOMEM);
	assert_int_equal(err, 0);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_leak_is_named_with_its_pace),
	    TEST(a_slow_leak_is_found_though_free_does_not_fall),
	    TEST(a_slow_leak_in_steps_is_found),
	    TEST(a_cache_that_is_full_is_no_leak),
	    TEST(a_sawtooth_is_not_steady),
	    TEST(a_start_is_not_steady),
	    TEST(the_largest_is_the_cause_and_the_steady_one_is_named_besides),
	    TEST(what_is_swapped_out_is_still_held),
	    TEST(the_page_cache_giving_way_hides_no_leak),
	    TEST(a_crowd_of_small_ones_is_one_cause),
	    TEST(growth_of_many_names_is_spread),
	    TEST(growth_that_nobody_shows_is_said_to_be_unseen),
	    TEST(a_forks_shared_pages_are_its_parents),
	    TEST(a_pid_given_to_another_process_begins_anew),
	    TEST(a_long_watch_keeps_its_slope),
	    TEST(ended_processes_make_room),
	    TEST(steady_ones_come_before_larger_ones),
	    TEST(no_allocation_failure_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
