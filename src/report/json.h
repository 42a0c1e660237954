// SPDX-License-Identifier: Apache-2.0
/* Parts of a view as JSON that several reports have. */
#ifndef SEEP_REPORT_JSON_H
#define SEEP_REPORT_JSON_H

#include "report/jsonw.h"
#include "report/report.h"

void sp_report_json_frame(struct sp_jsonw *w, const struct sp_frame *f);

/* "totals" and "suppressed". */
void sp_report_json_totals(struct sp_jsonw *w, const struct sp_view *v);

/* "lost" */
void sp_report_json_lost(struct sp_jsonw *w, const struct sp_view *v);

#endif
