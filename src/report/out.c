// SPDX-License-Identifier: Apache-2.0
/* A stream that remembers its first error. */
#include "report/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static void fail(struct sp_out *o, int err)
{
	if (!o->err)
		o->err = err ? -err : -EIO;
}

void sp_out_printf(struct sp_out *o, const char *fmt, ...)
{
	va_list args;
	int r;

	if (o->err)
		return;
	errno = 0;
	va_start(args, fmt);
	r = vfprintf(o->stream, fmt, args);
	if (r < 0)
		fail(o, errno);
	va_end(args);
}

void sp_out_write(struct sp_out *o, const char *text, size_t len)
{
	if (o->err || !len)
		return;
	errno = 0;
	if (fwrite(text, 1, len, o->stream) != len)
		fail(o, errno);
}

void sp_out_puts(struct sp_out *o, const char *text)
{
	sp_out_write(o, text, strlen(text));
}

void sp_out_pad(struct sp_out *o, unsigned n)
{
	sp_out_printf(o, "%*s", (int)n, "");
}

void sp_out_paint(struct sp_out *o, bool colour, enum sp_paint paint, const char *text)
{
	static const char *const codes[] = {
	    [SP_PAINT_BOLD] = "1", [SP_PAINT_DIM] = "2", [SP_PAINT_GROWS] = "31", [SP_PAINT_SHRINKS] = "32"};

	if (colour)
		sp_out_printf(o, "\033[%sm%s\033[0m", codes[paint], text);
	else
		sp_out_puts(o, text);
}

const char *sp_out_brief(char *buf, size_t size, uint64_t bytes, const char *sign)
{
	char text[16], *blank;

	sp_text_bytes(text, sizeof(text), bytes);
	blank = strchr(text, ' ');
	*blank = '\0';
	snprintf(buf, size, "%s%s%.1s", sign, text, blank[1] == 'B' ? "" : blank + 1);
	return buf;
}

const char *sp_out_brief_change(char *buf, size_t size, int64_t change)
{
	return sp_out_brief(buf, size, change < 0 ? -(uint64_t)change : (uint64_t)change,
			    change < 0   ? "-"
			    : change > 0 ? "+"
					 : "");
}

int sp_out_finish(struct sp_out *o)
{
	if (o->err)
		return o->err;
	errno = 0;
	if (fflush(o->stream))
		fail(o, errno);
	return o->err;
}
