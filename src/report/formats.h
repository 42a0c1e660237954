// SPDX-License-Identifier: Apache-2.0
/* The formats of a report of call paths: one row each. `--format` takes its words from here. */
#ifndef SEEP_REPORT_FORMATS_H
#define SEEP_REPORT_FORMATS_H

/*
 * name, writer (sp_report_NAME, report.h), once, judged. once: the format describes one instant and ends, so only the
 * last report of a session is written, with every call path. judged: it shows verdicts and how bytes went over the
 * watch.
 */
#define SP_REPORT_FORMATS(X)                                                                                           \
	X(text, trace, false, false)                                                                                   \
	X(json, json, false, false)                                                                                    \
	X(memleak, memleak, false, false)                                                                              \
	X(folded, folded, true, false)                                                                                 \
	X(pprof, pprof, true, false)                                                                                   \
	X(html, html, true, true)                                                                                      \
	X(lsan, lsan, true, false)                                                                                     \
	X(valgrind, valgrind, true, false)

enum sp_report_format {
#define SP_REPORT_ENUM(name, fn, once, judged) SP_REPORT_##fn,
	SP_REPORT_FORMATS(SP_REPORT_ENUM)
#undef SP_REPORT_ENUM
};

#endif
