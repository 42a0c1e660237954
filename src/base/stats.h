// SPDX-License-Identifier: Apache-2.0
/* Does a series rise, how fast, and how sure is that: robust against outliers and steps. */
#ifndef SEEP_BASE_STATS_H
#define SEEP_BASE_STATS_H

#include <stddef.h>

#include "base/why.h"

#define SP_TREND_MAX_POINTS 256

struct sp_trend {
	double slope;      /* units of y per unit of x: the median of the slopes between all pairs of points */
	double low, high;  /* the true slope lies between them with 90 % confidence */
	double confidence; /* 0..1: that the series as a whole goes the way the slope points; 0 when it is flat */
};

/*
 * The trend of nr points (x strictly rising). Slope and interval: Sen, Estimates of the regression coefficient based on
 * Kendall's tau, J. Am. Stat. Assoc. 63 (1968). Confidence: Mann's test with Kendall's correction for ties; it takes
 * points for independent, so a random walk looks surer than it is. Fewer than 4 points: confidence 0. More than
 * SP_TREND_MAX_POINTS: -EINVAL. -ENOMEM.
 */
sp_must_check int sp_trend_of(const double *x, const double *y, size_t nr, struct sp_trend *ret);

#endif
