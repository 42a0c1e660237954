// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    turns a view into text: one writer per file.
 * Runs in: our process, main thread.
 * May not: change or compute numbers that another writer would compute otherwise; read anything but the view.
 * Owns:    nothing.
 * Fails by: -errno of the stream (-EPIPE, -ENOSPC...); every report is flushed before it returns.
 */
#ifndef SEEP_REPORT_REPORT_H
#define SEEP_REPORT_REPORT_H

#include <stdio.h>

#include "report/formats.h"
#include "session/session.h"
#include "session/top.h"

struct sp_report_options {
	bool colour;    /* seep's own text only */
	bool show_pc;   /* memleak: the address column of newer bcc */
	bool combined;  /* memleak --combined-only layout */
	bool show_list; /* blocks under each path (trace -a) or before the paths (memleak -a) */
	unsigned top;   /* scan: kinds of blocks to print, 0: all */
	unsigned width; /* columns of the terminal, 0: no limit */
	bool utc;       /* tests: print times in UTC */
};

/* bcc's text, to the byte: smallest stack first, biggest last. */
sp_must_check int sp_report_memleak(FILE *out, const struct sp_view *v, const struct sp_report_options *o);
/* seep's own text. */
sp_must_check int sp_report_trace(FILE *out, const struct sp_view *v, const struct sp_report_options *o);
/* One JSON object on one line (doc/json.md). */
sp_must_check int sp_report_json(FILE *out, const struct sp_view *v, const struct sp_report_options *o);
/* Folded stacks: a line a call path, outermost frame first, bytes. For flame graphs. */
sp_must_check int sp_report_folded(FILE *out, const struct sp_view *v, const struct sp_report_options *o);
/* pprof's profile.proto, gzip: inuse_objects, inuse_space. */
sp_must_check int sp_report_pprof(FILE *out, const struct sp_view *v, const struct sp_report_options *o);

/* A page that needs nothing else: flame graph, growth over time, table of call paths. */
sp_must_check int sp_report_html(FILE *out, const struct sp_view *v, const struct sp_report_options *o);

/*
 * As LeakSanitizer and Valgrind print leaks, for what reads that. A watch knows what is outstanding, not what nothing
 * points to: the first line says so, and Valgrind's word for it is "possibly lost".
 */
sp_must_check int sp_report_lsan(FILE *out, const struct sp_view *v, const struct sp_report_options *o);
sp_must_check int sp_report_valgrind(FILE *out, const struct sp_view *v, const struct sp_report_options *o);

typedef int sp_report_fn(FILE *out, const struct sp_view *v, const struct sp_report_options *o);

struct sp_report_writer {
	const char *name;
	sp_report_fn *write;
	bool once, judged; /* see formats.h */
};
const struct sp_report_writer *sp_report_writer(enum sp_report_format f);

/* ---- seep top ---- */

/* vmstat's lines, one a look, with its heading above the first; the changes and the sentence when it is the last. */
sp_must_check int sp_report_top(FILE *out, const struct sp_top_view *v, const struct sp_report_options *o);
/* One JSON object on one line (doc/json.md). */
sp_must_check int sp_report_top_json(FILE *out, const struct sp_top_view *v, const struct sp_report_options *o);

/* A terminal's whole screen, drawn over what stands there. */
struct sp_screen {
	unsigned rows, columns;
	bool colour;
	pid_t selected;     /* its row is marked; the first one when it is not there */
	const char *sort;   /* what the order is called */
	const char *filter; /* as typed so far; NULL: none */
	bool paused;
	bool is_typing;      /* the filter is being typed */
	const char *message; /* instead of the keys' help; NULL: none */
};

sp_must_check int sp_report_top_screen(FILE *out, const struct sp_top_view *v, const struct sp_screen *s);

#endif
