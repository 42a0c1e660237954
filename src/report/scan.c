// SPDX-License-Identifier: Apache-2.0
/*
 * seep scan's own text: what is leaked first, then how sure that is.
 *
 *	03:00:41  app (pid 12512): 40.1 KiB in 5 blocks leaked, and 1.2 KiB in 9 blocks that only they lead to
 *
 *	  leaked       40.0 KiB in   5 blocks of 8200 bytes   app::Session   "GET /index.html"
 *	  indirect      1.2 KiB in   9 blocks of 136 bytes
 *
 *	          heap: glibc, 12.0 MiB in 80123 blocks in use
 *	          two scans agree; stopped for 1.2ms
 */
#include "report/scan.h"

#include <inttypes.h>
#include <string.h>

#include "report/notes.h"
#include "report/scan_parts.h"

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *sp_report_class(enum sp_heap_class c)
{
	static const char *const names[] = {
	    [SP_HEAP_FREE] = "free",         [SP_HEAP_UNJUDGED] = "unjudged", [SP_HEAP_REACHED] = "reached",
	    [SP_HEAP_POSSIBLE] = "possible", [SP_HEAP_LEAKED] = "leaked",     [SP_HEAP_INDIRECT] = "indirect"};

	return names[c];
}

bool sp_scan_has_leak(const struct sp_scan *s)
{
	return s->sums[SP_HEAP_LEAKED].blocks || s->sums[SP_HEAP_INDIRECT].blocks;
}

/* ---- the sentence ---- */

static void put_amount(struct sp_page *p, const struct sp_scan_sum *sum)
{
	char bytes[16];

	sp_out_printf(&p->out, "%s in %" PRIu64 " block%s", sp_text_bytes(bytes, sizeof(bytes), sum->bytes),
		      sum->blocks, plural(sum->blocks));
}

static void put_verdict(struct sp_page *p, const struct sp_scan *s)
{
	const struct sp_scan_sum *leaked = &s->sums[SP_HEAP_LEAKED], *indirect = &s->sums[SP_HEAP_INDIRECT];

	if (sp_scan_is_blind(s)) {
		sp_page_put(p, SP_PAINT_BOLD, "cannot tell");
		sp_out_puts(&p->out, ": no heap of an allocator that seep knows\n");
		return;
	}
	if (!sp_scan_has_leak(s)) {
		sp_page_put(p, SP_PAINT_BOLD, "nothing leaked\n");
		return;
	}
	put_amount(p, leaked);
	sp_page_put(p, SP_PAINT_GROWS, s->nr_scans > 1 ? " leaked" : " leaked (one scan)");
	if (indirect->blocks) {
		sp_out_puts(&p->out, ", and ");
		put_amount(p, indirect);
		sp_out_puts(&p->out, " that only they lead to");
	}
	sp_out_puts(&p->out, "\n");
}

static void put_head(struct sp_page *p, const struct sp_scan *s)
{
	char clock[SP_CLOCK_SIZE];

	sp_page_put(p, SP_PAINT_BOLD, sp_report_time(clock, &s->time, p->o));
	sp_out_printf(&p->out, "  %s (pid %d): ", s->comm, (int)s->pid);
	put_verdict(p, s);
}

/* ---- groups ---- */

static unsigned digits(uint64_t n)
{
	unsigned d = 1;

	while (n /= 10)
		d++;
	return d;
}

static void put_text(struct sp_page *p, const char *text)
{
	char printable[64];

	sp_out_printf(&p->out, "   \"%s\"", sp_text_printable(printable, sizeof(printable), text));
}

static void put_group(struct sp_page *p, const struct sp_scan *s, const struct sp_scan_group *g)
{
	char bytes[16], type[256];

	sp_out_printf(&p->out, "  %-8s  %9s in %*" PRIu64 " block%s of %" PRIu64 " bytes", sp_report_class(g->class),
		      sp_text_bytes(bytes, sizeof(bytes), g->bytes), (int)p->blocks_digits, g->blocks,
		      plural(g->blocks), g->size);
	if (s->has_resident)
		sp_out_printf(&p->out, ", %s in memory", sp_text_bytes(bytes, sizeof(bytes), g->resident_bytes));
	if (g->type)
		sp_out_printf(&p->out, "   %s", sp_text_printable(type, sizeof(type), g->type));
	if (g->text)
		put_text(p, g->text);
	if (!g->list)
		sp_out_printf(&p->out, g->blocks == 1 ? "   at 0x%" PRIx64 : "   one at 0x%" PRIx64, g->example);
	sp_out_puts(&p->out, "\n");
	for (size_t i = 0; g->list && i < g->nr_list; i++)
		sp_out_printf(&p->out, "            0x%" PRIx64 "\n", g->list[i]);
}

void sp_page_scan_groups(struct sp_page *p, const struct sp_scan *s)
{
	size_t nr = p->o->top && p->o->top < s->nr_groups ? p->o->top : s->nr_groups;

	for (size_t i = 0; i < nr; i++)
		if (digits(s->groups[i].blocks) > p->blocks_digits)
			p->blocks_digits = digits(s->groups[i].blocks);
	if (nr)
		sp_out_puts(&p->out, "\n");
	for (size_t i = 0; i < nr; i++)
		put_group(p, s, &s->groups[i]);
	if (nr < s->nr_groups)
		sp_out_printf(&p->out, "  %zu more kinds of blocks (--top 0 shows them)\n", s->nr_groups - nr);
	if (s->nr_groups)
		sp_out_puts(&p->out, "\n");
}

/* ---- how sure ---- */

static const char indent[] = "          ";

static void put_models(struct sp_page *p, const struct sp_scan *s)
{
	char used[16], freed[16];

	for (unsigned i = 0; i < s->nr_models; i++) {
		const struct sp_heap_model_info *m = &s->models[i];

		if (m->nr_regions)
			sp_out_printf(&p->out, "%sheap: %s, %s in %" PRIu64 " block%s in use, %s free\n", indent,
				      m->name, sp_text_bytes(used, sizeof(used), m->used_bytes), m->used_blocks,
				      plural(m->used_blocks), sp_text_bytes(freed, sizeof(freed), m->free_bytes));
		if (m->gave_up[0])
			sp_out_printf(&p->out, "%snot judged: %s: %s\n", indent, m->name, m->gave_up);
	}
}

static void put_sureness(struct sp_page *p, const struct sp_scan *s)
{
	char pause[16], held[16];

	sp_out_puts(&p->out, indent);
	if (s->nr_scans > 1)
		sp_out_puts(&p->out, "two scans agree; ");
	if (s->is_racy)
		sp_out_puts(&p->out, "read while it ran, so blocks on the move may be wrong; ");
	sp_out_printf(&p->out, "stopped for %s", sp_text_duration(pause, sizeof(pause), s->pause_ns));
	if (s->held_ns)
		sp_out_printf(&p->out, ", snapshot held for %s", sp_text_duration(held, sizeof(held), s->held_ns));
	sp_out_puts(&p->out, "\n");
	if (s->kept_out_bytes)
		sp_out_printf(&p->out,
			      "%snot in the snapshot: %s that the program keeps out of copies or has mapped since, "
			      "read while it ran\n",
			      indent, SP_BYTES(s->kept_out_bytes));
	if (s->racy_why[0])
		sp_out_printf(&p->out, "%sno snapshot: %s\n", indent, s->racy_why);
}

static void put_lost(struct sp_page *p, const char *what, uint64_t bytes)
{
	char text[16];

	if (bytes)
		sp_out_printf(&p->out, "%snot seen: %s %s\n", indent, sp_text_bytes(text, sizeof(text), bytes), what);
}

static void put_losses(struct sp_page *p, const struct sp_scan *s)
{
	put_lost(p, "swapped out, so nothing is called leaked", s->lost.away_bytes);
	put_lost(p, "that cannot be read", s->lost.unreadable_bytes);
	put_lost(p, "of heap that is not understood; what it points to counts as reached", s->lost.unjudged_bytes);
	if (s->lost.threads_unknown)
		sp_out_printf(&p->out, "%snot seen: registers of %" PRIu64 " threads, so nothing is called leaked\n",
			      indent, s->lost.threads_unknown);
	if (s->nr_spared)
		sp_out_printf(&p->out, "%s%" PRIu64 " block%s leaked in one scan only: taken for reached\n", indent,
			      s->nr_spared, plural(s->nr_spared));
	if (s->nr_ungrouped || s->nr_unlisted)
		sp_out_printf(&p->out, "%snot shown: %" PRIu64 " blocks, no room\n", indent,
			      s->nr_ungrouped + s->nr_unlisted);
}

void sp_page_scan_foot(struct sp_page *p, const struct sp_scan *s)
{
	put_models(p, s);
	if (s->nr_models)
		put_sureness(p, s);
	put_losses(p, s);
}

int sp_report_scan_text(FILE *out, const struct sp_scan *s, const struct sp_report_options *o)
{
	struct sp_page p = {.out = {.stream = out}, .o = o, .blocks_digits = 1};

	put_head(&p, s);
	sp_page_scan_groups(&p, s);
	sp_page_scan_foot(&p, s);
	return sp_out_finish(&p.out);
}
