// SPDX-License-Identifier: Apache-2.0
/* seep top's screen: vmstat's line, the changes, the processes, the sentence, the keys. */
#include <string.h>

#include "report/report.h"
#include "report/screen.h"
#include "report/top.h"

#define MAX_SENTENCE_LINES 5

/* Half a screen's width: a change, and the gap to the one beside it. */
#define CHANGE_WIDTH 40

struct page {
	struct sp_out *out; /* into memory */
	const struct sp_top_view *v;
	const struct sp_screen *s;
};

static void end_line(struct page *p)
{
	sp_out_puts(p->out, "\n");
}

/* ---- the parts ---- */

static void put_title(struct page *p)
{
	char span[16], period[16], text[200];

	snprintf(text, sizeof(text), "seep top, every %s, for %s; %zu processes%s%s%s",
		 sp_text_duration(period, sizeof(period), p->v->period_ns),
		 sp_text_duration(span, sizeof(span), p->v->span_ns + 500000000u), p->v->nr_processes,
		 p->s->filter && *p->s->filter ? "; only " : "", p->s->filter ? p->s->filter : "",
		 p->s->paused ? "; PAUSED" : "");
	sp_out_paint(p->out, p->s->colour, SP_PAINT_BOLD, text);
	end_line(p);
}

static void put_vmstat(struct page *p)
{
	for (unsigned i = 0; i < 2; i++) {
		sp_top_put_heading(p->out, i);
		end_line(p);
	}
	sp_top_put_line(p->out, &p->v->line);
	end_line(p);
}

/* Two columns: the first half of the kinds on the left. */
static void put_changes(struct page *p)
{
	const unsigned half = (SP_TOP_NR_CHANGES + 1) / 2;

	for (unsigned i = 0; i < half; i++) {
		sp_top_put_change(p->out, p->v, i, p->s->colour);
		if (i + half < SP_TOP_NR_CHANGES && p->s->columns >= 2 * CHANGE_WIDTH) {
			sp_out_puts(p->out, " ");
			sp_top_put_change(p->out, p->v, i + half, p->s->colour);
		}
		end_line(p);
	}
	sp_top_put_pressure(p->out, p->v);
	end_line(p);
}

static size_t selected_row(const struct page *p)
{
	for (size_t i = 0; i < p->v->nr_rows; i++)
		if (p->v->rows[i].suspect.ps.pid == p->s->selected)
			return i;
	return 0;
}

/* Rows scroll so that the selected one is there. */
static void put_processes(struct page *p, unsigned room)
{
	size_t selected = selected_row(p), first = 0;

	if (!room)
		return;
	sp_out_puts(p->out, " ");
	sp_top_put_columns(p->out, p->v, p->s->columns - 1);
	end_line(p);
	room--;
	if (selected >= room)
		first = selected - room + 1;
	for (size_t i = first; i < p->v->nr_rows && i < first + room; i++) {
		sp_out_puts(p->out, i == selected ? ">" : " ");
		sp_top_put_row(p->out, p->v, &p->v->rows[i], p->s->columns - 1, p->s->colour);
		end_line(p);
	}
	for (size_t i = p->v->nr_rows - first; i < room; i++)
		end_line(p);
}

/* ---- the sentence, over as many lines as it needs ---- */

/* Bytes of the words of `text` that fit into `width` columns; one column a byte is never too few. */
static size_t fitting(const char *text, unsigned width)
{
	size_t len = strlen(text), fit = 0;

	if (len <= width)
		return len;
	for (size_t i = 0; i <= width; i++)
		if (text[i] == ' ')
			fit = i;
	return fit ? fit : width;
}

static unsigned lines_of(const char *text, unsigned width)
{
	unsigned nr = 0;

	for (; *text && nr < MAX_SENTENCE_LINES; nr++) {
		text += fitting(text, width);
		text += strspn(text, " ");
	}
	return nr;
}

static void put_wrapped(struct page *p, const char *text)
{
	char line[512];

	for (unsigned nr = 0; *text && nr < MAX_SENTENCE_LINES; nr++) {
		size_t len = fitting(text, p->s->columns);

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		sp_out_paint(p->out, p->s->colour, SP_PAINT_BOLD, line);
		end_line(p);
		text += len;
		text += strspn(text, " ");
	}
}

static void put_foot(struct page *p)
{
	if (p->s->is_typing)
		sp_out_printf(p->out, "show only (Enter: done, Esc: everybody): %s_", p->s->filter ? p->s->filter : "");
	else if (p->s->message)
		sp_out_puts(p->out, p->s->message);
	else
		sp_out_printf(p->out, "q quit  p pause  s order: %s  / only  up, down  Enter trace", p->s->sort);
}

static void put_all(struct page *p)
{
	const unsigned above = 4 + (SP_TOP_NR_CHANGES + 1) / 2 + 1;
	char words[1200];
	unsigned below, used;

	snprintf(words, sizeof(words), "%s.%s%s", p->v->sentence, p->v->next[0] ? " Next: " : "", p->v->next);
	below = lines_of(words, p->s->columns) + 1;
	used = above + below;
	put_title(p);
	put_vmstat(p);
	put_changes(p);
	put_processes(p, p->s->rows > used ? p->s->rows - used : 0);
	put_wrapped(p, words);
	put_foot(p);
}

int sp_report_top_screen(FILE *stream, const struct sp_top_view *v, const struct sp_screen *s)
{
	struct sp_canvas canvas;
	int err = sp_canvas_init(&canvas);

	if (err)
		return err;
	put_all(&(struct page){.out = &canvas.out, .v = v, .s = s});
	err = sp_canvas_draw(&canvas, stream, s->rows);
	sp_canvas_done(&canvas);
	return err;
}
