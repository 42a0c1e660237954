// SPDX-License-Identifier: Apache-2.0
/* Writers of shared memory: text and JSON. The promises are those of report/report.h. */
#ifndef SEEP_REPORT_SHM_H
#define SEEP_REPORT_SHM_H

#include <stdio.h>

#include "shm/shm.h"

struct sp_report_shm_options {
	bool all;           /* text: small ordinary files, too */
	uint64_t min_bytes; /* text: what counts as small */
};

sp_must_check int sp_report_shm(FILE *out, const struct sp_shm *s, const struct sp_report_shm_options *opt);

/* One JSON object on one line, everything in it. */
sp_must_check int sp_report_shm_json(FILE *out, const struct sp_shm *s);

#endif
