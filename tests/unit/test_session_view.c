// SPDX-License-Identifier: Apache-2.0
/* session/view.c: from the ledger's snapshot to what a report sees. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "session/session.h"

/* Two snapshots, a second apart: path A has 3 blocks of 100, then 5; B one of 1000; one block of 7 without a path. */
struct scene {
	struct sp_ledger *ledger;
	struct sp_symbolizer *names;
	uint32_t a, b;
};

#define T0 1000000000000u
#define S  1000000000u

static int add(struct scene *s, uint64_t addr, uint64_t size, uint64_t birth_ns, uint32_t path)
{
	const struct sp_block block = {addr, size, birth_ns, path, SP_FN_MALLOC, 0};

	return sp_ledger_block(s->ledger, &block);
}

static int snapshot(struct scene *s, uint64_t now_ns, unsigned nr_a)
{
	int r = sp_ledger_begin(s->ledger, now_ns);

	for (unsigned i = nr_a; i-- > 0 && !r;)
		r = add(s, 0x1000 + 0x100 * i, 100, T0 - 10 * (uint64_t)S + i * S, s->a);
	if (!r)
		r = add(s, 0x100, 1000, T0 - 5 * (uint64_t)S, s->b);
	if (!r)
		r = add(s, 0x9000, 7, T0 - 1 * (uint64_t)S, SP_NO_PATH);
	if (!r)
		return sp_ledger_end(s->ledger);
	sp_ledger_abort(s->ledger);
	return r;
}

static int name(struct scene *s, uint64_t address, const char *function, bool inlined)
{
	const struct sp_frame f = {.address = address, .function = function, .inlined = inlined};

	return sp_symbolizer_add(s->names, &f);
}

static int scene_fill(struct scene *s)
{
	const uint64_t a[] = {0x10, 0x20}, b[] = {0x30};
	int r = sp_ledger_new(NULL, &s->ledger);

	if (!r)
		r = sp_symbolizer_open_table(&s->names);
	if (!r)
		r = sp_ledger_path(s->ledger, a, 2, &s->a);
	if (!r)
		r = sp_ledger_path(s->ledger, b, 1, &s->b);
	if (!r)
		r = name(s, 0x10, "inner", true);
	if (!r)
		r = name(s, 0x10, "leaf", false);
	if (!r)
		r = name(s, 0x20, "main", false);
	if (!r)
		r = name(s, 0x30, "other", false);
	if (!r)
		r = snapshot(s, T0, 3);
	return r ? r : snapshot(s, T0 + S, 5);
}

static void scene_done(struct scene *s)
{
	sp_ledger_free(s->ledger);
	sp_symbolizer_close(s->names);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	*state = s;
	return s ? scene_fill(s) : -1;
}

static int teardown(void **state)
{
	scene_done(*state);
	free(*state);
	return 0;
}

static void paths_are_ranked_and_named_with_inlined_frames(void **state)
{
	const struct sp_session_options o = {.top = 10};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.nr_paths, 3);
	assert_int_equal(v.total_paths, 3);
	assert_int_equal(v.total_bytes, 1507);
	assert_int_equal(v.total_blocks, 7);
	assert_int_equal(v.now_ns, T0 + S);
	assert_int_equal(v.interval_ns, S);
	assert_string_equal(v.paths[0].frames[0].function, "other");
	assert_int_equal(v.paths[1].nr_frames, 3);
	assert_string_equal(v.paths[1].frames[0].function, "inner");
	assert_true(v.paths[1].frames[0].inlined);
	assert_string_equal(v.paths[1].frames[2].function, "main");
	assert_int_equal(v.paths[1].sum.growth_bytes, 200);
	assert_null(v.list);
	assert_null(v.paths[0].list);
	sp_view_store_free(store);
}

static void an_unknown_call_path_is_one_frame(void **state)
{
	const struct sp_session_options o = {.top = 10};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.paths[2].sum.path, SP_NO_PATH);
	assert_int_equal(v.paths[2].nr_frames, 1);
	assert_string_equal(v.paths[2].frames[0].function, "[call path unknown]");
	assert_int_equal(v.paths[2].frames[0].address, 0);
	sp_view_store_free(store);
}

static void without_a_symbolizer_addresses_remain(void **state)
{
	const struct sp_session_options o = {.top = 1, .sort = SP_SORT_BLOCKS};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, NULL, &o, 1, &store, &v), 0);
	assert_int_equal(v.paths[0].nr_frames, 2);
	assert_null(v.paths[0].frames[1].function);
	assert_int_equal(v.paths[0].frames[1].address, 0x20);
	sp_view_store_free(store);
}

static void top_cuts_the_paths_but_not_the_totals(void **state)
{
	const struct sp_session_options o = {.top = 1, .list = SP_LIST_PATH};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.nr_paths, 1);
	assert_int_equal(v.total_paths, 3);
	assert_int_equal(v.total_bytes, 1507);
	assert_int_equal(v.paths[0].nr_list, 1);
	assert_int_equal(v.paths[0].list[0].addr, 0x100);
	sp_view_store_free(store);
}

static void lists_by_path_are_in_address_order(void **state)
{
	const struct sp_session_options o = {.list = SP_LIST_PATH};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_null(v.list);
	assert_int_equal(v.paths[1].nr_list, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(v.paths[1].list[i].addr, 0x1000 + 0x100 * i);
	assert_int_equal(v.paths[2].nr_list, 1);
	assert_int_equal(v.paths[2].list[0].addr, 0x9000);
	sp_view_store_free(store);
}

static void the_whole_list_ignores_top_and_obeys_the_filter(void **state)
{
	const struct sp_session_options o = {.top = 1, .list = SP_LIST_ALL, .filter = {.max_size = 100}};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.nr_list, 6);
	assert_int_equal(v.list[0].addr, 0x1000);
	assert_int_equal(v.list[5].addr, 0x9000);
	assert_null(v.paths[0].list);
	sp_view_store_free(store);
}

static void an_empty_list_that_was_asked_for_is_not_null(void **state)
{
	const struct sp_session_options o = {.list = SP_LIST_ALL, .filter = {.min_size = 100000}};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.nr_paths, 0);
	assert_int_equal(v.total_bytes, 0);
	assert_non_null(v.list);
	assert_int_equal(v.nr_list, 0);
	sp_view_store_free(store);
}

static void samples_are_scaled_but_blocks_keep_their_size(void **state)
{
	const struct sp_session_options o = {.list = SP_LIST_PATH};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 10, &store, &v), 0);
	assert_int_equal(v.scale, 10);
	assert_int_equal(v.total_bytes, 15070);
	assert_int_equal(v.total_blocks, 70);
	assert_int_equal(v.paths[1].sum.bytes, 5000);
	assert_int_equal(v.paths[1].sum.blocks, 50);
	assert_int_equal(v.paths[1].sum.growth_bytes, 2000);
	assert_int_equal(v.paths[1].sum.growth_blocks, 20);
	assert_int_equal(v.paths[1].sum.old_seen, 30);
	assert_int_equal(v.paths[1].nr_list, 5);
	assert_int_equal(v.paths[1].list[0].size, 100);
	sp_view_store_free(store);
}

static void an_absurd_scale_stays_at_the_top(void **state)
{
	const struct sp_session_options o = {.top = 10};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_view_make(s->ledger, s->names, &o, UINT64_MAX, &store, &v), 0);
	assert_true(v.total_bytes == UINT64_MAX);
	assert_true(v.paths[1].sum.growth_bytes == INT64_MAX);
	assert_int_equal(v.paths[0].sum.growth_bytes, 0);
	sp_view_store_free(store);
}

/* A longer watch: A gains a block a second, B stays. */
static void verdicts_and_histories_are_of_the_paths_shown_and_scaled(void **state)
{
	const struct sp_session_options o = {.top = 2, .sort = SP_SORT_BYTES};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	for (unsigned i = 2; i < 16; i++)
		assert_int_equal(snapshot(s, T0 + (uint64_t)i * S, 3 + 2 * i), 0);
	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 10, &store, &v), 0);
	assert_false(v.has_verdicts);
	assert_null(v.paths[0].history);
	assert_int_equal(sp_view_add_verdicts(&v, store, s->ledger), 0);
	assert_true(v.has_verdicts);
	assert_int_equal(v.nr_history, 16);
	assert_int_equal(v.history_ns[15], T0 + 15 * (uint64_t)S);
	assert_int_equal(v.history_bytes[0], 10 * (3 * 100 + 1000 + 7));
	assert_int_equal(v.history_bytes[15], 10 * (33 * 100 + 1000 + 7));
	assert_int_equal(v.paths[0].sum.path, s->a);
	assert_int_equal(v.paths[0].verdict.bytes, 33000);
	assert_int_equal(v.paths[0].verdict.blocks, 330);
	assert_int_equal((int)v.paths[0].verdict.trend.slope, 2000);
	assert_int_equal(v.paths[0].history[0], 3000);
	assert_int_equal(v.paths[0].history[15], 33000);
	assert_int_equal(v.paths[1].verdict.class, SP_CLASS_STEADY);
	assert_int_equal(v.paths[1].history[15], 10000);
	assert_int_equal(v.total_paths, 3); /* all sums are there, named or not */
	assert_int_equal(v.sums[2].bytes, 70);
	sp_view_store_free(store);
}

static void suppressed_paths_are_in_no_total_no_path_and_no_list(void **state)
{
	struct sp_session_options o = {.top = 1, .sort = SP_SORT_BYTES, .list = SP_LIST_PATH};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	assert_int_equal(sp_suppress_parse("rules", "leak:^other$", 12, &o.suppress, NULL), 0);
	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.suppressed_paths, 1);
	assert_int_equal(v.suppressed_bytes, 1000);
	assert_int_equal(v.suppressed_blocks, 1);
	assert_int_equal(v.total_paths, 2);
	assert_int_equal(v.total_bytes, 507);
	assert_int_equal(v.total_blocks, 6);
	assert_int_equal(v.nr_paths, 1);
	assert_string_equal(v.paths[0].frames[0].function, "inner");
	assert_int_equal(v.paths[0].nr_list, 5);
	assert_int_equal(v.sums[1].bytes, 7);
	sp_view_store_free(store);
	o.list = SP_LIST_ALL;
	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.nr_list, 6); /* of the path that top leaves out, too */
	for (size_t i = 0; i < v.nr_list; i++)
		assert_int_not_equal(v.list[i].addr, 0x100);
	sp_view_store_free(store);
	sp_suppress_free(o.suppress);
}

static void losses_are_copied(void **state)
{
	const struct sp_session_options o = {.top = 10};
	struct sp_view_store *store;
	struct scene *s = *state;
	struct sp_view v;

	sp_ledger_set_lost(s->ledger, SP_LOST_STACK_CUT, 12);
	assert_int_equal(sp_view_make(s->ledger, s->names, &o, 1, &store, &v), 0);
	assert_int_equal(v.lost[SP_LOST_STACK_CUT], 12);
	assert_int_equal(v.lost[SP_LOST_EVENTS], 0);
	sp_view_store_free(store);
}

/* 127 functions, each with 9 inlined ones: 1270 source frames. */
static void very_many_source_frames_are_cut_and_it_is_said(void **state)
{
	const struct sp_session_options o = {.top = 1};
	uint64_t pcs[SP_MAX_FRAMES];
	struct scene s = {0};
	struct sp_view_store *store;
	struct sp_view v;

	(void)state;
	assert_int_equal(sp_ledger_new(NULL, &s.ledger), 0);
	assert_int_equal(sp_symbolizer_open_table(&s.names), 0);
	for (unsigned i = 0; i < SP_MAX_FRAMES; i++) {
		pcs[i] = 0x1000 + i;
		for (unsigned k = 0; k < 10; k++)
			assert_int_equal(name(&s, pcs[i], "f", k < 9), 0);
	}
	assert_int_equal(sp_ledger_path(s.ledger, pcs, SP_MAX_FRAMES, &s.a), 0);
	s.b = s.a;
	assert_int_equal(snapshot(&s, T0, 1), 0);
	assert_int_equal(sp_view_make(s.ledger, s.names, &o, 1, &store, &v), 0);
	assert_in_range(v.paths[0].nr_frames, 500, 513);
	assert_string_equal(v.paths[0].frames[v.paths[0].nr_frames - 1].function, "[more frames, not shown]");
	sp_view_store_free(store);
	scene_done(&s);
}

static int make_and_drop(enum sp_list_mode list)
{
	const struct sp_session_options o = {.list = list};
	struct sp_view_store *store = NULL;
	struct scene s = {0};
	struct sp_view v;
	int r = scene_fill(&s);

	if (!r)
		r = sp_view_make(s.ledger, s.names, &o, 1, &store, &v);
	if (!r)
		r = sp_view_add_verdicts(&v, store, s.ledger);
	sp_view_store_free(store);
	scene_done(&s);
	return r;
}

static void every_failing_allocation_is_survived(void **state)
{
	static const enum sp_list_mode lists[] = {SP_LIST_NONE, SP_LIST_PATH, SP_LIST_ALL};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(lists); i++) {
		bool failed;
		long n = 0;

		do {
			int r;

			alloc_arm(n++);
			r = make_and_drop(lists[i]);
			failed = alloc_disarm();
			assert_true(r == 0 || (failed && r == -ENOMEM));
		} while (failed);
		assert_true(n > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(paths_are_ranked_and_named_with_inlined_frames, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_unknown_call_path_is_one_frame, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_a_symbolizer_addresses_remain, setup, teardown),
	    cmocka_unit_test_setup_teardown(top_cuts_the_paths_but_not_the_totals, setup, teardown),
	    cmocka_unit_test_setup_teardown(lists_by_path_are_in_address_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_whole_list_ignores_top_and_obeys_the_filter, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_empty_list_that_was_asked_for_is_not_null, setup, teardown),
	    cmocka_unit_test_setup_teardown(samples_are_scaled_but_blocks_keep_their_size, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_absurd_scale_stays_at_the_top, setup, teardown),
	    cmocka_unit_test_setup_teardown(verdicts_and_histories_are_of_the_paths_shown_and_scaled, setup, teardown),
	    cmocka_unit_test_setup_teardown(suppressed_paths_are_in_no_total_no_path_and_no_list, setup, teardown),
	    cmocka_unit_test_setup_teardown(losses_are_copied, setup, teardown),
	    cmocka_unit_test(very_many_source_frames_are_cut_and_it_is_said),
	    cmocka_unit_test(every_failing_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
