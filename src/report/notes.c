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

const char *sp_report_time(char buf[SP_CLOCK_SIZE], const struct timespec *t, const struct sp_report_options *o)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (o->utc)
		gmtime_r(&t->tv_sec, &tm);
	else
		localtime_r(&t->tv_sec, &tm);
	if (!strftime(buf, SP_CLOCK_SIZE, "%H:%M:%S", &tm))
		buf[0] = '\0';
	return buf;
}

const char *sp_report_clock(char buf[SP_CLOCK_SIZE], const struct sp_view *v, const struct sp_report_options *o)
{
	return sp_report_time(buf, &v->time, o);
}

/* (scale - 1) / blocks is the square of the relative error of a binomial count. */
static unsigned percent_of_calls(uint64_t blocks, uint64_t scale)
{
	unsigned percent = 0;

	while (percent < 999 && (__uint128_t)percent * percent * blocks < (__uint128_t)10000 * (scale - 1))
		percent++;
	return percent;
}

unsigned sp_report_error_percent(const struct sp_view *v, const struct sp_path_sum *s)
{
	if (v->scale > 1)
		return percent_of_calls(s->blocks, v->scale);
	if (!s->error_bytes || !s->bytes)
		return 0;
	__uint128_t percent = ((__uint128_t)s->error_bytes * 100 + s->bytes - 1) / s->bytes;
	return percent < 999 ? (unsigned)percent : 999;
}

const char *sp_report_growth(char *buf, size_t size, const struct sp_view *v)
{
	char mapped[16], faulted[16];

	snprintf(buf, size, "%s of address space, %s in memory by page faults",
		 sp_text_bytes(mapped, sizeof(mapped), v->total_bytes - v->fault_bytes),
		 sp_text_bytes(faulted, sizeof(faulted), v->fault_bytes));
	return buf;
}

uint64_t sp_report_pages(uint64_t bytes)
{
	return bytes / 4096;
}

bool sp_report_is_sampled(const struct sp_view *v)
{
	return v->scale > 1 || v->sample_bytes;
}

void sp_report_sampled(struct sp_out *out, const struct sp_view *v, const char *indent)
{
	char mean[16];

	if (v->scale > 1)
		sp_out_printf(out, "%ssampled: one call in %" PRIu64 ", sums are multiplied by %" PRIu64 "\n", indent,
			      v->scale, v->scale);
	if (v->sample_bytes)
		sp_out_printf(out, "%ssampled: about one block every %s was recorded, sums are estimates\n", indent,
			      sp_text_bytes(mean, sizeof(mean), v->sample_bytes));
}

void sp_report_lost(struct sp_out *out, const struct sp_view *v, const char *indent, const char *separator)
{
	bool any = false;

	for (unsigned i = 0; i < SP_NR_LOST; i++) {
		if (!v->lost[i])
			continue;
		if (any)
			sp_out_puts(out, separator);
		else
			sp_out_printf(out, "%snot seen: ", indent);
		sp_out_printf(out, "%" PRIu64 " %s", v->lost[i], lost_texts[i]);
		any = true;
	}
	if (any)
		sp_out_puts(out, "\n");
}

void sp_report_suppressed(struct sp_out *out, const struct sp_view *v)
{
	char bytes[16];

	if (v->suppressed_paths)
		sp_out_printf(out, "suppressed: %" PRIu64 " call path%s, %s in %" PRIu64 " block%s\n",
			      v->suppressed_paths, v->suppressed_paths == 1 ? "" : "s",
			      sp_text_bytes(bytes, sizeof(bytes), v->suppressed_bytes), v->suppressed_blocks,
			      v->suppressed_blocks == 1 ? "" : "s");
}

static void put_found(struct sp_out *out, const struct sp_found_sum *sum, const char *before, const char *after)
{
	char bytes[16];

	if (sum->blocks)
		sp_out_printf(out, "%s%s in %" PRIu64 " block%s%s", before,
			      sp_text_bytes(bytes, sizeof(bytes), sum->bytes), sum->blocks, sum->blocks == 1 ? "" : "s",
			      after);
}

void sp_report_found(struct sp_out *out, const struct sp_view *v)
{
	const struct sp_found_sum *sums = v->found.sums;
	uint64_t ago = v->now_ns > v->found.now_ns ? v->now_ns - v->found.now_ns : 0;
	char span[16];

	if (!v->has_found)
		return;
	if (ago)
		sp_out_printf(out, "scanned %s before: ", sp_text_duration(span, sizeof(span), ago));
	else
		sp_out_puts(out, "scanned: ");
	if (!sums[SP_FOUND_LEAKED].blocks)
		sp_out_puts(out, "nothing leaked");
	put_found(out, &sums[SP_FOUND_LEAKED], "", " leaked");
	put_found(out, &sums[SP_FOUND_INDIRECT], ", ", " that only they lead to");
	put_found(out, &sums[SP_FOUND_POSSIBLE], ", ", " possibly leaked");
	sp_out_puts(out, ", those from before the watch too\n");
}
