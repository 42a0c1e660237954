// SPDX-License-Identifier: Apache-2.0
/*
 * seep top as lines: what vmstat prints, and when it ends, what changed, who grew, and the sentence:
 *
 *	procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----
 *	 r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st
 *	 0  0      0 6601824  97620 1098784    0    0     0     0   62  322  0  0 100  0  0
 *
 *	in 30s                     now    change
 *	free memory               6.3G    -62.0M
 *	...
 *	    PID   GROWTH     /MIN SURE TREND     ANON     RSS ... COMMAND
 *	  12512   +58.0M  +116.0M  99% steady   60.1M   62.0M ... /app
 *
 *	free fell 62.0 MiB in 30s: 58.0 MiB is anonymous memory of app[12512]... Next: seep trace 12512
 */
#include "report/top.h"

#include <inttypes.h>
#include <string.h>

#include "report/report.h"

static void end_line(struct sp_out *out)
{
	sp_out_puts(out, "\n");
}

static void put_heading(struct sp_out *out)
{
	for (unsigned i = 0; i < 2; i++) {
		sp_top_put_heading(out, i);
		end_line(out);
	}
}

static void put_changes(struct sp_out *out, const struct sp_top_view *v, bool colour)
{
	char span[16];

	sp_out_puts(out, "\n");
	sp_out_printf(out, "in %-17s %8s %9s\n", sp_text_duration(span, sizeof(span), v->span_ns + 500000000u), "now",
		      "change");
	for (unsigned i = 0; i < SP_TOP_NR_CHANGES; i++) {
		sp_top_put_change(out, v, i, colour);
		end_line(out);
	}
	for (size_t i = 0; i < v->nr_slabs; i++) {
		char bytes[16];

		sp_out_printf(out, "  slab %s: +%s\n", v->slabs[i].name,
			      sp_text_bytes(bytes, sizeof(bytes), (uint64_t)v->slabs[i].growth_bytes));
	}
	sp_top_put_pressure(out, v);
	end_line(out);
}

static void put_processes(struct sp_out *out, const struct sp_top_view *v, const struct sp_report_options *o)
{
	sp_out_puts(out, "\n");
	if (!v->nr_rows) {
		sp_out_printf(out, "of %zu processes none is to be shown\n", v->nr_processes);
		return;
	}
	sp_top_put_columns(out, v, o->width);
	end_line(out);
	for (size_t i = 0; i < v->nr_rows; i++) {
		sp_top_put_row(out, v, &v->rows[i], o->width, o->colour);
		end_line(out);
	}
	if (v->nr_matching > v->nr_rows)
		sp_out_printf(out, "%zu more of %zu processes (--top shows more)\n", v->nr_matching - v->nr_rows,
			      v->nr_processes);
}

static void put_verdict(struct sp_out *out, const struct sp_top_view *v, bool colour)
{
	if (v->nr_lost)
		sp_out_printf(out, "not seen: %" PRIu64 " processes, the table is full\n", v->nr_lost);
	end_line(out);
	sp_out_paint(out, colour, SP_PAINT_BOLD, v->sentence);
	sp_out_printf(out, ".%s%s\n", v->next[0] ? " Next: " : "", v->next);
}

int sp_report_top(FILE *stream, const struct sp_top_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};

	if (v->is_fresh && v->nr_look == 1)
		put_heading(&out);
	if (v->is_fresh) {
		sp_top_put_line(&out, &v->line);
		end_line(&out);
	}
	if (v->is_last) {
		if (v->nr_look > 1) {
			put_changes(&out, v, o->colour);
			put_processes(&out, v, o);
		}
		put_verdict(&out, v, o->colour);
	}
	return sp_out_finish(&out);
}
