// SPDX-License-Identifier: Apache-2.0
/*
 * The order of a check:
 *
 *	1. a scan before anything else: what was lost already
 *	2. the watch: SP_CHECK_LOOKS looks
 *	3. a scan after the last look but one
 *	4. the last look, and a scan after it: what both call leaked was there between them, so the last look has its
 *	   record (or it was made before the watch), whatever was made and freed meanwhile
 *	5. in the same snapshot, who holds the blocks of what only grows
 */
#include "session/check.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "session/check_holders.h"

struct sp_checker {
	struct sp_scan_store *scan;
	bool has_middle; /* step 3 */
	bool resident;   /* to be told */
	enum sp_heap_class *classes;
	struct tally *tallies;
	struct sp_u64map index; /* id of a path + 1: its number in the view + 1 */
	struct sp_vec paths;    /* struct sp_check_path */
	struct sp_check_holders *holders;
};

/* Of the blocks of one path. */
struct tally {
	struct sp_scan_sum lost, leaked, possible;
	uint64_t held;
	uint64_t lost_resident, possible_resident, resident; /* bytes in physical memory; the last: of all its blocks */
};

enum { MAX_PATHS = 1 << 20, GAP_NS = 200000000 };

int sp_check_new(const struct sp_scan_options *o, sp_scan_notice_fn notice, void *arg, struct sp_checker **ret,
		 struct sp_why *why)
{
	struct sp_checker *c = calloc(1, sizeof(*c));

	if (!c)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory for a check");
	c->resident = o->resident;
	sp_u64map_init(&c->index, MAX_PATHS);
	sp_vec_init(&c->paths, sizeof(struct sp_check_path), MAX_PATHS);
	int rc = sp_scan_open(o, notice, arg, &c->scan, why);
	if (rc == 0)
		rc = sp_scan_look(c->scan, why);
	if (rc < 0) {
		sp_check_free(c);
		return sp_why_set(why, SP_FAULT_OURS, -rc, "the first scan failed: %s", strerror(-rc));
	}
	sp_scan_keep_first(c->scan);
	*ret = c;
	return 0;
}

void sp_check_free(struct sp_checker *c)
{
	if (!c)
		return;
	sp_check_holders_free(c->holders);
	sp_scan_free(c->scan);
	sp_u64map_done(&c->index);
	sp_vec_done(&c->paths);
	free(c->classes);
	free(c->tallies);
	free(c);
}

pid_t sp_check_pid(const struct sp_checker *c)
{
	return sp_scan_pid(c->scan);
}

/* ---- joining ---- */

static void add(struct sp_scan_sum *sum, uint64_t bytes)
{
	sum->bytes += bytes;
	sum->blocks++;
}

static void tally_block(struct sp_checker *c, const struct sp_block *b, enum sp_heap_class class, uint64_t resident,
			struct sp_check *ret)
{
	const uint64_t *n = sp_u64map_find(&c->index, (uint64_t)b->path + 1);

	if (class == SP_HEAP_FREE)
		ret->nr_racy++;
	if (!n)
		return;
	struct tally *t = &c->tallies[*n - 1];
	t->resident += resident;
	if (class == SP_HEAP_LEAKED)
		add(&t->leaked, b->size);
	if (class == SP_HEAP_LEAKED || class == SP_HEAP_INDIRECT) {
		add(&t->lost, b->size);
		t->lost_resident += resident;
	} else if (class == SP_HEAP_POSSIBLE) {
		add(&t->possible, b->size);
		t->possible_resident += resident;
	} else if (class != SP_HEAP_FREE)
		t->held++;
}

static int add_path(struct sp_checker *c, const struct sp_view_path *path, const struct tally *t,
		    struct sp_suppress *suppress, struct sp_check *ret)
{
	struct sp_check_path p = {.path = path, .held_blocks = t->held};

	if (t->lost.blocks) {
		p.class = t->leaked.blocks ? SP_CLASS_LEAKED : SP_CLASS_INDIRECT;
		p.bytes = t->lost.bytes;
		p.blocks = t->lost.blocks;
		p.resident_bytes = t->lost_resident;
	} else if (path->verdict.class == SP_CLASS_GROWING) {
		p.class = SP_CLASS_GROWING;
		p.bytes = path->sum.bytes;
		p.blocks = path->sum.blocks;
		p.resident_bytes = t->resident;
	} else if (t->possible.blocks) {
		p.class = SP_CLASS_POSSIBLE;
		p.bytes = t->possible.bytes;
		p.blocks = t->possible.blocks;
		p.resident_bytes = t->possible_resident;
	} else {
		ret->nr_unknown += path->verdict.class == SP_CLASS_UNKNOWN;
		ret->nr_steady += path->verdict.class != SP_CLASS_UNKNOWN;
		return 0;
	}
	if (sp_suppress_take(suppress, path->frames, path->nr_frames, p.bytes, p.blocks)) {
		ret->suppressed.bytes += p.bytes;
		ret->suppressed.blocks += p.blocks;
		ret->nr_suppressed++;
		ret->nr_suppressed_leaked += t->leaked.blocks;
		return 0;
	}
	ret->sums[p.class].bytes += p.bytes;
	ret->sums[p.class].blocks += p.blocks;
	return sp_vec_push(&c->paths, &p);
}

static int by_badness(const void *a, const void *b)
{
	const struct sp_check_path *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->class == SP_CLASS_GROWING && x->path->verdict.trend.slope != y->path->verdict.trend.slope)
		return x->path->verdict.trend.slope > y->path->verdict.trend.slope ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (x > y) - (x < y);
}

/* How much of each block of the view is in physical memory, the caller's to free; NULL: not to be told, not known. */
static struct sp_range *look_at_pages(const struct sp_checker *c, const struct sp_view *v)
{
	sp_autofree struct sp_range *ranges = c->resident ? calloc(v->nr_list + 1, sizeof(*ranges)) : NULL;

	for (size_t i = 0; i < v->nr_list && ranges; i++)
		ranges[i] = (struct sp_range){.addr = v->list[i].addr, .size = v->list[i].size};
	if (!ranges || sp_proc_resident(sp_scan_proc(c->scan), ranges, v->nr_list) < 0)
		return NULL;
	return sp_take_ptr(ranges);
}

static int join(struct sp_checker *c, const struct sp_view *v, struct sp_suppress *suppress, struct sp_check *ret)
{
	sp_autofree struct sp_range *ranges = look_at_pages(c, v);
	int rc = 0;

	ret->has_resident = ranges != NULL;
	c->tallies = calloc(v->nr_paths + 1, sizeof(*c->tallies));
	if (!c->tallies)
		return -ENOMEM;
	for (size_t i = 0; i < v->nr_paths && rc == 0; i++)
		rc = sp_u64map_set(&c->index, (uint64_t)v->paths[i].sum.path + 1, i + 1);
	for (size_t i = 0; i < v->nr_list && rc == 0; i++)
		tally_block(c, &v->list[i], c->classes[i], ranges ? ranges[i].resident : 0, ret);
	for (size_t i = 0; i < v->nr_paths && rc == 0; i++)
		rc = add_path(c, &v->paths[i], &c->tallies[i], suppress, ret);
	if (rc == 0 && c->paths.nr)
		qsort(c->paths.data, c->paths.nr, sizeof(struct sp_check_path), by_badness);
	ret->paths = c->paths.data;
	ret->nr_paths = c->paths.nr;
	return rc;
}

/* ---- holders ---- */

static void give_up_holders(struct sp_checker *c, int rc, const struct sp_why *why, struct sp_check *ret)
{
	sp_check_holders_free(c->holders);
	c->holders = NULL;
	snprintf(ret->holders_why, sizeof(ret->holders_why), "%s", why->what[0] ? why->what : strerror(-rc));
}

/* Before the snapshot goes. A check without holders is still a check. */
static void find_holders(struct sp_checker *c, const struct sp_view *v, struct sp_check *ret)
{
	struct sp_why why = {0};
	int rc = sp_check_holders_find(c->scan, v, &c->holders, &why);

	if (rc < 0)
		give_up_holders(c, rc, &why, ret);
}

static void name_holders(struct sp_checker *c, struct sp_check *ret)
{
	struct sp_why why = {0};
	int rc = c->holders ? sp_check_holders_name(c->holders, c->scan, &why) : 0;

	if (rc < 0)
		give_up_holders(c, rc, &why, ret);
	for (size_t i = 0; i < c->paths.nr && c->holders; i++) {
		struct sp_check_path *p = sp_vec_at(&c->paths, struct sp_check_path, i);

		if (p->class == SP_CLASS_GROWING)
			sp_check_holders_of(c->holders, p);
	}
}

/* ---- looks ---- */

static int look_in_the_middle(struct sp_checker *c, struct sp_why *why)
{
	int rc = c->has_middle ? 0 : sp_scan_look(c->scan, why);

	sp_scan_rest(c->scan);
	c->has_middle = rc == 0;
	return rc;
}

/* The watch ended early: nothing has gone on between the two scans but this. */
static int look_late(struct sp_checker *c, struct sp_why *why)
{
	const struct timespec gap = {.tv_nsec = GAP_NS};

	if (c->has_middle)
		return 0;
	int rc = look_in_the_middle(c, why);
	nanosleep(&gap, NULL);
	return rc;
}

static int conclude(struct sp_checker *c, const struct sp_view *v, struct sp_suppress *suppress, struct sp_check *ret,
		    struct sp_why *why)
{
	struct sp_check r = {.view = v, .watched_ns = v->nr_history ? v->now_ns - v->history_ns[0] : 0};
	int rc = look_late(c, why);

	if (rc == 0)
		rc = sp_scan_look(c->scan, why);
	if (rc < 0)
		return rc;
	find_holders(c, v, &r);
	c->classes = calloc(v->nr_list + 1, sizeof(*c->classes));
	if (!c->classes)
		return -ENOMEM;
	const struct sp_scan_owners owners = {.list = v->list, .nr = v->nr_list, .ret_classes = c->classes};
	rc = sp_scan_finish(c->scan, &owners, &r.scan, why);
	if (rc == 0)
		rc = join(c, v, suppress, &r);
	name_holders(c, &r);
	if (rc == 0)
		*ret = r;
	return rc;
}

int sp_check_view(struct sp_checker *c, const struct sp_view *v, uint64_t count, struct sp_suppress *suppress,
		  struct sp_check *ret, struct sp_why *why)
{
	int rc = 0;

	if (v->target_ended) {
		rc = sp_why_set(why, SP_FAULT_TARGET, ESRCH, "the program ended before the check was done");
		sp_why_hint(why, "a shorter time: --for 5s; or from its start: seep trace --fail-on-leak -- CMD");
		return rc;
	}
	if (v->is_last)
		rc = conclude(c, v, suppress, ret, why);
	else if (v->nr_report + 1 == count)
		rc = look_in_the_middle(c, why);
	if (rc < 0)
		return sp_why_set(why, SP_FAULT_OURS, -rc, "the check failed: %s", strerror(-rc));
	return v->is_last;
}

bool sp_check_has_leak(const struct sp_check *c)
{
	return c->sums[SP_CLASS_LEAKED].blocks || c->sums[SP_CLASS_INDIRECT].blocks ||
	       c->sums[SP_CLASS_GROWING].blocks || c->scan.sums[SP_HEAP_LEAKED].blocks > c->nr_suppressed_leaked;
}
