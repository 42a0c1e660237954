// SPDX-License-Identifier: Apache-2.0
/* A view into a file of its own, from the screen of seep trace. */
#ifndef SEEP_CLI_LIVE_EXPORT_H
#define SEEP_CLI_LIVE_EXPORT_H

#include "report/report.h"

/*
 * Writes into NAME-PID-HHMMSS.FORMAT in the working directory, which must not be there yet. ret: what to tell the user,
 * also when it failed.
 */
void sp_live_export(const struct sp_view *v, enum sp_report_format f, char *ret, size_t size);

#endif
