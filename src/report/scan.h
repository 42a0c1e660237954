// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    turns a scan into text: one writer per file.
 * Runs in: our process, main thread.
 * May not: read anything but the scan.
 * Owns:    nothing.
 * Fails by: -errno of the stream; flushed before it returns.
 */
#ifndef SEEP_REPORT_SCAN_H
#define SEEP_REPORT_SCAN_H

#include "report/report.h"
#include "session/scan.h"

/* The writers of --format, by name. */
#define SP_SCAN_FORMATS(X)                                                                                             \
	X(text)                                                                                                        \
	X(json)                                                                                                        \
	X(lsan)                                                                                                        \
	X(valgrind)

#define SP_SCAN_WRITER(name)                                                                                           \
	sp_must_check int sp_report_scan_##name(FILE *out, const struct sp_scan *s, const struct sp_report_options *o);
SP_SCAN_FORMATS(SP_SCAN_WRITER)
#undef SP_SCAN_WRITER

enum sp_scan_format {
#define SP_SCAN_ENUM(name) SP_SCAN_##name,
	SP_SCAN_FORMATS(SP_SCAN_ENUM)
#undef SP_SCAN_ENUM
};

/* "leaked", "indirect", "possible"... as reports call the classes. */
const char *sp_report_class(enum sp_heap_class c);

/* True when something is leaked: exit status 1. */
bool sp_scan_has_leak(const struct sp_scan *s);

#endif
