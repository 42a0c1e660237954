// SPDX-License-Identifier: Apache-2.0
/*
 * A process' segments as text:
 *
 *	app[12512] at 03:00:41: 62.0 MiB in memory of 210.4 MiB, 0 B swapped; 61.2 MiB its own; 3 threads
 *
 *	segment         maps  virtual resident    dirty  swapped   growth leaks  who frees it
 *	heap               1    60.1M    59.8M    59.8M        0    +2.0M yes    the program, by free(); ...
 *	...
 *	total             42   210.4M    62.0M    60.9M        0    +2.0M
 *
 *	glibc: 59.1 MiB in 7,512 blocks in use, 1.0 MiB free inside; 59.8 MiB in memory, 59.0 MiB of it under blocks in
 *use
 *
 *	the heap grew 2.0 MiB in 10s, and blocks in use with it ... Next: seep trace 12512
 */
#include "report/map.h"

#include <inttypes.h>
#include <string.h>

#include "report/out.h"

enum {
	WIDE = 120, /* columns from which on there is room for who frees a kind */
};

/* ---- heading ---- */

static void put_heading(struct sp_out *out, const struct sp_map_view *v, const struct sp_report_map_options *o)
{
	const struct sp_segment_sum *t = &v->segments->total;
	char clock[16] = "";
	struct tm tm;

	if (o->utc ? gmtime_r(&v->time.tv_sec, &tm) : localtime_r(&v->time.tv_sec, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (v->nr_look > 1)
		sp_out_puts(out, "\n");
	sp_out_printf(out, "%s[%d] at %s: %s in memory of %s, ", v->comm, (int)v->pid, clock, SP_BYTES(t->resident),
		      SP_BYTES(t->size));
	sp_out_printf(out, "%s swapped; %s its own; %zu thread%s\n", SP_BYTES(t->swapped), SP_BYTES(t->unique),
		      v->nr_threads, v->nr_threads == 1 ? "" : "s");
	if (t->huge)
		sp_out_printf(out, "and %s of huge pages, which the kernel does not count as resident\n",
			      SP_BYTES(t->huge));
}

/* ---- segments ---- */

static bool is_wide(const struct sp_report_map_options *o)
{
	return !o->width || o->width >= WIDE;
}

static void put_size(struct sp_out *out, uint64_t bytes)
{
	char text[20];

	sp_out_printf(out, " %8s", sp_out_brief(text, sizeof(text), bytes, ""));
}

static void put_growth(struct sp_out *out, bool has_before, int64_t growth, bool colour)
{
	char text[20], cell[24];

	snprintf(cell, sizeof(cell), " %8s", has_before ? sp_out_brief_change(text, sizeof(text), growth) : "-");
	sp_out_paint(out, colour && has_before && growth, growth > 0 ? SP_PAINT_GROWS : SP_PAINT_SHRINKS, cell);
}

static const char *leak_word(enum sp_can_leak l)
{
	static const char *const words[] = {
	    [SP_CAN_LEAK_NO] = "no", [SP_CAN_LEAK_YES] = "yes", [SP_CAN_LEAK_SPACE] = "space"};

	return words[l];
}

static void put_sum(struct sp_out *out, const struct sp_map_view *v, const char *name, const struct sp_segment_sum *s,
		    bool colour)
{
	sp_out_printf(out, "%-18s %5" PRIu64, name, s->nr);
	put_size(out, s->size);
	put_size(out, s->resident + s->huge);
	put_size(out, s->dirty);
	put_size(out, s->swapped);
	put_growth(out, v->nr_look > 1, s->growth, colour);
}

static void put_sums(struct sp_out *out, const struct sp_map_view *v, const struct sp_report_map_options *o)
{
	sp_out_printf(out, "\n%-18s %5s %8s %8s %8s %8s %8s %-6s%s\n", "segment", "maps", "virtual", "resident",
		      "dirty", "swapped", "growth", "leaks", is_wide(o) ? " who frees it" : "");
	for (unsigned i = 0; i < SP_NR_SEGMENTS; i++) {
		if (!v->segments->sums[i].nr)
			continue;
		put_sum(out, v, sp_segment_name(i), &v->segments->sums[i], o->colour);
		sp_out_printf(out, " %-6s%s%s\n", leak_word(sp_segment_can_leak(i)), is_wide(o) ? " " : "",
			      is_wide(o) ? sp_segment_freed_by(i) : "");
	}
	put_sum(out, v, "total", &v->segments->total, o->colour);
	sp_out_puts(out, "\n");
}

/* Below the table, where beside it there is no room. */
static void put_who_frees(struct sp_out *out, const struct sp_map_view *v)
{
	sp_out_puts(out, "\nwho frees it\n");
	for (unsigned i = 0; i < SP_NR_SEGMENTS; i++)
		if (v->segments->sums[i].nr)
			sp_out_printf(out, "  %-16s %s\n", sp_segment_name(i), sp_segment_freed_by(i));
}

/* ---- mappings ---- */

const char *sp_map_prot_text(uint8_t prot, char *buf)
{
	buf[0] = prot & SP_PROT_R ? 'r' : '-';
	buf[1] = prot & SP_PROT_W ? 'w' : '-';
	buf[2] = prot & SP_PROT_X ? 'x' : '-';
	buf[3] = prot & SP_PROT_SHARED ? 's' : 'p';
	buf[4] = '\0';
	return buf;
}

static void put_what(struct sp_out *out, const struct sp_map_view *v, const struct sp_segment *seg)
{
	const struct sp_mapping *m = &seg->smap->map;
	char text[512], name[32];

	sp_out_printf(out, " %s", sp_segment_name(seg->kind));
	if (*m->path)
		sp_out_printf(out, ", %s%s", sp_text_printable(text, sizeof(text), m->path),
			      m->deleted ? " (deleted)" : "");
	if (seg->tid)
		sp_out_printf(out, ", of thread %d %s", (int)seg->tid, v->thread_name(v, seg->tid, name, sizeof(name)));
	if (seg->owner && seg->owned && seg->owned < m->end - m->start)
		sp_out_printf(out, ", %s has %s of it", seg->owner, SP_BYTES(seg->owned));
	else if (seg->owner)
		sp_out_printf(out, ", %s's", seg->owner);
	sp_out_puts(out, seg->is_new && v->nr_look > 1 ? ", new\n" : "\n");
}

static void put_maps(struct sp_out *out, const struct sp_map_view *v, const struct sp_report_map_options *o)
{
	char range[40], prot[5];

	sp_out_printf(out, "\n%-29s %4s %8s %8s %8s %8s %8s %s\n", "address", "mode", "virtual", "resident", "dirty",
		      "swapped", "growth", "what");
	for (size_t i = 0; i < v->segments->nr && !out->err; i++) {
		const struct sp_segment *seg = &v->segments->list[i];
		const struct sp_smap *s = seg->smap;

		snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, s->map.start, s->map.end);
		sp_out_printf(out, "%-29s %s", range, sp_map_prot_text(s->map.prot, prot));
		put_size(out, s->map.end - s->map.start);
		put_size(out, s->resident + s->huge_private + s->huge_shared);
		put_size(out, s->private_dirty + s->shared_dirty);
		put_size(out, s->swapped);
		put_growth(out, v->nr_look > 1, seg->growth, o->colour);
		put_what(out, v, seg);
	}
}

/* ---- the heap from inside ---- */

static void put_heap(struct sp_out *out, const struct sp_map_heap *h)
{
	char growth[20];

	sp_out_printf(out, "%s: %s in %" PRIu64 " block%s in use", h->name, SP_BYTES(h->used_bytes), h->used_blocks,
		      h->used_blocks == 1 ? "" : "s");
	if (h->has_growth)
		sp_out_printf(out, " (growth %s)", sp_out_brief_change(growth, sizeof(growth), h->growth_used_bytes));
	sp_out_printf(out, ", %s free inside; %s in memory, %s of it under blocks in use", SP_BYTES(h->free_bytes),
		      SP_BYTES(h->held_bytes), SP_BYTES(h->used_held_bytes));
	if (h->held_bytes > h->used_held_bytes)
		sp_out_printf(out, ": %u %% is kept for later or fragmented",
			      (unsigned)((__uint128_t)(h->held_bytes - h->used_held_bytes) * 100 / h->held_bytes));
	sp_out_puts(out, "\n");
	if (h->gave_up[0])
		sp_out_printf(out, "%s: not understood: %s\n", h->name, h->gave_up);
}

static void put_heaps(struct sp_out *out, const struct sp_map_view *v)
{
	if (!v->has_heap)
		return;
	sp_out_puts(out, "\n");
	for (size_t i = 0; i < v->nr_heaps; i++)
		put_heap(out, &v->heaps[i]);
	if (!v->nr_heaps)
		sp_out_printf(out, "the heap from inside: %s\n", v->heap_why);
}

/* ---- what was not seen, and the sentence ---- */

static void put_notes(struct sp_out *out, const struct sp_map_view *v)
{
	if (v->nr_threads_unknown)
		sp_out_printf(out, "%zu thread%s ran while seep looked: the stack%s may be among the anonymous maps\n",
			      v->nr_threads_unknown, v->nr_threads_unknown == 1 ? "" : "s",
			      v->nr_threads_unknown == 1 ? "" : "s");
	if (v->nr_lost)
		sp_out_printf(out, "not seen: %" PRIu64 " mappings, the table is full\n", v->nr_lost);
}

int sp_report_map(FILE *stream, const struct sp_map_view *v, const struct sp_report_map_options *o)
{
	struct sp_out out = {.stream = stream};

	put_heading(&out, v, o);
	put_sums(&out, v, o);
	if (!is_wide(o) && v->nr_look == 1)
		put_who_frees(&out, v);
	if (o->list)
		put_maps(&out, v, o);
	put_heaps(&out, v);
	put_notes(&out, v);
	sp_out_puts(&out, "\n");
	sp_out_paint(&out, o->colour, SP_PAINT_BOLD, v->sentence);
	sp_out_printf(&out, ".%s%s\n", v->next[0] ? " Next: " : "", v->next);
	return sp_out_finish(&out);
}
