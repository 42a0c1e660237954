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
	/* The text of a frame's source line, printable, NULL: it is not there. NULL: nobody asks. */
	const char *(*source)(const struct sp_frame *f, void *arg);
	void *source_arg;
};

void sp_page_init(struct sp_page *p, FILE *stream, const struct sp_view *v, const struct sp_report_options *o);

static inline const char *sp_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* A call path: its sums, why one should believe that it leaks, its frames, its blocks when they are shown. */
void sp_page_path(struct sp_page *p, size_t rank, const struct sp_view_path *path);

/* Coloured only when asked for. */
void sp_page_put(struct sp_page *p, enum sp_paint paint, const char *text);

#endif
