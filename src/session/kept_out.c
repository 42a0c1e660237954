// SPDX-License-Identifier: Apache-2.0
/* What of a process is not in a snapshot of it: see kept_out.h. */
#include "session/kept_out.h"

#include <errno.h>
#include <string.h>

enum { MAX_ADDED = 1 << 16 };

/* The parts of a mapping that none of the snapshot's is at. *next: the first of these that ends behind it. */
static int add_rest(struct sp_kept_out *k, const struct sp_maps *maps, const struct sp_mapping *m, size_t *next)
{
	struct sp_mapping rest = *m;
	int rc = 0;

	while (*next < maps->nr && maps->list[*next].end <= m->start)
		++*next;
	for (size_t i = *next; i < maps->nr && maps->list[i].start < m->end && rc == 0; i++) {
		rest.end = maps->list[i].start;
		if (rest.start < rest.end)
			rc = sp_vec_push(&k->added, &rest);
		rest.offset += maps->list[i].end - rest.start;
		rest.start = maps->list[i].end;
	}
	rest.end = m->end;
	return rc == 0 && rest.start < rest.end ? sp_vec_push(&k->added, &rest) : rc;
}

static int by_start(const void *a, const void *b)
{
	const struct sp_mapping *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int merge(struct sp_kept_out *k, struct sp_maps *maps)
{
	struct sp_mapping *list = realloc(maps->list, (maps->nr + k->added.nr) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	maps->list = list;
	memcpy(list + maps->nr, k->added.data, k->added.nr * sizeof(*list));
	maps->nr += k->added.nr;
	qsort(list, maps->nr, sizeof(*list), by_start);
	for (size_t i = 0; i < k->added.nr; i++) {
		const struct sp_mapping *m = sp_vec_at(&k->added, struct sp_mapping, i);
		k->bytes += m->prot & SP_PROT_R ? m->end - m->start : 0;
	}
	return 0;
}

int sp_kept_out_add(struct sp_proc *p, uint64_t own_page, struct sp_maps *maps, struct sp_kept_out *ret)
{
	struct sp_kept_out *k = ret;
	size_t next = 0;

	sp_vec_init(&k->added, sizeof(struct sp_mapping), MAX_ADDED);
	int rc = sp_proc_maps(p, &k->now, NULL);
	for (size_t i = 0; i < k->now.nr && rc == 0; i++)
		if (k->now.list[i].start != own_page)
			rc = add_rest(k, maps, &k->now.list[i], &next);
	if (rc == 0 && k->added.nr)
		rc = merge(k, maps);
	return rc;
}

void sp_kept_out_done(struct sp_kept_out *k)
{
	sp_maps_done(&k->now);
	sp_vec_done(&k->added);
	*k = (struct sp_kept_out){};
}

const struct sp_mapping *sp_kept_out_find(const struct sp_kept_out *k, uint64_t addr)
{
	const struct sp_maps added = {.list = k->added.data, .nr = k->added.nr};

	return sp_maps_find(&added, addr);
}
