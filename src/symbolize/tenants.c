// SPDX-License-Identifier: Apache-2.0
/*
 * Who was at an address when.
 *
 * A library is unloaded, another one is loaded to the same addresses, and blocks of both live on: their call paths have
 * the same numbers and different names. So whoever comes to addresses that were another's before gets a number, its
 * tenant, which callers keep in the upper bits of such an address. The first one has 0, so that addresses stay what
 * they are in a program that never does this; one that comes again gets its own number again.
 */
#include <string.h>

#include "symbolize/process.h"

const struct sp_region *sp_region_find(const struct sp_vec *v, uint64_t pc)
{
	size_t lo = 0, hi = v->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct sp_region *r = sp_vec_at(v, struct sp_region, mid);

		if (pc < r->start)
			hi = mid;
		else if (pc >= r->end)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

static uint32_t new_tenant(struct sp_images *im)
{
	return im->nr_tenants + 1 < SP_TENANT_NONE ? ++im->nr_tenants : SP_TENANT_NONE;
}

/* The number of a region that was not there at the look before. */
static uint32_t tenant_of_new(struct sp_images *im, const struct sp_region *r)
{
	bool is_first = true;

	for (size_t i = im->dead.nr; i-- > 0;) {
		const struct sp_region *d = sp_vec_at(&im->dead, struct sp_region, i);

		if (d->start >= r->end || d->end <= r->start)
			continue;
		if (sp_region_is_same(d, r))
			return d->tenant;
		is_first = false;
	}
	return is_first ? 0 : new_tenant(im);
}

static void note_change(struct sp_images *im, uint64_t changed_ns)
{
	struct sp_vec *v = &im->changes;
	const uint64_t *last = v->nr ? sp_vec_at(v, uint64_t, v->nr - 1) : NULL;

	if (last && *last > changed_ns)
		changed_ns = *last; /* looks are in order; what is said of their times need not be */
	if (v->data && v->nr == v->max) {
		size_t nr = v->nr / 2;
		memmove(v->data, sp_vec_at(v, uint64_t, nr), (v->nr - nr) * sizeof(uint64_t));
		v->nr -= nr;
		im->nr_changes_forgotten += nr;
	}
	if (sp_vec_push(v, &changed_ns))
		im->nr_changes_forgotten++; /* no memory */
}

uint64_t sp_images_epoch(const struct sp_images *im, uint64_t when_ns)
{
	size_t lo = 0, hi = im->changes.nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (*sp_vec_at(&im->changes, uint64_t, mid) <= when_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return im->nr_changes_forgotten + lo;
}

void sp_images_settle(struct sp_images *im, struct sp_vec *now, uint64_t changed_ns)
{
	bool has_tenants = false;

	for (size_t i = 0; i < now->nr; i++) {
		struct sp_region *r = sp_vec_at(now, struct sp_region, i);

		if (r->from_ns != SP_NOT_SETTLED)
			continue;
		r->from_ns = changed_ns;
		r->tenant = im->dead.nr ? tenant_of_new(im, r) : 0;
		has_tenants |= im->nr_tenants > 0;
	}
	if (has_tenants)
		note_change(im, changed_ns);
}

void sp_images_unsure(struct sp_images *im, uint64_t from_ns, uint64_t until_ns)
{
	struct sp_vec *v = &im->unsure;
	const struct sp_unsure u = {from_ns, until_ns};

	if (v->data && v->nr == v->max) { /* half of the old ones make room at once */
		size_t nr = v->nr / 2;
		memmove(v->data, sp_vec_at(v, struct sp_unsure, nr), (v->nr - nr) * sizeof(u));
		v->nr -= nr;
	}
	if (sp_vec_push(v, &u))
		return; /* no memory */
	note_change(im, from_ns);
	note_change(im, until_ns);
}

static const struct sp_unsure *find_unsure(const struct sp_images *im, uint64_t when_ns)
{
	for (size_t i = im->unsure.nr; i-- > 0;) {
		const struct sp_unsure *u = sp_vec_at(&im->unsure, struct sp_unsure, i);
		if (when_ns >= u->until_ns)
			return NULL;
		if (when_ns >= u->from_ns)
			return u;
	}
	return NULL;
}

/*
 * Was r (NULL: nobody that we know) surely at its place then? Not when it came or went at the look after: between the
 * two another one can have been there. Code in no file has no other names.
 */
static bool is_sure(const struct sp_images *im, const struct sp_region *r, uint64_t when_ns)
{
	const struct sp_unsure *u = find_unsure(im, when_ns);

	if (!u || (r && r->image == SP_NO_IMAGE))
		return true;
	return r && r->from_ns < u->from_ns && (!r->until_ns || when_ns < r->until_ns);
}

static uint32_t count_unseen(struct sp_images *im, uint64_t pc)
{
	if (sp_u64map_set(&im->unseen, pc, 0))
		im->nr_unseen_more++;
	return SP_TENANT_NONE;
}

uint32_t sp_images_tenant(struct sp_images *im, uint64_t pc, uint64_t when_ns, bool *ret_is_shared)
{
	const struct sp_region *at = NULL, *live = sp_region_find(&im->live, pc);

	for (size_t i = im->dead.nr + 1; i-- > 0;) { /* newest first */
		const struct sp_region *r = i == im->dead.nr ? live : sp_vec_at(&im->dead, struct sp_region, i);

		if (!r || pc < r->start || pc >= r->end)
			continue;
		if (at && r->tenant != at->tenant)
			*ret_is_shared = true;
		/* Between two it is the later one's: it came before the look that saw it. */
		if (!at || (when_ns < at->from_ns && when_ns < r->until_ns))
			at = r;
	}
	if (!is_sure(im, at, when_ns)) {
		*ret_is_shared = true;
		return count_unseen(im, pc);
	}
	return at ? at->tenant : 0;
}

bool sp_symbolizer_is_unseen(uint64_t bound_pc)
{
	return bound_pc >> SP_TENANT_SHIFT == SP_TENANT_NONE;
}
