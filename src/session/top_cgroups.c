// SPDX-License-Identifier: Apache-2.0
/* Which cgroups are nearly full. A machine may have thousands, so a look asks some of them, all in turn. */
#include <errno.h>

#include "session/top_impl.h"

enum {
	ASKED_A_LOOK = 64,
	FULL_PERCENT = 90,
	FULL_MAX = 256, /* remembered; more than a report shows */
};

struct full_cgroup {
	unsigned cgroup;
	struct sp_cgroup_limit limit;
};

static void forget(struct sp_top *t, unsigned cgroup)
{
	for (size_t i = 0; i < t->full.nr; i++) {
		struct full_cgroup *f = sp_vec_at(&t->full, struct full_cgroup, i);

		if (f->cgroup != cgroup)
			continue;
		*f = *sp_vec_at(&t->full, struct full_cgroup, --t->full.nr);
		return;
	}
}

static int ask(struct sp_top *t, unsigned cgroup)
{
	struct full_cgroup f = {.cgroup = cgroup};
	int err;

	forget(t, cgroup);
	if (!sp_cgroup_limit_read(t->cgroups, cgroup, &f.limit) || sp_top_fullness(&f.limit) < FULL_PERCENT)
		return 0;
	if (!t->full.max)
		sp_vec_init(&t->full, sizeof(struct full_cgroup), FULL_MAX);
	err = sp_vec_push(&t->full, &f);
	return err == -ENOSPC ? 0 : err;
}

int sp_top_watch_cgroups(struct sp_top *t)
{
	unsigned nr = sp_cgroups_nr(t->cgroups), todo = nr < ASKED_A_LOOK ? nr : ASKED_A_LOOK;
	int err = 0;

	for (; todo && !err; todo--) {
		t->next_cgroup = t->next_cgroup % nr + 1;
		err = ask(t, t->next_cgroup);
	}
	return err;
}

/* Several cgroups below one that is full are all as full as it is: one of them is enough. */
static bool is_shown(const struct sp_top_view *v, const struct sp_cgroup_limit *l)
{
	for (size_t i = 0; i < v->nr_cgroups; i++)
		if (v->cgroups[i].limit.limit_bytes == l->limit_bytes &&
		    v->cgroups[i].limit.used_bytes == l->used_bytes)
			return true;
	return false;
}

static void insert(struct sp_top_view *v, const struct sp_top_cgroup *c)
{
	size_t i = v->nr_cgroups < SP_TOP_NR_CGROUPS ? v->nr_cgroups++ : SP_TOP_NR_CGROUPS - 1;

	if (i == SP_TOP_NR_CGROUPS - 1 && v->cgroups[i].name &&
	    sp_top_fullness(&v->cgroups[i].limit) >= sp_top_fullness(&c->limit))
		return;
	for (; i && sp_top_fullness(&v->cgroups[i - 1].limit) < sp_top_fullness(&c->limit); i--)
		v->cgroups[i] = v->cgroups[i - 1];
	v->cgroups[i] = *c;
}

void sp_top_put_cgroups(const struct sp_top *t, struct sp_top_view *v)
{
	for (size_t i = 0; i < t->full.nr; i++) {
		const struct full_cgroup *f = sp_vec_at(&t->full, struct full_cgroup, i);
		const struct sp_top_cgroup c = {.name = sp_cgroup_label(t->cgroups, f->cgroup), .limit = f->limit};

		if (!is_shown(v, &c.limit))
			insert(v, &c);
	}
}
