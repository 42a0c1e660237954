// SPDX-License-Identifier: Apache-2.0
/* Writers of a process' segments: text and JSON. The promises are those of report/report.h. */
#ifndef SEEP_REPORT_MAP_H
#define SEEP_REPORT_MAP_H

#include <stdio.h>

#include "session/map.h"

struct sp_report_map_options {
	bool list;      /* each mapping, too */
	bool colour;    /* text only */
	bool utc;       /* tests: print times in UTC */
	unsigned width; /* columns of the terminal, 0: no limit */
};

sp_must_check int sp_report_map(FILE *out, const struct sp_map_view *v, const struct sp_report_map_options *o);

/* One JSON object on one line (doc/json.md). */
sp_must_check int sp_report_map_json(FILE *out, const struct sp_map_view *v, const struct sp_report_map_options *o);

/* "rw-p" as the kernel writes it; returns buf, 5 bytes. */
const char *sp_map_prot_text(uint8_t prot, char *buf);

#endif
