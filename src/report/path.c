// SPDX-License-Identifier: Apache-2.0
/*
 * A call path in seep's own text: how much and how fast on its first line, why one should believe that it leaks on the
 * second, then its frames, and its blocks where they are asked for.
 */
#include <inttypes.h>

#include "report/frames.h"
#include "report/notes.h"
#include "report/page.h"

static uint64_t age(const struct sp_view *v, uint64_t birth_ns)
{
	return v->now_ns > birth_ns ? v->now_ns - birth_ns : 0;
}

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
	if (p->v->has_resident && !path->is_faults)
		sp_out_printf(&p->out, "%s in memory, ", sp_text_bytes(span, sizeof(span), path->resident_bytes));
	sp_out_printf(&p->out, "oldest %s", sp_text_duration(span, sizeof(span), age(p->v, s->oldest_birth_ns)));
	if (s->old_seen)
		sp_out_printf(&p->out, ", %" PRIu64 " of %" PRIu64 " older block%s %s freed", s->old_freed, s->old_seen,
			      sp_plural(s->old_seen), s->old_seen == 1 ? "was" : "were");
	else if (p->v->interval_ns)
		sp_out_puts(&p->out, ", all new since the last look");
	sp_out_puts(&p->out, "\n");
}

static void put_unreached(struct sp_page *p, const struct sp_view_path *path)
{
	char bytes[16], text[80];

	if (!path->unreached.blocks)
		return;
	snprintf(text, sizeof(text), "leaked: nothing points to %s in %" PRIu64 " block%s",
		 sp_text_bytes(bytes, sizeof(bytes), path->unreached.bytes), path->unreached.blocks,
		 sp_plural(path->unreached.blocks));
	sp_out_pad(&p->out, p->indent);
	sp_page_put(p, SP_PAINT_GROWS, text);
	sp_out_puts(&p->out, " any more\n");
}

/* What a path brings to the process itself. */
static void put_pages(struct sp_page *p, const struct sp_view_path *path)
{
	uint64_t nr = path->is_faults ? sp_report_pages(path->sum.bytes) : path->sum.blocks;

	sp_out_printf(&p->out,
		      path->is_faults ? " in memory, %" PRIu64 " page%s" : " of address space, %" PRIu64 " mapping%s",
		      nr, sp_plural(nr));
}

static void put_sum(struct sp_page *p, size_t rank, const struct sp_view_path *path)
{
	const struct sp_path_sum *s = &path->sum;
	char bytes[16], cell[32];

	snprintf(cell, sizeof(cell), "#%zu", rank);
	sp_out_printf(&p->out, "\n%-*s", (int)p->indent, cell);
	snprintf(cell, sizeof(cell), "%9s", sp_text_bytes(bytes, sizeof(bytes), s->bytes));
	sp_page_put(p, SP_PAINT_BOLD, cell);
	if (p->v->is_growth)
		put_pages(p, path);
	else
		sp_out_printf(&p->out, " in %*" PRIu64 " block%s", (int)p->blocks_digits, s->blocks,
			      sp_plural(s->blocks));
	if (s->blocks == 1 && !p->v->is_growth &&
	    (p->v->interval_ns || sp_report_is_sampled(p->v))) /* what follows stands in a column */
		sp_out_puts(&p->out, " ");
	if (sp_report_is_sampled(p->v))
		sp_out_printf(&p->out, " +-%u%%", sp_report_error_percent(p->v, s));
	put_growth(p, s->growth_bytes);
	sp_out_puts(&p->out, "\n");
	put_survival(p, path);
	put_unreached(p, path);
}

/* ---- blocks ---- */

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
			      (int)digits(biggest), b->size, sp_plural(b->size),
			      sp_text_duration(span, sizeof(span), age(p->v, b->birth_ns)));
	}
}

void sp_page_path(struct sp_page *p, size_t rank, const struct sp_view_path *path)
{
	put_sum(p, rank, path);
	sp_page_frames(p, path);
	if (p->o->show_list)
		put_blocks(p, path);
}

void sp_page_init(struct sp_page *p, FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	*p = (struct sp_page){.out = {.stream = stream}, .v = v, .o = o, .indent = digits(v->nr_paths) + 3};
	for (size_t i = 0; i < v->nr_paths; i++)
		if (digits(v->paths[i].sum.blocks) > p->blocks_digits)
			p->blocks_digits = digits(v->paths[i].sum.blocks);
}
