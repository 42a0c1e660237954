// SPDX-License-Identifier: Apache-2.0
/* ledger/: paths, snapshots, growth, survival, filters, limits. */
#include <errno.h>

#include "ledger_fixture.h"

#include <math.h>

static void equal_paths_have_equal_ids_and_keep_their_pcs(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	const uint64_t *pcs, *first;
	unsigned nr = 0;

	(void)state;
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(path_add(l, i * 16), i);
	first = sp_ledger_path_pcs(l, 0, &nr);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(path_add(l, i * 16), i);
	for (uint32_t i = 0; i < 20000; i++) {
		pcs = sp_ledger_path_pcs(l, i, &nr);
		assert_int_equal(nr, 3);
		assert_int_equal(pcs[0], i * 16);
		assert_int_equal(pcs[2], 0x401000);
	}
	assert_ptr_equal(sp_ledger_path_pcs(l, 0, &nr), first);
	assert_null(sp_ledger_path_pcs(l, 20000, &nr));
	assert_null(sp_ledger_path_pcs(l, SP_NO_PATH, &nr));
	sp_ledger_free(l);
}

static void a_path_differs_by_length_and_order_too(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint64_t pcs[SP_MAX_FRAMES + 1] = {1, 2};
	const uint64_t swapped[] = {2, 1};
	uint32_t id = 0;
	unsigned nr = 7;

	(void)state;
	assert_int_equal(sp_ledger_path(l, NULL, 0, &id), 0);
	assert_int_equal(id, 0);
	assert_non_null(sp_ledger_path_pcs(l, 0, &nr));
	assert_int_equal(nr, 0);
	for (unsigned i = 1; i <= SP_MAX_FRAMES; i++) {
		assert_int_equal(sp_ledger_path(l, pcs, i, &id), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(sp_ledger_path(l, swapped, 2, &id), 0);
	assert_int_equal(id, SP_MAX_FRAMES + 1);
	assert_int_equal(sp_ledger_path(l, pcs, SP_MAX_FRAMES + 1, &id), -EINVAL);
	assert_int_equal(id, SP_MAX_FRAMES + 1);
	sp_ledger_free(l);
}

static void a_new_ledger_is_empty(void **state)
{
	struct sp_ledger *l = NULL;
	size_t nr = 7;

	(void)state;
	assert_int_equal(sp_ledger_new(NULL, &l), 0);
	free(ask_paths(l, NULL, SP_SORT_BYTES, &nr));
	assert_int_equal(nr, 0);
	free(ask_blocks(l, true, 0, NULL, &nr));
	assert_int_equal(nr, 0);
	assert_int_equal(sp_ledger_now_ns(l), 0);
	assert_int_equal(sp_ledger_interval_ns(l), 0);
	assert_int_equal(sp_ledger_nr_snapshots(l), 0);
	sp_ledger_free(l);
	sp_ledger_free(NULL);
}

static void snapshots_are_made_in_order(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_block b = {.addr = 1, .path = SP_NO_PATH};

	(void)state;
	assert_int_equal(sp_ledger_block(l, &b), -EINVAL);
	assert_int_equal(sp_ledger_end(l), -EINVAL);
	assert_int_equal(sp_ledger_begin(l, 5 * SECOND), 0);
	assert_int_equal(sp_ledger_begin(l, 6 * SECOND), -EBUSY);
	b.path = 0;
	assert_int_equal(sp_ledger_block(l, &b), -EINVAL);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_int_equal(sp_ledger_begin(l, 4 * SECOND), -EINVAL);
	assert_int_equal(sp_ledger_begin(l, 8 * SECOND), 0);
	assert_int_equal(sp_ledger_now_ns(l), 5 * SECOND);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_int_equal(sp_ledger_now_ns(l), 8 * SECOND);
	assert_int_equal(sp_ledger_interval_ns(l), 3 * SECOND);
	assert_int_equal(sp_ledger_nr_snapshots(l), 2);
	sp_ledger_free(l);
}

static void a_half_made_snapshot_is_not_seen_and_can_be_forgotten(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000);

	(void)state;
	assert_int_equal(sp_ledger_begin(l, SECOND), 0);
	block_add(l, 0x10, 100, 0, p);
	assert_int_equal(sp_ledger_end(l), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sp_ledger_begin(l, 2 * SECOND), 0);
		block_add(l, 0x20, 7, 0, p);
		assert_int_equal(ask_path(l, NULL, p).bytes, 100);
		sp_ledger_abort(l);
		assert_int_equal(ask_path(l, NULL, p).bytes, 100);
	}
	assert_int_equal(sp_ledger_begin(l, 2 * SECOND), 0);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_int_equal(ask_path(l, NULL, p).blocks, 0);
	sp_ledger_free(l);
}

static void the_last_of_two_blocks_at_one_address_wins(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000), q = path_add(l, 0x2000);
	struct sp_block *blocks;
	size_t nr = 0;

	(void)state;
	assert_int_equal(sp_ledger_begin(l, SECOND), 0);
	block_add(l, 0x30, 1, 1, p);
	block_add(l, 0x20, 1, 1, p);
	block_add(l, 0x20, 2, 2, q);
	block_add(l, 0x10, 1, 1, p);
	block_add(l, 0x20, 3, 3, q);
	assert_int_equal(sp_ledger_end(l), 0);
	blocks = ask_blocks(l, true, 0, NULL, &nr);
	assert_int_equal(nr, 3);
	assert_int_equal(blocks[0].addr, 0x10);
	assert_int_equal(blocks[1].addr, 0x20);
	assert_int_equal(blocks[1].size, 3);
	assert_int_equal(blocks[2].addr, 0x30);
	free(blocks);
	assert_int_equal(ask_path(l, NULL, q).bytes, 3);
	sp_ledger_free(l);
}

static void it_wins_among_blocks_in_address_order_too(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_block *blocks;
	size_t nr = 0;

	(void)state;
	assert_int_equal(sp_ledger_begin(l, SECOND), 0);
	block_add(l, 0x10, 1, 1, SP_NO_PATH);
	block_add(l, 0x10, 2, 2, SP_NO_PATH);
	block_add(l, 0x20, 3, 3, SP_NO_PATH);
	assert_int_equal(sp_ledger_end(l), 0);
	blocks = ask_blocks(l, true, 0, NULL, &nr);
	assert_int_equal(nr, 2);
	assert_int_equal(blocks[0].size, 2);
	free(blocks);
	sp_ledger_free(l);
}

static void growth_is_against_the_snapshot_before_and_the_first(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000);
	static const int counts[] = {3, 10, 4}, growth[] = {0, 700, -600}, total[] = {0, 700, 100};

	(void)state;
	for (int s = 0; s < 3; s++) {
		struct sp_path_sum sum;

		assert_int_equal(sp_ledger_begin(l, (s + 1) * SECOND), 0);
		for (int i = 0; i < counts[s]; i++)
			block_add(l, 0x1000 + i * 16, 100, 1, p);
		assert_int_equal(sp_ledger_end(l), 0);
		sum = ask_path(l, NULL, p);
		assert_int_equal(sum.growth_bytes, growth[s]);
		assert_int_equal(sum.growth_blocks, growth[s] / 100);
		assert_int_equal(sum.total_growth_bytes, total[s]);
	}
	sp_ledger_free(l);
}

static void growth_knows_the_filter_by_size_but_not_by_age(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000);
	struct sp_ledger_filter big = {.min_size = 1000}, middle = {.min_size = 10, .max_size = 100},
				old = {.min_age_ns = SECOND};

	(void)state;
	assert_int_equal(sp_ledger_begin(l, 10 * SECOND), 0);
	block_add(l, 0x10, 50, SECOND, p);
	block_add(l, 0x20, 5000, SECOND, p);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_int_equal(sp_ledger_begin(l, 11 * SECOND), 0);
	block_add(l, 0x10, 50, SECOND, p);
	block_add(l, 0x30, 60, 11 * SECOND, p);
	block_add(l, 0x20, 5000, SECOND, p);
	block_add(l, 0x40, 6000, 11 * SECOND, p);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_int_equal(ask_path(l, &big, p).growth_bytes, 6000);
	assert_int_equal(ask_path(l, &big, p).bytes, 11000);
	assert_int_equal(ask_path(l, &middle, p).growth_bytes, 60);
	assert_int_equal(ask_path(l, &middle, p).total_growth_bytes, 60);
	assert_int_equal(ask_path(l, &middle, p).blocks, 2);
	assert_int_equal(ask_path(l, &old, p).growth_bytes, 6060);
	assert_int_equal(ask_path(l, &old, p).bytes, 5050);
	sp_ledger_free(l);
}

static void ages_are_counted_to_the_snapshot_and_bounds_belong_to_the_filter(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_ledger_filter f = {.min_age_ns = 500};
	size_t nr = 0;

	(void)state;
	assert_int_equal(sp_ledger_begin(l, 1000), 0);
	block_add(l, 0x10, 1, 500, SP_NO_PATH);
	block_add(l, 0x20, 1, 501, SP_NO_PATH);
	block_add(l, 0x30, 1, 2000, SP_NO_PATH); /* a clock that is ahead */
	assert_int_equal(sp_ledger_end(l), 0);
	free(ask_blocks(l, true, 0, &f, &nr));
	assert_int_equal(nr, 1);
	f.min_age_ns = 0;
	assert_int_equal(ask_path(l, &f, SP_NO_PATH).blocks, 3);
	assert_int_equal(ask_path(l, &f, SP_NO_PATH).oldest_birth_ns, 500);
	f.min_size = 1;
	f.max_size = 1;
	assert_int_equal(ask_path(l, &f, SP_NO_PATH).blocks, 3);
	f.min_size = 2;
	assert_int_equal(ask_path(l, &f, SP_NO_PATH).blocks, 0);
	sp_ledger_free(l);
}

/* One block at 0x10 with these births (0: none), a second apart; what survival says in the end. */
static void check_survival(const uint64_t *births, size_t nr, uint64_t seen, uint64_t freed)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000);
	struct sp_path_sum sum;

	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(sp_ledger_begin(l, (i + 1) * SECOND), 0);
		block_add(l, 0x999, 1, i + 1, p); /* always a new one, so that the path is there to be asked */
		if (births[i])
			block_add(l, 0x10, 1, births[i], p);
		assert_int_equal(sp_ledger_end(l), 0);
	}
	sum = ask_path(l, NULL, p);
	assert_int_equal(sum.old_seen, seen);
	assert_int_equal(sum.old_freed, freed);
	sp_ledger_free(l);
}

static void survival_counts_a_block_once_and_its_end_once(void **state)
{
	(void)state;
	check_survival((uint64_t[]){5}, 1, 0, 0);
	check_survival((uint64_t[]){5, 5}, 2, 1, 0);
	check_survival((uint64_t[]){5, 5, 5, 5}, 4, 1, 0);
	check_survival((uint64_t[]){5, 5, 5, 0, 0}, 5, 1, 1);
	check_survival((uint64_t[]){5, 0, 0}, 3, 0, 0);
}

static void an_address_used_again_is_another_block(void **state)
{
	(void)state;
	check_survival((uint64_t[]){5, 6, 7, 8}, 4, 0, 0);
	check_survival((uint64_t[]){5, 5, 6, 6, 6}, 5, 2, 1);
	check_survival((uint64_t[]){5, 5, 6, 0}, 4, 1, 1);
}

static void a_path_that_becomes_known_takes_its_survivors_along(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000);

	(void)state;
	for (int s = 0; s < 4; s++) {
		assert_int_equal(sp_ledger_begin(l, (s + 1) * SECOND), 0);
		if (s < 3)
			block_add(l, 0x10, 1, 1, s < 2 ? SP_NO_PATH : p);
		block_add(l, 0x20 + s, 1, s, p);
		block_add(l, 0x30 + s, 1, s, SP_NO_PATH);
		assert_int_equal(sp_ledger_end(l), 0);
	}
	assert_int_equal(ask_path(l, NULL, SP_NO_PATH).old_seen, 0);
	assert_int_equal(ask_path(l, NULL, p).old_seen, 1);
	assert_int_equal(ask_path(l, NULL, p).old_freed, 1);
	sp_ledger_free(l);
}

static void clear_forgets_history_but_not_paths(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p = path_add(l, 0x1000);
	struct sp_path_sum sum;
	unsigned nr = 0;

	(void)state;
	for (int s = 0; s < 3; s++) {
		assert_int_equal(sp_ledger_begin(l, (s + 1) * SECOND), 0);
		block_add(l, 0x10, 100, 1, p);
		assert_int_equal(sp_ledger_end(l), 0);
	}
	sp_ledger_set_lost(l, SP_LOST_EVENTS, 3);
	assert_int_equal(sp_ledger_begin(l, 9 * SECOND), 0);
	sp_ledger_clear(l);
	assert_int_equal(sp_ledger_nr_snapshots(l), 0);
	assert_int_equal(sp_ledger_now_ns(l), 0);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_EVENTS), 3);
	assert_int_equal(ask_path(l, NULL, p).blocks, 0);
	assert_non_null(sp_ledger_path_pcs(l, p, &nr));
	assert_int_equal(path_add(l, 0x1000), p);
	assert_int_equal(sp_ledger_begin(l, SECOND), 0);
	block_add(l, 0x10, 100, 1, p);
	assert_int_equal(sp_ledger_end(l), 0);
	sum = ask_path(l, NULL, p);
	assert_int_equal(sum.bytes, 100);
	assert_int_equal(sum.growth_bytes, 0);
	assert_int_equal(sum.old_seen, 0);
	sp_ledger_free(l);
}

static void a_full_ledger_refuses_counts_and_goes_on(void **state)
{
	struct sp_ledger *l = ledger_new(2, 1);
	uint32_t p = path_add(l, 0x1000), q = 4711;
	uint64_t pc = 1;
	struct sp_block b = {.addr = 0x30, .size = 1, .path = p};

	(void)state;
	assert_int_equal(sp_ledger_path(l, &pc, 1, &q), -ENOSPC);
	assert_int_equal(sp_ledger_path(l, &pc, 1, &q), -ENOSPC);
	assert_int_equal(q, 4711);
	assert_int_equal(path_add(l, 0x1000), p);
	sp_ledger_set_lost(l, SP_LOST_PATHS_FULL, 10);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_PATHS_FULL), 12);
	for (int s = 0; s < 2; s++) {
		assert_int_equal(sp_ledger_begin(l, SECOND * (s + 1)), 0);
		block_add(l, 0x10, 1, 1, p);
		block_add(l, 0x20, 1, 1, p);
		assert_int_equal(sp_ledger_block(l, &b), -ENOSPC);
		assert_int_equal(sp_ledger_end(l), 0);
		assert_int_equal(ask_path(l, NULL, p).blocks, 2);
		assert_int_equal(sp_ledger_lost(l, SP_LOST_BLOCKS_FULL), 1);
	}
	sp_ledger_set_lost(l, SP_LOST_BLOCKS_FULL, UINT64_MAX);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_BLOCKS_FULL), UINT64_MAX);
	sp_ledger_free(l);
}

static void sums_stay_at_the_top_instead_of_wrapping(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);

	(void)state;
	for (int s = 0; s < 3; s++) {
		assert_int_equal(sp_ledger_begin(l, SECOND * (s + 1)), 0);
		for (int i = 0; i < (s == 1 ? 3 : 1); i++)
			block_add(l, 0x10 + i, s == 1 ? UINT64_MAX : 1, 1, SP_NO_PATH);
		assert_int_equal(sp_ledger_end(l), 0);
		assert_int_equal(ask_path(l, NULL, SP_NO_PATH).bytes, s == 1 ? UINT64_MAX : 1);
		assert_int_equal(ask_path(l, NULL, SP_NO_PATH).growth_bytes,
				 s == 0 ? 0 : (s == 1 ? INT64_MAX : INT64_MIN));
	}
	sp_ledger_free(l);
}

static void assert_order(const struct sp_ledger *l, enum sp_sort sort, const uint32_t *want, size_t want_nr)
{
	size_t nr = 0;
	struct sp_path_sum *sums = ask_paths(l, NULL, sort, &nr);

	assert_int_equal(nr, want_nr);
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(sums[i].path, want[i]);
	free(sums);
}

static void sorts_are_total_orders(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t p[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		p[i] = path_add(l, 0x1000 * (i + 1));
	assert_int_equal(sp_ledger_begin(l, SECOND), 0);
	block_add(l, 0x70, 300, 9, p[3]);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_int_equal(sp_ledger_begin(l, 2 * SECOND), 0);
	block_add(l, 0x10, 100, 5, p[0]);
	block_add(l, 0x20, 100, 5, p[1]);
	block_add(l, 0x30, 50, 3, p[2]);
	block_add(l, 0x40, 50, 7, p[2]);
	block_add(l, 0x70, 300, 9, p[3]);
	block_add(l, 0x50, 100, 5, SP_NO_PATH);
	assert_int_equal(sp_ledger_end(l), 0);
	assert_order(l, SP_SORT_BYTES, (uint32_t[]){p[3], p[0], p[1], p[2], SP_NO_PATH}, 5);
	assert_order(l, SP_SORT_BLOCKS, (uint32_t[]){p[2], p[3], p[0], p[1], SP_NO_PATH}, 5);
	assert_order(l, SP_SORT_GROWTH, (uint32_t[]){p[0], p[1], p[2], SP_NO_PATH, p[3]}, 5);
	assert_order(l, SP_SORT_AGE, (uint32_t[]){p[2], p[0], p[1], SP_NO_PATH, p[3]}, 5);
	sp_ledger_free(l);
}

static void answers_are_appended_and_a_failing_one_takes_nothing_away(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_vec sums, blocks;

	(void)state;
	assert_int_equal(sp_ledger_begin(l, SECOND), 0);
	block_add(l, 0x10, 1, 1, path_add(l, 0x1000));
	block_add(l, 0x20, 2, 1, path_add(l, 0x2000));
	assert_int_equal(sp_ledger_end(l), 0);
	sp_vec_init(&sums, sizeof(struct sp_path_sum), 5);
	sp_vec_init(&blocks, sizeof(struct sp_block), 5);
	for (size_t i = 1; i <= 3; i++) {
		int want = i == 3 ? -ENOSPC : 0;

		assert_int_equal(sp_ledger_paths(l, NULL, SP_SORT_BYTES, &sums), want);
		assert_int_equal(sp_ledger_blocks(l, true, 0, NULL, &blocks), want);
		assert_int_equal(sums.nr, i == 3 ? 4 : 2 * i);
		assert_int_equal(blocks.nr, i == 3 ? 4 : 2 * i);
	}
	sp_vec_done(&sums);
	sp_vec_done(&blocks);
	sp_ledger_free(l);
}

/* As the agent does it: a byte of its budget for the block itself. Deterministic: xorshift. */
static bool is_chosen(uint64_t *random, uint64_t size, double mean)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (double)(*random >> 11) * 0x1p-53 < -expm1(-(double)(size + 1) / mean);
}

/* nr blocks of that size, sampled at mean << (sampled - 1). */
static void add_sampled(struct sp_ledger *l, uint64_t mean, uint8_t sampled, uint64_t nr, uint64_t size, uint32_t path)
{
	uint64_t random = 88172645463325252ull + size;

	for (uint64_t i = 0; i < nr; i++) {
		struct sp_block b = {.addr = (uint64_t)path << 40 | size << 24 | (i + 1) << 4,
				     .size = size,
				     .birth_ns = 1,
				     .path = path,
				     .fn = SP_FN_MALLOC,
				     .sampled = sampled};
		if (!sampled || is_chosen(&random, size, (double)(mean << (sampled - 1))))
			assert_int_equal(sp_ledger_block(l, &b), 0);
	}
}

static void assert_near(uint64_t got, uint64_t want, uint64_t error)
{
	uint64_t off = got > want ? got - want : want - got;

	assert_true(error && off < 4 * error);
	assert_true(error < want / 10);
}

static void sampled_blocks_stand_for_others_without_bias_and_exact_ones_for_themselves(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	uint32_t small = path_add(l, 0x1000), both = path_add(l, 0x2000), exact = path_add(l, 0x3000);

	(void)state;
	sp_ledger_set_sampling(l, 4096);
	assert_int_equal(sp_ledger_begin(l, 10), 0);
	add_sampled(l, 4096, 1, 50000, 48, small);
	add_sampled(l, 4096, 2, 20000, 500, both); /* the mean has been doubled meanwhile */
	add_sampled(l, 4096, 0, 1000, 100, both);
	add_sampled(l, 4096, 0, 7, 1000000, exact);
	assert_int_equal(sp_ledger_end(l), 0);

	struct sp_path_sum s = ask_path(l, NULL, small);
	assert_near(s.blocks, 50000, s.error_blocks);
	assert_near(s.bytes, 50000 * 48, s.error_bytes);
	s = ask_path(l, NULL, both);
	assert_near(s.blocks, 21000, s.error_blocks);
	assert_near(s.bytes, 20000 * 500 + 1000 * 100, s.error_bytes);
	s = ask_path(l, NULL, exact);
	assert_int_equal(s.bytes, 7000000);
	assert_int_equal(s.blocks, 7);
	assert_int_equal(s.error_bytes + s.error_blocks, 0);
	sp_ledger_free(l);
}

static void growth_of_sampled_blocks_is_weighted_and_an_unknown_path_keeps_its_place(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);

	(void)state;
	sp_ledger_set_sampling(l, 4096);
	for (uint64_t round = 1; round <= 2; round++) {
		assert_int_equal(sp_ledger_begin(l, round * 10), 0);
		add_sampled(l, 4096, 1, 20000 * round, 100, SP_NO_PATH);
		assert_int_equal(sp_ledger_end(l), 0);
	}
	struct sp_path_sum s = ask_path(l, NULL, SP_NO_PATH);
	assert_near((uint64_t)s.growth_bytes, 20000 * 100, s.error_bytes);
	assert_near((uint64_t)s.growth_blocks, 20000, s.error_blocks);
	sp_ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_paths_have_equal_ids_and_keep_their_pcs),
	    cmocka_unit_test(a_path_differs_by_length_and_order_too),
	    cmocka_unit_test(a_new_ledger_is_empty),
	    cmocka_unit_test(snapshots_are_made_in_order),
	    cmocka_unit_test(a_half_made_snapshot_is_not_seen_and_can_be_forgotten),
	    cmocka_unit_test(the_last_of_two_blocks_at_one_address_wins),
	    cmocka_unit_test(it_wins_among_blocks_in_address_order_too),
	    cmocka_unit_test(growth_is_against_the_snapshot_before_and_the_first),
	    cmocka_unit_test(growth_knows_the_filter_by_size_but_not_by_age),
	    cmocka_unit_test(ages_are_counted_to_the_snapshot_and_bounds_belong_to_the_filter),
	    cmocka_unit_test(survival_counts_a_block_once_and_its_end_once),
	    cmocka_unit_test(an_address_used_again_is_another_block),
	    cmocka_unit_test(a_path_that_becomes_known_takes_its_survivors_along),
	    cmocka_unit_test(clear_forgets_history_but_not_paths),
	    cmocka_unit_test(a_full_ledger_refuses_counts_and_goes_on),
	    cmocka_unit_test(sums_stay_at_the_top_instead_of_wrapping),
	    cmocka_unit_test(sampled_blocks_stand_for_others_without_bias_and_exact_ones_for_themselves),
	    cmocka_unit_test(growth_of_sampled_blocks_is_weighted_and_an_unknown_path_keeps_its_place),
	    cmocka_unit_test(sorts_are_total_orders),
	    cmocka_unit_test(answers_are_appended_and_a_failing_one_takes_nothing_away),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
