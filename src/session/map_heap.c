// SPDX-License-Identifier: Apache-2.0
/*
 * The heap from inside, while the target runs: heap/'s models read its structures, and pagemap says how much of what
 * is in use is in memory. What is in memory and not in use is what the allocator keeps: fragmentation, or left from a
 * peak.
 */
#include <errno.h>
#include <string.h>

#include "heap/heap.h"
#include "session/map_impl.h"

enum { NR_BATCH = 4096, NR_TRIES = 3 };

/* ---- the target as a source of heap/ ---- */

struct source {
	struct sp_proc *proc;
	struct sp_maps maps;
	const struct sp_smaps *smaps;
	struct sp_pagemap pagemap;
};

static ssize_t read_memory(void *arg, uint64_t addr, void *buf, size_t len)
{
	const struct source *s = arg;

	return sp_proc_read_mem(s->proc, (sp_raddr){addr}, buf, len);
}

static enum sp_heap_pages kind_of_pages(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	struct source *s = arg;
	const struct sp_mapping *m = sp_maps_find(&s->maps, addr);

	if (m && end > m->end)
		end = m->end;
	switch (sp_pagemap_run(&s->pagemap, addr, end, ret_end)) {
	case SP_PAGE_NONE: /* reading a file's page would bring it in and make the target larger */
		return m && m->inode ? SP_HEAP_PAGES_AWAY : SP_HEAP_PAGES_EMPTY;
	case SP_PAGE_FILE:
		return SP_HEAP_PAGES_FILE;
	case SP_PAGE_SWAPPED:
		return SP_HEAP_PAGES_AWAY;
	case SP_PAGE_OWN:
		break;
	}
	return SP_HEAP_PAGES_RESIDENT;
}

/* The mappings of the same instant, in heap/'s form: row i is smaps->list[i]. */
static int take_maps(struct source *s)
{
	struct sp_mapping *list = calloc(s->smaps->nr, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < s->smaps->nr; i++)
		list[i] = s->smaps->list[i].map;
	s->maps = (struct sp_maps){.list = list, .nr = s->smaps->nr};
	return 0;
}

/* ---- what is in memory: of the allocators' regions, of the blocks in use in them ---- */

struct weigher {
	struct sp_residency *residency;
	struct sp_map_look *look;
	bool is_used; /* blocks in use, not regions */
	size_t nr;
	struct sp_range ranges[NR_BATCH];
	unsigned models[NR_BATCH];
};

static int weigh_batch(struct weigher *w)
{
	int rc = sp_residency_of(w->residency, w->ranges, w->nr);

	for (size_t i = 0; i < w->nr && rc == 0; i++) {
		struct sp_map_heap *h = &w->look->heaps[w->models[i]];

		*(w->is_used ? &h->used_held_bytes : &h->held_bytes) += w->ranges[i].resident;
	}
	w->nr = 0;
	return rc;
}

static int weigh(struct weigher *w, unsigned model, uint64_t addr, uint64_t size)
{
	int rc = w->nr == NR_BATCH ? weigh_batch(w) : 0;

	if (rc < 0 || model >= w->look->nr_heaps)
		return rc;
	w->models[w->nr] = model;
	w->ranges[w->nr++] = (struct sp_range){.addr = addr, .size = size};
	return 0;
}

static int weigh_block(const struct sp_heap_block *b, void *arg)
{
	return weigh(arg, b->model, b->addr, b->size);
}

static int weigh_all(struct weigher *w, const struct sp_heap *h)
{
	int rc = 0;

	for (size_t i = 0; i < sp_heap_nr_regions(h) && rc == 0; i++) {
		struct sp_heap_region_info r;

		sp_heap_region_info(h, i, &r);
		rc = weigh(w, r.model, r.start, r.end - r.start);
	}
	if (rc == 0)
		rc = weigh_batch(w);
	w->is_used = true;
	if (rc == 0)
		rc = sp_heap_for_each(h, weigh_block, w);
	return rc == 0 ? weigh_batch(w) : rc;
}

static int weigh_heap(struct sp_proc *p, const struct sp_heap *h, struct sp_map_look *l)
{
	sp_autofree struct weigher *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->look = l;
	rc = sp_residency_open(p, &w->residency);
	if (rc == 0)
		rc = weigh_all(w, h);
	sp_residency_close(w->residency);
	return rc;
}

/* ---- the look ---- */

static void take_models(const struct sp_heap *h, struct sp_map_look *l)
{
	for (unsigned i = 0; i < sp_heap_nr_models(h) && i < SP_MAP_MAX_MODELS; i++) {
		const struct sp_heap_model_info *m = sp_heap_model_info(h, i);
		struct sp_map_heap *to = &l->heaps[l->nr_heaps++];

		*to = (struct sp_map_heap){.name = m->name,
					   .used_bytes = m->used_bytes,
					   .used_blocks = m->used_blocks,
					   .free_bytes = m->free_bytes,
					   .free_blocks = m->free_blocks,
					   .region_bytes = m->region_bytes,
					   .nr_regions = m->nr_regions};
		snprintf(to->gave_up, sizeof(to->gave_up), "%s", m->gave_up);
	}
}

static int take_regions(const struct sp_heap *h, struct sp_map_look *l)
{
	int rc = 0;

	for (size_t i = 0; i < sp_heap_nr_regions(h) && rc == 0; i++) {
		struct sp_heap_region_info r;

		sp_heap_region_info(h, i, &r);
		if (r.model < l->nr_heaps)
			rc = sp_vec_push(&l->regions,
					 &(struct sp_segment_region){r.start, r.end, l->heaps[r.model].name});
	}
	return rc == -ENOSPC ? 0 : rc;
}

static int take_heap(struct sp_proc *p, const struct sp_heap *h, struct sp_map_look *l)
{
	take_models(h, l);
	int rc = take_regions(h, l);
	return rc == 0 ? weigh_heap(p, h, l) : rc;
}

/* It runs while it is read: what has changed in between may be understood the next time. */
static bool is_understood(const struct sp_heap *h)
{
	bool is_good = sp_heap_nr_models(h) > 0;

	for (unsigned i = 0; i < sp_heap_nr_models(h); i++)
		is_good &= !sp_heap_model_info(h, i)->gave_up[0];
	return is_good;
}

static int open_heap(struct source *s, const struct sp_heap_source *source, struct sp_heap **ret, struct sp_why *why)
{
	struct sp_heap *h = NULL;
	int rc = 0;

	for (unsigned i = 0; i < NR_TRIES && rc == 0; i++) {
		sp_pagemap_forget(&s->pagemap);
		rc = sp_heap_open(source, &(struct sp_heap_limits){0}, &h, why);
		if (rc < 0 || is_understood(h) || i + 1 == NR_TRIES)
			break;
		sp_heap_close(h);
	}
	if (rc == 0)
		*ret = h;
	return rc;
}

static int read_heap(struct source *s, struct sp_map_look *l, struct sp_why *why)
{
	const struct sp_heap_source source = {
	    .read = read_memory, .pages = kind_of_pages, .arg = s, .maps = &s->maps, .is_live = true};
	struct sp_heap *h = NULL;
	int rc = sp_pagemap_open(sp_proc_dirfd(s->proc), &s->pagemap);

	if (rc == 0)
		rc = open_heap(s, &source, &h, why);
	if (rc < 0)
		return rc;
	rc = take_heap(s->proc, h, l);
	sp_heap_close(h);
	return rc;
}

/* What cannot be read says why; the mappings are shown all the same. */
int sp_map_look_inside(struct sp_proc *p, struct sp_map_look *l)
{
	sp_autofree struct source *s = calloc(1, sizeof(*s));
	struct sp_why why = {0};

	if (!s)
		return -ENOMEM;
	*s = (struct source){.proc = p, .smaps = &l->smaps, .pagemap = {.fd = -1}};
	int rc = take_maps(s);
	if (rc < 0)
		return rc;
	rc = read_heap(s, l, &why);
	sp_pagemap_close(&s->pagemap);
	free(s->maps.list);
	if (rc < 0) {
		l->nr_heaps = 0;
		sp_vec_clear(&l->regions);
		snprintf(l->heap_why, sizeof(l->heap_why), "%s", why.what[0] ? why.what : strerror(-rc));
	} else if (!l->nr_heaps) {
		snprintf(l->heap_why, sizeof(l->heap_why), "no allocator that seep knows was found in it");
	}
	return 0;
}
