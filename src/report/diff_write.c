// SPDX-License-Identifier: Apache-2.0
/*
 * A comparison as text and as JSON.
 *
 *	before: 03:00:41  app (pid 12512)   40.2 KiB in 6 blocks, after 10s
 *	after:  03:05:41  app (pid 12512)  120.4 KiB in 16 blocks, after 5m10s
 *	grew by 81.0 KiB on 2 call paths, shrank by 0.8 KiB on 1
 *
 *	#1   +80.0 KiB  grew: 40.0 KiB in 5 blocks -> 120.0 KiB in 15 blocks
 *	       fibonacci  leak.c:21
 */
#include <errno.h>
#include <inttypes.h>

#include "report/diff_impl.h"
#include "report/frames.h"
#include "report/json.h"
#include "report/notes.h"
#include "report/page.h"

static const char *const changes[] = {
#define ROW(id, word) [SP_DIFF_##id] = word,
    SP_DIFF_CHANGES(ROW)
#undef ROW
};

static const char *const side_names[] = {[SP_DIFF_BEFORE] = "before", [SP_DIFF_AFTER] = "after"};

static size_t nr_shown(const struct sp_diff *d, unsigned top)
{
	return top && top < d->changed.nr ? top : d->changed.nr;
}

/* ---- text ---- */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void put_side(struct sp_out *out, const struct sp_diff *d, enum sp_diff_side side,
		     const struct sp_report_options *o)
{
	const struct sp_diff_side_of *s = &d->sides[side];
	char clock[SP_CLOCK_SIZE], bytes[16], span[16];

	sp_out_printf(out, "%-8s%s  ",
		      side == SP_DIFF_BEFORE ? "before:" : "after:", sp_report_clock(clock, &s->view, o));
	if (s->view.is_kernel)
		sp_out_puts(out, "kernel");
	else
		sp_out_printf(out, "%s (pid %d)", s->view.comm, (int)s->view.pid);
	sp_out_printf(out, "  %s in %" PRIu64 " block%s, after %s\n",
		      sp_text_bytes(bytes, sizeof(bytes), s->view.total_bytes), s->view.total_blocks,
		      plural(s->view.total_blocks), sp_text_duration(span, sizeof(span), s->watched_ns));
}

static void put_sums(struct sp_out *out, const struct sp_diff *d)
{
	char grown[16], shrunk[16];

	if (!d->changed.nr) {
		sp_out_puts(out, "nothing has changed\n");
		return;
	}
	sp_out_printf(out, "grew by %s on %" PRIu64 " call path%s, shrank by %s on %" PRIu64 "\n",
		      sp_text_bytes(grown, sizeof(grown), d->grown_bytes), d->nr_grown, plural(d->nr_grown),
		      sp_text_bytes(shrunk, sizeof(shrunk), d->shrunk_bytes), d->nr_shrunk);
}

static void put_amount(struct sp_page *p, const struct sp_diff_path *path, enum sp_diff_side side)
{
	char bytes[16];

	sp_out_printf(&p->out, "%s in %" PRIu64 " block%s", sp_text_bytes(bytes, sizeof(bytes), path->bytes[side]),
		      path->blocks[side], plural(path->blocks[side]));
}

static void put_growth(struct sp_page *p, size_t rank, const struct sp_diff_path *path)
{
	char bytes[16], signed_bytes[20], cell[32];
	uint64_t amount = path->growth_bytes < 0 ? -(uint64_t)path->growth_bytes : (uint64_t)path->growth_bytes;

	snprintf(cell, sizeof(cell), "#%zu", rank);
	sp_out_printf(&p->out, "\n%-*s", (int)p->indent, cell);
	snprintf(signed_bytes, sizeof(signed_bytes), "%c%s", path->growth_bytes < 0 ? '-' : '+',
		 sp_text_bytes(bytes, sizeof(bytes), amount));
	snprintf(cell, sizeof(cell), "%11s", signed_bytes);
	sp_page_put(p, path->growth_bytes > 0 ? SP_PAINT_GROWS : SP_PAINT_SHRINKS, cell);
	sp_out_printf(&p->out, "  %s: ", changes[path->change]);
	if (path->change != SP_DIFF_NEW)
		put_amount(p, path, SP_DIFF_BEFORE);
	if (path->change != SP_DIFF_NEW && path->change != SP_DIFF_GONE)
		sp_out_puts(&p->out, " -> ");
	if (path->change != SP_DIFF_GONE)
		put_amount(p, path, SP_DIFF_AFTER);
	sp_out_puts(&p->out, "\n");
}

static void put_frames(struct sp_page *p, const struct sp_diff *d, const struct sp_diff_path *path)
{
	sp_autofree struct sp_frame *frames = calloc(path->nr_frames + 1, sizeof(*frames));
	struct sp_view_path shown = {.frames = frames, .nr_frames = path->nr_frames};

	if (!frames) {
		p->out.err = -ENOMEM;
		return;
	}
	for (unsigned i = 0; i < path->nr_frames; i++)
		frames[i] = *sp_diff_frame(d, path->ids[i]);
	sp_page_frames(p, &shown);
}

static void put_notes(struct sp_out *out, const struct sp_diff *d, size_t nr)
{
	size_t more = d->changed.nr - nr;

	if (more)
		sp_out_printf(out, "\n%zu more call path%s changed (--top shows more)\n", more, plural(more));
	for (size_t i = 0; i < SP_NR_DIFF_SIDES; i++) {
		const struct sp_view *v = &d->sides[i].view;
		char indent[16];

		snprintf(indent, sizeof(indent), "%s: ", side_names[i]);
		sp_report_sampled(out, v, indent);
		if (v->suppressed_paths)
			sp_out_puts(out, indent);
		sp_report_suppressed(out, v);
		sp_report_lost(out, v, indent, "; ");
	}
}

int sp_report_diff(FILE *stream, const struct sp_diff *d, unsigned top, const struct sp_report_options *o)
{
	size_t nr = nr_shown(d, top);
	struct sp_page p = {.out = {.stream = stream}, .v = &d->sides[SP_DIFF_AFTER].view, .o = o, .indent = 5};

	put_side(&p.out, d, SP_DIFF_BEFORE, o);
	put_side(&p.out, d, SP_DIFF_AFTER, o);
	put_sums(&p.out, d);
	for (size_t i = 0; i < nr && !p.out.err; i++) {
		const struct sp_diff_path *path = sp_vec_at(&d->changed, struct sp_diff_path, i);

		put_growth(&p, i + 1, path);
		put_frames(&p, d, path);
	}
	put_notes(&p.out, d, nr);
	return sp_out_finish(&p.out);
}

/* ---- JSON ---- */

static void json_side(struct sp_jsonw *w, const struct sp_diff_side_of *s, const char *key)
{
	const struct sp_view *v = &s->view;

	sp_jsonw_key(w, key);
	sp_jsonw_object(w);
	sp_jsonw_put_time(w, "time", &v->time);
	sp_jsonw_put_string(w, "engine", v->engine);
	sp_jsonw_put_u64(w, "pid", (uint64_t)v->pid);
	sp_jsonw_put_string(w, "comm", v->comm);
	sp_jsonw_put_bool(w, "kernel", v->is_kernel);
	sp_jsonw_put_u64(w, "watched_ms", s->watched_ns / 1000000);
	sp_jsonw_put_u64(w, "scale", v->scale);
	sp_jsonw_put_u64(w, "sample_bytes", v->sample_bytes);
	sp_report_json_totals(w, v);
	sp_report_json_lost(w, v);
	sp_jsonw_end(w);
}

static void json_sum(struct sp_jsonw *w, const char *key, uint64_t bytes, uint64_t paths)
{
	sp_jsonw_key(w, key);
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", bytes);
	sp_jsonw_put_u64(w, "paths", paths);
	sp_jsonw_end(w);
}

static void json_amount(struct sp_jsonw *w, const struct sp_diff_path *p, enum sp_diff_side side)
{
	sp_jsonw_key(w, side_names[side]);
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", p->bytes[side]);
	sp_jsonw_put_u64(w, "blocks", p->blocks[side]);
	sp_jsonw_end(w);
}

static void json_path(struct sp_jsonw *w, const struct sp_diff *d, const struct sp_diff_path *p)
{
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "change", changes[p->change]);
	sp_jsonw_put_i64(w, "growth_bytes", p->growth_bytes);
	sp_jsonw_put_i64(w, "growth_blocks", p->growth_blocks);
	json_amount(w, p, SP_DIFF_BEFORE);
	json_amount(w, p, SP_DIFF_AFTER);
	sp_jsonw_key(w, "frames");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < p->nr_frames; i++)
		sp_report_json_frame(w, sp_diff_frame(d, p->ids[i]));
	sp_jsonw_end(w);
	sp_jsonw_end(w);
}

int sp_report_diff_json(FILE *stream, const struct sp_diff *d, unsigned top)
{
	struct sp_out out = {.stream = stream};
	size_t nr = nr_shown(d, top);
	struct sp_jsonw w;

	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "diff");
	json_side(&w, &d->sides[SP_DIFF_BEFORE], side_names[SP_DIFF_BEFORE]);
	json_side(&w, &d->sides[SP_DIFF_AFTER], side_names[SP_DIFF_AFTER]);
	json_sum(&w, "grew", d->grown_bytes, d->nr_grown);
	json_sum(&w, "shrank", d->shrunk_bytes, d->nr_shrunk);
	sp_jsonw_key(&w, "paths");
	sp_jsonw_array(&w);
	for (size_t i = 0; i < nr && !out.err; i++)
		json_path(&w, d, sp_vec_at(&d->changed, struct sp_diff_path, i));
	sp_jsonw_end(&w);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
