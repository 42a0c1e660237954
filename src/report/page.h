// SPDX-License-Identifier: Apache-2.0
/* One report of seep's own text while it is being written. */
#ifndef SEEP_REPORT_PAGE_H
#define SEEP_REPORT_PAGE_H

#include "report/out.h"
#include "report/report.h"

struct sp_page {
	struct sp_out out;
	const struct sp_view *v;
	const struct sp_report_options *o;
	unsigned indent;        /* of a path's lines: behind "#10  " */
	unsigned blocks_digits; /* of the largest number of blocks */
};

/* Coloured only when asked for. */
void sp_page_put(struct sp_page *p, enum sp_paint paint, const char *text);

#endif
