// SPDX-License-Identifier: Apache-2.0
/* What the files of seep top share. Nothing outside this folder includes it. */
#ifndef SEEP_SESSION_TOP_IMPL_H
#define SEEP_SESSION_TOP_IMPL_H

#include "session/top.h"

/* What a look reads of the whole machine. */
struct sp_top_look {
	struct timespec time;
	uint64_t now_ns; /* CLOCK_MONOTONIC */
	struct sp_meminfo mem;
	struct sp_activity activity;
	struct sp_pressure pressure;
};

struct sp_top {
	const struct sp_top_options *o;
	struct sp_cgroups *cgroups;
	struct sp_ps_table *table;
	struct sp_triage *triage;
	struct sp_top_look first, before, now;
	uint64_t nr_looks;
	bool has_slabs;             /* slabinfo may be read here */
	struct sp_vec slabs_before; /* struct sp_slab, at the first look */
	struct sp_vec slabs_now;
	unsigned next_cgroup; /* where the next search for full ones goes on */
	struct sp_vec full;   /* struct full_cgroup, top_cgroups.c */

	/* the view's arrays */
	struct sp_vec suspects, rows;
	char sentence[1024], next[96];
};

sp_must_check int sp_top_open(struct sp_top *t, const struct sp_top_options *o, struct sp_why *why);
void sp_top_close(struct sp_top *t);

/* Looks at everything; the look before becomes t->before. */
sp_must_check int sp_top_look(struct sp_top *t, struct sp_why *why);

/* A view of the last look. */
sp_must_check int sp_top_make_view(struct sp_top *t, struct sp_top_view *ret);

/* ---- top_cgroups.c: which are nearly full ---- */

/* Looks at some of the cgroups, all of them in turn. -ENOMEM. */
sp_must_check int sp_top_watch_cgroups(struct sp_top *t);
/* Fills v->cgroups. */
void sp_top_put_cgroups(const struct sp_top *t, struct sp_top_view *v);

/* ---- top_view.c ---- */

/* The memory of a cgroup that cannot be given back, in percent of its limit. */
static inline unsigned sp_top_fullness(const struct sp_cgroup_limit *l)
{
	uint64_t kept = l->used_bytes > l->reclaimable_bytes ? l->used_bytes - l->reclaimable_bytes : 0;

	return l->limit_bytes ? (unsigned)((__uint128_t)kept * 100 / l->limit_bytes) : 100;
}

#endif
