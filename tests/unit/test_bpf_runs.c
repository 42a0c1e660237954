// SPDX-License-Identifier: Apache-2.0
/* Runs of faulted pages: which is right where they overlap, against a model of single pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engines/bpf/impl.h"

#define PAGE  4096
#define PAGES 64
#define RUNS  40

static uint32_t seed = 12345;

static uint32_t any(uint32_t below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

static void add(struct sp_vec *runs, uint64_t page, uint64_t nr, uint64_t birth_ns)
{
	struct sp_bpf_run r = {.start = page * PAGE, .end = (page + nr) * PAGE, .birth_ns = birth_ns, .key = birth_ns};

	assert_int_equal(sp_vec_push(runs, &r), 0);
}

/* Every page is the youngest run's that holds it; pieces are in order, whole and apart. */
static void check(struct sp_vec *runs)
{
	uint64_t youngest[PAGES] = {0}, last = 0;
	struct sp_vec pieces;

	for (size_t i = 0; i < runs->nr; i++) {
		const struct sp_bpf_run *r = sp_vec_at(runs, struct sp_bpf_run, i);
		for (uint64_t page = r->start / PAGE; page < r->end / PAGE; page++)
			youngest[page] = r->birth_ns > youngest[page] ? r->birth_ns : youngest[page];
	}
	sp_vec_init(&pieces, sizeof(struct sp_bpf_piece), 1 << 20);
	assert_int_equal(sp_bpf_runs_overlay(runs, &pieces), 0);
	for (size_t i = 0; i < pieces.nr; i++) {
		const struct sp_bpf_piece *p = sp_vec_at(&pieces, struct sp_bpf_piece, i);
		assert_true(p->start >= last && p->start < p->end);
		last = p->end;
		for (uint64_t page = p->start / PAGE; page < p->end / PAGE; page++) {
			assert_int_equal(sp_vec_at(runs, struct sp_bpf_run, p->run)->birth_ns, youngest[page]);
			youngest[page] = 0;
		}
	}
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(youngest[page], 0);
	sp_vec_done(&pieces);
}

static void nothing_gives_nothing(void **state)
{
	struct sp_bpf_runs r;

	(void)state;
	sp_bpf_runs_init(&r);
	check(&r.list);
	sp_bpf_runs_done(&r);
}

static void a_younger_run_inside_cuts_an_older_one_in_two(void **state)
{
	struct sp_bpf_runs r;

	(void)state;
	sp_bpf_runs_init(&r);
	add(&r.list, 10, 20, 1);
	add(&r.list, 15, 5, 2);
	add(&r.list, 10, 20, 0); /* superseded as a whole */
	check(&r.list);
	sp_bpf_runs_done(&r);
}

static void any_runs_agree_with_single_pages(void **state)
{
	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct sp_bpf_runs r;

		sp_bpf_runs_init(&r);
		for (uint32_t i = any(RUNS); i; i--) {
			uint32_t page = any(PAGES);
			add(&r.list, page, 1 + any(PAGES - page), i);
		}
		check(&r.list);
		sp_bpf_runs_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_gives_nothing),
	    cmocka_unit_test(a_younger_run_inside_cuts_an_older_one_in_two),
	    cmocka_unit_test(any_runs_agree_with_single_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
