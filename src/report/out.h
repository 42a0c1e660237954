// SPDX-License-Identifier: Apache-2.0
/* A stream that remembers its first error, so that writers print straight on and ask once, at the end. */
#ifndef SEEP_REPORT_OUT_H
#define SEEP_REPORT_OUT_H

#include <stdio.h>

#include "base/base.h"

struct sp_out {
	FILE *stream;
	int err; /* 0 or the first -errno; nothing more is written after it */
};

void sp_out_printf(struct sp_out *o, const char *fmt, ...) sp_printf(2, 3);
void sp_out_write(struct sp_out *o, const char *text, size_t len);
void sp_out_puts(struct sp_out *o, const char *text);

/* n blanks. */
void sp_out_pad(struct sp_out *o, unsigned n);

enum sp_paint { SP_PAINT_BOLD, SP_PAINT_DIM, SP_PAINT_GROWS, SP_PAINT_SHRINKS };

/* Text, coloured when `colour`. */
void sp_out_paint(struct sp_out *o, bool colour, enum sp_paint paint, const char *text);

/* "58.0M", "+2.0G": sp_text_bytes() for columns. 12 bytes are enough; return buf. */
const char *sp_out_brief(char *buf, size_t size, uint64_t bytes, const char *sign);
const char *sp_out_brief_change(char *buf, size_t size, int64_t change);

/* Flushes. Returns 0 or the first -errno. */
sp_must_check int sp_out_finish(struct sp_out *o);

#endif
