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

#include "report/frames.h"
#include "report/notes.h"
#include "report/page.h"

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static uint64_t age(const struct sp_view *v, uint64_t birth_ns)
{
	return v->now_ns > birth_ns ? v->now_ns - birth_ns : 0;
}

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
		sp_page_put(p, SP_PAINT_BOLD, "nothing outstanding");
	} else {
		sp_page_put(p, SP_PAINT_BOLD, sp_text_bytes(bytes, sizeof(bytes), v->total_bytes));
		sp_out_printf(&p->out, " in %" PRIu64 " block%s outstanding on %" PRIu64 " call path%s",
			      v->total_blocks, plural(v->total_blocks), v->total_paths, plural(v->total_paths));
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

/* ---- a path's own two lines ---- */

static uint64_t magnitude(int64_t n)
{
	return n < 0 ? -(uint64_t)n : (uint64_t)n;
}

static uint64_t per_second(uint64_t bytes, uint64_t interval_ns)
{
	return (uint64_t)((__uint128_t)bytes * 1000000000u / interval_ns);
}

/* To whole seconds: a timer that comes at 1.9998 s meant 2. */
static uint64_t rounded(uint64_t interval_ns)
{
	const uint64_t s = 1000000000u, half = s / 2;

	return interval_ns < s - half / 100 || interval_ns > UINT64_MAX - half ? interval_ns
									       : (interval_ns + half) / s * s;
}

static void put_growth(struct sp_page *p, int64_t growth)
{
	char bytes[16], signed_bytes[20], rate[16], span[16], text[80];
	uint64_t amount = magnitude(growth);
	char sign = growth < 0 ? '-' : '+';

	if (!p->v->interval_ns) /* the first look: nothing to compare with */
		return;
	sp_text_duration(span, sizeof(span), rounded(p->v->interval_ns));
	if (!growth) {
		sp_out_printf(&p->out, "   no growth in %s", span);
		return;
	}
	snprintf(signed_bytes, sizeof(signed_bytes), "%c%s", sign, sp_text_bytes(bytes, sizeof(bytes), amount));
	snprintf(text, sizeof(text), "%12s in %s, %c%s/s", signed_bytes, span, sign,
		 sp_text_bytes(rate, sizeof(rate), per_second(amount, p->v->interval_ns)));
	sp_page_put(p, growth > 0 ? SP_PAINT_GROWS : SP_PAINT_SHRINKS, text);
}

static void put_survival(struct sp_page *p, const struct sp_view_path *path)
{
	const struct sp_path_sum *s = &path->sum;
	char span[16];

	sp_out_pad(&p->out, p->indent);
	if (p->v->has_resident)
		sp_out_printf(&p->out, "%s in memory, ", sp_text_bytes(span, sizeof(span), path->resident_bytes));
	sp_out_printf(&p->out, "oldest %s", sp_text_duration(span, sizeof(span), age(p->v, s->oldest_birth_ns)));
	if (s->old_seen)
		sp_out_printf(&p->out, ", %" PRIu64 " of %" PRIu64 " older block%s %s freed", s->old_freed, s->old_seen,
			      plural(s->old_seen), s->old_seen == 1 ? "was" : "were");
	else if (p->v->interval_ns)
		sp_out_puts(&p->out, ", all new since the last look");
	sp_out_puts(&p->out, "\n");
}

static void put_sum(struct sp_page *p, size_t rank, const struct sp_view_path *path)
{
	const struct sp_path_sum *s = &path->sum;
	char bytes[16], cell[32];

	snprintf(cell, sizeof(cell), "#%zu", rank);
	sp_out_printf(&p->out, "\n%-*s", (int)p->indent, cell);
	snprintf(cell, sizeof(cell), "%9s", sp_text_bytes(bytes, sizeof(bytes), s->bytes));
	sp_page_put(p, SP_PAINT_BOLD, cell);
	sp_out_printf(&p->out, " in %*" PRIu64 " block%s", (int)p->blocks_digits, s->blocks, plural(s->blocks));
	if (s->blocks == 1 && (p->v->interval_ns || sp_report_is_sampled(p->v))) /* what follows stands in a column */
		sp_out_puts(&p->out, " ");
	if (sp_report_is_sampled(p->v))
		sp_out_printf(&p->out, " +-%u%%", sp_report_error_percent(p->v, s));
	put_growth(p, s->growth_bytes);
	sp_out_puts(&p->out, "\n");
	put_survival(p, path);
}

/* ---- blocks, foot ---- */

static unsigned digits(uint64_t n)
{
	unsigned nr = 1;

	for (; n >= 10; n /= 10)
		nr++;
	return nr;
}

static void put_blocks(struct sp_page *p, const struct sp_view_path *path)
{
	uint64_t biggest = 0;
	char span[16];

	for (size_t i = 0; i < path->nr_list; i++)
		biggest = path->list[i].size > biggest ? path->list[i].size : biggest;
	for (size_t i = 0; i < path->nr_list && !p->out.err; i++) {
		const struct sp_block *b = &path->list[i];

		sp_out_pad(&p->out, p->indent + SP_FRAME_INDENT);
		sp_out_printf(&p->out, "at 0x%012" PRIx64 "  %*" PRIu64 " byte%s, %s old\n", b->addr,
			      (int)digits(biggest), b->size, plural(b->size),
			      sp_text_duration(span, sizeof(span), age(p->v, b->birth_ns)));
	}
}

static void put_path(struct sp_page *p, size_t rank, const struct sp_view_path *path)
{
	put_sum(p, rank, path);
	sp_page_frames(p, path);
	if (p->o->show_list)
		put_blocks(p, path);
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
	sp_out_printf(&p->out, "\n%" PRIu64 " more call path%s, %s (--top shows more)\n", more, plural(more),
		      sp_text_bytes(bytes, sizeof(bytes), v->total_bytes > shown ? v->total_bytes - shown : 0));
}

/* The last lines: what stands between the numbers above and the truth. */
static void put_notes(struct sp_page *p)
{
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
	struct sp_page p = {.out = {.stream = stream}, .v = v, .o = o, .indent = digits(v->nr_paths) + 3};

	for (size_t i = 0; i < v->nr_paths; i++)
		if (digits(v->paths[i].sum.blocks) > p.blocks_digits)
			p.blocks_digits = digits(v->paths[i].sum.blocks);
	put_head(&p);
	for (size_t i = 0; i < v->nr_paths && !p.out.err; i++)
		put_path(&p, i + 1, &v->paths[i]);
	put_rest(&p);
	put_notes(&p);
	sp_out_puts(&p.out, "\n");
	return sp_out_finish(&p.out);
}
