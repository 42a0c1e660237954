// SPDX-License-Identifier: Apache-2.0
/*
 * Folded stacks, one line a call path: frames from the outermost inwards, ';' between them, a blank, bytes. What
 * flamegraph.pl, inferno and speedscope read. Inlined frames end in _[i], as flamegraph.pl colours them.
 */
#include <inttypes.h>

#include "report/out.h"
#include "report/report.h"

/* ';' ends a frame in this format; names of C++ lambdas and of programs may hold one. */
static void put_name(struct sp_out *out, const char *name)
{
	for (const char *p = name; *p; p++)
		sp_out_write(out, *p == ';' ? ":" : p, 1);
}

static void put_frame(struct sp_out *out, const struct sp_frame *f)
{
	if (f->function) {
		put_name(out, f->function);
	} else if (f->module) {
		put_name(out, f->module);
		sp_out_printf(out, "+0x%" PRIx64, f->module_offset);
	} else {
		sp_out_printf(out, "0x%" PRIx64, f->address);
	}
	if (f->inlined)
		sp_out_puts(out, "_[i]");
}

static void put_path(struct sp_out *out, const struct sp_view_path *p)
{
	for (unsigned i = p->nr_frames; i-- > 0;) {
		put_frame(out, &p->frames[i]);
		sp_out_puts(out, i ? ";" : " ");
	}
	sp_out_printf(out, "%" PRIu64 "\n", p->sum.bytes);
}

int sp_report_folded(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	uint64_t shown = 0;

	(void)o;
	for (size_t i = 0; i < v->nr_paths && !out.err; i++) {
		put_path(&out, &v->paths[i]);
		shown += v->paths[i].sum.bytes;
	}
	if (v->total_bytes > shown)
		sp_out_printf(&out, "[call paths not shown] %" PRIu64 "\n", v->total_bytes - shown);
	return sp_out_finish(&out);
}
