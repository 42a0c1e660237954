// SPDX-License-Identifier: Apache-2.0
/* Samples as metrics: OpenMetrics 1.0, or the text of Prometheus that is older. */
#ifndef SEEP_SERVE_METRICS_H
#define SEEP_SERVE_METRICS_H

#include "report/out.h"
#include "serve/sample.h"

struct sp_metrics_target {
	pid_t pid;
	const char *comm;
	bool is_up;                     /* it is being watched */
	const char *reason;             /* why not; NULL: it is, or is about to be */
	uint64_t failures;              /* to watch it */
	const struct sp_sample *sample; /* NULL: not yet, or not now */
};

struct sp_metrics {
	const struct sp_metrics_target *list;
	size_t nr;
	uint64_t nr_refused;                      /* processes that there was no room for */
	uint64_t requests, refusals, connections; /* of HTTP; connections: open now */
	bool is_openmetrics;
};

/* Every name is described in doc/metrics.md. */
sp_must_check int sp_metrics_write(FILE *out, const struct sp_metrics *m);

#endif
