// SPDX-License-Identifier: Apache-2.0
/*
 * seep's own text: one block of lines per call path, the worst first.
 *
 *	03:00:41  app (pid 12512), engine bpf
 *	          40.2 KiB in 6 blocks outstanding on 2 call paths, older than 500ms
 *
 *	#1   40.0 KiB in 5 blocks  +24.0 KiB in 5s, +4.8 KiB/s
 *	    oldest 12s, 0 of 3 older blocks were freed
 *	      fibonacci     leak.c:21
 *	      child         leak.c:40
 *	      start_thread  libc.so.6+0x89134 build-id 3a1b2c3d4e5f
 *
 * How much and how fast stands on the first line of a path, why one should believe that it leaks on the second, where
 *on those below. Places stand in a column; one that does not fit into the terminal goes to a line of its own.
 */
#include <inttypes.h>

#include "report/notes.h"
#include "report/page.h"

/* ---- head ---- */

static void put_filter(struct sp_page *p)
{
	const struct sp_ledger_filter *f = &p->v->filter;
	char buf[16];

	if (f->min_age_ns)
		sp_out_printf(&p->out, ", older than %s", sp_text_duration(buf, sizeof(buf), f->min_age_ns));
	if (f->min_size)
		sp_out_printf(&p->out, ", from %s", sp_text_bytes(buf, sizeof(buf), f->min_size));
	if (f->max_size)
		sp_out_printf(&p->out, ", up to %s", sp_text_bytes(buf, sizeof(buf), f->max_size));
}

static void put_totals(struct sp_page *p)
{
	const struct sp_view *v = p->v;
	char bytes[16];

	if (!v->total_paths) {
		sp_page_put(p, SP_PAINT_BOLD, v->is_growth ? "it has not grown" : "nothing outstanding");
	} else if (v->is_growth) {
		char text[80];
		sp_page_put(p, SP_PAINT_BOLD, sp_report_growth(text, sizeof(text), v));
		sp_out_printf(&p->out, " on %" PRIu64 " call path%s", v->total_paths, sp_plural(v->total_paths));
	} else {
		sp_page_put(p, SP_PAINT_BOLD, sp_text_bytes(bytes, sizeof(bytes), v->total_bytes));
		sp_out_printf(&p->out, " in %" PRIu64 " block%s outstanding on %" PRIu64 " call path%s",
			      v->total_blocks, sp_plural(v->total_blocks), v->total_paths, sp_plural(v->total_paths));
	}
	put_filter(p);
	sp_out_puts(&p->out, "\n");
}

static void put_head(struct sp_page *p)
{
	const struct sp_view *v = p->v;
	char clock[SP_CLOCK_SIZE];

	sp_page_put(p, SP_PAINT_BOLD, sp_report_clock(clock, v, p->o));
	if (v->is_kernel)
		sp_out_puts(&p->out, "  kernel");
	else
		sp_out_printf(&p->out, "  %s (pid %d%s)", v->comm, (int)v->pid, v->target_ended ? ", ended" : "");
	sp_out_printf(&p->out, ", engine %s%s\n          ", v->engine, v->is_last ? ", last report" : "");
	put_totals(p);
}

static void put_rest(struct sp_page *p)
{
	const struct sp_view *v = p->v;
	uint64_t shown = 0, more = v->total_paths - v->nr_paths;
	char bytes[16];

	if (v->total_paths <= v->nr_paths)
		return;
	for (size_t i = 0; i < v->nr_paths; i++)
		shown += v->paths[i].sum.bytes;
	sp_out_printf(&p->out, "\n%" PRIu64 " more call path%s, %s (--top shows more)\n", more, sp_plural(more),
		      sp_text_bytes(bytes, sizeof(bytes), v->total_bytes > shown ? v->total_bytes - shown : 0));
}

/* The last lines: what stands between the numbers above and the truth. */
static void put_notes(struct sp_page *p)
{
	sp_report_found(&p->out, p->v);
	sp_report_sampled(&p->out, p->v, "");
	if (p->v->scale > 1 && p->v->nr_paths)
		sp_out_puts(&p->out, "         +- is the standard error when the blocks of a path are of one size\n");
	else if (p->v->sample_bytes && p->v->nr_paths)
		sp_out_puts(&p->out, "         +- is the standard error\n");
	sp_report_suppressed(&p->out, p->v);
	sp_report_lost(&p->out, p->v, "", "\n          ");
}

int sp_report_trace(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_page p;

	sp_page_init(&p, stream, v, o);
	put_head(&p);
	for (size_t i = 0; i < v->nr_paths && !p.out.err; i++)
		sp_page_path(&p, i + 1, &v->paths[i]);
	put_rest(&p);
	put_notes(&p);
	sp_out_puts(&p.out, "\n");
	return sp_out_finish(&p.out);
}
