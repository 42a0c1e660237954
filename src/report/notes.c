// SPDX-License-Identifier: Apache-2.0
/* What the text reports share: the clock's hour, and what must be said about a reading. */
#include "report/notes.h"

#include <inttypes.h>
#include <string.h>

static const char *const lost_texts[SP_NR_LOST] = {
#define LOST_TEXT(id, key, text) [SP_LOST_##id] = text,
    SP_LOST(LOST_TEXT)
#undef LOST_TEXT
};

const char *sp_report_clock(char buf[SP_CLOCK_SIZE], const struct sp_view *v, const struct sp_report_options *o)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (o->utc)
		gmtime_r(&v->time.tv_sec, &tm);
	else
		localtime_r(&v->time.tv_sec, &tm);
	if (!strftime(buf, SP_CLOCK_SIZE, "%H:%M:%S", &tm))
		buf[0] = '\0';
	return buf;
}

void sp_report_notes(struct sp_out *out, const struct sp_view *v, const char *indent)
{
	const char *lead = "not seen: ";

	if (v->scale > 1)
		sp_out_printf(out,
			      "%ssampled: one call in %" PRIu64 " was recorded, sums are multiplied by %" PRIu64
			      "; n recorded blocks are right to about 100/sqrt(n) %%\n",
			      indent, v->scale, v->scale);
	for (unsigned i = 0; i < SP_NR_LOST; i++) {
		if (!v->lost[i])
			continue;
		sp_out_printf(out, "%s%s%" PRIu64 " %s", *lead == ';' ? "" : indent, lead, v->lost[i], lost_texts[i]);
		lead = "; ";
	}
	if (*lead == ';')
		sp_out_puts(out, "\n");
}
