// SPDX-License-Identifier: Apache-2.0
/* Who points to a block, on memory made by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "heap_memory.h"

static void ask(struct sp_heap *h, uint64_t addr, struct sp_heap_chain *chains, unsigned max,
		struct sp_heap_holders *ret)
{
	struct sp_heap_block b;
	struct sp_why why = {0};
	uint64_t cost = sp_heap_cost(h);

	assert_true(sp_heap_find(h, addr, &b));
	assert_int_equal(sp_heap_holders(h, &b, chains, max, ret, &why), 0);
	assert_int_equal(sp_heap_cost(h), cost);
}

static void assert_step(const struct sp_heap_step *step, uint64_t at, uint64_t to, uint64_t addr)
{
	assert_int_equal(step->at, at);
	assert_int_equal(step->to, to);
	assert_int_equal(step->block.addr, addr);
}

static void test_chains_are_the_shortest_and_each_has_another_holder(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();
	struct sp_heap_chain chains[4];
	struct sp_heap_holders holders = {0};

	(void)state;
	record_blocks(m, list);
	*word_at(m, DATA + 800) = block(0);
	*word_at(m, block(0) + 8) = block(1);
	*word_at(m, block(1) + 16) = block(2);
	*word_at(m, block(2) + 24) = block(3); /* the long way */
	*word_at(m, block(0) + 32) = block(3); /* the short one, twice */
	*word_at(m, block(0) + 40) = block(3);
	*word_at(m, block(3)) = block(4);
	*word_at(m, block(4)) = block(3); /* only through itself */
	struct sp_heap *h = scan(&m->src);
	ask(h, block(3), chains, 4, &holders);
	assert_int_equal(holders.nr_pointers, 3);
	assert_int_equal(holders.nr_chains, 2);
	assert_int_equal(chains[0].nr, 2);
	assert_step(&chains[0].steps[0], DATA + 800, block(0), block(0));
	assert_step(&chains[0].steps[1], block(0) + 32, block(3), block(3));
	assert_int_equal(chains[1].nr, 4);
	assert_step(&chains[1].steps[3], block(2) + 24, block(3), block(3));
	ask(h, block(3), chains, 1, &holders);
	assert_int_equal(holders.nr_chains, 1);
	sp_heap_close(h);
	memory_free(m);
}

static void test_a_variable_comes_before_a_register_that_is_nearer(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();
	struct sp_heap_chain chains[2];
	struct sp_heap_holders holders = {0};
	uint64_t word = block(2);
	const struct sp_heap_thread thread = {.tid = 1, .nr = 1};

	(void)state;
	record_blocks(m, list);
	m->src.words = &word;
	m->src.nr_words = 1;
	m->src.threads = &thread;
	m->src.nr_threads = 1;
	*word_at(m, DATA + 800) = block(0);
	*word_at(m, block(0)) = block(1);
	*word_at(m, block(1)) = block(2);
	struct sp_heap *h = scan(&m->src);
	ask(h, block(2), chains, 2, &holders);
	assert_int_equal(holders.nr_chains, 2);
	assert_step(&chains[0].steps[0], DATA + 800, block(0), block(0));
	assert_step(&chains[1].steps[0], SP_HEAP_AT_WORDS, block(2), block(2));
	sp_heap_close(h);
	memory_free(m);
}

static void test_of_leaked_blocks_chains_begin_where_nothing_points_to(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();
	struct sp_heap_chain chains[2];
	struct sp_heap_holders holders = {0};

	(void)state;
	record_blocks(m, list);
	*word_at(m, DATA + 800) = block(4) + 24;
	*word_at(m, block(0) + 8) = block(1);
	*word_at(m, block(2)) = block(3);
	*word_at(m, block(3)) = block(2);
	struct sp_heap *h = scan(&m->src);
	ask(h, block(1), chains, 2, &holders);
	assert_int_equal(chains[0].nr, 2);
	assert_step(&chains[0].steps[0], 0, block(0), block(0));
	assert_step(&chains[0].steps[1], block(0) + 8, block(1), block(1));
	ask(h, block(0), chains, 2, &holders);
	assert_int_equal(holders.nr_chains, 0);
	ask(h, block(2), chains, 2, &holders); /* a ring */
	assert_int_equal(chains[0].nr, 3);
	assert_step(&chains[0].steps[0], 0, block(2), block(2));
	assert_step(&chains[0].steps[2], block(3), block(2), block(2));
	ask(h, block(4), chains, 2, &holders); /* only possible */
	assert_int_equal(holders.nr_chains, 1);
	assert_step(&chains[0].steps[0], DATA + 800, block(4) + 24, block(4));
	sp_heap_close(h);
	memory_free(m);
}

enum { LONG = SIZE / STEP };

static void test_the_middle_of_a_long_chain_is_counted(void **state)
{
	struct sp_heap_recorded list[LONG];
	struct memory *m = memory_new();
	struct sp_heap_chain chain;
	struct sp_heap_holders holders = {0};
	uint64_t roots[2] = {1, 1}, asked[2] = {block(LONG - 1), block(0) + 8};
	struct sp_why why = {0};

	(void)state;
	for (unsigned i = 0; i < LONG; i++)
		list[i] = (struct sp_heap_recorded){.addr = block(i), .size = BLOCK};
	m->src.recorded = list;
	m->src.nr_recorded = LONG;
	*word_at(m, DATA + 800) = block(0);
	for (unsigned i = 0; i + 1 < LONG; i++)
		*word_at(m, block(i) + 8) = block(i + 1);
	struct sp_heap *h = scan(&m->src);
	ask(h, block(LONG - 1), &chain, 1, &holders);
	assert_int_equal(chain.nr, SP_HEAP_CHAIN_STEPS);
	assert_int_equal(chain.nr_left_out, LONG - SP_HEAP_CHAIN_STEPS);
	assert_step(&chain.steps[0], DATA + 800, block(0), block(0));
	for (unsigned i = 1; i < SP_HEAP_CHAIN_STEPS / 2; i++)
		assert_step(&chain.steps[i], block(i - 1) + 8, block(i), block(i));
	for (unsigned i = SP_HEAP_CHAIN_STEPS / 2; i < SP_HEAP_CHAIN_STEPS; i++)
		assert_int_equal(chain.steps[i].block.addr, block(LONG - SP_HEAP_CHAIN_STEPS + i));
	assert_int_equal(sp_heap_roots_of(h, asked, 2, roots, &why), 0);
	assert_int_equal(roots[0], DATA + 800);
	sp_heap_close(h);
	memory_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chains_are_the_shortest_and_each_has_another_holder),
	    cmocka_unit_test(test_a_variable_comes_before_a_register_that_is_nearer),
	    cmocka_unit_test(test_of_leaked_blocks_chains_begin_where_nothing_points_to),
	    cmocka_unit_test(test_the_middle_of_a_long_chain_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
