// SPDX-License-Identifier: Apache-2.0
/* From a format's row to its writer. */
#include "report/report.h"

static const struct sp_report_writer writers[] = {
#define ROW(name, fn, once, judged) [SP_REPORT_##fn] = {#name, sp_report_##fn, once, judged},
    SP_REPORT_FORMATS(ROW)
#undef ROW
};

const struct sp_report_writer *sp_report_writer(enum sp_report_format f)
{
	return &writers[f];
}
