// SPDX-License-Identifier: Apache-2.0
/* What the text reports share: the clock's hour, and what must be said about a reading (sampling, losses). */
#ifndef SEEP_REPORT_NOTES_H
#define SEEP_REPORT_NOTES_H

#include "report/out.h"
#include "report/report.h"

#define SP_CLOCK_SIZE 16

/* "03:00:41", local time unless o->utc. Returns buf. */
const char *sp_report_clock(char buf[SP_CLOCK_SIZE], const struct sp_view *v, const struct sp_report_options *o);

/*
 * The last lines of a text report, each behind `indent`: nothing when nothing was sampled and nothing lost. They never
 * contain the word "byte": scripts (bcc's own test is one) take the last line with it for the biggest stack.
 */
void sp_report_notes(struct sp_out *out, const struct sp_view *v, const char *indent);

#endif
