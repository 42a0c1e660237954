// SPDX-License-Identifier: Apache-2.0
/*
 * Two views side by side, and writers of the result. Names, not addresses, tell call paths from each other, so that the
 * views may be of two runs, or of two builds: of a module with another build-id on the other side, lines do not count.
 * The promises are those of report/report.h; copies of what is compared are kept.
 */
#ifndef SEEP_REPORT_DIFF_H
#define SEEP_REPORT_DIFF_H

#include "report/report.h"

struct sp_diff;

enum sp_diff_side { SP_DIFF_BEFORE, SP_DIFF_AFTER, SP_NR_DIFF_SIDES };

sp_must_check int sp_diff_new(struct sp_diff **ret);
void sp_diff_free(struct sp_diff *d); /* NULL is fine */

/*
 * Copies one side; once each. The view holds every path (top 0). `watched_ns`: since the watch began. -ENOMEM, -ENOSPC:
 * more call paths than fit.
 */
sp_must_check int sp_diff_take(struct sp_diff *d, enum sp_diff_side side, const struct sp_view *v, uint64_t watched_ns);

/* Compares, when both sides have been taken. */
sp_must_check int sp_diff_compare(struct sp_diff *d);

/* Bytes by which those paths that grew (or are new) grew, all together. */
uint64_t sp_diff_grown_bytes(const struct sp_diff *d);

/* What changed, the path that grew most first, at most `top` of them; 0: all. */
sp_must_check int sp_report_diff(FILE *out, const struct sp_diff *d, unsigned top, const struct sp_report_options *o);
/* One JSON object on one line (doc/json.md). */
sp_must_check int sp_report_diff_json(FILE *out, const struct sp_diff *d, unsigned top);

#endif
