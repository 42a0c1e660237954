// SPDX-License-Identifier: Apache-2.0
/* What seep top's text and its screen share: their lines, each without its newline. Not for other rooms. */
#ifndef SEEP_REPORT_TOP_H
#define SEEP_REPORT_TOP_H

#include "report/out.h"
#include "session/top.h"

/* vmstat's two lines of heading (nr 0 and 1) and its numbers. */
void sp_top_put_heading(struct sp_out *out, unsigned nr);
void sp_top_put_line(struct sp_out *out, const struct sp_vmstat_line *line);

/* The changes: row 0 is free memory, then every kind. */
enum { SP_TOP_NR_CHANGES = 1 + SP_NR_MEM };
void sp_top_put_change(struct sp_out *out, const struct sp_top_view *v, unsigned nr, bool colour);

/* The table of processes. width: columns of the terminal, 0: no limit, every column is shown. */
void sp_top_put_columns(struct sp_out *out, const struct sp_top_view *v, unsigned width);
void sp_top_put_row(struct sp_out *out, const struct sp_top_view *v, const struct sp_top_row *row, unsigned width,
		    bool colour);

/* How a process' memory goes: "steady" (what a leak looks like), "grows", "paused" (it has grown), "-". */
const char *sp_top_trend_word(const struct sp_suspect *s);

/* Pressure, and the fullest cgroup. */
void sp_top_put_pressure(struct sp_out *out, const struct sp_top_view *v);

#endif
