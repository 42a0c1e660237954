// SPDX-License-Identifier: Apache-2.0
/* A page that is drawn over a whole terminal at once, and pieces of lines that fit into columns. */
#ifndef SEEP_REPORT_SCREEN_H
#define SEEP_REPORT_SCREEN_H

#include "report/out.h"

/* Lines in memory. */
struct sp_canvas {
	struct sp_out out; /* write here, every line but the last with its newline */
	char *text;
	size_t size;
};

/* -ENOMEM. */
sp_must_check int sp_canvas_init(struct sp_canvas *c);
void sp_canvas_done(struct sp_canvas *c);

/* What was written so far; NULL when something failed, whose -errno is in *ret_err. */
const char *sp_canvas_text(struct sp_canvas *c, int *ret_err);

/*
 * Draws the lines over what stands there, each on a cleared line: nothing flickers and nothing is left over. On a
 * screen that is too low the last lines are the ones that are drawn. -errno of the stream.
 */
sp_must_check int sp_canvas_draw(struct sp_canvas *c, FILE *stream, unsigned rows);

/* The lines [first, first + nr) of a text, each with its newline; as many empty ones as are missing. */
void sp_screen_put_lines(struct sp_out *out, const char *text, size_t first, size_t nr);
size_t sp_screen_nr_lines(const char *text);

/* Bytes of `text` that stand in at most `columns` columns; one code point a column. */
size_t sp_screen_fit(const char *text, unsigned columns);

#endif
