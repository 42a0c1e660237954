// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    turns a check into text: the sentence first, then the evidence.
 * Runs in: our process, main thread.
 * May not: read anything but the check.
 * Owns:    nothing.
 * Fails by: -errno of the stream; flushed before it returns.
 */
#ifndef SEEP_REPORT_CHECK_H
#define SEEP_REPORT_CHECK_H

#include "report/report.h"
#include "report/scan.h"
#include "session/check.h"

#define SP_CHECK_SENTENCE 1024

/* What leaks, how fast, where: one sentence without its full stop's line end. Returns buf. */
const char *sp_report_check_sentence(const struct sp_check *c, char buf[SP_CHECK_SENTENCE]);

/* The formats are those of a scan. */
#define SP_CHECK_WRITER(name)                                                                                          \
	sp_must_check int sp_report_check_##name(FILE *out, const struct sp_check *c,                                  \
						 const struct sp_report_options *o);
SP_SCAN_FORMATS(SP_CHECK_WRITER)
#undef SP_CHECK_WRITER

/* True when "nothing leaks" would be worth nothing: nothing was judged and nothing grows. Exit status 3. */
bool sp_check_is_blind(const struct sp_check *c);

#endif
