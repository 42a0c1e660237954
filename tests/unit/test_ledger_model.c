// SPDX-License-Identifier: Apache-2.0
/* ledger/ against a naive model on random workloads, and with every single allocation failing once. */
#include <errno.h>
#include <stdio.h>

#include "failing_alloc.h"
#include "ledger_fixture.h"

#define MAX_LIVE  400
#define MAX_SEEN  20000
#define NR_PATHS  12 /* and one for SP_NO_PATH */
#define SNAPSHOTS 24

/* A block of the model, for ever: with what each snapshot saw of it. */
struct model_block {
	struct sp_block b;
	bool live;
	bool in[SNAPSHOTS];
};

struct model {
	uint64_t random;
	uint64_t clock_ns;
	struct model_block *all; /* every block that ever lived */
	size_t nr;
	unsigned nr_snapshots;
	uint32_t paths[NR_PATHS];
};

static uint64_t random_below(struct model *m, uint64_t n)
{
	/* xorshift64 (Marsaglia, 2003) */
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random % n;
}

static bool address_is_taken(const struct model *m, uint64_t addr)
{
	for (size_t i = 0; i < m->nr; i++)
		if (m->all[i].live && m->all[i].b.addr == addr)
			return true;
	return false;
}

/* Few addresses, so that they are used again and again; some far apart. */
static void model_alloc(struct model *m)
{
	uint64_t slot = random_below(m, MAX_LIVE), addr = slot % 7 ? 0x7f0000000000 + slot * 16 : slot << 40;
	struct model_block *new = &m->all[m->nr];

	if (address_is_taken(m, addr) || m->nr == MAX_SEEN)
		return;
	m->nr++;
	*new = (struct model_block){.live = true};
	new->b.addr = addr;
	new->b.size = random_below(m, 4) ? 16 * random_below(m, 8) : random_below(m, 100000);
	new->b.birth_ns = m->clock_ns++;
	new->b.path = random_below(m, 10) ? m->paths[random_below(m, NR_PATHS)] : SP_NO_PATH;
	new->b.fn = (uint16_t)random_below(m, SP_NR_FNS);
}

static void model_work(struct model *m)
{
	/* Frees first, so that addresses are used again at once. Paths with a high id free less. */
	for (size_t i = 0; i < m->nr; i++)
		if (m->all[i].live && random_below(m, 2 + m->all[i].b.path % 16) == 0)
			m->all[i].live = false;
	for (unsigned i = 0; i < 150; i++)
		model_alloc(m);
	m->clock_ns += random_below(m, 1000);
}

/* In random order, with stale blocks at some addresses before the true ones. */
static int model_snapshot(struct model *m, struct sp_ledger *l)
{
	size_t order[MAX_LIVE], nr = 0;
	int err = sp_ledger_begin(l, m->clock_ns);

	if (err)
		return err;
	for (size_t i = 0; i < m->nr; i++)
		if (m->all[i].live)
			order[nr++] = i;
	for (size_t i = nr; i > 1; i--) {
		size_t j = random_below(m, i), swap = order[j];

		order[j] = order[i - 1];
		order[i - 1] = swap;
	}
	for (size_t i = 0; i < nr && !err; i++) {
		struct sp_block stale = m->all[order[i]].b;

		stale.birth_ns++;
		stale.size += 5;
		if (random_below(m, 10) == 0)
			err = sp_ledger_block(l, &stale);
	}
	for (size_t i = 0; i < nr && !err; i++)
		err = sp_ledger_block(l, &m->all[order[i]].b);
	if (err) {
		sp_ledger_abort(l);
		return err;
	}
	err = sp_ledger_end(l);
	if (err)
		return err;
	for (size_t i = 0; i < m->nr; i++)
		m->all[i].in[m->nr_snapshots] = m->all[i].live;
	m->nr_snapshots++;
	return 0;
}

static bool size_fits(const struct sp_ledger_filter *f, const struct sp_block *b)
{
	return b->size >= f->min_size && (!f->max_size || b->size <= f->max_size);
}

/* What the ledger should say of a path, block by block from the whole history. */
static struct sp_path_sum model_sum(const struct model *m, uint64_t now_ns, const struct sp_ledger_filter *f,
				    uint32_t path)
{
	struct sp_path_sum sum = {.path = path, .oldest_birth_ns = UINT64_MAX};
	unsigned last = m->nr_snapshots - 1;

	for (size_t i = 0; i < m->nr; i++) {
		const struct model_block *mb = &m->all[i];
		bool was_old = false, gone = false, fits = size_fits(f, &mb->b);

		if (mb->b.path != path)
			continue;
		if (mb->in[last] && fits && now_ns - mb->b.birth_ns >= f->min_age_ns) {
			sum.bytes += mb->b.size;
			sum.blocks++;
			if (mb->b.birth_ns < sum.oldest_birth_ns)
				sum.oldest_birth_ns = mb->b.birth_ns;
		}
		if (last && fits) {
			sum.growth_blocks += mb->in[last] - mb->in[last - 1];
			sum.growth_bytes += (mb->in[last] - mb->in[last - 1]) * (int64_t)mb->b.size;
			sum.total_growth_bytes += (mb->in[last] - mb->in[0]) * (int64_t)mb->b.size;
		}
		for (unsigned s = 1; s <= last; s++) {
			was_old |= mb->in[s - 1] && mb->in[s];
			gone |= was_old && !mb->in[s];
		}
		sum.old_seen += was_old;
		sum.old_freed += gone;
	}
	return sum;
}

static void assert_same_sum(const struct sp_path_sum *a, const struct sp_path_sum *b)
{
	assert_int_equal(a->path, b->path);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->blocks, b->blocks);
	assert_int_equal(a->growth_bytes, b->growth_bytes);
	assert_int_equal(a->growth_blocks, b->growth_blocks);
	assert_int_equal(a->total_growth_bytes, b->total_growth_bytes);
	assert_int_equal(a->oldest_birth_ns, b->oldest_birth_ns);
	assert_int_equal(a->old_seen, b->old_seen);
	assert_int_equal(a->old_freed, b->old_freed);
}

static void check_paths(const struct model *m, const struct sp_ledger *l, const struct sp_ledger_filter *f)
{
	uint64_t now = sp_ledger_now_ns(l);
	size_t nr = 0, want = 0;
	struct sp_path_sum *sums = ask_paths(l, f, SP_SORT_BYTES, &nr);

	for (unsigned i = 0; i <= NR_PATHS; i++) {
		struct sp_path_sum sum = model_sum(m, now, f, i < NR_PATHS ? m->paths[i] : SP_NO_PATH);

		want += sum.blocks != 0;
		for (size_t j = 0; j < nr && sum.blocks; j++)
			if (sums[j].path == sum.path)
				assert_same_sum(&sums[j], &sum);
	}
	assert_int_equal(nr, want);
	for (size_t j = 1; j < nr; j++)
		assert_true(sums[j - 1].bytes > sums[j].bytes ||
			    (sums[j - 1].bytes == sums[j].bytes && sums[j - 1].path < sums[j].path));
	free(sums);
}

static void check_blocks(const struct model *m, const struct sp_ledger *l, const struct sp_ledger_filter *f, bool all,
			 uint32_t path)
{
	uint64_t now = sp_ledger_now_ns(l);
	size_t nr = 0, want = 0;
	struct sp_block *blocks = ask_blocks(l, all, path, f, &nr);

	for (size_t i = 0; i < m->nr; i++) {
		const struct sp_block *b = &m->all[i].b;
		bool found = false;

		if (!m->all[i].in[m->nr_snapshots - 1] || !size_fits(f, b) || now - b->birth_ns < f->min_age_ns ||
		    (!all && b->path != path))
			continue;
		want++;
		for (size_t j = 0; j < nr; j++)
			found |= !memcmp(&blocks[j], b, sizeof(*b));
		assert_true(found);
	}
	assert_int_equal(nr, want);
	for (size_t j = 1; j < nr; j++)
		assert_true(blocks[j - 1].addr < blocks[j].addr);
	free(blocks);
}

static void check_everything(struct model *m, const struct sp_ledger *l)
{
	const struct sp_ledger_filter filters[] = {
	    {0},
	    {.min_age_ns = random_below(m, 3000)},
	    {.min_size = random_below(m, 100), .max_size = 64 + random_below(m, 1000)},
	    {.min_age_ns = random_below(m, 1000), .min_size = 48},
	};

	assert_int_equal(sp_ledger_nr_snapshots(l), m->nr_snapshots);
	for (size_t i = 0; i < SP_ARRAY_SIZE(filters); i++) {
		check_paths(m, l, &filters[i]);
		check_blocks(m, l, &filters[i], true, 0);
		check_blocks(m, l, &filters[i], false, m->paths[i]);
		check_blocks(m, l, &filters[i], false, SP_NO_PATH);
	}
}

static void model_init(struct model *m, struct sp_ledger *l, uint64_t seed)
{
	*m = (struct model){.random = seed * 2654435761u + 1, .clock_ns = 1, .all = calloc(MAX_SEEN, sizeof(*m->all))};
	assert_non_null(m->all);
	for (unsigned i = 0; i < NR_PATHS; i++)
		m->paths[i] = path_add(l, 0x1000 + i);
}

static void the_ledger_agrees_with_a_naive_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct sp_ledger *l = ledger_new(0, 0);
		struct model m;

		model_init(&m, l, seed);
		for (unsigned s = 0; s < SNAPSHOTS; s++) {
			model_work(&m);
			assert_int_equal(model_snapshot(&m, l), 0);
			check_everything(&m, l);
		}
		free(m.all);
		sp_ledger_free(l);
	}
}

/* Snapshot number `at` is tried with its n-th allocation failing, n = 0, 1, 2..., until it needs no more. */
static void a_failed_allocation_leaves_the_previous_snapshot(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct model m;
	unsigned failures = 0;

	(void)state;
	model_init(&m, l, 7);
	for (unsigned s = 0; s < 6; s++) {
		int err;
		long n = 0;

		model_work(&m);
		do {
			alloc_arm(n++);
			err = model_snapshot(&m, l);
			failures += alloc_disarm();
			assert_true(!err || err == -ENOMEM);
			if (m.nr_snapshots)
				check_everything(&m, l);
		} while (err);
	}
	assert_true(failures > 12);
	free(m.all);
	sp_ledger_free(l);
}

static void a_snapshot_that_lost_a_block_for_want_of_memory_is_refused(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_block b = {.addr = 0x10, .size = 1, .path = SP_NO_PATH};

	(void)state;
	assert_int_equal(sp_ledger_begin(l, 1), 0);
	alloc_arm(0);
	assert_int_equal(sp_ledger_block(l, &b), -ENOMEM);
	assert_true(alloc_disarm());
	assert_int_equal(sp_ledger_block(l, &b), 0);
	assert_int_equal(sp_ledger_end(l), -ENOMEM);
	assert_int_equal(sp_ledger_nr_snapshots(l), 0);
	assert_int_equal(sp_ledger_begin(l, 1), 0);
	assert_int_equal(sp_ledger_end(l), 0);
	sp_ledger_free(l);
}

static void a_failed_allocation_of_a_path_or_an_answer_leaves_all_as_it_was(void **state)
{
	uint64_t pcs[SP_MAX_FRAMES] = {0};
	bool failed = true;

	(void)state;
	for (long n = 0; failed; n++) {
		struct sp_ledger *l = NULL;
		struct sp_vec sums;
		unsigned nr = 0;

		sp_vec_init(&sums, sizeof(struct sp_path_sum), 100);
		alloc_arm(n);
		if (!sp_ledger_new(NULL, &l)) {
			for (uint64_t i = 0; i < 1200; i++) {
				uint32_t id = 0;

				pcs[0] = i;
				if (sp_ledger_path(l, pcs, i % 2 ? SP_MAX_FRAMES : 1, &id) == 0)
					continue;
				assert_null(sp_ledger_path_pcs(l, (uint32_t)i, &nr));
				assert_int_equal(sp_ledger_path(l, pcs, i % 2 ? SP_MAX_FRAMES : 1, &id), 0);
				assert_int_equal(id, i);
			}
			if (sp_ledger_paths(l, NULL, SP_SORT_AGE, &sums))
				assert_int_equal(sums.nr, 0);
		}
		failed = alloc_disarm();
		sp_vec_done(&sums);
		sp_ledger_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_ledger_agrees_with_a_naive_model),
	    cmocka_unit_test(a_failed_allocation_leaves_the_previous_snapshot),
	    cmocka_unit_test(a_snapshot_that_lost_a_block_for_want_of_memory_is_refused),
	    cmocka_unit_test(a_failed_allocation_of_a_path_or_an_answer_leaves_all_as_it_was),
	};

	return cmocka_run_group_tests_name("ledger: model", tests, NULL, NULL);
}
