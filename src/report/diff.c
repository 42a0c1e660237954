// SPDX-License-Identifier: Apache-2.0
/*
 * Compares two views. Every different frame is copied once; a path is a list of their numbers. When both sides are
 * there, frames that mean the same get one number (their twin's), and paths with equal lists of these are one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/diff_impl.h"

#define MAX_PATHS  ((size_t)1 << 22)
#define MAX_FRAMES ((size_t)1 << 22)
#define MAX_IDS    ((size_t)1 << 28)
#define MAX_BUILDS ((size_t)1 << 16)

struct known_frame {
	struct sp_frame frame; /* strings of our own */
	uint32_t next;         /* index + 1 of another with the same hash; 0: none */
	uint32_t build;        /* index + 1 of its module's; 0: no module */
	uint32_t twin;         /* index of the first frame that means the same */
};

struct known_path {
	size_t first; /* in ids */
	unsigned nr;
	uint64_t bytes[SP_NR_DIFF_SIDES], blocks[SP_NR_DIFF_SIDES];
	size_t next; /* while comparing: index + 1 of another with the same hash; 0: none */
};

/* A module by its name, and which build of it each side has. */
struct known_build {
	char *module;
	char *id[SP_NR_DIFF_SIDES]; /* NULL: not known, or not seen there */
};

int sp_diff_new(struct sp_diff **ret)
{
	struct sp_diff *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	sp_vec_init(&d->frames, sizeof(struct known_frame), MAX_FRAMES);
	sp_vec_init(&d->ids, sizeof(uint32_t), MAX_IDS);
	sp_vec_init(&d->paths, sizeof(struct known_path), MAX_PATHS);
	sp_vec_init(&d->builds, sizeof(struct known_build), MAX_BUILDS);
	sp_vec_init(&d->changed, sizeof(struct sp_diff_path), MAX_PATHS);
	sp_u64map_init(&d->by_content, MAX_FRAMES);
	*ret = d;
	return 0;
}

static void free_frame(struct sp_frame *f)
{
	free((char *)(uintptr_t)f->function);
	free((char *)(uintptr_t)f->module);
	free((char *)(uintptr_t)f->module_path);
	free((char *)(uintptr_t)f->build_id);
	free((char *)(uintptr_t)f->file);
}

void sp_diff_free(struct sp_diff *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->frames.nr; i++)
		free_frame(&sp_vec_at(&d->frames, struct known_frame, i)->frame);
	for (size_t i = 0; i < d->builds.nr; i++) {
		struct known_build *b = sp_vec_at(&d->builds, struct known_build, i);
		free(b->module);
		free(b->id[SP_DIFF_BEFORE]);
		free(b->id[SP_DIFF_AFTER]);
	}
	for (size_t i = 0; i < SP_NR_DIFF_SIDES; i++) {
		free(d->sides[i].engine);
		free(d->sides[i].comm);
	}
	sp_vec_done(&d->frames);
	sp_vec_done(&d->ids);
	sp_vec_done(&d->paths);
	sp_vec_done(&d->builds);
	sp_vec_done(&d->changed);
	sp_u64map_done(&d->by_content);
	free(d);
}

const struct sp_frame *sp_diff_frame(const struct sp_diff *d, uint32_t id)
{
	return &sp_vec_at(&d->frames, struct known_frame, id)->frame;
}

/* ---- frames ---- */

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static uint64_t hash_number(uint64_t h, uint64_t n)
{
	return (h ^ n) * FNV_PRIME;
}

/* FNV-1a; NULL and "" differ. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	h = hash_number(h, text ? 1 : 2);
	for (const char *p = text ? text : ""; *p; p++)
		h = hash_number(h, (unsigned char)*p);
	return h;
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* What tells a frame without a name from others: its place in its module. */
static uint64_t place_of(const struct sp_frame *f)
{
	return f->function ? 0 : f->module ? f->module_offset : f->address;
}

static uint64_t hash_frame(const struct sp_frame *f, bool with_lines)
{
	uint64_t h = hash_text(hash_text(hash_number(FNV_BASIS, place_of(f)), f->function), f->module);

	h = hash_number(h, f->inlined);
	return with_lines ? hash_number(hash_text(h, f->file), f->line) : h;
}

static bool is_same_frame(const struct sp_frame *a, const struct sp_frame *b, bool with_lines)
{
	if (!is_same_text(a->function, b->function) || !is_same_text(a->module, b->module) ||
	    place_of(a) != place_of(b) || a->inlined != b->inlined)
		return false;
	return !with_lines || (is_same_text(a->file, b->file) && a->line == b->line);
}

static int copy_text(const char *text, const char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int copy_frame(const struct sp_frame *f, struct sp_frame *ret)
{
	*ret = *f;
	ret->raw_function = NULL;
	ret->function = ret->module = ret->module_path = ret->build_id = ret->file = NULL;
	int err = copy_text(f->function, &ret->function);
	if (!err)
		err = copy_text(f->module, &ret->module);
	if (!err)
		err = copy_text(f->module_path, &ret->module_path);
	if (!err)
		err = copy_text(f->build_id, &ret->build_id);
	if (!err)
		err = copy_text(f->file, &ret->file);
	if (err)
		free_frame(ret);
	return err;
}

/* Index + 1. Modules are few: a list will do, and a frame asks only once. */
static int find_build(struct sp_diff *d, const char *module, uint32_t *ret)
{
	struct known_build b = {0};

	for (size_t i = 0; i < d->builds.nr; i++) {
		if (!strcmp(sp_vec_at(&d->builds, struct known_build, i)->module, module)) {
			*ret = (uint32_t)i + 1;
			return 0;
		}
	}
	b.module = strdup(module);
	int err = b.module ? sp_vec_push(&d->builds, &b) : -ENOMEM;
	if (err)
		free(b.module);
	else
		*ret = (uint32_t)d->builds.nr;
	return err;
}

static int add_frame(struct sp_diff *d, const struct sp_frame *f, uint64_t hash, uint32_t next, uint32_t *ret)
{
	struct known_frame k = {.next = next};
	int err = f->module ? find_build(d, f->module, &k.build) : 0;

	if (!err)
		err = copy_frame(f, &k.frame);
	if (err)
		return err;
	err = sp_vec_push(&d->frames, &k);
	if (err) {
		free_frame(&k.frame);
		return err;
	}
	*ret = (uint32_t)d->frames.nr - 1;
	return sp_u64map_set(&d->by_content, hash, d->frames.nr);
}

/* The number of a frame, copied the first time. */
static int intern(struct sp_diff *d, const struct sp_frame *f, uint32_t *ret)
{
	uint64_t hash = hash_frame(f, true), *found = sp_u64map_find(&d->by_content, hash);
	uint32_t head = found ? (uint32_t)*found : 0;

	for (uint32_t i = head; i; i = sp_vec_at(&d->frames, struct known_frame, i - 1)->next) {
		if (is_same_frame(sp_diff_frame(d, i - 1), f, true)) {
			*ret = i - 1;
			return 0;
		}
	}
	return add_frame(d, f, hash, head, ret);
}

static int note_build(struct sp_diff *d, enum sp_diff_side side, uint32_t id, const char *build_id)
{
	uint32_t at = sp_vec_at(&d->frames, struct known_frame, id)->build;
	struct known_build *b = at ? sp_vec_at(&d->builds, struct known_build, at - 1) : NULL;

	if (!b || b->id[side] || !build_id)
		return 0;
	b->id[side] = strdup(build_id);
	return b->id[side] ? 0 : -ENOMEM;
}

/* ---- one side ---- */

static int take_head(struct sp_diff_side_of *s, const struct sp_view *v, uint64_t watched_ns)
{
	s->view = *v;
	s->view.paths = NULL;
	s->view.sums = NULL;
	s->view.list = NULL;
	s->view.nr_paths = s->view.nr_list = 0;
	s->watched_ns = watched_ns;
	s->view.engine = s->engine = strdup(v->engine);
	s->view.comm = s->comm = strdup(v->comm);
	return s->engine && s->comm ? 0 : -ENOMEM;
}

static int take_path(struct sp_diff *d, enum sp_diff_side side, const struct sp_view_path *p)
{
	struct known_path k = {.first = d->ids.nr, .nr = p->nr_frames};
	int err = 0;

	for (unsigned i = 0; i < p->nr_frames && !err; i++) {
		uint32_t id = 0;
		err = intern(d, &p->frames[i], &id);
		if (!err)
			err = note_build(d, side, id, p->frames[i].build_id);
		if (!err)
			err = sp_vec_push(&d->ids, &id);
	}
	k.bytes[side] = p->sum.bytes;
	k.blocks[side] = p->sum.blocks;
	return err ? err : sp_vec_push(&d->paths, &k);
}

int sp_diff_take(struct sp_diff *d, enum sp_diff_side side, const struct sp_view *v, uint64_t watched_ns)
{
	int err = take_head(&d->sides[side], v, watched_ns);

	for (size_t i = 0; i < v->nr_paths && !err; i++)
		err = take_path(d, side, &v->paths[i]);
	return err;
}

/* ---- both ---- */

/* Two builds of a module have the same functions on other lines. */
static bool has_lines(const struct sp_diff *d, const struct known_frame *k)
{
	const struct known_build *b = k->build ? sp_vec_at(&d->builds, struct known_build, k->build - 1) : NULL;

	return !b || !b->id[SP_DIFF_BEFORE] || !b->id[SP_DIFF_AFTER] ||
	       !strcmp(b->id[SP_DIFF_BEFORE], b->id[SP_DIFF_AFTER]);
}

static int find_twins(struct sp_diff *d)
{
	struct sp_u64map seen;
	int err = 0;

	sp_u64map_init(&seen, MAX_FRAMES);
	for (size_t i = 0; i < d->frames.nr && !err; i++) {
		struct known_frame *k = sp_vec_at(&d->frames, struct known_frame, i);
		bool with_lines = has_lines(d, k);
		uint64_t hash = hash_frame(&k->frame, with_lines), *found = sp_u64map_find(&seen, hash);
		/* Of two that share a hash without being alike each is its own: then they only stay apart. */
		bool is_twin = found && is_same_frame(sp_diff_frame(d, (uint32_t)*found), &k->frame, with_lines);
		k->twin = is_twin ? (uint32_t)*found : (uint32_t)i;
		if (!found)
			err = sp_u64map_set(&seen, hash, i);
	}
	sp_u64map_done(&seen);
	return err;
}

static uint32_t twin_at(const struct sp_diff *d, size_t at)
{
	return sp_vec_at(&d->frames, struct known_frame, *sp_vec_at(&d->ids, uint32_t, at))->twin;
}

static bool is_same_path(const struct sp_diff *d, const struct known_path *a, const struct known_path *b)
{
	if (a->nr != b->nr)
		return false;
	for (unsigned i = 0; i < a->nr; i++)
		if (twin_at(d, a->first + i) != twin_at(d, b->first + i))
			return false;
	return true;
}

static uint64_t hash_path(const struct sp_diff *d, const struct known_path *p)
{
	uint64_t h = FNV_BASIS;

	for (unsigned i = 0; i < p->nr; i++)
		h = hash_number(h, twin_at(d, p->first + i));
	return h;
}

static void merge(struct known_path *into, const struct known_path *p)
{
	for (size_t i = 0; i < SP_NR_DIFF_SIDES; i++) {
		into->bytes[i] += p->bytes[i];
		into->blocks[i] += p->blocks[i];
	}
}

/* Adds `p` to the path that it is, or makes it one: the first *nr of paths are all different. */
static int place(struct sp_diff *d, struct sp_u64map *seen, const struct known_path *p, size_t *nr)
{
	uint64_t hash = hash_path(d, p), *found = sp_u64map_find(seen, hash);
	struct known_path *paths = d->paths.data, copy = *p;

	copy.next = found ? (size_t)*found : 0;
	for (size_t i = copy.next; i; i = paths[i - 1].next) {
		if (is_same_path(d, &paths[i - 1], p)) {
			merge(&paths[i - 1], p);
			return 0;
		}
	}
	paths[(*nr)++] = copy;
	return sp_u64map_set(seen, hash, *nr);
}

static int merge_paths(struct sp_diff *d)
{
	struct sp_u64map seen;
	size_t nr = 0;
	int err = 0;

	sp_u64map_init(&seen, MAX_PATHS);
	for (size_t i = 0; i < d->paths.nr && !err; i++)
		err = place(d, &seen, sp_vec_at(&d->paths, struct known_path, i), &nr);
	d->paths.nr = nr;
	sp_u64map_done(&seen);
	return err;
}

static int64_t difference(uint64_t before, uint64_t after)
{
	if (after >= before)
		return after - before > INT64_MAX ? INT64_MAX : (int64_t)(after - before);
	return before - after > INT64_MAX ? -INT64_MAX : -(int64_t)(before - after);
}

static enum sp_diff_change change_of(const struct sp_diff_path *p)
{
	if (!p->blocks[SP_DIFF_BEFORE])
		return SP_DIFF_NEW;
	if (!p->blocks[SP_DIFF_AFTER])
		return SP_DIFF_GONE;
	return p->growth_bytes > 0 ? SP_DIFF_GREW : p->growth_bytes < 0 ? SP_DIFF_SHRANK : SP_DIFF_SAME;
}

static int add_change(struct sp_diff *d, const struct known_path *k)
{
	struct sp_diff_path p = {.ids = sp_vec_at(&d->ids, uint32_t, k->first), .nr_frames = k->nr};

	memcpy(p.bytes, k->bytes, sizeof(p.bytes));
	memcpy(p.blocks, k->blocks, sizeof(p.blocks));
	p.growth_bytes = difference(k->bytes[SP_DIFF_BEFORE], k->bytes[SP_DIFF_AFTER]);
	p.growth_blocks = difference(k->blocks[SP_DIFF_BEFORE], k->blocks[SP_DIFF_AFTER]);
	p.change = change_of(&p);
	if (!p.growth_bytes && !p.growth_blocks)
		return 0;
	if (p.growth_bytes > 0) {
		d->grown_bytes += (uint64_t)p.growth_bytes;
		d->nr_grown++;
	} else if (p.growth_bytes < 0) {
		d->shrunk_bytes += (uint64_t)-p.growth_bytes;
		d->nr_shrunk++;
	}
	return sp_vec_push(&d->changed, &p);
}

/* Of equal ones the one that was seen first: its frames have the smaller numbers. */
static int by_growth(const void *pa, const void *pb)
{
	const struct sp_diff_path *a = pa, *b = pb;

	if (a->growth_bytes != b->growth_bytes)
		return a->growth_bytes > b->growth_bytes ? -1 : 1;
	if (a->growth_blocks != b->growth_blocks)
		return a->growth_blocks > b->growth_blocks ? -1 : 1;
	return (a->ids > b->ids) - (a->ids < b->ids);
}

int sp_diff_compare(struct sp_diff *d)
{
	int err = find_twins(d);

	if (!err)
		err = merge_paths(d);
	for (size_t i = 0; i < d->paths.nr && !err; i++)
		err = add_change(d, sp_vec_at(&d->paths, struct known_path, i));
	if (d->changed.nr)
		qsort(d->changed.data, d->changed.nr, sizeof(struct sp_diff_path), by_growth);
	return err;
}

uint64_t sp_diff_grown_bytes(const struct sp_diff *d)
{
	return d->grown_bytes;
}
