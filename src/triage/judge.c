// SPDX-License-Identifier: Apache-2.0
/*
 * The verdict: which kind of memory took the most, and, where processes hold that kind, whose it is.
 *
 * By magnitude, not by suspicion: what the sentence names is what really took the memory. A process that grows steadily
 * but took less is named besides, because a slow leak beside a big copy is still the leak that one is looking for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "triage/impl.h"

/* Less than this comes and goes on an idle machine: 4 MiB, or 1/4096 of its memory. */
#define NOISE_BYTES    ((uint64_t)4 << 20)
#define NOISE_FRACTION 4096
#define RESERVED_BYTES ((uint64_t)64 << 20) /* address space taken at once that is worth a word */

struct judging {
	const struct sp_triage *t;
	struct sp_vec suspects; /* struct sp_suspect, steady ones first, then by growth */
	struct sp_diagnosis v;
};

static const struct sp_suspect *at(const struct judging *j, size_t i)
{
	return sp_vec_at(&j->suspects, struct sp_suspect, i);
}

static int64_t mem_change(const struct judging *j, enum sp_mem kind)
{
	int64_t change = sp_change(j->t->first.mem[kind], j->t->now.mem[kind]);

	/* What was swapped out is still held. */
	if (kind == SP_MEM_ANON)
		change += sp_change(j->t->first.swap_used, j->t->now.swap_used);
	return change;
}

/* Half of an amount: who has that much of it is to blame for it. */
static bool is_most(int64_t part, int64_t all)
{
	return part > 0 && part >= all - part;
}

/* ---- anonymous memory ---- */

static const struct sp_suspect *find_largest(const struct judging *j)
{
	const struct sp_suspect *best = NULL;

	for (size_t i = 0; i < j->suspects.nr; i++)
		if (at(j, i)->growth_bytes > 0 && (!best || at(j, i)->growth_bytes > best->growth_bytes))
			best = at(j, i);
	return best;
}

/* Processes of one name, together. */
struct crowd {
	const struct sp_suspect *first; /* the one that grew most */
	int64_t growth_bytes;
	unsigned nr;
};

static int by_name(const void *pa, const void *pb)
{
	const struct sp_suspect *a = *(const struct sp_suspect *const *)pa, *b = *(const struct sp_suspect *const *)pb;
	int names = strcmp(a->ps.comm, b->ps.comm);

	if (names)
		return names;
	return (a->growth_bytes < b->growth_bytes) - (a->growth_bytes > b->growth_bytes);
}

/* Pointers to those that grew, by name, the largest of a name first. The caller frees. */
static const struct sp_suspect **grown_by_name(const struct judging *j, size_t *ret_nr)
{
	const struct sp_suspect **list = malloc((j->suspects.nr + 1) * sizeof(const struct sp_suspect *));

	*ret_nr = 0;
	for (size_t i = 0; list && i < j->suspects.nr; i++)
		if (at(j, i)->growth_bytes > 0)
			list[(*ret_nr)++] = at(j, i);
	if (list && *ret_nr)
		qsort(list, *ret_nr, sizeof(const struct sp_suspect *), by_name);
	return list;
}

static struct crowd largest_crowd(const struct sp_suspect *const *list, size_t nr)
{
	struct crowd best = {0}, c = {0};

	for (size_t i = 0; i < nr; i++) {
		if (!c.first || strcmp(c.first->ps.comm, list[i]->ps.comm) != 0)
			c = (struct crowd){.first = list[i]};
		c.nr++;
		c.growth_bytes += list[i]->growth_bytes;
		if (c.growth_bytes > best.growth_bytes)
			best = c;
	}
	return best;
}

/* The parent of most processes of that name: Boyer's and Moore's vote. */
static pid_t parent_of_most(const struct sp_suspect *const *list, size_t nr, const char *comm)
{
	pid_t parent = 0;
	size_t votes = 0;

	for (size_t i = 0; i < nr; i++) {
		if (strcmp(list[i]->ps.comm, comm) != 0)
			continue;
		if (!votes)
			parent = list[i]->ps.ppid;
		if (list[i]->ps.ppid == parent)
			votes++;
		else
			votes--;
	}
	return parent;
}

static void blame(struct judging *j, enum sp_cause cause, const struct sp_suspect *who, int64_t amount)
{
	j->v.cause = cause;
	j->v.amount_bytes = amount;
	j->v.has_who = who != NULL;
	if (who)
		j->v.who = *who;
}

static int blame_many(struct judging *j, int64_t amount, const struct sp_suspect *largest)
{
	size_t nr;
	sp_autofree const struct sp_suspect **list = grown_by_name(j, &nr);
	struct crowd c;
	int64_t seen = 0;

	if (!list)
		return -ENOMEM;
	c = largest_crowd(list, nr);
	for (size_t i = 0; i < nr; i++)
		seen += list[i]->growth_bytes;
	if (c.first && c.nr > 1 && is_most(c.growth_bytes, amount)) {
		blame(j, SP_CAUSE_CROWD, c.first, c.growth_bytes < amount ? c.growth_bytes : amount);
		j->v.nr_members = c.nr;
		j->v.parent = parent_of_most(list, nr, c.first->ps.comm);
	} else {
		blame(j, is_most(seen, amount) ? SP_CAUSE_SPREAD : SP_CAUSE_UNSEEN, largest, amount);
	}
	return 0;
}

static int blame_anon(struct judging *j, int64_t amount)
{
	const struct sp_suspect *largest = find_largest(j);

	if (!largest || !is_most(largest->growth_bytes, amount))
		return blame_many(j, amount, largest);
	blame(j, largest->is_growing || largest->is_new ? SP_CAUSE_PROCESS : SP_CAUSE_SETTLED, largest,
	      largest->growth_bytes);
	if (j->v.cause == SP_CAUSE_PROCESS && !largest->is_growing && largest->quiet_ns > j->v.span_ns / 4)
		j->v.cause = SP_CAUSE_SETTLED;
	return 0;
}

/* ---- the other kinds ---- */

static const struct sp_triaged *find_process(const struct judging *j, pid_t pid)
{
	const uint64_t *i = sp_u64map_find(&j->t->by_pid, (uint64_t)pid);

	return i ? sp_vec_at(&j->t->processes, struct sp_triaged, *i) : NULL;
}

static int64_t shmem_change(const struct sp_triaged *p)
{
	return !p ? 0 : sp_change(p->is_new ? 0 : p->first_shmem_bytes, p->ps.shmem_bytes);
}

/* Does somebody that runs map it? Several may map the same pages, so the largest mapper decides, and not their sum. */
static void blame_shmem(struct judging *j, int64_t amount)
{
	const struct sp_suspect *best = NULL;
	int64_t most = 0;

	for (size_t i = 0; i < j->suspects.nr; i++) {
		int64_t change = shmem_change(find_process(j, at(j, i)->ps.pid));

		if (change <= most)
			continue;
		most = change;
		best = at(j, i);
	}
	if (is_most(most, amount))
		blame(j, SP_CAUSE_SHMEM_MAPPED, best, amount);
	else
		blame(j, SP_CAUSE_SHMEM_ORPHAN, NULL, amount);
}

static int blame_kind(struct judging *j, enum sp_mem kind, int64_t amount)
{
	static const enum sp_cause causes[SP_NR_MEM] = {
	    [SP_MEM_CACHE] = SP_CAUSE_CACHE,   [SP_MEM_BUFFERS] = SP_CAUSE_CACHE,
	    [SP_MEM_SLAB] = SP_CAUSE_SLAB,     [SP_MEM_SLAB_GIVES] = SP_CAUSE_SLAB_GIVES,
	    [SP_MEM_TABLES] = SP_CAUSE_TABLES, [SP_MEM_STACKS] = SP_CAUSE_STACKS,
	    [SP_MEM_PERCPU] = SP_CAUSE_PERCPU, [SP_MEM_HUGE] = SP_CAUSE_HUGE,
	    [SP_MEM_OTHER] = SP_CAUSE_OTHER,
	};

	if (kind == SP_MEM_ANON)
		return blame_anon(j, amount);
	if (kind == SP_MEM_SHMEM)
		blame_shmem(j, amount);
	else
		blame(j, causes[kind], NULL, amount);
	return 0;
}

/* ---- besides ---- */

/* The strongest of those that grow steadily and have been there for half of the time. */
static void note_steady(struct judging *j)
{
	for (size_t i = 0; i < j->suspects.nr && at(j, i)->is_steady; i++) {
		bool is_member = j->v.cause == SP_CAUSE_CROWD && !strcmp(at(j, i)->ps.comm, j->v.who.ps.comm);

		if (at(j, i)->seen_ns < j->v.span_ns / 2 || is_member)
			continue;
		j->v.has_steady = !j->v.has_who || j->v.who.ps.pid != at(j, i)->ps.pid;
		j->v.steady = *at(j, i);
		return;
	}
}

/*
 * Address space that was taken and not touched. The machine's own sum must have grown by about as much: what is mapped
 * without reservation (a sanitizer's shadow, a heap of Go or Java) says nothing.
 */
static void note_reserved(struct judging *j)
{
	int64_t committed = sp_change(j->t->first.committed, j->t->now.committed), best = 0;
	uint64_t least = j->v.noise_bytes > RESERVED_BYTES ? j->v.noise_bytes : RESERVED_BYTES;

	if (committed < (int64_t)least)
		return;
	for (size_t i = 0; i < j->suspects.nr; i++) {
		const struct sp_triaged *p = find_process(j, at(j, i)->ps.pid);
		int64_t taken = p ? sp_change(p->is_new ? 0 : p->first_data_bytes, p->ps.data_bytes) : 0;

		if (taken <= best || taken < (int64_t)least || at(j, i)->growth_bytes > taken / 10)
			continue;
		best = taken;
		j->v.reserved = *at(j, i);
	}
	j->v.has_reserved = is_most(best, committed) && is_most(committed, best);
	j->v.reserved_bytes = (uint64_t)best;
}

static void blame_nothing(struct judging *j)
{
	bool eased = j->v.free_bytes >= (int64_t)j->v.noise_bytes;

	if (j->v.has_steady) {
		blame(j, SP_CAUSE_SLOW, &j->v.steady, j->v.steady.growth_bytes);
		j->v.has_steady = false;
	} else if (j->v.has_reserved) {
		blame(j, SP_CAUSE_RESERVED, &j->v.reserved, (int64_t)j->v.reserved_bytes);
		j->v.has_reserved = false;
	} else {
		blame(j, eased ? SP_CAUSE_EASED : SP_CAUSE_NOTHING, NULL, 0);
	}
}

static int judge(struct judging *j)
{
	enum sp_mem top = SP_MEM_ANON;
	int err = 0;

	for (unsigned i = 0; i < SP_NR_MEM; i++)
		if (i != SP_MEM_LISTS && mem_change(j, (enum sp_mem)i) > mem_change(j, top))
			top = (enum sp_mem)i;
	note_reserved(j);
	if (mem_change(j, top) >= (int64_t)j->v.noise_bytes)
		err = blame_kind(j, top, mem_change(j, top));
	note_steady(j);
	if (!err && j->v.cause == SP_CAUSE_NOTHING)
		blame_nothing(j);
	return err;
}

int sp_triage_judge(const struct sp_triage *t, struct sp_diagnosis *ret)
{
	uint64_t noise = t->now.total / NOISE_FRACTION > NOISE_BYTES ? t->now.total / NOISE_FRACTION : NOISE_BYTES;
	struct judging j = {.t = t,
			    .v = {.cause = t->nr_looks < 2 ? SP_CAUSE_TOO_SHORT : SP_CAUSE_NOTHING,
				  .span_ns = sp_triage_span_ns(t),
				  .noise_bytes = noise,
				  .free_bytes = sp_change(t->first.free, t->now.free),
				  .total_bytes = sp_change(t->first.total, t->now.total),
				  .available_bytes = t->now.available}};
	int err = 0;

	sp_vec_init(&j.suspects, sizeof(struct sp_suspect), t->processes.max);
	/* Tens of MiB move between `free` and these lists all the time: they are free as well. */
	j.v.free_bytes += mem_change(&j, SP_MEM_LISTS);
	j.v.cache_bytes = mem_change(&j, SP_MEM_CACHE) + mem_change(&j, SP_MEM_BUFFERS);
	if (j.v.cause != SP_CAUSE_TOO_SHORT) {
		err = sp_triage_suspects(t, SP_SUSPECT_GROWTH, &j.suspects);
		if (!err)
			err = judge(&j);
	}
	sp_vec_done(&j.suspects);
	if (!err)
		*ret = j.v;
	return err;
}
