// SPDX-License-Identifier: Apache-2.0
/* The parts of seep trace's screen that are lines of numbers. Not for other rooms. */
#ifndef SEEP_REPORT_LIVE_TABLE_H
#define SEEP_REPORT_LIVE_TABLE_H

#include "report/live.h"
#include "report/out.h"

/* The table's heading, and one row of it, each without newline and not wider than s->columns. */
void sp_live_put_heading(struct sp_out *out, const struct sp_view *v, const struct sp_live *s);
void sp_live_put_row(struct sp_out *out, const struct sp_view *v, const struct sp_live *s, size_t nr);

/* A series as one line of bars, from 0 to its greatest value, time running evenly; "" when there is too little of it.
 */
void sp_live_put_spark(struct sp_out *out, const struct sp_view *v, const uint64_t *bytes, unsigned columns,
		       bool unicode);

#endif
