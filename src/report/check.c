// SPDX-License-Identifier: Apache-2.0
/*
 * seep check's own text:
 *
 *	03:00:41  app (pid 12512), engine bpf: it leaks: 40.0 KiB in 5 blocks made in these 30s can never be freed, all
 *from ...
 *
 *	#1  leaked    40.0 KiB in 5 blocks
 *	    in two scans; 3 more of this call path are held, or too new for two scans
 *	      fibonacci  leak.c:21
 */
#include "report/check.h"

#include <inttypes.h>

#include "report/frames.h"
#include "report/holders.h"
#include "report/notes.h"
#include "report/scan_parts.h"

static const char *const words[SP_NR_CLASSES] = {
#define WORD(id, word, text) word,
    SP_CLASSES(WORD)
#undef WORD
};

static void put_evidence(struct sp_page *p, const struct sp_check_path *path)
{
	const struct sp_verdict *v = &path->path->verdict;

	sp_out_pad(&p->out, p->indent);
	if (path->class == SP_CLASS_GROWING)
		sp_out_printf(&p->out,
			      "+%s/s with confidence %.2f, %" PRIu64 " of %" PRIu64 " older blocks were freed\n",
			      SP_BYTES(v->trend.slope > 0 ? (uint64_t)v->trend.slope : 0), v->confidence, v->old_freed,
			      v->old_seen);
	else
		sp_out_printf(&p->out,
			      "in two scans; %" PRIu64 " more of this call path are held, or too new for two scans\n",
			      path->held_blocks);
}

enum { HOLDERS = 3 }; /* of a path */

static void put_holders(struct sp_page *p, const struct sp_check_path *path)
{
	char text[600];

	for (unsigned i = 0; i < path->nr_holders && i < HOLDERS; i++) {
		const struct sp_check_holder *h = &path->holders[i];
		struct sp_words w = {text, sizeof(text), 0};
		struct sp_place place = h->place;

		if (h->is_many)
			place.offset = 0;
		sp_report_place(&w, &place);
		sp_out_pad(&p->out, p->indent);
		sp_out_printf(&p->out, "held by: %" PRIu64 " of %" PRIu64 " blocks through %s\n", h->blocks,
			      path->nr_asked, text);
	}
}

static void put_path(struct sp_page *p, size_t rank, const struct sp_check_path *path, bool has_resident)
{
	char cell[32];

	snprintf(cell, sizeof(cell), "#%zu", rank);
	sp_out_printf(&p->out, "\n%-*s", (int)p->indent, cell);
	sp_page_put(p, SP_PAINT_BOLD, words[path->class]);
	sp_out_printf(&p->out, "   %s in %" PRIu64 " block%s", SP_BYTES(path->bytes), path->blocks,
		      path->blocks == 1 ? "" : "s");
	if (has_resident)
		sp_out_printf(&p->out, ", %s in memory", SP_BYTES(path->resident_bytes));
	sp_out_puts(&p->out, "\n");
	put_evidence(p, path);
	put_holders(p, path);
	sp_page_frames(p, path->path);
}

static void put_rest(struct sp_page *p, const struct sp_check *c, size_t shown)
{
	if (shown < c->nr_paths)
		sp_out_printf(&p->out, "\n%zu more call paths (--top 0 shows them)\n", c->nr_paths - shown);
	if (c->scan.nr_groups)
		sp_out_puts(&p->out, "\nmade before the watch, so without a call path:\n");
	sp_page_scan_groups(p, &c->scan);
	if (!c->scan.nr_groups)
		sp_out_puts(&p->out, "\n");
}

static void put_foot(struct sp_page *p, const struct sp_check *c)
{
	sp_out_printf(&p->out, "          watched for %s; %" PRIu64 " other call paths are steady",
		      sp_text_duration((char[16]){""}, 16, c->watched_ns), c->nr_steady);
	if (c->nr_unknown)
		sp_out_printf(&p->out, ", %" PRIu64 " too young to tell", c->nr_unknown);
	sp_out_puts(&p->out, "\n");
	sp_page_scan_foot(p, &c->scan);
	if (c->nr_suppressed)
		sp_out_printf(&p->out, "          suppressed: %" PRIu64 " call path%s, %s in %" PRIu64 " block%s\n",
			      c->nr_suppressed, sp_plural(c->nr_suppressed), SP_BYTES(c->suppressed.bytes),
			      c->suppressed.blocks, sp_plural(c->suppressed.blocks));
	if (c->holders_why[0])
		sp_out_printf(&p->out, "          not told: who holds what grows: %s\n", c->holders_why);
	if (c->scan.nr_mistakes)
		sp_out_printf(&p->out,
			      "          seep was wrong: %" PRIu64
			      " blocks that its first scan called leaked were freed\n",
			      c->scan.nr_mistakes);
	sp_report_lost(&p->out, c->view, "          ", "\n          ");
}

int sp_report_check_text(FILE *stream, const struct sp_check *c, const struct sp_report_options *o)
{
	struct sp_page p = {.out = {.stream = stream}, .v = c->view, .o = o, .indent = 4, .blocks_digits = 1};
	size_t nr = o->top && o->top < c->nr_paths ? o->top : c->nr_paths;
	char clock[SP_CLOCK_SIZE], sentence[SP_CHECK_SENTENCE];

	for (size_t n = nr; n >= 10; n /= 10)
		p.indent++;
	sp_page_put(&p, SP_PAINT_BOLD, sp_report_clock(clock, c->view, o));
	sp_out_printf(&p.out, "  %s (pid %d), engine %s: ", c->view->comm, (int)c->view->pid, c->view->engine);
	sp_page_put(&p, SP_PAINT_BOLD, sp_report_check_sentence(c, sentence));
	sp_out_puts(&p.out, "\n");
	for (size_t i = 0; i < nr && !p.out.err; i++)
		put_path(&p, i + 1, &c->paths[i], c->has_resident);
	put_rest(&p, c, nr);
	put_foot(&p, c);
	return sp_out_finish(&p.out);
}
