// SPDX-License-Identifier: Apache-2.0
/* Scans between looks, and what they said of each call path. A scan that fails takes the numbers of the one before. */
#include "serve/leaks.h"

#include <errno.h>

#include "report/scan.h"

enum { MAX_PATHS = 1 << 20 };

struct sp_leaks {
	struct sp_scan_options o;
	sp_scan_notice_fn say;
	void *say_arg;
	uint64_t every_ns, next_ns; /* in the blocks' clock */
	struct sp_scan_store *half; /* one scan was made, the other follows the next look */
	struct sp_sample_leaks by_path;
	bool is_known;
	uint64_t bytes, blocks, nr_scans, pause_ns;
};

struct sp_leaks *sp_leaks_new(const char *pid, uint64_t every_ns, sp_scan_notice_fn say, void *arg)
{
	struct sp_leaks *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct sp_leaks){.o = {.target = pid}, .say = say, .say_arg = arg, .every_ns = every_ns};
	sp_u64map_init(&l->by_path.bytes, MAX_PATHS);
	sp_u64map_init(&l->by_path.blocks, MAX_PATHS);
	return l;
}

void sp_leaks_free(struct sp_leaks *l)
{
	if (!l)
		return;
	sp_scan_free(l->half);
	sp_u64map_done(&l->by_path.bytes);
	sp_u64map_done(&l->by_path.blocks);
	free(l);
}

static void forget(struct sp_leaks *l)
{
	sp_u64map_clear(&l->by_path.bytes);
	sp_u64map_clear(&l->by_path.blocks);
	l->is_known = false;
}

static void add(struct sp_u64map *map, uint32_t path, uint64_t n)
{
	uint64_t *known = sp_u64map_find(map, (uint64_t)path + 1);

	if (known)
		*known += n;
	else
		(void)!sp_u64map_set(map, (uint64_t)path + 1, n); /* no room: the path's own series miss it */
}

static void take(struct sp_leaks *l, const struct sp_view *v, const enum sp_heap_class *classes,
		 const struct sp_scan *scan)
{
	forget(l);
	for (size_t i = 0; i < v->nr_list; i++) {
		if (classes[i] != SP_HEAP_LEAKED && classes[i] != SP_HEAP_INDIRECT)
			continue;
		add(&l->by_path.bytes, v->list[i].path, v->list[i].size);
		add(&l->by_path.blocks, v->list[i].path, 1);
	}
	l->is_known = !sp_scan_is_blind(scan);
	l->pause_ns = scan->pause_ns;
	l->bytes = scan->sums[SP_HEAP_LEAKED].bytes + scan->sums[SP_HEAP_INDIRECT].bytes;
	l->blocks = scan->sums[SP_HEAP_LEAKED].blocks + scan->sums[SP_HEAP_INDIRECT].blocks;
	l->nr_scans++;
}

/* The second scan, and what both say. */
static int conclude(struct sp_leaks *l, const struct sp_view *v, struct sp_why *why)
{
	sp_autofree enum sp_heap_class *classes = calloc(v->nr_list + 1, sizeof(*classes));
	const struct sp_scan_owners owners = {.list = v->list, .nr = v->nr_list, .ret_classes = classes};
	struct sp_scan scan;
	int err = classes ? sp_scan_look(l->half, why) : -ENOMEM;

	if (!err)
		err = sp_scan_finish(l->half, &owners, &scan, why);
	if (!err)
		take(l, v, classes, &scan);
	sp_scan_free(l->half);
	l->half = NULL;
	return err;
}

static int begin(struct sp_leaks *l, struct sp_why *why)
{
	int err = sp_scan_open(&l->o, l->say, l->say_arg, &l->half, why);

	if (!err)
		err = sp_scan_look(l->half, why);
	if (!err) {
		sp_scan_rest(l->half);
		return 0;
	}
	sp_scan_free(l->half);
	l->half = NULL;
	return err;
}

void sp_leaks_look(struct sp_leaks *l, const struct sp_view *v)
{
	struct sp_why why = {0};
	int err = 0;

	if (l->half)
		err = conclude(l, v, &why);
	else if (v->now_ns >= l->next_ns) {
		err = begin(l, &why);
		l->next_ns = v->now_ns + l->every_ns;
	}
	if (!err)
		return;
	forget(l);
	l->say(sp_why_is_set(&why) ? why.what : "the scan failed: no memory", l->say_arg);
}

void sp_leaks_fill(const struct sp_leaks *l, struct sp_sample *s)
{
	s->has_leaked = l->is_known;
	s->leaked_bytes = l->bytes;
	s->leaked_blocks = l->blocks;
	s->scans = l->nr_scans;
	s->scan_pause_ns = l->pause_ns;
}

const struct sp_sample_leaks *sp_leaks_by_path(const struct sp_leaks *l)
{
	return l->is_known ? &l->by_path : NULL;
}
