// SPDX-License-Identifier: Apache-2.0
/* ledger/: the history of call paths and the verdict on their growth. One scenario, one kind of program. */
#include <errno.h>

#include "ledger_fixture.h"

#define BEGIN     (1000 * SECOND)
#define MAX_LIVE  4096
#define TICK      (SECOND / 20)
#define NEXT_RAND 6364136223846793005u

/* The live blocks of a program that is looked at once a second. */
struct world {
	struct sp_ledger *l;
	struct sp_block live[MAX_LIVE];
	size_t nr;
	uint64_t now, next_addr, seed;
	uint32_t path;
};

static uint32_t chance(struct world *w, uint32_t below)
{
	w->seed = w->seed * NEXT_RAND + 1;
	return (uint32_t)(w->seed >> 33) % below;
}

static void allocate(struct world *w, uint64_t size)
{
	assert_true(w->nr < MAX_LIVE);
	w->live[w->nr++] = (struct sp_block){w->next_addr += 4096, size, w->now, w->path, SP_FN_MALLOC, 0};
}

static void release(struct world *w, size_t i)
{
	w->live[i] = w->live[--w->nr];
}

static void look(struct world *w)
{
	assert_int_equal(sp_ledger_begin(w->l, w->now), 0);
	for (size_t i = 0; i < w->nr; i++)
		assert_int_equal(sp_ledger_block(w->l, &w->live[i]), 0);
	assert_int_equal(sp_ledger_end(w->l), 0);
}

static struct sp_verdict verdict_of(const struct world *w)
{
	struct sp_verdict found = {0};
	struct sp_vec v;

	sp_vec_init(&v, sizeof(struct sp_verdict), 1 << 20);
	assert_int_equal(sp_ledger_verdicts(w->l, &v), 0);
	for (size_t i = 0; i < v.nr; i++)
		if (sp_vec_at(&v, struct sp_verdict, i)->path == w->path)
			found = *sp_vec_at(&v, struct sp_verdict, i);
	sp_vec_done(&v);
	return found;
}

/* Lets step() do its work twenty times a second, looks once a second. */
static struct sp_verdict run(void (*step)(struct world *w, unsigned tick), unsigned seconds, uint64_t seed)
{
	static struct world w;

	w = (struct world){.l = ledger_new(0, 0), .now = BEGIN, .seed = seed};
	w.path = path_add(w.l, 0x1000);
	look(&w);
	for (unsigned tick = 0; tick < seconds * 20; tick++) {
		w.now += TICK;
		step(&w, tick);
		if (tick % 20 == 19)
			look(&w);
	}
	struct sp_verdict v = verdict_of(&w);
	sp_ledger_free(w.l);
	return v;
}

static void leak(struct world *w, unsigned tick)
{
	if (tick % 20 == 0)
		allocate(w, 8192);
}

static void slow_leak_among_traffic(struct world *w, unsigned tick)
{
	if (tick % 60 == 0)
		allocate(w, 500);
	for (size_t i = 0; i < w->nr; i++)
		if (w->live[i].size == 64 && w->now - w->live[i].birth_ns > SECOND / 5)
			release(w, i--);
	if (chance(w, 3) == 0)
		allocate(w, 64);
}

static void cache_that_fills_up(struct world *w, unsigned tick)
{
	if (tick < 200)
		allocate(w, 1024);
}

static void cache_that_replaces(struct world *w, unsigned tick)
{
	(void)tick;
	if (w->nr == 100)
		release(w, chance(w, 100));
	allocate(w, 1024);
}

static void pool(struct world *w, unsigned tick)
{
	if (tick < 5)
		for (unsigned i = 0; i < 20; i++)
			allocate(w, 4096);
}

/* Calls of 0 to 3 s at a random rate. */
static void traffic(struct world *w, unsigned tick)
{
	(void)tick;
	for (size_t i = 0; i < w->nr; i++)
		if (chance(w, 30) == 0)
			release(w, i--);
	for (uint32_t n = chance(w, 6); n; n--)
		allocate(w, 100 + chance(w, 1000));
}

static void one_big_block_half_way(struct world *w, unsigned tick)
{
	if (tick == 450)
		allocate(w, 100 << 20);
}

static void queue_that_swells(struct world *w, unsigned tick)
{
	for (unsigned n = 0; n < 2 + tick / 100; n++)
		allocate(w, 256);
	for (size_t i = 0; i < w->nr; i++)
		if (w->now - w->live[i].birth_ns > SECOND * 3 / 2)
			release(w, i--);
}

static void a_leak_is_growing_at_its_speed(void **state)
{
	struct sp_verdict v = run(leak, 30, 1);

	(void)state;
	assert_int_equal(v.class, SP_CLASS_GROWING);
	assert_true(v.confidence > 0.99);
	assert_true(v.trend.slope > 8000 && v.trend.slope < 8400);
	assert_int_equal(v.first_bytes, 0);
	assert_int_equal(v.bytes, 30 * 8192);
	assert_int_equal(v.span_ns, 30 * SECOND);
	assert_int_equal(v.nr_points, 31);
	for (unsigned i = 0; i < SP_BIRTH_SPANS; i++)
		assert_in_range(v.births[i], 3, 5);
}

static void a_slow_leak_among_traffic_is_growing(void **state)
{
	unsigned found = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++)
		found += run(slow_leak_among_traffic, 60, seed).class == SP_CLASS_GROWING;
	assert_true(found >= 45);
}

static void what_is_no_leak_is_steady(void **state)
{
	static void (*const steps[])(struct world *, unsigned) = {
	    cache_that_fills_up, cache_that_replaces, pool, one_big_block_half_way, queue_that_swells,
	};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(steps); i++)
		for (uint64_t seed = 1; seed <= 20; seed++)
			assert_int_equal(run(steps[i], 30, seed).class, SP_CLASS_STEADY);
}

static void traffic_is_steady_however_it_swings(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		assert_int_equal(run(traffic, 30, seed).class, SP_CLASS_STEADY);
}

static void a_short_look_says_nothing(void **state)
{
	(void)state;
	assert_int_equal(run(leak, 4, 1).class, SP_CLASS_UNKNOWN);
	assert_int_equal(run(leak, 8, 1).class, SP_CLASS_GROWING);
}

static void a_long_watch_keeps_bounded_points_from_its_beginning_to_now(void **state)
{
	uint64_t times[SP_HISTORY_POINTS], bytes[SP_HISTORY_POINTS];
	static struct world w;

	(void)state;
	w = (struct world){.l = ledger_new(0, 0), .now = BEGIN};
	w.path = path_add(w.l, 0x1000);
	for (unsigned i = 0; i < 1000; i++) {
		w.now += SECOND;
		allocate(&w, 16);
		look(&w);
		unsigned nr = sp_ledger_history(w.l, w.path, times, bytes);
		assert_in_range(nr, i < 32 ? i + 1 : 32, SP_HISTORY_POINTS);
		assert_int_equal(times[0], BEGIN + SECOND);
		assert_int_equal(times[nr - 1], w.now);
		for (unsigned k = 0; k < nr; k++)
			assert_int_equal(bytes[k], (times[k] - BEGIN) / SECOND * 16);
		for (unsigned k = 1; k < nr; k++)
			assert_true(times[k] > times[k - 1]);
	}
	assert_int_equal(verdict_of(&w).class, SP_CLASS_GROWING);
	sp_ledger_free(w.l);
}

static void a_path_that_comes_late_held_nothing_before(void **state)
{
	uint64_t times[SP_HISTORY_POINTS], bytes[SP_HISTORY_POINTS];
	static struct world w;

	(void)state;
	w = (struct world){.l = ledger_new(0, 0), .now = BEGIN};
	look(&w);
	w.path = path_add(w.l, 0x1000);
	assert_int_equal(sp_ledger_history(w.l, w.path, times, bytes), 0);
	w.now += SECOND;
	allocate(&w, 16);
	look(&w);
	assert_int_equal(sp_ledger_history(w.l, w.path, times, bytes), 2);
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[1], 16);
	assert_int_equal(sp_ledger_history(w.l, SP_NO_PATH, times, bytes), 0);
	sp_ledger_clear(w.l);
	assert_int_equal(sp_ledger_history(w.l, w.path, times, bytes), 0);
	assert_int_equal(verdict_of(&w).blocks, 0);
	sp_ledger_free(w.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_leak_is_growing_at_its_speed),
	    cmocka_unit_test(a_slow_leak_among_traffic_is_growing),
	    cmocka_unit_test(what_is_no_leak_is_steady),
	    cmocka_unit_test(traffic_is_steady_however_it_swings),
	    cmocka_unit_test(a_short_look_says_nothing),
	    cmocka_unit_test(a_long_watch_keeps_bounded_points_from_its_beginning_to_now),
	    cmocka_unit_test(a_path_that_comes_late_held_nothing_before),
	};

	return cmocka_run_group_tests_name("ledger_verdict", tests, NULL, NULL);
}
