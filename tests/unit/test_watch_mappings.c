// SPDX-License-Identifier: Apache-2.0
/* Live mappings under every kind of partial unmapping, against a model of single pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engines/watch/watch.h"

#define PAGE  4096
#define PAGES 64

static struct sp_block block(uint64_t page, uint64_t nr, uint32_t path)
{
	return (struct sp_block){.addr = page * PAGE, .size = nr * PAGE, .path = path};
}

static void add(struct sp_watch_mappings *m, uint64_t page, uint64_t nr, uint32_t path)
{
	struct sp_block b = block(page, nr, path);

	assert_int_equal(sp_watch_mappings_add(m, &b), 0);
}

static void expect(const struct sp_watch_mappings *m, size_t i, uint64_t page, uint64_t nr, uint32_t path)
{
	const struct sp_block *b = sp_vec_at(&m->live, struct sp_block, i);

	assert_true(i < m->live.nr);
	assert_int_equal(b->addr, page * PAGE);
	assert_int_equal(b->size, nr * PAGE);
	assert_int_equal(b->path, path);
}

static void unmapping_the_middle_leaves_both_ends(void **state)
{
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 10, 1);
	assert_int_equal(sp_watch_mappings_remove(&m, 7, 13 * PAGE, 2 * PAGE), 0);
	assert_int_equal(m.live.nr, 2);
	expect(&m, 0, 10, 3, 1);
	expect(&m, 1, 15, 5, 1);
	sp_watch_mappings_done(&m);
}

static void one_unmapping_takes_parts_of_several(void **state)
{
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 4, 1);
	add(&m, 14, 4, 2);
	add(&m, 18, 4, 3);
	assert_int_equal(sp_watch_mappings_remove(&m, 7, 12 * PAGE, 8 * PAGE), 0);
	assert_int_equal(m.live.nr, 2);
	expect(&m, 0, 10, 2, 1);
	expect(&m, 1, 20, 2, 3);
	sp_watch_mappings_done(&m);
}

static void a_failed_unmapping_is_undone(void **state)
{
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 4, 1);
	add(&m, 20, 4, 2);
	assert_int_equal(sp_watch_mappings_remove(&m, 7, 10 * PAGE, 4 * PAGE), 0);
	assert_int_equal(sp_watch_mappings_remove(&m, 8, 20 * PAGE, 4 * PAGE), 0);
	assert_int_equal(sp_watch_mappings_undo(&m, 7), 0);
	assert_int_equal(m.live.nr, 1);
	expect(&m, 0, 10, 4, 1);
	assert_int_equal(sp_watch_mappings_undo(&m, 9), 0); /* nothing to undo */
	assert_int_equal(m.live.nr, 1);
	sp_watch_mappings_done(&m);
}

static void a_mapping_replaces_what_was_there(void **state)
{
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 10, 1);
	add(&m, 12, 2, 2);
	assert_int_equal(m.live.nr, 3);
	expect(&m, 0, 10, 2, 1);
	expect(&m, 1, 12, 2, 2);
	expect(&m, 2, 14, 6, 1);
	sp_watch_mappings_done(&m);
}

static void lengths_are_rounded_up_to_pages(void **state)
{
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 1, 1);
	assert_int_equal(sp_watch_mappings_remove(&m, 7, 10 * PAGE, 1), 0);
	assert_int_equal(m.live.nr, 0);
	sp_watch_mappings_done(&m);
}

static void huge_and_wrapping_ranges_do_no_harm(void **state)
{
	struct sp_watch_mappings m;
	struct sp_block b = {.addr = UINT64_MAX - 10, .size = UINT64_MAX};
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 1, 1);
	assert_int_equal(sp_watch_mappings_add(&m, &b), 0);
	assert_int_equal(sp_watch_mappings_remove(&m, 7, 0, UINT64_MAX - PAGE), 0);
	assert_true(m.live.nr <= 1);
	sp_watch_mappings_done(&m);
}

/* One call of the model: pages [page, page + nr) belong to owner. */
static void model_set(uint32_t *model, unsigned page, unsigned nr, uint32_t owner)
{
	for (unsigned i = page; i < page + nr && i < PAGES; i++)
		model[i] = owner;
}

static void assert_equals_model(const struct sp_watch_mappings *m, const uint32_t *model)
{
	uint32_t seen[PAGES] = {0};

	for (size_t i = 0; i < m->live.nr; i++) {
		const struct sp_block *b = sp_vec_at(&m->live, struct sp_block, i);
		model_set(seen, (unsigned)(b->addr / PAGE), (unsigned)(b->size / PAGE), b->path);
		if (i)
			assert_true(b[-1].addr + b[-1].size <= b->addr);
	}
	assert_memory_equal(seen, model, sizeof(seen));
}

static void random_calls_agree_with_pages(void **state)
{
	struct sp_watch_mappings m;
	uint32_t model[PAGES] = {0}, before[PAGES];
	unsigned seed = 1;
	(void)state;

	sp_watch_mappings_init(&m);
	for (uint32_t i = 1; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		unsigned page = (seed >> 8) % PAGES, nr = 1 + (seed >> 16) % 8;
		if (page + nr > PAGES)
			nr = PAGES - page;
		if (seed >> 28 < 8) {
			add(&m, page, nr, i);
			model_set(model, page, nr, i);
		} else {
			memcpy(before, model, sizeof(model));
			assert_int_equal(sp_watch_mappings_remove(&m, 3, page * PAGE, nr * PAGE), 0);
			model_set(model, page, nr, 0);
			if (seed >> 28 > 13) {
				assert_int_equal(sp_watch_mappings_undo(&m, 3), 0);
				memcpy(model, before, sizeof(model));
			}
		}
		assert_equals_model(&m, model);
	}
	sp_watch_mappings_done(&m);
}

/* Threads that unmap and end: what they leave behind for the case of failure does not grow without bound. */
static void what_ended_threads_removed_is_bounded(void **state)
{
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	for (uint32_t tid = 1; tid <= 20000; tid++) {
		add(&m, 10, 1, tid);
		assert_int_equal(sp_watch_mappings_remove(&m, tid, 10 * PAGE, PAGE), 0);
	}
	assert_true(m.removed.nr <= 4096);
	assert_int_equal(sp_watch_mappings_undo(&m, 20000), 0); /* the newest are kept */
	assert_int_equal(m.live.nr, 1);
	expect(&m, 0, 10, 1, 20000);
	sp_watch_mappings_done(&m);
}

static void an_exec_takes_away_what_is_older(void **state)
{
	struct sp_block old = block(10, 1, 1), new = block(20, 1, 2);
	struct sp_watch_mappings m;
	(void)state;

	old.birth_ns = 99;
	new.birth_ns = 100;
	sp_watch_mappings_init(&m);
	assert_int_equal(sp_watch_mappings_add(&m, &old), 0);
	assert_int_equal(sp_watch_mappings_add(&m, &new), 0);
	sp_watch_mappings_forget_before(&m, 100);
	assert_int_equal(m.live.nr, 1);
	expect(&m, 0, 20, 1, 2);
	sp_watch_mappings_done(&m);
}

static void after_a_loss_of_events_only_what_is_mapped_stays(void **state)
{
	struct sp_mapping list[] = {{.start = 5 * PAGE, .end = 12 * PAGE},
				    {.start = 12 * PAGE, .end = 13 * PAGE}, /* beside the first, other rights */
				    {.start = 16 * PAGE, .end = 17 * PAGE},
				    {.start = 40 * PAGE, .end = 60 * PAGE}};
	struct sp_maps maps = {.list = list, .nr = SP_ARRAY_SIZE(list)};
	struct sp_watch_mappings m;
	(void)state;

	sp_watch_mappings_init(&m);
	add(&m, 10, 10, 1); /* 10..12 and 16 are left */
	add(&m, 20, 5, 2);  /* nothing */
	add(&m, 45, 5, 3);  /* all */
	add(&m, 55, 8, 4);  /* the beginning */
	assert_int_equal(sp_watch_mappings_reconcile(&m, &maps), 0);
	assert_int_equal(m.live.nr, 4);
	expect(&m, 0, 10, 3, 1);
	expect(&m, 1, 16, 1, 1);
	expect(&m, 2, 45, 5, 3);
	expect(&m, 3, 55, 5, 4);
	sp_watch_mappings_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unmapping_the_middle_leaves_both_ends),
	    cmocka_unit_test(one_unmapping_takes_parts_of_several),
	    cmocka_unit_test(a_failed_unmapping_is_undone),
	    cmocka_unit_test(a_mapping_replaces_what_was_there),
	    cmocka_unit_test(lengths_are_rounded_up_to_pages),
	    cmocka_unit_test(huge_and_wrapping_ranges_do_no_harm),
	    cmocka_unit_test(what_ended_threads_removed_is_bounded),
	    cmocka_unit_test(an_exec_takes_away_what_is_older),
	    cmocka_unit_test(after_a_loss_of_events_only_what_is_mapped_stays),
	    cmocka_unit_test(random_calls_agree_with_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
