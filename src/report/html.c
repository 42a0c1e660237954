// SPDX-License-Identifier: Apache-2.0
/*
 * One HTML file that needs nothing else: the page (html/), two libraries (html/vendor/), and between them the view as
 * JSON, in a <script> that no browser runs. Names come from the target and are hostile: in the file they stand only in
 * that JSON, with every '<' as \u003c, and the page puts them only into text nodes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/html/html_page.h"
#include "report/json.h"
#include "report/notes.h"

#define MAX_FRAMES ((size_t)1 << 22)
#define NS_PER_MS  1000000u

/* The frames of all paths, each once: ids are places in `list`. */
struct frames {
	struct sp_vec list; /* const struct sp_frame * */
	struct sp_u64map by_content;
	int err;
};

static uint64_t hash(const struct sp_frame *f)
{
	uint64_t h = 0xcbf29ce484222325u;
	const uint64_t words[] = {f->address, f->module_offset, f->line, (uintptr_t)f->function, f->inlined};

	for (size_t i = 0; i < SP_ARRAY_SIZE(words); i++)
		h = ((h ^ words[i]) * 0x9e3779b97f4a7c15u) ^ (h >> 29);
	return h;
}

/* Names belong to the symbolizer, which has each once. */
static bool is_same(const struct sp_frame *a, const struct sp_frame *b)
{
	return a->address == b->address && a->module_offset == b->module_offset && a->line == b->line &&
	       a->function == b->function && a->module == b->module && a->file == b->file && a->inlined == b->inlined;
}

static size_t intern(struct frames *fs, const struct sp_frame *f)
{
	uint64_t key = hash(f), *found = sp_u64map_find(&fs->by_content, key);

	if (found && is_same(*sp_vec_at(&fs->list, const struct sp_frame *, *found), f))
		return *found;
	int err = sp_vec_push(&fs->list, &f);
	if (!err && !found)
		err = sp_u64map_set(&fs->by_content, key, fs->list.nr - 1);
	if (err && !fs->err)
		fs->err = err;
	return fs->list.nr ? fs->list.nr - 1 : 0;
}

/* ---- the data ---- */

static const char *const classes[SP_NR_CLASSES] = {
#define ROW(id, word, text) [SP_CLASS_##id] = word,
    SP_CLASSES(ROW)
#undef ROW
};

static const char *const class_texts[SP_NR_CLASSES] = {
#define ROW(id, word, text) [SP_CLASS_##id] = text,
    SP_CLASSES(ROW)
#undef ROW
};

static uint64_t age_ms(const struct sp_view *v, uint64_t birth_ns)
{
	return v->now_ns > birth_ns ? (v->now_ns - birth_ns) / NS_PER_MS : 0;
}

static void put_blocks(struct sp_jsonw *w, const struct sp_view *v, const struct sp_view_path *p)
{
	sp_jsonw_key(w, "list");
	sp_jsonw_array(w);
	for (size_t i = 0; i < p->nr_list && !w->out->err; i++) {
		sp_jsonw_array(w);
		sp_jsonw_hex(w, p->list[i].addr);
		sp_jsonw_u64(w, p->list[i].size);
		sp_jsonw_u64(w, age_ms(v, p->list[i].birth_ns));
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_numbers(struct sp_jsonw *w, const char *key, const uint64_t *list, unsigned nr)
{
	sp_jsonw_key(w, key);
	sp_jsonw_array(w);
	for (unsigned i = 0; i < nr; i++)
		sp_jsonw_u64(w, list[i]);
	sp_jsonw_end(w);
}

static void put_path(struct sp_jsonw *w, const struct sp_view *v, const struct sp_view_path *p, struct frames *fs)
{
	const struct sp_path_sum *s = &p->sum;

	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", s->bytes);
	sp_jsonw_put_u64(w, "blocks", s->blocks);
	sp_jsonw_put_i64(w, "growth", s->growth_bytes);
	sp_jsonw_put_u64(w, "oldest", age_ms(v, s->oldest_birth_ns));
	sp_jsonw_put_u64(w, "seen", s->old_seen);
	sp_jsonw_put_u64(w, "freed", s->old_freed);
	if (sp_report_is_sampled(v))
		sp_jsonw_put_u64(w, "error", sp_report_error_percent(v, s));
	if (v->has_verdicts) {
		sp_jsonw_put_string(w, "class", classes[p->verdict.class]);
		sp_jsonw_key(w, "slope");
		sp_jsonw_fixed(w, p->verdict.trend.slope, 1);
		if (p->history)
			put_numbers(w, "history", p->history, v->nr_history);
	}
	if (p->unreached.blocks) {
		sp_jsonw_put_u64(w, "leaked_bytes", p->unreached.bytes);
		sp_jsonw_put_u64(w, "leaked_blocks", p->unreached.blocks);
	}
	sp_jsonw_key(w, "frames");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < p->nr_frames; i++)
		sp_jsonw_u64(w, intern(fs, &p->frames[i]));
	sp_jsonw_end(w);
	if (p->list)
		put_blocks(w, v, p);
	sp_jsonw_end(w);
}

static void put_frame(struct sp_jsonw *w, const struct sp_frame *f)
{
	sp_jsonw_array(w);
	sp_jsonw_string(w, f->function);
	sp_jsonw_string(w, f->module);
	sp_jsonw_string(w, f->file);
	sp_jsonw_u64(w, f->line);
	sp_jsonw_bool(w, f->inlined);
	sp_jsonw_hex(w, f->module ? f->module_offset : f->address);
	sp_jsonw_string(w, f->build_id);
	sp_jsonw_end(w);
}

/* Milliseconds of the real time, as JavaScript counts it. */
static uint64_t real_ms(const struct sp_view *v, uint64_t clock_ns)
{
	uint64_t now_ms = (uint64_t)v->time.tv_sec * 1000 + (uint64_t)v->time.tv_nsec / NS_PER_MS;
	uint64_t ago_ms = age_ms(v, clock_ns);

	return now_ms > ago_ms ? now_ms - ago_ms : 0;
}

static void put_history(struct sp_jsonw *w, const struct sp_view *v)
{
	if (!v->has_verdicts)
		return;
	sp_jsonw_key(w, "times");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < v->nr_history; i++)
		sp_jsonw_u64(w, real_ms(v, v->history_ns[i]));
	sp_jsonw_end(w);
	put_numbers(w, "history", v->history_bytes, v->nr_history);
}

/* What stands below a text report, in the same words. */
static int put_notes(struct sp_jsonw *w, const struct sp_view *v)
{
	sp_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct sp_out out = {.stream = f};

	if (!f)
		return -ENOMEM;
	sp_report_found(&out, v);
	sp_report_sampled(&out, v, "");
	sp_report_suppressed(&out, v);
	sp_report_lost(&out, v, "", "; ");
	if (fclose(f) || out.err)
		return -ENOMEM;
	sp_jsonw_put_string(w, "notes", text);
	return 0;
}

static void put_classes(struct sp_jsonw *w)
{
	sp_jsonw_key(w, "classes");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < SP_NR_CLASSES; i++) {
		sp_jsonw_array(w);
		sp_jsonw_string(w, classes[i]);
		sp_jsonw_string(w, class_texts[i]);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_head(struct sp_jsonw *w, const struct sp_view *v)
{
	sp_jsonw_put_string(w, "version", SEEP_VERSION);
	sp_jsonw_put_string(w, "comm", v->comm);
	sp_jsonw_put_u64(w, "pid", (uint64_t)v->pid);
	sp_jsonw_put_bool(w, "kernel", v->is_kernel);
	sp_jsonw_put_string(w, "engine", v->engine);
	sp_jsonw_put_bool(w, "ended", v->target_ended);
	sp_jsonw_put_u64(w, "time", real_ms(v, v->now_ns));
	sp_jsonw_put_u64(w, "interval", v->interval_ns / NS_PER_MS);
	sp_jsonw_put_u64(w, "older", v->filter.min_age_ns / NS_PER_MS);
	sp_jsonw_put_u64(w, "min_size", v->filter.min_size);
	sp_jsonw_put_u64(w, "max_size", v->filter.max_size);
	sp_report_json_totals(w, v);
}

static int put_data(struct sp_out *out, const struct sp_view *v, struct frames *fs)
{
	struct sp_jsonw w;

	sp_jsonw_init(&w, out);
	sp_jsonw_object(&w);
	put_head(&w, v);
	put_classes(&w);
	int err = put_notes(&w, v);
	put_history(&w, v);
	sp_jsonw_key(&w, "paths");
	sp_jsonw_array(&w);
	for (size_t i = 0; i < v->nr_paths && !out->err; i++)
		put_path(&w, v, &v->paths[i], fs);
	sp_jsonw_end(&w);
	sp_jsonw_key(&w, "frames");
	sp_jsonw_array(&w);
	for (size_t i = 0; i < fs->list.nr && !out->err; i++)
		put_frame(&w, *sp_vec_at(&fs->list, const struct sp_frame *, i));
	sp_jsonw_end(&w);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return err ? err : fs->err;
}

/* ---- the file ---- */

/* Between JSON's quotes only can a '<' stand, where \u003c means the same: so nothing in it ends the element. */
static ssize_t write_escaped(void *cookie, const char *text, size_t len)
{
	struct sp_out *out = cookie;
	const char *end = text + len;

	for (const char *at = text; at < end;) {
		const char *angle = memchr(at, '<', (size_t)(end - at));
		sp_out_write(out, at, (size_t)((angle ? angle : end) - at));
		if (angle)
			sp_out_puts(out, "\\u003c");
		at = angle ? angle + 1 : end;
	}
	return out->err ? 0 : (ssize_t)len; /* 0: it failed */
}

static int put_escaped_data(struct sp_out *out, const struct sp_view *v)
{
	struct frames fs = {0};
	FILE *f = fopencookie(out, "w", (cookie_io_functions_t){.write = write_escaped});
	struct sp_out inner = {.stream = f};

	if (!f)
		return -ENOMEM;
	sp_vec_init(&fs.list, sizeof(const struct sp_frame *), MAX_FRAMES);
	sp_u64map_init(&fs.by_content, MAX_FRAMES);
	int err = put_data(&inner, v, &fs);
	if (fclose(f) && !inner.err)
		inner.err = -EIO;
	sp_vec_done(&fs.list);
	sp_u64map_done(&fs.by_content);
	return out->err ? out->err : err ? err : inner.err;
}

#define PART(out, name) sp_out_write(out, (const char *)(name), sizeof(name))

int sp_report_html(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};

	(void)o;
	PART(&out, part_head);
	sp_out_puts(&out, "<style>\n");
	PART(&out, part_chart_css);
	PART(&out, part_css);
	sp_out_puts(&out, "</style>\n");
	PART(&out, part_body);
	sp_out_puts(&out, "<script type=\"application/json\" id=\"data\">");
	int err = put_escaped_data(&out, v);
	sp_out_puts(&out, "</script>\n<script>\n");
	PART(&out, part_flamegraph);
	sp_out_puts(&out, "</script>\n<script>\n");
	PART(&out, part_chart);
	sp_out_puts(&out, "</script>\n<script>\n");
	PART(&out, part_page);
	sp_out_puts(&out, "</script>\n</body>\n</html>\n");
	if (err)
		return err;
	return sp_out_finish(&out);
}
