// SPDX-License-Identifier: Apache-2.0
/* engines/agent: the tables in the target's hands. Whatever stands there, reading ends and stays within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "engines/agent/impl.h"

static const struct sp_agent_limits LIMITS = {
    .max_rows = 64, .max_nodes = 4096, .hash_bits = 10, .thread_bits = 4, .max_shadows = 3};

struct tables {
	struct sp_agent_data data;
	struct sp_agent_paths paths;
	struct sp_agent_rules rules;
	struct sp_engine_config config;
	struct sp_ledger *ledger;
};

static void begin(struct tables *t)
{
	*t = (struct tables){.rules = {.mode = SP_AGENT_EXACT, .mean = SP_AGENT_DEFAULT_MEAN}};
	int fd = memfd_create("seep", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(sp_agent_data_open(&t->data, fd, &LIMITS, false), 0);
	sp_agent_paths_init(&t->paths, NULL);
	assert_int_equal(sp_ledger_new(NULL, &t->ledger), 0);
}

static void end(struct tables *t)
{
	sp_ledger_free(t->ledger);
	sp_agent_paths_done(&t->paths);
	sp_agent_data_done(&t->data);
}

static void put(struct tables *t, enum sp_agent_area area, uint64_t offset, const void *bytes, size_t len)
{
	assert_int_equal(pwrite(t->data.fd, bytes, len, (off_t)(t->data.offsets[area] + offset)), (ssize_t)len);
}

static struct sp_agent_reading reading(struct tables *t)
{
	return (struct sp_agent_reading){.data = &t->data,
					 .paths = &t->paths,
					 .ledger = t->ledger,
					 .config = &t->config,
					 .rules = &t->rules,
					 .begin_ns = 1000000000,
					 .now = 500};
}

static void read_all(struct tables *t)
{
	const struct sp_agent_reading r = reading(t);

	assert_int_equal(sp_ledger_begin(t->ledger, 10000000000), 0);
	assert_int_equal(sp_agent_blocks_read(&r), 0);
	assert_int_equal(sp_ledger_end(t->ledger), 0);
}

static size_t nr_blocks(const struct tables *t)
{
	struct sp_vec blocks;

	sp_vec_init(&blocks, sizeof(struct sp_block), 1 << 16);
	assert_int_equal(sp_ledger_blocks(t->ledger, true, 0, NULL, &blocks), 0);
	size_t nr = blocks.nr;
	sp_vec_done(&blocks);
	return nr;
}

static void a_block_of_the_shadow_is_read(void **state)
{
	const struct sp_agent_node node = {.parent = SP_AGENT_ROOT_WHOLE, .ready = 1, .pc = 0x4000};
	const uint32_t chunk = 1;
	struct tables t;

	(void)state;
	begin(&t);
	t.data.header->nr_nodes = SP_AGENT_NR_ROOTS + 1;
	put(&t, SP_AGENT_NODES, SP_AGENT_NR_ROOTS * sizeof(node), &node, sizeof(node));
	put(&t, SP_AGENT_CHUNKS, 7 * sizeof(chunk), &chunk, sizeof(chunk));
	uint64_t word = sp_agent_word(0x10, SP_AGENT_NR_ROOTS, 100, 5);
	put(&t, SP_AGENT_SHADOW, SP_AGENT_SHADOW_BYTES + 3 * sizeof(word), &word, sizeof(word));
	read_all(&t);
	assert_int_equal(nr_blocks(&t), 1);
	end(&t);
}

/* The target goes on while we read: such a block must not be taken for one of a day ago and written anew. */
static void a_block_born_while_we_read_is_young(void **state)
{
	const uint32_t chunk = 1;
	uint64_t word = sp_agent_word(0, 0, 100, 517), after;
	struct tables t;

	(void)state;
	begin(&t);
	put(&t, SP_AGENT_CHUNKS, 0, &chunk, sizeof(chunk));
	put(&t, SP_AGENT_SHADOW, SP_AGENT_SHADOW_BYTES, &word, sizeof(word));
	read_all(&t); /* at tick 500 */
	assert_int_equal(
	    sp_agent_data_read(&t.data, t.data.offsets[SP_AGENT_SHADOW] + SP_AGENT_SHADOW_BYTES, &after, sizeof(after)),
	    0);
	assert_int_equal(after, word);
	assert_int_equal(sp_agent_word_birth(word, 500), 517);
	assert_true(sp_agent_word_is_ageing(word, 517 + SP_AGENT_BIRTH_MASK / 2 + 1));
	assert_false(sp_agent_word_is_ageing(word, 517 + SP_AGENT_BIRTH_MASK / 2));
	end(&t);
}

static void one_shadow_that_every_chunk_claims_is_read_once(void **state)
{
	uint32_t *chunks = malloc(4096);
	uint64_t word = sp_agent_word(0, 0, 100, 5);
	struct tables t;

	(void)state;
	begin(&t);
	for (unsigned i = 0; i < 1024; i++)
		chunks[i] = 1 + i % 2 * 1000; /* and numbers that there are not */
	put(&t, SP_AGENT_CHUNKS, 0, chunks, 4096);
	put(&t, SP_AGENT_SHADOW, SP_AGENT_SHADOW_BYTES, &word, sizeof(word));
	read_all(&t);
	assert_int_equal(nr_blocks(&t), 1);
	free(chunks);
	end(&t);
}

static void a_path_that_goes_round_in_a_circle_is_no_path(void **state)
{
	const struct sp_agent_node nodes[] = {{.parent = SP_AGENT_NR_ROOTS + 1, .ready = 1, .pc = 1},
					      {.parent = SP_AGENT_NR_ROOTS, .ready = 1, .pc = 2},
					      {.parent = UINT32_MAX, .ready = 1, .pc = UINT64_MAX}};
	struct tables t;

	(void)state;
	begin(&t);
	t.data.header->nr_nodes = UINT32_MAX;
	put(&t, SP_AGENT_NODES, SP_AGENT_NR_ROOTS * sizeof(nodes[0]), nodes, sizeof(nodes));
	for (uint32_t i = SP_AGENT_NR_ROOTS; i < SP_AGENT_NR_ROOTS + 4; i++)
		assert_int_equal(sp_agent_paths_id(&t.paths, &t.data, t.ledger, i, 1), SP_NO_PATH);
	assert_int_equal(sp_agent_paths_id(&t.paths, &t.data, t.ledger, UINT32_MAX, 1), SP_NO_PATH);
	end(&t);
}

/* Reproducible: xorshift64. */
static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void fill(struct tables *t, enum sp_agent_area area, uint64_t bytes, uint64_t *x)
{
	uint64_t words[512];

	for (uint64_t at = 0; at < bytes; at += sizeof(words)) {
		for (size_t i = 0; i < SP_ARRAY_SIZE(words); i++)
			words[i] = next(x) >> next(x) % 64;
		put(t, area, at, words, sizeof(words));
	}
}

/* Garbage whose numbers are right, or even its lengths. */
static void claim_unfinished(struct tables *t, bool with_lengths)
{
	for (uint64_t i = 0; i < SP_AGENT_NR_UNFINISHED; i++) {
		struct sp_agent_unfinished *u =
		    (struct sp_agent_unfinished *)(void *)((char *)t->data.front +
							   t->data.offsets[SP_AGENT_UNFINISHED]) +
		    i;
		u->seq = i + 1;
		if (with_lengths) {
			u->nr = 1 + u->nr % SP_MAX_FRAMES;
			u->len %= SP_AGENT_STACK_BYTES + 1;
			u->node = SP_AGENT_NR_ROOTS + (uint32_t)i;
		}
	}
	t->data.header->unfinished_head = SP_AGENT_NR_UNFINISHED;
}

static void garbage_in_every_table_is_read_to_its_end(void **state)
{
	uint64_t x = 0x9e3779b97f4a7c15, lost[SP_NR_LOST];
	struct sp_agent_threads *threads = calloc(1, sizeof(*threads));
	struct sp_agent_events events;
	struct sp_unwind *unwind;
	struct sp_maps maps = {0};
	struct tables t;

	(void)state;
	assert_int_equal(sp_unwind_new(64, &unwind), 0);
	for (int round = 0; round < 8; round++) {
		begin(&t);
		fill(&t, SP_AGENT_UNFINISHED, SP_AGENT_NR_UNFINISHED * sizeof(struct sp_agent_unfinished), &x);
		fill(&t, SP_AGENT_NODES, LIMITS.max_nodes * sizeof(struct sp_agent_node), &x);
		fill(&t, SP_AGENT_KEYS, 8ull << LIMITS.hash_bits, &x);
		fill(&t, SP_AGENT_VALUES, sizeof(struct sp_agent_value) << LIMITS.hash_bits, &x);
		fill(&t, SP_AGENT_RING, sizeof(struct sp_agent_event) << SP_AGENT_RING_BITS, &x);
		fill(&t, SP_AGENT_THREADS, SP_AGENT_THREAD_BYTES, &x);
		fill(&t, SP_AGENT_CHUNKS, 16384, &x);
		fill(&t, SP_AGENT_SHADOW, 32768, &x);
		fill(&t, SP_AGENT_SHADOW, 0, &x);
		for (size_t i = 0; i < sizeof(*t.data.header) / 8; i++)
			((uint64_t *)(void *)t.data.header)[i] = next(&x) >> next(&x) % 64;
		claim_unfinished(&t, round % 2);
		read_all(&t);
		const struct sp_agent_reading r = reading(&t);
		sp_agent_events_init(&events);
		sp_agent_events_drain(&events, &r, 1);
		sp_agent_events_done(&events);
		struct sp_agent_unfinished_reader walks = {0};
		sp_agent_unfinished_finish(&walks, &t.data, unwind, &t.paths, 1);
		read_all(&t);
		sp_agent_threads_update(threads, &t.data, &maps);
		sp_agent_threads_lost(threads, &t.data, lost);
		end(&t);
	}
	sp_unwind_free(unwind);
	free(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_block_of_the_shadow_is_read),
	    cmocka_unit_test(a_block_born_while_we_read_is_young),
	    cmocka_unit_test(one_shadow_that_every_chunk_claims_is_read_once),
	    cmocka_unit_test(a_path_that_goes_round_in_a_circle_is_no_path),
	    cmocka_unit_test(garbage_in_every_table_is_read_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
