// SPDX-License-Identifier: Apache-2.0
/* Sen's slope and the Mann-Kendall test. Quadratic in the number of points, which is small. */
#include "base/stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEWEST_POINTS 4
#define Z_90          1.6448536269514722 /* the standard normal quantile of 95 %: 5 % on each side */

static int compare_doubles(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return (a > b) - (a < b);
}

static double median_of_sorted(const double *v, size_t nr)
{
	return nr % 2 ? v[nr / 2] : (v[nr / 2 - 1] + v[nr / 2]) / 2;
}

/* Kendall's S: rising pairs less falling ones. Fills in the slope of every pair. */
static double pairs(const double *x, const double *y, size_t nr, double *ret_slopes)
{
	double s = 0;
	size_t k = 0;

	for (size_t i = 0; i < nr; i++) {
		for (size_t j = i + 1; j < nr; j++) {
			s += (y[j] > y[i]) - (y[j] < y[i]);
			ret_slopes[k++] = (y[j] - y[i]) / (x[j] - x[i]);
		}
	}
	return s;
}

/* What a group of nr equal values takes from the variance, or all points give to it. */
static double variance_term(double nr)
{
	return nr * (nr - 1) * (2 * nr + 5) / 18;
}

static double variance_of_s(const double *y, size_t nr, double *scratch)
{
	double variance = variance_term((double)nr);
	size_t run = 1;

	memcpy(scratch, y, nr * sizeof(*y));
	qsort(scratch, nr, sizeof(*scratch), compare_doubles);
	for (size_t i = 1; i <= nr; i++) {
		if (i < nr && scratch[i] == scratch[i - 1]) {
			run++;
			continue;
		}
		variance -= variance_term((double)run);
		run = 1;
	}
	return variance;
}

static double confidence_of(double s, double variance)
{
	if (variance <= 0 || fabs(s) <= 1)
		return 0;
	double z = (fabs(s) - 1) / sqrt(variance);

	return 1 - erfc(z / sqrt(2)) / 2; /* one-sided: the direction is given by the slope */
}

/* The rank at `at`, kept inside. */
static double nth(const double *sorted, size_t nr, double at)
{
	if (at < 0)
		return sorted[0];
	return sorted[at >= (double)nr ? nr - 1 : (size_t)at];
}

int sp_trend_of(const double *x, const double *y, size_t nr, struct sp_trend *ret)
{
	struct sp_trend t = {0};
	size_t nr_pairs = nr * (nr - (nr > 0)) / 2;

	if (nr > SP_TREND_MAX_POINTS)
		return -EINVAL;
	if (nr < 2) {
		*ret = t;
		return 0;
	}
	double *slopes = malloc((nr_pairs + nr) * sizeof(*slopes));
	if (!slopes)
		return -ENOMEM;
	double s = pairs(x, y, nr, slopes);
	double variance = variance_of_s(y, nr, slopes + nr_pairs);
	double half_width = Z_90 * sqrt(variance > 0 ? variance : 0);

	qsort(slopes, nr_pairs, sizeof(*slopes), compare_doubles);
	t.slope = median_of_sorted(slopes, nr_pairs);
	t.low = nth(slopes, nr_pairs, ((double)nr_pairs - half_width) / 2);
	t.high = nth(slopes, nr_pairs, ((double)nr_pairs + half_width) / 2);
	t.confidence = nr >= FEWEST_POINTS ? confidence_of(s, variance) : 0;
	free(slopes);
	*ret = t;
	return 0;
}
