// SPDX-License-Identifier: Apache-2.0
/* The screen of seep trace: what it is told besides the view. */
#ifndef SEEP_REPORT_LIVE_H
#define SEEP_REPORT_LIVE_H

#include "report/report.h"

enum sp_live_page { SP_LIVE_TABLE, SP_LIVE_STACK, SP_LIVE_HELP, SP_LIVE_EXPORT /* the table, with a question */ };

/* A call path on the screen. */
struct sp_live_row {
	const struct sp_view_path *path; /* of the view */
	int64_t since_bytes;             /* growth since the baseline, with has_baseline */
};

struct sp_live {
	unsigned rows, columns; /* of the terminal */
	bool colour, unicode;
	enum sp_live_page page;
	const struct sp_live_row *list; /* the view's paths that the filter lets through */
	size_t nr;
	size_t selected; /* its row */
	size_t *scroll;  /* lines of the pages that are not the table; set back where the text ends */
	const char *sort, *filter, *foot, *help;
	const char *message; /* above the foot; NULL: none */
	uint64_t interval_ns;
	bool paused, has_baseline;
	uint64_t baseline_ns; /* when it was set, in the view's clock */
	/* The text of a frame's source line, printable; NULL: it is not there. */
	const char *(*source)(const struct sp_frame *f, void *arg);
	void *source_arg;
};

/* How many rows of the table such a screen has room for. */
unsigned sp_report_live_room(unsigned rows);

/* Does this text stand in one of the path's functions, modules or files? Upper and lower case are one. */
bool sp_report_live_matches(const struct sp_view_path *p, const char *text);

/* A terminal's whole screen, drawn over what stands there. */
sp_must_check int sp_report_live(FILE *out, const struct sp_view *v, const struct sp_live *s);

#endif
