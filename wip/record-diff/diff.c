// SPDX-License-Identifier: Apache-2.0
/* Two views side by side. Paths with the same names in the same order are one, whatever their addresses. */
#include "record/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATHS  ((size_t)1 << 22)
#define MAX_FRAMES ((size_t)1 << 26)

struct entry {
	struct sp_diff_path path;
	uint64_t hash;
	size_t next; /* index + 1 of another with this hash; 0: none */
	size_t first_frame;
};

struct sp_diff {
	struct sp_vec entries; /* struct entry */
	struct sp_vec frames;  /* struct sp_frame, with texts of our own */
	struct sp_u64map by_hash; /* -> index + 1 of the first */
	struct sp_diff_side_info sides[2];
	struct sp_vec changed; /* struct sp_diff_path, sorted */
};

int sp_diff_new(struct sp_diff **ret)
{
	struct sp_diff *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	sp_vec_init(&d->entries, sizeof(struct entry), MAX_PATHS);
	sp_vec_init(&d->frames, sizeof(struct sp_frame), MAX_FRAMES);
	sp_vec_init(&d->changed, sizeof(struct sp_diff_path), MAX_PATHS);
	sp_u64map_init(&d->by_hash, MAX_PATHS);
	*ret = d;
	return 0;
}

void sp_diff_free(struct sp_diff *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->frames.nr; i++) {
		const struct sp_frame *f = sp_vec_at(&d->frames, struct sp_frame, i);
		free((char *)(uintptr_t)f->function);
		free((char *)(uintptr_t)f->module);
		free((char *)(uintptr_t)f->file);
	}
	sp_vec_done(&d->frames);
	sp_vec_done(&d->entries);
	sp_vec_done(&d->changed);
	sp_u64map_done(&d->by_hash);
	free(d);
}

/* FNV-1a. NULL and "" differ. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	h = (h ^ (text ? 1 : 2)) * 0x100000001b3u;
	for (const char *p = text ? text : ""; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	return h;
}

/* Without a name it is the place in its module that tells a frame from others. */
static uint64_t place_of(const struct sp_frame *f)
{
	return f->function ? f->line : f->module ? f->module_offset : f->address;
}

static uint64_t hash_path(const struct sp_view_path *p)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < p->nr_frames; i++) {
		const struct sp_frame *f = &p->frames[i];
		h = hash_text(hash_text(hash_text(h, f->function), f->module), f->file);
		h = (h ^ place_of(f)) * 0x100000001b3u;
	}
	return h;
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool is_same_frame(const struct sp_frame *a, const struct sp_frame *b)
{
	return is_same_text(a->function, b->function) && is_same_text(a->module, b->module) &&
	       is_same_text(a->file, b->file) && place_of(a) == place_of(b) && a->inlined == b->inlined;
}

static bool is_path(const struct sp_diff *d, const struct entry *e, const struct sp_view_path *p)
{
	if (e->path.nr_frames != p->nr_frames)
		return false;
	for (unsigned i = 0; i < p->nr_frames; i++)
		if (!is_same_frame(sp_vec_at(&d->frames, struct sp_frame, e->first_frame + i), &p->frames[i]))
			return false;
	return true;
}

static int copy_text(const char *text, const char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int copy_frame(struct sp_diff *d, const struct sp_frame *f)
{
	struct sp_frame copy = {.address = f->address,
				.module_offset = f->module_offset,
				.offset = f->offset,
				.line = f->line,
				.inlined = f->inlined};
	int err = sp_vec_push(&d->frames, &copy);

	if (err)
		return err;
	struct sp_frame *to = sp_vec_at(&d->frames, struct sp_frame, d->frames.nr - 1);
	err = copy_text(f->function, &to->function);
	if (!err)
		err = copy_text(f->module, &to->module);
	return err ? err : copy_text(f->file, &to->file);
}

static int add_entry(struct sp_diff *d, const struct sp_view_path *p, uint64_t hash, size_t next, size_t *ret)
{
	struct entry e = {.hash = hash, .next = next, .first_frame = d->frames.nr, .path = {.nr_frames = p->nr_frames}};
	int err = 0;

	for (unsigned i = 0; i < p->nr_frames && !err; i++)
		err = copy_frame(d, &p->frames[i]);
	if (!err)
		err = sp_vec_push(&d->entries, &e);
	if (!err)
		err = sp_u64map_set(&d->by_hash, hash, d->entries.nr);
	*ret = d->entries.nr - 1;
	return err;
}

static int find_or_add(struct sp_diff *d, const struct sp_view_path *p, size_t *ret)
{
	uint64_t hash = hash_path(p), *first = sp_u64map_find(&d->by_hash, hash);
	size_t head = first ? (size_t)*first : 0;

	for (size_t i = head; i; i = sp_vec_at(&d->entries, struct entry, i - 1)->next) {
		if (is_path(d, sp_vec_at(&d->entries, struct entry, i - 1), p)) {
			*ret = i - 1;
			return 0;
		}
	}
	return add_entry(d, p, hash, head, ret);
}

static void begin_side(struct sp_diff *d, enum sp_diff_side side, const struct sp_view *v, uint64_t watched_ns)
{
	struct sp_diff_side_info *s = &d->sides[side];

	for (size_t i = 0; i < d->entries.nr; i++) {
		struct sp_diff_path *p = &sp_vec_at(&d->entries, struct entry, i)->path;
		p->bytes[side] = p->blocks[side] = 0;
	}
	*s = (struct sp_diff_side_info){.pid = v->pid,
					.time = v->time,
					.watched_ns = watched_ns,
					.bytes = v->total_bytes,
					.blocks = v->total_blocks,
					.is_taken = true};
	snprintf(s->comm, sizeof(s->comm), "%s", v->comm);
}

int sp_diff_take(struct sp_diff *d, enum sp_diff_side side, const struct sp_view *v, uint64_t watched_ns)
{
	int err = 0;

	begin_side(d, side, v, watched_ns);
	for (size_t i = 0; i < v->nr_paths && !err; i++) {
		size_t at = 0;
		err = find_or_add(d, &v->paths[i], &at);
		if (err)
			break;
		struct sp_diff_path *p = &sp_vec_at(&d->entries, struct entry, at)->path;
		p->bytes[side] += v->paths[i].sum.bytes;
		p->blocks[side] += v->paths[i].sum.blocks;
	}
	return err;
}

const struct sp_diff_side_info *sp_diff_side(const struct sp_diff *d, enum sp_diff_side side)
{
	return &d->sides[side];
}

static bool is_changed(const struct sp_diff_path *p)
{
	return p->bytes[0] != p->bytes[1] || p->blocks[0] != p->blocks[1];
}

static int64_t growth(const struct sp_diff_path *p)
{
	return (int64_t)(p->bytes[SP_DIFF_AFTER] - p->bytes[SP_DIFF_BEFORE]);
}

static int by_growth(const void *pa, const void *pb)
{
	const struct sp_diff_path *a = pa, *b = pb;
	int order = (growth(b) > growth(a)) - (growth(b) < growth(a));
	unsigned nr = a->nr_frames < b->nr_frames ? a->nr_frames : b->nr_frames;

	for (unsigned i = 0; i < nr && !order; i++)
		order = strcmp(a->frames[i].function ? a->frames[i].function : "",
			       b->frames[i].function ? b->frames[i].function : "");
	return order ? order : (a->nr_frames > b->nr_frames) - (a->nr_frames < b->nr_frames);
}

const struct sp_diff_path *sp_diff_paths(struct sp_diff *d, size_t *ret_nr)
{
	sp_vec_clear(&d->changed);
	for (size_t i = 0; i < d->entries.nr; i++) {
		struct entry *e = sp_vec_at(&d->entries, struct entry, i);
		e->path.frames = sp_vec_at(&d->frames, struct sp_frame, e->first_frame);
		if (is_changed(&e->path) && sp_vec_push(&d->changed, &e->path))
			break;
	}
	*ret_nr = d->changed.nr;
	if (d->changed.nr)
		qsort(d->changed.data, d->changed.nr, sizeof(struct sp_diff_path), by_growth);
	return d->changed.data;
}

void sp_diff_totals(const struct sp_diff *d, uint64_t *ret_grew, uint64_t *ret_shrank)
{
	*ret_grew = *ret_shrank = 0;
	for (size_t i = 0; i < d->entries.nr; i++) {
		const struct sp_diff_path *p = &sp_vec_at(&d->entries, struct entry, i)->path;
		if (growth(p) > 0)
			*ret_grew += (uint64_t)growth(p);
		else
			*ret_shrank += (uint64_t)-growth(p);
	}
}
