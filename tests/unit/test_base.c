// SPDX-License-Identifier: Apache-2.0
/* base/: reasons, vectors, the u64 map, text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "failing_alloc.h"

/* ---- why ---- */

static void the_first_reason_wins(void **state)
{
	struct sp_why why = {0};

	(void)state;
	assert_false(sp_why_is_set(&why));
	assert_int_equal(sp_why_set(&why, SP_FAULT_TARGET, ESRCH, "no process %d", 12), -ESRCH);
	sp_why_hint(&why, "try %s", "this");
	assert_int_equal(sp_why_set(&why, SP_FAULT_OURS, ENOMEM, "later"), -ENOMEM);
	sp_why_hint(&why, "later");
	assert_true(sp_why_is_set(&why));
	assert_int_equal(why.fault, SP_FAULT_TARGET);
	assert_int_equal(why.err, ESRCH);
	assert_string_equal(why.what, "no process 12");
	assert_string_equal(why.hint, "try this");
}

static void a_reason_nobody_wants_still_gives_the_error(void **state)
{
	(void)state;
	assert_int_equal(sp_why_set(NULL, SP_FAULT_OURS, 0, "x"), -EINVAL);
	assert_int_equal(sp_why_set(NULL, SP_FAULT_OURS, EPERM, "x"), -EPERM);
	sp_why_hint(NULL, "x");
}

static void a_reason_is_one_printable_line_whatever_the_target_is_called(void **state)
{
	struct sp_why why = {0};
	char name[2000];

	(void)state;
	(void)!sp_why_set(&why, SP_FAULT_TARGET, EPERM, "no %s", "a\x1b[2J\nb");
	assert_string_equal(why.what, "no a?[2J?b");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	sp_why_hint(&why, "%s", name);
	assert_int_equal(strlen(why.hint), sizeof(why.hint) - 1);
}

/* ---- vec ---- */

static void a_vector_keeps_what_is_pushed_and_refuses_at_its_maximum(void **state)
{
	struct sp_vec v;

	(void)state;
	sp_vec_init(&v, sizeof(uint32_t), 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(sp_vec_push(&v, &i), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(sp_vec_push(&v, &i), -ENOSPC);
	assert_int_equal(v.nr, 1000);
	assert_int_equal(v.cap, 1000);
	assert_int_equal(v.nr_refused, 3);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(*sp_vec_at(&v, uint32_t, i), i);
	sp_vec_done(&v);
	assert_int_equal(v.nr, 0);
	assert_int_equal(v.nr_refused, 3);
}

static void reserving_makes_pushes_certain(void **state)
{
	struct sp_vec v;
	uint64_t x = 7;

	(void)state;
	sp_vec_init(&v, sizeof(x), 100);
	assert_int_equal(sp_vec_reserve(&v, 101), -ENOSPC);
	assert_int_equal(sp_vec_reserve(&v, 40), 0);
	alloc_arm(0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(sp_vec_push(&v, &x), 0);
	assert_int_equal(sp_vec_push(&v, &x), -ENOMEM);
	assert_true(alloc_disarm());
	assert_int_equal(v.nr, 40);
	assert_int_equal(v.nr_refused, 0);
	assert_int_equal(sp_vec_push(&v, &x), 0);
	sp_vec_done(&v);
}

static void a_size_that_overflows_is_refused(void **state)
{
	struct sp_vec v;

	(void)state;
	sp_vec_init(&v, 1 << 20, SIZE_MAX);
	assert_int_equal(sp_vec_reserve(&v, SIZE_MAX >> 10), -ENOMEM);
	assert_null(v.data);
	assert_int_equal(v.cap, 0);
	sp_vec_done(&v);
}

/* ---- u64map ---- */

#define KEYS 512

static uint64_t next_random(uint64_t *s)
{
	/* xorshift64 (Marsaglia, 2003) */
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Few distinct keys, so that removals and returns are frequent; the edges of the range among them. */
static uint64_t key_of(unsigned i)
{
	return i == 0 ? 0 : i == 1 ? UINT64_MAX : i % 2 ? (uint64_t)i << 32 : i * 16u;
}

static void the_map_agrees_with_a_naive_model(void **state)
{
	struct sp_u64map m;
	uint64_t value[KEYS] = {0}, rnd = 88172645463325252ull;
	bool has[KEYS] = {false};
	size_t nr = 0, refused = 0;

	(void)state;
	sp_u64map_init(&m, 300);
	for (int step = 0; step < 60000; step++) {
		unsigned i = (unsigned)(next_random(&rnd) % KEYS), what = (unsigned)(next_random(&rnd) % 100);
		/* Phases: filling, emptying. */
		unsigned sets = step / 5000 % 2 ? 30 : 60;

		if (what < sets) {
			int want = !has[i] && nr == 300 ? -ENOSPC : 0;

			assert_int_equal(sp_u64map_set(&m, key_of(i), rnd), want);
			refused += want != 0;
			if (!want) {
				nr += !has[i];
				has[i] = true;
				value[i] = rnd;
			}
		} else if (what < 90) {
			assert_int_equal(sp_u64map_remove(&m, key_of(i)), has[i]);
			nr -= has[i];
			has[i] = false;
		} else if (what == 99 && step % 50 == 0) {
			sp_u64map_clear(&m);
			memset(has, 0, sizeof(has));
			nr = 0;
		}
		i = (unsigned)(next_random(&rnd) % KEYS);
		assert_int_equal(sp_u64map_find(&m, key_of(i)) != NULL, has[i]);
		if (has[i])
			assert_int_equal(*sp_u64map_find(&m, key_of(i)), value[i]);
		assert_int_equal(m.nr, nr);
		assert_true(m.used >= m.nr && m.used <= m.cap / 4 * 3);
	}
	assert_int_equal(m.nr_refused, refused);
	assert_true(refused > 0);
	sp_u64map_done(&m);
}

static void the_map_grows_and_finds_everything(void **state)
{
	struct sp_u64map m;

	(void)state;
	sp_u64map_init(&m, SIZE_MAX);
	assert_null(sp_u64map_find(&m, 1));
	assert_false(sp_u64map_remove(&m, 1));
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(sp_u64map_set(&m, i << 12, i), 0);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(*sp_u64map_find(&m, i << 12), i);
	assert_null(sp_u64map_find(&m, 20000ull << 12));
	sp_u64map_done(&m);
}

static void the_map_does_not_grow_by_tombstones(void **state)
{
	struct sp_u64map m;

	(void)state;
	sp_u64map_init(&m, 1000);
	for (uint64_t i = 0; i < 100000; i++) {
		assert_int_equal(sp_u64map_set(&m, i, i), 0);
		if (i >= 5)
			assert_true(sp_u64map_remove(&m, i - 5));
	}
	assert_int_equal(m.nr, 5);
	assert_true(m.cap <= 32);
	sp_u64map_done(&m);
}

static void the_map_is_unharmed_by_a_failed_growth(void **state)
{
	struct sp_u64map m;
	uint64_t i = 0;
	int err;

	(void)state;
	sp_u64map_init(&m, 1000);
	assert_int_equal(sp_u64map_set(&m, i++, 1), 0);
	alloc_arm(0);
	while (!(err = sp_u64map_set(&m, i, i)))
		i++;
	assert_true(alloc_disarm());
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(m.nr, i);
	assert_null(sp_u64map_find(&m, i));
	assert_int_equal(sp_u64map_set(&m, 0, 5), 0);
	assert_int_equal(*sp_u64map_find(&m, 0), 5);
	assert_int_equal(sp_u64map_set(&m, i, i), 0);
	sp_u64map_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_reason_wins),
	    cmocka_unit_test(a_reason_nobody_wants_still_gives_the_error),
	    cmocka_unit_test(a_reason_is_one_printable_line_whatever_the_target_is_called),
	    cmocka_unit_test(a_vector_keeps_what_is_pushed_and_refuses_at_its_maximum),
	    cmocka_unit_test(reserving_makes_pushes_certain),
	    cmocka_unit_test(a_size_that_overflows_is_refused),
	    cmocka_unit_test(the_map_agrees_with_a_naive_model),
	    cmocka_unit_test(the_map_grows_and_finds_everything),
	    cmocka_unit_test(the_map_does_not_grow_by_tombstones),
	    cmocka_unit_test(the_map_is_unharmed_by_a_failed_growth),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
