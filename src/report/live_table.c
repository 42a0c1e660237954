// SPDX-License-Identifier: Apache-2.0
/* The table of call paths on seep trace's screen, and its sparklines. */
#include "report/live_table.h"

#include <inttypes.h>
#include <string.h>

#include "report/screen.h"

#define NS_PER_S 1000000000u

static const char *const class_words[] = {
#define WORD(id, word, text) [SP_CLASS_##id] = word,
    SP_CLASSES(WORD)
#undef WORD
};

/* ---- the table ---- */

#define NUMBERS_WIDTH 55 /* what stands left of the call path */

/* `text` in `width` columns, at the right end. */
static void put_cell(struct sp_out *out, unsigned width, const char *text)
{
	sp_out_printf(out, " %*s", (int)width, text);
}

void sp_live_put_heading(struct sp_out *out, const struct sp_view *v, const struct sp_live *s)
{
	char line[128];

	(void)v;
	snprintf(line, sizeof(line), " %7s %7s %8s %6s %4s %7s %-8s %s", "BYTES", "BLOCKS",
		 s->has_baseline ? "SINCE d" : "GROWTH/s", "OLDEST", "KEPT", "IN MEM", "VERDICT",
		 "CALL PATH, inner first");
	sp_out_printf(out, "%.*s", (int)sp_screen_fit(line, s->columns), line);
}

static int64_t per_second(int64_t bytes, uint64_t interval_ns)
{
	return interval_ns ? (int64_t)((__int128)bytes * NS_PER_S / interval_ns) : 0;
}

static void put_growth(struct sp_out *out, const struct sp_view *v, const struct sp_live *s,
		       const struct sp_live_row *row)
{
	int64_t growth = s->has_baseline ? row->since_bytes : per_second(row->path->sum.growth_bytes, v->interval_ns);
	char text[16], cell[24];

	snprintf(cell, sizeof(cell), " %8s", sp_out_brief_change(text, sizeof(text), growth));
	sp_out_paint(out, s->colour && growth, growth > 0 ? SP_PAINT_GROWS : SP_PAINT_SHRINKS, cell);
}

/* Of the blocks that lived through a whole interval, how many of a hundred are still there. */
static void put_survival(struct sp_out *out, const struct sp_path_sum *sum)
{
	char text[16];

	if (!sum->old_seen) {
		put_cell(out, 4, "-");
		return;
	}
	snprintf(text, sizeof(text), "%u%%",
		 (unsigned)((__uint128_t)(sum->old_seen - sum->old_freed) * 100 / sum->old_seen));
	put_cell(out, 4, text);
}

static void put_verdict(struct sp_out *out, const struct sp_view *v, const struct sp_live *s, enum sp_class class)
{
	char cell[16];

	snprintf(cell, sizeof(cell), " %-8s", v->has_verdicts ? class_words[class] : "-");
	sp_out_paint(out, s->colour && v->has_verdicts && (class <= SP_CLASS_GROWING || class == SP_CLASS_UNKNOWN),
		     class == SP_CLASS_UNKNOWN ? SP_PAINT_DIM : SP_PAINT_GROWS, cell);
}

static const char *name_of(const struct sp_frame *f, char *buf, size_t size)
{
	if (f->function)
		return f->function;
	if (f->module)
		snprintf(buf, size, "%s+0x%" PRIx64, f->module, f->module_offset);
	else
		snprintf(buf, size, "0x%" PRIx64, f->address);
	return buf;
}

/* "leaf < its caller < ...", as much of it as there is room for. */
static void put_names(struct sp_out *out, const struct sp_view_path *p, unsigned room)
{
	char line[512] = "", buf[160];
	size_t len = 0;

	for (unsigned i = 0; i < p->nr_frames && len + 1 < sizeof(line); i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", i ? " < " : "",
					name_of(&p->frames[i], buf, sizeof(buf)));
	sp_out_write(out, line, sp_screen_fit(line, room));
}

void sp_live_put_row(struct sp_out *out, const struct sp_view *v, const struct sp_live *s, size_t nr)
{
	const struct sp_live_row *row = &s->list[nr];
	const struct sp_path_sum *sum = &row->path->sum;
	uint64_t age = v->now_ns > sum->oldest_birth_ns ? v->now_ns - sum->oldest_birth_ns : 0;
	char text[24];

	sp_out_puts(out, nr == s->selected ? ">" : " ");
	sp_out_printf(out, "%7s", sp_out_brief(text, sizeof(text), sum->bytes, ""));
	snprintf(text, sizeof(text), "%" PRIu64, sum->blocks);
	put_cell(out, 7, text);
	put_growth(out, v, s, row);
	put_cell(out, 6, sp_text_duration(text, sizeof(text), age));
	put_survival(out, sum);
	put_cell(out, 7, v->has_resident ? sp_out_brief(text, sizeof(text), row->path->resident_bytes, "") : "-");
	put_verdict(out, v, s, row->path->verdict.class);
	sp_out_puts(out, " ");
	if (s->columns > NUMBERS_WIDTH)
		put_names(out, row->path, s->columns - NUMBERS_WIDTH);
}

/* ---- sparklines ---- */

#define NR_BARS 8

static const char *const bars_unicode[NR_BARS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const bars_ascii[NR_BARS + 1] = {" ", "_", ".", "-", "=", "+", "*", "%", "#"};

static uint64_t greatest(const uint64_t *bytes, unsigned nr)
{
	uint64_t max = 0;

	for (unsigned i = 0; i < nr; i++)
		max = bytes[i] > max ? bytes[i] : max;
	return max;
}

/* Something is never drawn as nothing. */
static unsigned height(uint64_t value, uint64_t max)
{
	return value ? 1 + (unsigned)((__uint128_t)value * (NR_BARS - 1) / max) : 0;
}

void sp_live_put_spark(struct sp_out *out, const struct sp_view *v, const uint64_t *bytes, unsigned columns,
		       bool unicode)
{
	const char *const *bars = unicode ? bars_unicode : bars_ascii;
	const uint64_t *t = v->history_ns;
	unsigned at = 0, nr = v->nr_history;

	if (nr < 2 || columns < 2 || !greatest(bytes, nr))
		return;
	for (unsigned i = 0; i < columns; i++) {
		uint64_t when = t[0] + (uint64_t)((__uint128_t)(t[nr - 1] - t[0]) * i / (columns - 1));

		while (at + 1 < nr && t[at + 1] <= when)
			at++;
		sp_out_puts(out, bars[height(bytes[at], greatest(bytes, nr))]);
	}
}
