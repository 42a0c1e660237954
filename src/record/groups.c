// SPDX-License-Identifier: Apache-2.0
/* Keeps the group of every block, and says of each group how many blocks it has left. */
#include "record/groups.h"

#include <inttypes.h>

#include "record/lines.h"

struct group {
	uint64_t size, birth_ns, nr;
	uint32_t path;
	uint16_t fn;
	uint8_t sampled;
	bool is_fresh, is_changed;
};

static struct group *group_at(const struct sp_groups *g, uint32_t id)
{
	return sp_vec_at(&g->list, struct group, id);
}

void sp_groups_init(struct sp_groups *g, size_t max_blocks)
{
	sp_vec_init(&g->list, sizeof(struct group), max_blocks);
	sp_vec_init(&g->unused, sizeof(uint32_t), max_blocks);
	sp_vec_init(&g->changed, sizeof(uint32_t), max_blocks);
	sp_vec_init(&g->of_block, sizeof(uint32_t), max_blocks);
	sp_vec_init(&g->coming, sizeof(uint32_t), max_blocks);
	sp_u64map_init(&g->fresh, max_blocks);
}

void sp_groups_done(struct sp_groups *g)
{
	sp_vec_done(&g->list);
	sp_vec_done(&g->unused);
	sp_vec_done(&g->changed);
	sp_vec_done(&g->of_block);
	sp_vec_done(&g->coming);
	sp_u64map_done(&g->fresh);
}

void sp_groups_forget(struct sp_groups *g)
{
	sp_vec_clear(&g->list);
	sp_vec_clear(&g->unused);
	sp_vec_clear(&g->changed);
	sp_vec_clear(&g->of_block);
	sp_vec_clear(&g->coming);
	sp_u64map_clear(&g->fresh);
}

/* Of every group once. Room for as many as there are groups was made with the group. */
static void mark_changed(struct sp_groups *g, uint32_t id)
{
	if (!group_at(g, id)->is_changed)
		*sp_vec_at(&g->changed, uint32_t, g->changed.nr++) = id;
	group_at(g, id)->is_changed = true;
}

void sp_groups_gone(struct sp_groups *g, size_t place_before)
{
	uint32_t id = *sp_vec_at(&g->of_block, uint32_t, place_before);

	group_at(g, id)->nr--;
	mark_changed(g, id);
}

int sp_groups_stays(struct sp_groups *g, size_t place_before)
{
	return sp_vec_push(&g->coming, sp_vec_at(&g->of_block, uint32_t, place_before));
}

static uint64_t hash(const struct sp_block *b)
{
	const uint64_t words[] = {b->size, b->path, (uint64_t)b->fn << 8 | b->sampled};
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < SP_ARRAY_SIZE(words); i++)
		h = ((h ^ words[i]) * 0x9e3779b97f4a7c15u) ^ (h >> 29);
	return h;
}

static bool is_of(const struct group *to, const struct sp_block *b)
{
	return to->size == b->size && to->path == b->path && to->fn == b->fn && to->sampled == b->sampled;
}

/* A place for one more group, and for saying something of it. */
static int take_id(struct sp_groups *g, uint32_t *ret)
{
	static const struct group empty;

	if (g->unused.nr) {
		*ret = *sp_vec_at(&g->unused, uint32_t, --g->unused.nr);
		return 0;
	}
	int err = sp_vec_push(&g->list, &empty);
	if (!err)
		err = sp_vec_reserve(&g->changed, g->list.cap);
	if (!err)
		err = sp_vec_reserve(&g->unused, g->list.cap);
	*ret = (uint32_t)g->list.nr - 1;
	return err;
}

static int add_group(struct sp_groups *g, const struct sp_block *b, uint64_t birth_ns, uint64_t key, uint32_t *ret)
{
	int err = take_id(g, ret);

	if (err)
		return err;
	*group_at(g, *ret) = (struct group){.size = b->size,
					    .birth_ns = birth_ns,
					    .path = b->path,
					    .fn = b->fn,
					    .sampled = b->sampled,
					    .is_fresh = true};
	mark_changed(g, *ret);
	return sp_u64map_set(&g->fresh, key, *ret);
}

int sp_groups_came(struct sp_groups *g, const struct sp_block *b, uint64_t birth_ns)
{
	uint64_t key = hash(b), *found = sp_u64map_find(&g->fresh, key);
	uint32_t id = found ? (uint32_t)*found : 0;
	int err = 0;

	if (!found || !is_of(group_at(g, id), b))
		err = add_group(g, b, birth_ns, key, &id);
	if (err)
		return err;
	struct group *to = group_at(g, id);
	to->nr++;
	to->birth_ns = birth_ns < to->birth_ns ? birth_ns : to->birth_ns;
	return sp_vec_push(&g->coming, &id);
}

static void put_group(FILE *f, uint32_t id, const struct group *group)
{
	if (!group->is_fresh) {
		fprintf(f, "left %" PRIu32 " %" PRIu64 "\n", id, group->nr);
		return;
	}
	fprintf(f, "group %" PRIu32, id);
	sp_lines_path(f, group->path);
	fprintf(f, " %" PRIu64 " %" PRIu64 " %" PRIu64, group->size, group->nr, group->birth_ns);
	sp_lines_fn(f, group->fn, group->sampled);
}

void sp_groups_put(struct sp_groups *g, FILE *f)
{
	struct sp_vec before = g->of_block;

	for (size_t i = 0; i < g->changed.nr; i++) {
		uint32_t id = *sp_vec_at(&g->changed, uint32_t, i);
		struct group *group = group_at(g, id);

		put_group(f, id, group);
		group->is_fresh = group->is_changed = false;
		if (!group->nr)
			*sp_vec_at(&g->unused, uint32_t, g->unused.nr++) = id;
	}
	sp_vec_clear(&g->changed);
	sp_u64map_clear(&g->fresh);
	g->of_block = g->coming;
	g->coming = before;
	sp_vec_clear(&g->coming);
}
