// SPDX-License-Identifier: Apache-2.0
/* From a view to a sample. */
#include "serve/sample.h"

#include <inttypes.h>
#include <string.h>

#include "serve/serve.h"

/* ---- the name of a path ---- */

static uint64_t hash_text(uint64_t h, const char *text)
{
	for (; text && *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u; /* FNV-1a */
	return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t hash_number(uint64_t h, uint64_t n)
{
	for (unsigned i = 0; i < 8; i++)
		h = (h ^ (n >> 8 * i & 0xff)) * 0x100000001b3u;
	return h;
}

/* Names and lines where there are, else places in modules: no addresses, which differ in every run. */
static uint64_t id_of(const struct sp_view_path *p)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < p->nr_frames; i++) {
		const struct sp_frame *f = &p->frames[i];

		h = hash_text(hash_text(h, f->module), f->function);
		h = hash_number(h, f->function ? f->line : f->module_offset);
	}
	return h;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A frame's name: its function, or module+0x12. */
static void add_name(struct sp_words *w, const struct sp_frame *f)
{
	if (f->function)
		sp_words_add(w, "%s", f->function);
	else
		sp_words_add(w, "%s+0x%" PRIx64, f->module ? f->module : "?", f->module_offset);
}

/* The frames from the outermost on that still fit: as many as the inner ones leave room for. */
static void name_stack(struct sp_sample_path *out, const struct sp_view_path *p)
{
	struct sp_words all = {.buf = out->stack, .size = sizeof(out->stack)};
	char name[256];
	size_t room = sizeof(out->stack) - 4;
	unsigned nr = 0;

	for (; nr < p->nr_frames; nr++) {
		struct sp_words one = {.buf = name, .size = sizeof(name)};

		add_name(&one, &p->frames[nr]);
		if (strlen(name) + 1 > room)
			break;
		room -= strlen(name) + 1;
	}
	if (nr < p->nr_frames)
		sp_words_add(&all, "...");
	for (unsigned i = nr; i-- > 0;) {
		if (all.len)
			sp_words_add(&all, ";");
		add_name(&all, &p->frames[i]);
	}
}

static void name_path(struct sp_sample_path *out, const struct sp_view_path *p)
{
	const struct sp_frame *f = NULL;

	for (unsigned i = 0; i < p->nr_frames && !f; i++)
		if (p->frames[i].function)
			f = &p->frames[i];
	if (!f && p->nr_frames)
		f = &p->frames[0];
	if (!f) {
		snprintf(out->function, sizeof(out->function), "?");
		return;
	}
	add_name(&(struct sp_words){.buf = out->function, .size = sizeof(out->function)}, f);
	if (f->file)
		snprintf(out->place, sizeof(out->place), "%s:%u", base_of(f->file), f->line);
	else if (f->module)
		snprintf(out->place, sizeof(out->place), "%s", f->module);
	name_stack(out, p);
}

/* ---- which paths ---- */

/* One name, which several paths of the view may have. */
struct group {
	struct sp_sample_path sum;          /* its numbers only */
	const struct sp_view_path *biggest; /* who gives it its texts */
};

static uint64_t leaked(const struct sp_u64map *map, uint32_t path)
{
	const uint64_t *found = sp_u64map_find(map, (uint64_t)path + 1);

	return found ? *found : 0;
}

static void add_path(struct group *g, const struct sp_view_path *p, const struct sp_leaks_found *leaks)
{
	bool grows = p->verdict.class == SP_CLASS_GROWING;

	if (!g->biggest || p->sum.bytes > g->biggest->sum.bytes)
		g->biggest = p;
	g->sum.bytes += p->sum.bytes;
	g->sum.blocks += p->sum.blocks;
	g->sum.growing_bytes += grows ? p->sum.bytes : 0;
	g->sum.growing_blocks += grows ? p->sum.blocks : 0;
	g->sum.slope += grows ? p->verdict.trend.slope : 0;
	g->sum.leaked_bytes += leaks ? leaked(&leaks->bytes, p->sum.path) : 0;
	g->sum.leaked_blocks += leaks ? leaked(&leaks->blocks, p->sum.path) : 0;
}

static int compare(double a, double b)
{
	return (a < b) - (a > b);
}

static int by_badness(const void *a, const void *b)
{
	const struct sp_sample_path *x = &((const struct group *)a)->sum, *y = &((const struct group *)b)->sum;
	int order = compare((double)x->leaked_bytes, (double)y->leaked_bytes);

	order = order ? order : compare(x->slope, y->slope);
	order = order ? order : compare((double)x->bytes, (double)y->bytes);
	return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* All paths of the view by name, the worst first. -ENOMEM. */
static int group_paths(const struct sp_view *v, const struct sp_leaks_found *leaks, struct sp_vec *ret)
{
	struct sp_u64map index;
	int err = 0;

	sp_u64map_init(&index, v->nr_paths + 1);
	for (size_t i = 0; i < v->nr_paths && !err; i++) {
		uint64_t id = id_of(&v->paths[i]), *known = sp_u64map_find(&index, id);
		uint64_t at = known ? *known : ret->nr;

		if (!known)
			err = sp_vec_push(ret, &(struct group){.sum.id = id});
		if (!err && !known)
			err = sp_u64map_set(&index, id, at);
		if (!err)
			add_path(sp_vec_at(ret, struct group, at), &v->paths[i], leaks);
	}
	sp_u64map_done(&index);
	if (!err && ret->nr)
		qsort(ret->data, ret->nr, sizeof(struct group), by_badness);
	return err;
}

/* ---- the sample ---- */

static void take_numbers(struct sp_sample *s, const struct sp_view *v)
{
	snprintf(s->comm, sizeof(s->comm), "%s", v->comm);
	snprintf(s->engine, sizeof(s->engine), "%s", v->engine);
	s->time_ms = (uint64_t)v->time.tv_sec * 1000 + (uint64_t)v->time.tv_nsec / 1000000;
	s->looks = v->nr_report;
	s->bytes = v->total_bytes;
	s->blocks = v->total_blocks;
	s->nr_call_paths = v->total_paths;
	s->scale = v->scale;
	s->sample_bytes = v->sample_bytes;
	s->suppressed_bytes = v->suppressed_bytes;
	s->suppressed_blocks = v->suppressed_blocks;
	s->pause_ns = v->stats.pause_ns;
	s->start_ns = v->stats.start_ns;
	s->cpu_ns = v->own_cpu_ns;
	s->target_bytes = v->stats.memory;
	s->execs = v->nr_execs;
	memcpy(s->lost, v->lost, sizeof(s->lost));
}

struct sp_sample *sp_sample_make(const struct sp_view *v, unsigned top, const struct sp_leaks_found *leaks)
{
	struct sp_sample *s = NULL;
	struct sp_vec groups;

	sp_vec_init(&groups, sizeof(struct group), v->nr_paths + 1);
	int err = group_paths(v, leaks, &groups);
	uint64_t nr = groups.nr < top ? groups.nr : top;
	if (!err)
		s = calloc(1, sp_sample_size(nr));
	if (s) {
		take_numbers(s, v);
		s->nr_paths = nr;
		for (size_t i = 0; i < groups.nr; i++) {
			struct group *g = sp_vec_at(&groups, struct group, i);

			s->growing_bytes += g->sum.growing_bytes;
			s->growing_blocks += g->sum.growing_blocks;
			if (i >= nr)
				continue;
			s->paths[i] = g->sum;
			name_path(&s->paths[i], g->biggest);
		}
	}
	sp_vec_done(&groups);
	return s;
}

size_t sp_sample_size(uint64_t nr_paths)
{
	return sizeof(struct sp_sample) + nr_paths * sizeof(struct sp_sample_path);
}

#define IS_ENDED(text) (memchr((text), '\0', sizeof(text)) != NULL)

bool sp_sample_is_good(const struct sp_sample *s, size_t size)
{
	if (size < sizeof(*s) || s->nr_paths > SP_SERVE_MAX_PATHS || size != sp_sample_size(s->nr_paths))
		return false;
	if (!IS_ENDED(s->comm) || !IS_ENDED(s->engine))
		return false;
	for (uint64_t i = 0; i < s->nr_paths; i++)
		if (!IS_ENDED(s->paths[i].function) || !IS_ENDED(s->paths[i].place) || !IS_ENDED(s->paths[i].stack))
			return false;
	return true;
}
