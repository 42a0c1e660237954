// SPDX-License-Identifier: Apache-2.0
/* Scans between looks, and what they said of each call path. A scan that fails takes the numbers of the one before. */
#include "session/leaks.h"

#include <errno.h>
#include <time.h>

enum { MAX_PATHS = 1 << 20 };

struct sp_leaks {
	struct sp_scan_options o;
	sp_scan_notice_fn say;
	void *say_arg;
	uint64_t every_ns, next_ns; /* in the blocks' clock */
	struct sp_scan_store *half; /* one scan was made, the other follows the next look */
	struct sp_leaks_found found;
	bool is_known;
	uint64_t nr_scans;
};

struct sp_leaks *sp_leaks_new(const char *pid, uint64_t every_ns, sp_scan_notice_fn say, void *arg)
{
	struct sp_leaks *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct sp_leaks){.o = {.target = pid}, .say = say, .say_arg = arg, .every_ns = every_ns};
	sp_u64map_init(&l->found.bytes, MAX_PATHS);
	sp_u64map_init(&l->found.blocks, MAX_PATHS);
	return l;
}

void sp_leaks_free(struct sp_leaks *l)
{
	if (!l)
		return;
	sp_scan_free(l->half);
	sp_u64map_done(&l->found.bytes);
	sp_u64map_done(&l->found.blocks);
	free(l);
}

static void forget(struct sp_leaks *l)
{
	sp_u64map_clear(&l->found.bytes);
	sp_u64map_clear(&l->found.blocks);
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

static const enum sp_heap_class kinds[SP_NR_FOUND] = {
    [SP_FOUND_LEAKED] = SP_HEAP_LEAKED, [SP_FOUND_INDIRECT] = SP_HEAP_INDIRECT, [SP_FOUND_POSSIBLE] = SP_HEAP_POSSIBLE};

static void take(struct sp_leaks *l, const struct sp_view *v, const enum sp_heap_class *classes,
		 const struct sp_scan *scan)
{
	forget(l);
	for (size_t i = 0; i < v->nr_list; i++) {
		if (classes[i] != SP_HEAP_LEAKED && classes[i] != SP_HEAP_INDIRECT)
			continue;
		add(&l->found.bytes, v->list[i].path, v->list[i].size);
		add(&l->found.blocks, v->list[i].path, 1);
	}
	l->is_known = !sp_scan_is_blind(scan);
	l->found.sum = (struct sp_found_all){.now_ns = v->now_ns, .pause_ns = scan->pause_ns};
	for (unsigned i = 0; i < SP_NR_FOUND; i++)
		l->found.sum.sums[i] = (struct sp_found_sum){scan->sums[kinds[i]].bytes, scan->sums[kinds[i]].blocks};
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

static bool has_failed(struct sp_leaks *l, int err, const struct sp_why *why)
{
	if (!err)
		return false;
	forget(l);
	l->say(sp_why_is_set(why) ? why->what : "the scan failed: no memory", l->say_arg);
	return true;
}

bool sp_leaks_look(struct sp_leaks *l, const struct sp_view *v)
{
	struct sp_why why = {0};
	bool is_second = l->half != NULL;
	int err = 0;

	if (is_second)
		err = conclude(l, v, &why);
	else if (v->now_ns >= l->next_ns) {
		err = begin(l, &why);
		l->next_ns = v->now_ns + l->every_ns;
	}
	return !has_failed(l, err, &why) && is_second;
}

bool sp_leaks_look_last(struct sp_leaks *l, const struct sp_view *v)
{
	const struct timespec gap = {.tv_nsec = SP_SCAN_GAP_NS};
	struct sp_why why = {0};
	int err = l->half ? 0 : begin(l, &why);

	if (!err)
		nanosleep(&gap, NULL);
	if (!err)
		err = conclude(l, v, &why);
	return !has_failed(l, err, &why);
}

const struct sp_leaks_found *sp_leaks_found(const struct sp_leaks *l)
{
	return l->is_known ? &l->found : NULL;
}

uint64_t sp_leaks_nr_scans(const struct sp_leaks *l)
{
	return l->nr_scans;
}
