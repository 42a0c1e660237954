// SPDX-License-Identifier: Apache-2.0
/* The lines that seep top's text and its screen share. */
#include "report/top.h"

#include <inttypes.h>
#include <string.h>

/* ---- vmstat ---- */

static const struct {
	const char *name;
	unsigned width;
} columns[SP_NR_VMSTAT] = {
#define COLUMN(name, width) {#name, width},
    SP_VMSTAT(COLUMN)
#undef COLUMN
};

void sp_top_put_heading(struct sp_out *out, unsigned nr)
{
	if (nr == 0) {
		sp_out_puts(out, "procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----");
		return;
	}
	for (unsigned i = 0; i < SP_NR_VMSTAT; i++)
		sp_out_printf(out, "%s%*s", i ? " " : "", (int)columns[i].width, columns[i].name);
}

/* A number that is too wide takes its room from the next ones, so that the line stays in its columns. */
void sp_top_put_line(struct sp_out *out, const struct sp_vmstat_line *line)
{
	unsigned debt = 0;

	for (unsigned i = 0; i < SP_NR_VMSTAT; i++) {
		char text[24];
		unsigned len = (unsigned)snprintf(text, sizeof(text), "%" PRIu64, line->v[i]);
		unsigned width = columns[i].width, spare = width > len ? width - len : 0;
		unsigned taken = spare < debt ? spare : debt;

		debt -= taken;
		if (len > width)
			debt += len - width;
		sp_out_printf(out, "%s%*s", i ? " " : "", (int)(width - taken), text);
	}
}

/* ---- changes ---- */

void sp_top_put_change(struct sp_out *out, const struct sp_top_view *v, unsigned nr, bool colour)
{
	uint64_t before = nr ? v->first.mem[nr - 1] : v->first.free, now = nr ? v->now.mem[nr - 1] : v->now.free;
	const char *words = nr ? sp_mem_words((enum sp_mem)(nr - 1)) : "free memory";
	int64_t change = (int64_t)(now - before);
	bool is_much = change >= (int64_t)v->verdict.noise_bytes || change <= -(int64_t)v->verdict.noise_bytes;
	char size[20], diff[20], cell[24];

	sp_out_printf(out, "%-20s %8s ", words, sp_out_brief(size, sizeof(size), now, ""));
	snprintf(cell, sizeof(cell), "%9s", sp_out_brief_change(diff, sizeof(diff), change));
	/* Free memory that falls is the same news as another kind that grows. */
	sp_out_paint(out, colour && is_much, (change > 0) == (nr > 0) ? SP_PAINT_GROWS : SP_PAINT_SHRINKS, cell);
}

void sp_top_put_pressure(struct sp_out *out, const struct sp_top_view *v)
{
	char used[20], limit[20];

	if (v->has_pressure)
		sp_out_printf(out, "waited for memory: some %.1f %%, all %.1f %%", v->some_percent, v->full_percent);
	else
		sp_out_puts(out, "waited for memory: this kernel does not count it");
	if (v->now.swap_used)
		sp_out_printf(out, "; swap %s", sp_out_brief(used, sizeof(used), v->now.swap_used, ""));
	for (size_t i = 0; i < v->nr_cgroups; i++) {
		const struct sp_cgroup_limit *l = &v->cgroups[i].limit;

		sp_out_printf(out, "; %s %s of %s", v->cgroups[i].name,
			      sp_out_brief(used, sizeof(used), l->used_bytes, ""),
			      sp_out_brief(limit, sizeof(limit), l->limit_bytes, ""));
	}
}

/* ---- processes ---- */

const char *sp_top_trend_word(const struct sp_suspect *s)
{
	if (s->is_steady)
		return "steady";
	if (s->growth_bytes <= 0)
		return "-";
	return s->is_growing ? "grows" : "paused";
}

/* Which of the optional columns fit. */
struct layout {
	bool has_pss, has_swap, has_command; /* has_command false: the short name has to do */
	unsigned cgroup;                     /* columns of it, 0: none */
};

#define WIDE          100 /* columns from which on everything is shown */
#define CGROUP_WIDTH  20
#define CGROUP_NARROW 12

static struct layout layout_for(const struct sp_top_view *v, unsigned width)
{
	bool is_wide = !width || width >= WIDE, has_cgroups = false;

	for (size_t i = 0; i < v->nr_rows; i++)
		has_cgroups |= v->rows[i].cgroup[0] != '\0';
	return (struct layout){.has_pss = is_wide,
			       .has_command = is_wide,
			       .has_swap = is_wide || (v->now.swap_used && width >= 80),
			       .cgroup = is_wide       ? CGROUP_WIDTH
					 : has_cgroups ? CGROUP_NARROW
						       : 0};
}

void sp_top_put_columns(struct sp_out *out, const struct sp_top_view *v, unsigned width)
{
	struct layout l = layout_for(v, width);

	sp_out_puts(out, "    PID   GROWTH     /MIN SURE TREND     ANON     RSS");
	if (l.has_pss)
		sp_out_puts(out, "     PSS");
	if (l.has_swap)
		sp_out_puts(out, "    SWAP");
	if (l.cgroup)
		sp_out_printf(out, " %-*s", (int)l.cgroup, "CGROUP");
	sp_out_puts(out, " COMMAND");
}

static void put_size(struct sp_out *out, bool known, uint64_t bytes)
{
	char text[20];

	sp_out_printf(out, " %7s", known ? sp_out_brief(text, sizeof(text), bytes, "") : "-");
}

static void put_pace(struct sp_out *out, const struct sp_suspect *s, bool colour)
{
	char growth[20], rate[20], cell[64];

	snprintf(cell, sizeof(cell), " %8s", sp_out_brief_change(growth, sizeof(growth), s->growth_bytes));
	sp_out_paint(out, colour && s->is_steady, SP_PAINT_GROWS, cell);
	if (s->per_second > 0)
		sp_out_printf(out, " %8s", sp_out_brief(rate, sizeof(rate), (uint64_t)(s->per_second * 60), "+"));
	else
		sp_out_printf(out, " %8s", "-");
	if (s->confidence > 0)
		sp_out_printf(out, " %3u%%", (unsigned)(s->confidence * 100));
	else
		sp_out_printf(out, " %4s", "-");
	sp_out_printf(out, " %-6s", sp_top_trend_word(s));
}

/* A label cut at its end, which tells less than its beginning. */
static void put_label(struct sp_out *out, const char *text, unsigned width)
{
	sp_out_printf(out, " %-*.*s", (int)width, (int)width, text[0] ? text : "-");
}

void sp_top_put_row(struct sp_out *out, const struct sp_top_view *v, const struct sp_top_row *row, unsigned width,
		    bool colour)
{
	const struct sp_suspect *s = &row->suspect;
	struct layout l = layout_for(v, width);

	sp_out_printf(out, "%7d", (int)s->ps.pid);
	put_pace(out, s, colour);
	put_size(out, true, s->ps.anon_bytes);
	put_size(out, true, s->ps.rss_bytes);
	if (l.has_pss)
		put_size(out, row->has_pss, row->pss_bytes);
	if (l.has_swap)
		put_size(out, true, s->ps.swap_bytes);
	if (l.cgroup)
		put_label(out, row->cgroup, l.cgroup);
	sp_out_printf(out, " %s", l.has_command && row->command[0] ? row->command : row->comm);
}
