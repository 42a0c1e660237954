// SPDX-License-Identifier: Apache-2.0
/* Keeps the first reason of a failure, as one printable line. */
#include "base/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

/* The arguments may hold names that come from the target: what leaves here can be printed as it is. */
static void sp_printf(3, 0) format_line(char *dst, size_t size, const char *fmt, va_list ap)
{
	char raw[512];

	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		raw[0] = '\0';
	sp_text_printable(dst, size, raw);
}

int sp_why_set(struct sp_why *why, enum sp_fault fault, int err, const char *fmt, ...)
{
	if (why && !sp_why_is_set(why)) {
		va_list ap;

		va_start(ap, fmt);
		format_line(why->what, sizeof(why->what), fmt, ap);
		va_end(ap);
		why->fault = fault;
		why->err = err;
		why->hint[0] = '\0';
	}
	return err ? -err : -EINVAL;
}

void sp_why_hint(struct sp_why *why, const char *fmt, ...)
{
	va_list ap;

	if (!why || why->hint[0])
		return;
	va_start(ap, fmt);
	format_line(why->hint, sizeof(why->hint), fmt, ap);
	va_end(ap);
}
