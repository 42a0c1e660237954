// SPDX-License-Identifier: Apache-2.0
/*
 * The screen of seep trace:
 *
 *	seep trace: app (pid 12512), engine bpf, every 2s, for 1m10s
 *	40.2 KiB in 6 blocks outstanding on 2 call paths, older than 500ms
 *	live bytes  0 ▁▂▃▃▄▅▅▆▇█ 40.2K, all blocks
 *	cost: seep 0.4 % of a CPU; the program was never stopped
 *	not seen: nothing
 *
 *	   BYTES  BLOCKS GROWTH/s OLDEST KEPT  IN MEM VERDICT  CALL PATH, inner first
 *	>  40.0K       5    +4.8K    12s 100%   40.0K growing  fibonacci < child < start_thread
 *
 *	q quit  ? help ...
 *
 * The lines above the table are always there, so that nothing jumps; a stack or the help takes the table's place.
 */
#include "report/live.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "report/live_table.h"
#include "report/notes.h"
#include "report/page.h"
#include "report/screen.h"

#define NR_ABOVE    6 /* lines above the table's heading or another page */
#define NR_BELOW    2 /* message, keys */
#define MAX_SPARK   48
#define NS_PER_S    1000000000u
#define SPARK_WORDS 32 /* columns that stand around a sparkline */

/* What a page is drawn with. */
struct drawing {
	struct sp_out *out;
	const struct sp_view *v;
	const struct sp_live *s;
};

static void end_line(struct drawing *d)
{
	sp_out_puts(d->out, "\n");
}

/* ---- the head ---- */

static uint64_t watched_ns(const struct sp_view *v)
{
	return v->nr_history && v->now_ns > v->history_ns[0] ? v->now_ns - v->history_ns[0] : 0;
}

static void put_title(struct drawing *d)
{
	const struct sp_view *v = d->v;
	char every[16], span[16], text[320];

	snprintf(text, sizeof(text), "seep trace: %s (pid %d), engine %s, every %s, for %s, by %s%s%s%s", v->comm,
		 (int)v->pid, v->engine, sp_text_duration(every, sizeof(every), d->s->interval_ns),
		 sp_text_duration(span, sizeof(span), watched_ns(v)), d->s->sort, d->s->paused ? "; PAUSED" : "",
		 *d->s->filter ? "; only " : "", d->s->filter);
	sp_out_puts(d->out, text);
	end_line(d);
}

static void put_totals(struct drawing *d)
{
	const struct sp_view *v = d->v;
	char bytes[16], age[16], growth[80];

	if (v->is_growth)
		sp_out_puts(d->out, sp_report_growth(growth, sizeof(growth), v));
	else
		sp_out_printf(d->out, "%s in %" PRIu64 " block%s", sp_text_bytes(bytes, sizeof(bytes), v->total_bytes),
			      v->total_blocks, sp_plural(v->total_blocks));
	sp_out_printf(d->out, " on %" PRIu64 " call path%s", v->total_paths, sp_plural(v->total_paths));
	if (v->filter.min_age_ns)
		sp_out_printf(d->out, ", older than %s", sp_text_duration(age, sizeof(age), v->filter.min_age_ns));
	if (v->has_resident)
		sp_out_printf(d->out, "; %s in memory", sp_text_bytes(bytes, sizeof(bytes), v->resident_bytes));
	end_line(d);
}

static void put_live_bytes(struct drawing *d)
{
	const struct sp_view *v = d->v;
	unsigned columns = d->s->columns > SPARK_WORDS ? d->s->columns - SPARK_WORDS : 0;
	char now[16];

	sp_out_puts(d->out, "live bytes  ");
	if (v->nr_history >= 2) {
		sp_live_put_spark(d->out, v, v->history_bytes, columns < MAX_SPARK ? columns : MAX_SPARK,
				  d->s->unicode);
		sp_out_printf(d->out, "  %s, of any age",
			      sp_out_brief(now, sizeof(now), v->history_bytes[v->nr_history - 1], ""));
	} else {
		sp_out_puts(d->out, "(from the second look on)");
	}
	end_line(d);
}

static void put_cost(struct drawing *d)
{
	const struct sp_engine_stats *e = &d->v->stats;
	uint64_t span = watched_ns(d->v);
	char text[16];

	sp_out_puts(d->out, "cost: ");
	if (span)
		sp_out_printf(d->out, "seep %.1f %% of a CPU; ", 100.0 * (double)d->v->own_cpu_ns / (double)span);
	if (e->memory)
		sp_out_printf(d->out, "%s in the program; ", sp_text_bytes(text, sizeof(text), e->memory));
	if (e->pause_ns)
		sp_out_printf(d->out, "it was stopped for %s", sp_text_duration(text, sizeof(text), e->pause_ns));
	else
		sp_out_puts(d->out, "the program was never stopped");
	end_line(d);
}

static void put_lost(struct drawing *d)
{
	bool any = false;

	for (unsigned i = 0; i < SP_NR_LOST; i++)
		any |= d->v->lost[i] != 0;
	if (any)
		sp_report_lost(d->out, d->v, "", ", ");
	else
		sp_out_puts(d->out, "not seen: nothing\n");
}

/* What one must know to read the numbers. */
static void put_remark(struct drawing *d)
{
	char span[16];

	if (sp_report_is_sampled(d->v)) {
		sp_report_sampled(d->out, d->v, "");
		return;
	}
	if (d->s->has_baseline)
		sp_out_printf(d->out, "growth since d was pressed, %s ago",
			      sp_text_duration(span, sizeof(span), d->v->now_ns - d->s->baseline_ns));
	end_line(d);
}

/* The lines as they are, however wide. */
static void put_head_lines(struct drawing *d)
{
	put_title(d);
	put_totals(d);
	put_live_bytes(d);
	put_cost(d);
	put_lost(d);
	put_remark(d);
}

/* A text without colours, cut at the screen's right margin. */
static void put_cut(struct drawing *d, const char *text, bool is_title)
{
	char line[512];

	while (*text) {
		size_t len = strcspn(text, "\n"), fit;

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		fit = sp_screen_fit(line, d->s->columns);
		line[fit] = '\0';
		sp_out_paint(d->out, d->s->colour && is_title, SP_PAINT_BOLD, line);
		end_line(d);
		text += len + (text[len] == '\n');
		is_title = false;
	}
}

static int put_head(struct drawing *d)
{
	struct sp_canvas canvas;
	int err = sp_canvas_init(&canvas);
	const char *text;

	if (err)
		return err;
	put_head_lines(&(struct drawing){.out = &canvas.out, .v = d->v, .s = d->s});
	text = sp_canvas_text(&canvas, &err);
	if (text)
		put_cut(d, text, true);
	sp_canvas_done(&canvas);
	return err;
}

/* ---- the pages ---- */

unsigned sp_report_live_room(unsigned rows)
{
	const unsigned used = NR_ABOVE + 1 + NR_BELOW;

	return rows > used ? rows - used : 1;
}

/* Rows scroll so that the selected one is there. */
static void put_table(struct drawing *d)
{
	const struct sp_live *s = d->s;
	size_t room = sp_report_live_room(s->rows), first = s->selected >= room ? s->selected - room + 1 : 0;

	sp_live_put_heading(d->out, d->v, s);
	end_line(d);
	for (size_t i = first; i < first + room; i++) {
		if (i < s->nr)
			sp_live_put_row(d->out, d->v, s, i);
		else if (i == first)
			sp_out_puts(d->out, d->v->nr_report ? "  nothing" : "  the first look comes in a moment");
		end_line(d);
	}
}

static void put_path(struct drawing *d, FILE *stream)
{
	const struct sp_report_options o = {.colour = d->s->colour, .width = d->s->columns};
	const struct sp_view_path *path = d->s->list[d->s->selected].path;
	struct sp_page p;

	sp_page_init(&p, stream, d->v, &o);
	p.source = d->s->source;
	p.source_arg = d->s->source_arg;
	sp_page_path(&p, d->s->selected + 1, path);
	if (path->history && d->v->nr_history >= 2) {
		sp_out_puts(&p.out, "\n");
		sp_out_pad(&p.out, p.indent);
		sp_out_puts(&p.out, "its bytes  ");
		sp_live_put_spark(&p.out, d->v, path->history, MAX_SPARK, d->s->unicode);
		sp_out_puts(&p.out, "\n");
	}
	if (p.out.err && !d->out->err)
		d->out->err = p.out.err;
}

/* A text that may be longer than its room: from *s->scroll on, or from where its last line is the screen's last. */
static void put_scrolled(struct drawing *d, const char *text)
{
	size_t room = sp_report_live_room(d->s->rows) + 1, nr = sp_screen_nr_lines(text);
	size_t most = nr > room ? nr - room : 0;

	if (*d->s->scroll > most)
		*d->s->scroll = most;
	sp_screen_put_lines(d->out, text, *d->s->scroll, room);
}

static int put_stack(struct drawing *d)
{
	struct sp_canvas canvas;
	int err = sp_canvas_init(&canvas);
	const char *text;

	if (err)
		return err;
	if (d->s->selected < d->s->nr)
		put_path(d, canvas.out.stream);
	else
		sp_out_puts(&canvas.out, "  this call path holds nothing any more\n");
	text = sp_canvas_text(&canvas, &err);
	if (text)
		put_scrolled(d, text);
	sp_canvas_done(&canvas);
	return err;
}

static void put_foot(struct drawing *d)
{
	if (d->s->message)
		sp_out_write(d->out, d->s->message, sp_screen_fit(d->s->message, d->s->columns));
	end_line(d);
	sp_out_write(d->out, d->s->foot, sp_screen_fit(d->s->foot, d->s->columns));
}

static int put_all(struct drawing *d)
{
	int err = put_head(d);

	if (!err && d->s->page == SP_LIVE_STACK)
		err = put_stack(d);
	else if (d->s->page == SP_LIVE_HELP)
		put_scrolled(d, d->s->help);
	else
		put_table(d);
	put_foot(d);
	return err ? err : d->out->err;
}

int sp_report_live(FILE *stream, const struct sp_view *v, const struct sp_live *s)
{
	struct sp_canvas canvas;
	int err = sp_canvas_init(&canvas);

	if (err)
		return err;
	err = put_all(&(struct drawing){.out = &canvas.out, .v = v, .s = s});
	if (!err)
		err = sp_canvas_draw(&canvas, stream, s->rows);
	sp_canvas_done(&canvas);
	return err;
}

/* ---- the filter ---- */

static bool has(const char *in, const char *text)
{
	return in && strcasestr(in, text);
}

bool sp_report_live_matches(const struct sp_view_path *p, const char *text)
{
	if (!*text)
		return true;
	for (unsigned i = 0; i < p->nr_frames; i++)
		if (has(p->frames[i].function, text) || has(p->frames[i].module, text) || has(p->frames[i].file, text))
			return true;
	return false;
}
