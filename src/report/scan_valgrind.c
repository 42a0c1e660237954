// SPDX-License-Identifier: Apache-2.0
/* A scan, a check, and what is outstanding, as Valgrind's memcheck prints its leaks (memcheck/mc_leakcheck.c). */
#include <inttypes.h>
#include <string.h>

#include "report/check.h"
#include "report/notes.h"

/* 1234567 -> "1,234,567"; returns buf. */
static const char *with_commas(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *to = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buf;
}

/* Of a record: which of how many. */
static void put_record(struct sp_out *out, pid_t pid, const struct sp_scan_sum *sum, const char *word, size_t number,
		       size_t nr)
{
	char bytes[32], blocks[32];

	sp_out_printf(out, "==%d== %s bytes in %s blocks are %s lost in loss record %zu of %zu\n", (int)pid,
		      with_commas(sum->bytes, bytes), with_commas(sum->blocks, blocks), word, number, nr);
}

static const char *lost_word(enum sp_heap_class class)
{
	return class == SP_HEAP_LEAKED ? "definitely" : class == SP_HEAP_INDIRECT ? "indirectly" : "possibly";
}

static void put_group(struct sp_out *out, const struct sp_scan *s, size_t i, size_t before)
{
	const struct sp_scan_group *g = &s->groups[i];
	char type[256];

	put_record(out, s->pid, &(struct sp_scan_sum){g->bytes, g->blocks}, lost_word(g->class), before + i + 1,
		   before + s->nr_groups);
	sp_out_printf(out, "==%d==    at 0x%" PRIX64 ": ??? (%s)\n==%d== \n", (int)s->pid, g->example,
		      g->type ? sp_text_printable(type, sizeof(type), g->type) : "made before anybody watched",
		      (int)s->pid);
}

static void put_line(struct sp_out *out, pid_t pid, const char *what, const struct sp_scan_sum *sum)
{
	char bytes[32], blocks[32];

	sp_out_printf(out, "==%d== %s: %s bytes in %s blocks\n", (int)pid, what, with_commas(sum->bytes, bytes),
		      with_commas(sum->blocks, blocks));
}

static void put_in_use(struct sp_out *out, pid_t pid, const struct sp_scan_sum *all)
{
	sp_out_printf(out, "==%d== HEAP SUMMARY:\n", (int)pid);
	put_line(out, pid, "    in use", all);
	sp_out_printf(out, "==%d== \n", (int)pid);
}

static void put_head(struct sp_out *out, const struct sp_scan *s)
{
	struct sp_scan_sum all = {0};

	for (int c = SP_HEAP_UNJUDGED; c < SP_SCAN_NR_CLASSES; c++) {
		all.bytes += s->sums[c].bytes;
		all.blocks += s->sums[c].blocks;
	}
	put_in_use(out, s->pid, &all);
}

static void put_summary(struct sp_out *out, pid_t pid, const struct sp_scan_sum lost[SP_SCAN_NR_CLASSES],
			const struct sp_scan_sum *suppressed)
{
	sp_out_printf(out, "==%d== LEAK SUMMARY:\n", (int)pid);
	put_line(out, pid, "   definitely lost", &lost[SP_HEAP_LEAKED]);
	put_line(out, pid, "   indirectly lost", &lost[SP_HEAP_INDIRECT]);
	put_line(out, pid, "     possibly lost", &lost[SP_HEAP_POSSIBLE]);
	put_line(out, pid, "   still reachable", &lost[SP_HEAP_REACHED]);
	put_line(out, pid, "        suppressed", suppressed);
}

int sp_report_scan_valgrind(FILE *stream, const struct sp_scan *s, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};

	(void)o;
	put_head(&out, s);
	for (size_t i = 0; i < s->nr_groups; i++)
		put_group(&out, s, i, 0);
	put_summary(&out, s->pid, s->sums, &(struct sp_scan_sum){0});
	return sp_out_finish(&out);
}

/* ---- a check: call paths of the watch, then what is older ---- */

/* What Valgrind has no word for, what only grows, is still reachable. SP_HEAP_FREE: it is no record. */
static enum sp_heap_class record_class(enum sp_class class)
{
	return class == SP_CLASS_LEAKED     ? SP_HEAP_LEAKED
	       : class == SP_CLASS_INDIRECT ? SP_HEAP_INDIRECT
	       : class == SP_CLASS_POSSIBLE ? SP_HEAP_POSSIBLE
					    : SP_HEAP_FREE;
}

static void put_frames(struct sp_out *out, pid_t pid, const struct sp_view_path *path)
{
	for (unsigned i = 0; i < path->nr_frames; i++) {
		const struct sp_frame *f = &path->frames[i];
		const char *slash = f->file ? strrchr(f->file, '/') : NULL;

		sp_out_printf(out, "==%d==    %s 0x%" PRIX64 ": %s ", (int)pid, i ? "by" : "at", f->address,
			      f->function ? f->function : "???");
		if (f->file && f->line)
			sp_out_printf(out, "(%s:%u)\n", slash ? slash + 1 : f->file, f->line);
		else
			sp_out_printf(out, "(in %s)\n", f->module_path ? f->module_path : "???");
	}
	sp_out_printf(out, "==%d== \n", (int)pid);
}

int sp_report_check_valgrind(FILE *stream, const struct sp_check *c, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_scan_sum lost[SP_SCAN_NR_CLASSES] = {[SP_HEAP_REACHED] = c->scan.sums[SP_HEAP_REACHED]};
	size_t nr = 0, number = 0;

	(void)o;
	put_head(&out, &c->scan);
	for (size_t i = 0; i < c->nr_paths; i++)
		nr += record_class(c->paths[i].class) != SP_HEAP_FREE;
	for (size_t i = 0; i < c->nr_paths; i++) {
		const struct sp_scan_sum sum = {c->paths[i].bytes, c->paths[i].blocks};
		enum sp_heap_class class = record_class(c->paths[i].class);

		if (class == SP_HEAP_FREE)
			continue;
		lost[class].bytes += sum.bytes;
		lost[class].blocks += sum.blocks;
		put_record(&out, c->view->pid, &sum, lost_word(class), ++number, nr + c->scan.nr_groups);
		put_frames(&out, c->view->pid, c->paths[i].path);
	}
	for (size_t i = 0; i < c->scan.nr_groups; i++) {
		lost[c->scan.groups[i].class].bytes += c->scan.groups[i].bytes;
		lost[c->scan.groups[i].class].blocks += c->scan.groups[i].blocks;
		put_group(&out, &c->scan, i, nr);
	}
	put_summary(&out, c->view->pid, lost, &c->suppressed);
	return sp_out_finish(&out);
}

/* ---- a watch: what is outstanding ---- */

int sp_report_valgrind(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	const struct sp_scan_sum all = {v->total_bytes, v->total_blocks};
	const struct sp_scan_sum lost[SP_SCAN_NR_CLASSES] = {[SP_HEAP_POSSIBLE] = all};
	struct sp_out out = {.stream = stream};
	char indent[24];

	(void)o;
	snprintf(indent, sizeof(indent), "==%d== ", (int)v->pid);
	sp_out_printf(&out, "%soutstanding blocks; whether something points to them was not looked at\n", indent);
	sp_report_sampled(&out, v, indent);
	sp_report_lost(&out, v, indent, "; ");
	put_in_use(&out, v->pid, &all);
	for (size_t i = 0; i < v->nr_paths && !out.err; i++) {
		const struct sp_scan_sum sum = {v->paths[i].sum.bytes, v->paths[i].sum.blocks};

		put_record(&out, v->pid, &sum, lost_word(SP_HEAP_POSSIBLE), i + 1, v->nr_paths);
		put_frames(&out, v->pid, &v->paths[i]);
	}
	put_summary(&out, v->pid, lost, &(struct sp_scan_sum){v->suppressed_bytes, v->suppressed_blocks});
	return sp_out_finish(&out);
}
