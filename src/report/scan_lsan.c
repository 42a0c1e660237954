// SPDX-License-Identifier: Apache-2.0
/*
 * A scan, a check, and what is outstanding, as LeakSanitizer prints it (compiler-rt: lsan_common.cpp, LeakReport), for
 * what reads that. Blocks that were made before anybody watched have no stack: one frame says what is known of them
 * instead.
 */
#include <inttypes.h>

#include "report/check.h"
#include "report/notes.h"

static void put_leak(struct sp_out *out, bool is_direct, const struct sp_scan_sum *sum)
{
	sp_out_printf(out, "%s leak of %" PRIu64 " byte(s) in %" PRIu64 " object(s) allocated from:\n",
		      is_direct ? "Direct" : "Indirect", sum->bytes, sum->blocks);
}

static void put_group(struct sp_out *out, const struct sp_scan_group *g)
{
	char type[256];

	put_leak(out, g->class == SP_HEAP_LEAKED, &(struct sp_scan_sum){g->bytes, g->blocks});
	sp_out_printf(out, "    #0 0x%012" PRIx64 "  (<unknown module>) blocks of %" PRIu64 " bytes%s%s\n\n",
		      g->example, g->size, g->type ? ", " : "",
		      g->type ? sp_text_printable(type, sizeof(type), g->type) : "");
}

static bool is_lost(const struct sp_scan_group *g)
{
	return g->class == SP_HEAP_LEAKED || g->class == SP_HEAP_INDIRECT;
}

static void add(struct sp_scan_sum *sum, uint64_t bytes, uint64_t blocks)
{
	sum->bytes += bytes;
	sum->blocks += blocks;
}

static void put_head(struct sp_out *out, pid_t pid)
{
	sp_out_printf(out,
		      "\n=================================================================\n"
		      "==%d==ERROR: LeakSanitizer: detected memory leaks\n\n",
		      (int)pid);
}

static void put_groups(struct sp_out *out, const struct sp_scan *s)
{
	for (size_t i = 0; i < s->nr_groups; i++)
		if (is_lost(&s->groups[i]))
			put_group(out, &s->groups[i]);
}

static void put_summary(struct sp_out *out, const struct sp_scan_sum *sum)
{
	sp_out_printf(out, "SUMMARY: LeakSanitizer: %" PRIu64 " byte(s) leaked in %" PRIu64 " allocation(s).\n",
		      sum->bytes, sum->blocks);
}

int sp_report_scan_lsan(FILE *stream, const struct sp_scan *s, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_scan_sum sum = s->sums[SP_HEAP_LEAKED];

	(void)o;
	if (!sp_scan_has_leak(s))
		return sp_out_finish(&out);
	add(&sum, s->sums[SP_HEAP_INDIRECT].bytes, s->sums[SP_HEAP_INDIRECT].blocks);
	put_head(&out, s->pid);
	put_groups(&out, s);
	put_summary(&out, &sum);
	return sp_out_finish(&out);
}

/* ---- a check: call paths of the watch, then what is older ---- */

/* As the sanitizers' own "#%n %p %F %L": what is not known is the module and an offset in it. */
static void put_frames(struct sp_out *out, const struct sp_view_path *path)
{
	for (unsigned i = 0; i < path->nr_frames; i++) {
		const struct sp_frame *f = &path->frames[i];

		sp_out_printf(out, "    #%u 0x%012" PRIx64, i, f->address);
		if (f->function)
			sp_out_printf(out, " in %s", f->function);
		if (f->file && f->line)
			sp_out_printf(out, " %s:%u\n", f->file, f->line);
		else
			sp_out_printf(out, "%s(%s+0x%" PRIx64 ")\n", f->function ? " " : "  ",
				      f->module_path ? f->module_path : "<unknown module>", f->module_offset);
	}
	sp_out_puts(out, "\n");
}

int sp_report_check_lsan(FILE *stream, const struct sp_check *c, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_scan_sum sum = c->sums[SP_CLASS_LEAKED];

	(void)o;
	add(&sum, c->sums[SP_CLASS_INDIRECT].bytes, c->sums[SP_CLASS_INDIRECT].blocks);
	for (size_t i = 0; i < c->scan.nr_groups; i++)
		if (is_lost(&c->scan.groups[i]))
			add(&sum, c->scan.groups[i].bytes, c->scan.groups[i].blocks);
	if (!sum.blocks)
		return sp_out_finish(&out);
	put_head(&out, c->view->pid);
	for (size_t i = 0; i < c->nr_paths; i++) {
		const struct sp_check_path *p = &c->paths[i];

		if (p->class != SP_CLASS_LEAKED && p->class != SP_CLASS_INDIRECT)
			continue;
		put_leak(&out, p->class == SP_CLASS_LEAKED, &(struct sp_scan_sum){p->bytes, p->blocks});
		put_frames(&out, p->path);
	}
	put_groups(&out, &c->scan);
	put_summary(&out, &sum);
	return sp_out_finish(&out);
}

/* ---- a watch: what is outstanding ---- */

int sp_report_lsan(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};

	(void)o;
	if (!v->total_blocks)
		return sp_out_finish(&out);
	sp_out_puts(&out, "seep: outstanding blocks; whether something points to them was not looked at\n");
	sp_report_sampled(&out, v, "seep: ");
	sp_report_lost(&out, v, "seep: ", "; ");
	put_head(&out, v->pid);
	for (size_t i = 0; i < v->nr_paths && !out.err; i++) {
		put_leak(&out, true, &(struct sp_scan_sum){v->paths[i].sum.bytes, v->paths[i].sum.blocks});
		put_frames(&out, &v->paths[i]);
	}
	put_summary(&out, &(struct sp_scan_sum){v->total_bytes, v->total_blocks});
	return sp_out_finish(&out);
}
