// SPDX-License-Identifier: Apache-2.0
/*
 * bcc's text, to the byte: blocks first (smallest first), then stacks, smallest first and biggest last, next to the
 * user's prompt. Source: bcc tools/memleak.py, print_outstanding() and print_outstanding_combined().
 *
 * Two things are ours and stand behind the last stack, where no script looks: what was sampled and what was lost. bcc
 * names physical functions only, so inlined frames are left out.
 */
#include <errno.h>
#include <inttypes.h>

#include "report/notes.h"
#include "report/report.h"

static int by_size(const void *a, const void *b)
{
	const struct sp_block *const *x = a, *const *y = b;

	if ((*x)->size != (*y)->size)
		return (*x)->size < (*y)->size ? -1 : 1;
	return ((*x)->addr > (*y)->addr) - ((*x)->addr < (*y)->addr);
}

/* The view's list is in address order and not ours to sort. */
static int print_list(struct sp_out *out, const struct sp_view *v)
{
	sp_autofree const struct sp_block **sorted = NULL;

	if (!v->list || !v->nr_list)
		return 0;
	sorted = reallocarray(NULL, v->nr_list, sizeof(sorted[0]));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < v->nr_list; i++)
		sorted[i] = &v->list[i];
	qsort(sorted, v->nr_list, sizeof(sorted[0]), by_size);
	for (size_t i = 0; i < v->nr_list && !out->err; i++)
		sp_out_printf(out, "\taddr = %" PRIx64 " size = %" PRIu64 "\n", sorted[i]->addr, sorted[i]->size);
	return 0;
}

static void print_frame(struct sp_out *out, const struct sp_frame *f, bool show_pc)
{
	sp_out_puts(out, "\t\t");
	if (show_pc && f->address)
		sp_out_printf(out, "0x%016" PRIx64 "\t", f->address);
	if (!f->function)
		sp_out_puts(out, "[unknown]");
	else if (!f->address) /* a frame that stands for none, as "[call path unknown]" */
		sp_out_puts(out, f->function);
	else
		sp_out_printf(out, "%s+0x%" PRIx64, f->function, f->offset);
	if (f->module && f->module[0] == '[')
		sp_out_printf(out, " %s", f->module);
	else if (f->module)
		sp_out_printf(out, " [%s]", f->module);
	sp_out_puts(out, "\n");
}

static void print_stack(struct sp_out *out, const struct sp_view *v, const struct sp_view_path *p, bool show_pc)
{
	sp_out_printf(out, "\t%" PRIu64 " bytes in %" PRIu64 " allocations from stack", p->sum.bytes, p->sum.blocks);
	if (v->has_resident)
		sp_out_printf(out, " (%" PRIu64 " resident)", p->resident_bytes);
	sp_out_puts(out, "\n");
	for (unsigned i = 0; i < p->nr_frames; i++)
		if (!p->frames[i].inlined)
			print_frame(out, &p->frames[i], show_pc);
}

int sp_report_memleak(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	char clock[SP_CLOCK_SIZE];
	int r;

	sp_out_printf(&out, "[%s] Top %u stacks with outstanding allocations:\n", sp_report_clock(clock, v, o), v->top);
	if (o->show_list && !o->combined) {
		r = print_list(&out, v);
		if (r < 0)
			return r;
	}
	for (size_t i = v->nr_paths; i-- > 0 && !out.err;)
		print_stack(&out, v, &v->paths[i], o->show_pc && !o->combined);
	if (o->combined && !v->nr_paths)
		sp_out_puts(&out, "\n");
	sp_report_sampled(&out, v, "\t");
	sp_report_lost(&out, v, "\t", "; ");
	return sp_out_finish(&out);
}
