// SPDX-License-Identifier: Apache-2.0
/* base/stats: slopes, their intervals, and how sure they are. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_alloc.h"

#include "base/stats.h"

#define NR 60

static struct sp_trend trend_of(const double *y, size_t nr)
{
	struct sp_trend t = {0};
	double x[SP_TREND_MAX_POINTS];

	for (size_t i = 0; i < nr; i++)
		x[i] = (double)i * 0.5;
	assert_int_equal(sp_trend_of(x, y, nr, &t), 0);
	return t;
}

/* Even noise in [-1, 1), the same in every run. */
static double noise(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (double)(*state >> 33) / (double)(1u << 30) - 1;
}

static void a_straight_line_has_its_slope_and_no_doubt(void **state)
{
	double y[NR];

	(void)state;
	for (size_t i = 0; i < NR; i++)
		y[i] = 100 + 3 * (double)i;
	struct sp_trend t = trend_of(y, NR);
	assert_true(fabs(t.slope - 6) < 1e-9 && fabs(t.low - 6) < 1e-9 && fabs(t.high - 6) < 1e-9);
	assert_true(t.confidence > 0.999999);
}

static void a_falling_line_is_as_sure(void **state)
{
	double y[NR];

	(void)state;
	for (size_t i = 0; i < NR; i++)
		y[i] = -(double)i;
	struct sp_trend t = trend_of(y, NR);
	assert_true(fabs(t.slope + 2) < 1e-9 && t.confidence > 0.999999);
}

static void a_flat_series_has_no_trend(void **state)
{
	double y[NR];

	(void)state;
	for (size_t i = 0; i < NR; i++)
		y[i] = 7;
	struct sp_trend t = trend_of(y, NR);
	assert_true(t.slope == 0 && t.low == 0 && t.high == 0 && t.confidence == 0);
}

static void noise_is_hardly_ever_sure_and_its_interval_covers_the_truth(void **state)
{
	unsigned sure = 0, covered = 0;
	uint64_t seed = 1;
	double y[NR];

	(void)state;
	for (unsigned n = 0; n < 1000; n++) {
		for (size_t i = 0; i < NR; i++)
			y[i] = 0.01 * (double)i + 5 * noise(&seed);
		struct sp_trend t = trend_of(y, NR);
		covered += t.low <= 0.02 && t.high >= 0.02;
		for (size_t i = 0; i < NR; i++)
			y[i] = noise(&seed);
		sure += trend_of(y, NR).confidence > 0.99;
	}
	assert_in_range(sure, 1, 50); /* 2 % of both directions together */
	assert_in_range(covered, 860, 940);
}

static void one_wild_point_does_not_move_the_slope(void **state)
{
	double y[NR];

	(void)state;
	for (size_t i = 0; i < NR; i++)
		y[i] = (double)i;
	y[30] = 1e12;
	assert_true(fabs(trend_of(y, NR).slope - 2) < 0.01);
}

static void few_points_are_never_sure(void **state)
{
	const double y[] = {1, 2, 3};

	(void)state;
	assert_true(trend_of(y, 0).slope == 0);
	assert_true(trend_of(y, 1).slope == 0);
	assert_true(fabs(trend_of(y, 3).slope - 2) < 1e-9);
	assert_true(trend_of(y, 3).confidence == 0);
}

static void too_many_points_and_no_memory_are_errors(void **state)
{
	static double many[SP_TREND_MAX_POINTS + 1];
	struct sp_trend t = {.slope = 5};

	(void)state;
	assert_int_equal(sp_trend_of(many, many, SP_TREND_MAX_POINTS + 1, &t), -EINVAL);
	alloc_arm(0);
	assert_int_equal(sp_trend_of(many, many, 10, &t), -ENOMEM);
	assert_true(alloc_disarm());
	assert_true(t.slope == 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_straight_line_has_its_slope_and_no_doubt),
	    cmocka_unit_test(a_falling_line_is_as_sure),
	    cmocka_unit_test(a_flat_series_has_no_trend),
	    cmocka_unit_test(noise_is_hardly_ever_sure_and_its_interval_covers_the_truth),
	    cmocka_unit_test(one_wild_point_does_not_move_the_slope),
	    cmocka_unit_test(few_points_are_never_sure),
	    cmocka_unit_test(too_many_points_and_no_memory_are_errors),
	};

	return cmocka_run_group_tests_name("base_stats", tests, NULL, NULL);
}
