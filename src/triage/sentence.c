// SPDX-License-Identifier: Apache-2.0
/*
 * The verdict as one sentence:
 *
 *	free fell 62.0 MiB in 30s: 58.0 MiB is anonymous memory of app[12512], still growing 2.0 MiB/s; page cache did
 *	not change
 *
 * Its parts: what `free` did, what took it, how that goes on, what the page cache did, what else is worth a word.
 */
#include <stdio.h>
#include <string.h>

#include "triage/triage.h"

static const struct {
	const char *key, *next;
} causes[SP_NR_CAUSE] = {
#define CAUSE(id, key, next) [SP_CAUSE_##id] = {key, next},
    SP_CAUSE(CAUSE)
#undef CAUSE
};

const char *sp_cause_key(enum sp_cause cause)
{
	return causes[cause].key;
}

const char *sp_text_rate(char *buf, size_t size, double bytes_per_second)
{
	char bytes[16];
	bool slow = bytes_per_second < 64 * 1024;
	double amount = slow ? bytes_per_second * 60 : bytes_per_second;

	amount = amount < 0 ? 0 : amount > 1e18 ? 1e18 : amount;
	snprintf(buf, size, "%s/%s", sp_text_bytes(bytes, sizeof(bytes), (uint64_t)amount), slow ? "min" : "s");
	return buf;
}

/* ---- pieces ---- */

/* Of a change without its sign. */
#define SIZE(bytes) SP_BYTES((int64_t)(bytes) < 0 ? -(uint64_t)(bytes) : (uint64_t)(bytes))

static void add_name(struct sp_words *t, const struct sp_suspect *s)
{
	char comm[32];

	sp_words_add(t, "%s[%d]", sp_text_printable(comm, sizeof(comm), s->ps.comm), (int)s->ps.pid);
}

static bool is_noise(const struct sp_diagnosis *v, int64_t change)
{
	return change < (int64_t)v->noise_bytes && change > -(int64_t)v->noise_bytes;
}

/* ---- what free did ---- */

static void add_free(struct sp_words *t, const struct sp_diagnosis *v)
{
	char span[16];

	sp_text_duration(span, sizeof(span), v->span_ns + 500000000u);
	if (is_noise(v, v->free_bytes))
		sp_words_add(t, "free did not change in %s", span);
	else
		sp_words_add(t, "free %s %s in %s", v->free_bytes < 0 ? "fell" : "rose", SIZE(v->free_bytes), span);
}

/* Could `free` have fallen for that reason alone? Then the reason may stand behind a colon. */
static bool explains(const struct sp_diagnosis *v)
{
	return v->free_bytes < 0 && !is_noise(v, v->free_bytes) &&
	       v->amount_bytes <= -v->free_bytes + (int64_t)v->noise_bytes;
}

static void add_link(struct sp_words *t, const struct sp_diagnosis *v)
{
	sp_words_add(t, explains(v) ? ": " : v->free_bytes < 0 && !is_noise(v, v->free_bytes) ? "; " : ", but ");
}

/* ---- what took it ---- */

static const char *verb(const struct sp_diagnosis *v)
{
	return explains(v) ? "is" : "went to";
}

static void add_pace(struct sp_words *t, const struct sp_suspect *s)
{
	char rate[24], span[16];

	if (s->is_growing && s->per_second > 0)
		sp_words_add(t, ", still growing %s", sp_text_rate(rate, sizeof(rate), s->per_second));
	else if (s->is_new)
		sp_words_add(t, ", started %s ago", sp_text_duration(span, sizeof(span), s->seen_ns));
}

static void add_process(struct sp_words *t, const struct sp_diagnosis *v)
{
	char span[16];

	sp_words_add(t, "%s %s anonymous memory of ", SIZE(v->amount_bytes), verb(v));
	add_name(t, &v->who);
	if (v->cause == SP_CAUSE_PROCESS)
		add_pace(t, &v->who);
	else
		sp_words_add(t, ", which has not grown for %s: a cache that is full looks like this",
			     sp_text_duration(span, sizeof(span), v->who.quiet_ns));
}

static void add_slow(struct sp_words *t, const struct sp_diagnosis *v)
{
	char rate[24];

	add_name(t, &v->who);
	sp_words_add(t, " grows steadily: %s of anonymous memory, %s", SIZE(v->amount_bytes),
		     sp_text_rate(rate, sizeof(rate), v->who.per_second));
}

static void add_crowd(struct sp_words *t, const struct sp_diagnosis *v)
{
	char comm[32];

	sp_words_add(t, "%s %s anonymous memory of %u processes named %s", SIZE(v->amount_bytes), verb(v),
		     v->nr_members, sp_text_printable(comm, sizeof(comm), v->who.ps.comm));
	if (v->parent)
		sp_words_add(t, ", children of process %d", (int)v->parent);
}

static void add_anonymous(struct sp_words *t, const struct sp_diagnosis *v)
{
	sp_words_add(t, "%s %s anonymous memory of ", SIZE(v->amount_bytes), verb(v));
	if (v->cause == SP_CAUSE_UNSEEN) {
		sp_words_add(
		    t, "processes that cannot be seen from here (another pid namespace, hidepid) or that have ended");
		return;
	}
	sp_words_add(t, "many processes, none of which has half of it");
	if (v->has_who) {
		sp_words_add(t, "; the most, %s, is ", SIZE(v->who.growth_bytes));
		add_name(t, &v->who);
	}
}

static void add_shared(struct sp_words *t, const struct sp_diagnosis *v)
{
	sp_words_add(t, "%s %s shared memory", SIZE(v->amount_bytes), verb(v));
	if (v->cause == SP_CAUSE_SHMEM_ORPHAN) {
		sp_words_add(t, " that no process maps (a SysV segment, a file on a tmpfs, a memfd)");
		return;
	}
	sp_words_add(t, " that ");
	add_name(t, &v->who);
	sp_words_add(t, " maps");
}

static void add_reserved(struct sp_words *t, const struct sp_suspect *s, uint64_t bytes)
{
	add_name(t, s);
	sp_words_add(t,
		     " reserved %s of address space and touched next to nothing of it: no memory is gone until it does",
		     SIZE((int64_t)bytes));
}

/* Kinds of memory that no process holds. */
static void add_kernel(struct sp_words *t, const struct sp_diagnosis *v, const struct sp_diagnosis_more *more)
{
	static const char *const words[SP_NR_CAUSE] = {
	    [SP_CAUSE_SLAB_GIVES] = "reclaimable slab of the kernel, which it gives back when memory is short",
	    [SP_CAUSE_SLAB] = "slab of the kernel that it cannot give back",
	    [SP_CAUSE_TABLES] = "page tables: many or widely spread mappings",
	    [SP_CAUSE_STACKS] = "kernel stacks: many threads",
	    [SP_CAUSE_PERCPU] = "per-cpu memory of the kernel",
	    [SP_CAUSE_HUGE] = "the pool of huge pages, which somebody enlarged",
	    [SP_CAUSE_OTHER] = "the kernel's own, in no counter of /proc/meminfo (drivers, network, vmalloc)",
	};

	sp_words_add(t, "%s %s %s", SIZE(v->amount_bytes), verb(v), words[v->cause]);
	if (more->slab && (v->cause == SP_CAUSE_SLAB || v->cause == SP_CAUSE_SLAB_GIVES))
		sp_words_add(t, "; %s alone grew %s", more->slab, SIZE(more->slab_bytes));
}

static void add_cause(struct sp_words *t, const struct sp_diagnosis *v, const struct sp_diagnosis_more *more)
{
	switch (v->cause) {
	case SP_CAUSE_PROCESS:
	case SP_CAUSE_SETTLED:
		add_process(t, v);
		break;
	case SP_CAUSE_SLOW:
		add_slow(t, v);
		break;
	case SP_CAUSE_CROWD:
		add_crowd(t, v);
		break;
	case SP_CAUSE_SPREAD:
	case SP_CAUSE_UNSEEN:
		add_anonymous(t, v);
		break;
	case SP_CAUSE_RESERVED:
		add_reserved(t, &v->who, (uint64_t)v->amount_bytes);
		break;
	case SP_CAUSE_CACHE:
		sp_words_add(t, "no leak: the page cache grew %s; the kernel gives it back", SIZE(v->amount_bytes));
		break;
	case SP_CAUSE_SHMEM_MAPPED:
	case SP_CAUSE_SHMEM_ORPHAN:
		add_shared(t, v);
		break;
	default:
		add_kernel(t, v, more);
	}
}

/* ---- what else ---- */

static void add_cache(struct sp_words *t, const struct sp_diagnosis *v)
{
	if (v->cause == SP_CAUSE_CACHE)
		return;
	if (is_noise(v, v->cache_bytes))
		sp_words_add(t, "; page cache did not change");
	else
		sp_words_add(t, "; page cache %s %s", v->cache_bytes < 0 ? "gave back" : "grew", SIZE(v->cache_bytes));
}

#define FAR_SECONDS (7 * 86400.0)

/* Seconds until `room` is used up; beyond a week nobody asks. */
static bool foresee(uint64_t room, double per_second, uint64_t *ret_ns)
{
	if (per_second <= 0 || (double)room / per_second > FAR_SECONDS)
		return false;
	*ret_ns = (uint64_t)((double)room / per_second * 1e9);
	return true;
}

static uint64_t room_of(const struct sp_cgroup_limit *l)
{
	uint64_t used = l->used_bytes > l->reclaimable_bytes ? l->used_bytes - l->reclaimable_bytes : 0;

	return l->limit_bytes > used ? l->limit_bytes - used : 0;
}

static void add_cgroup(struct sp_words *t, const char *cgroup, const struct sp_cgroup_limit *l)
{
	sp_words_add(t, "; its cgroup %s has %s left of %s", cgroup, SIZE((int64_t)room_of(l)),
		     SIZE((int64_t)l->limit_bytes));
	if (l->oom_kills)
		sp_words_add(t, " (%llu killed so far)", (unsigned long long)l->oom_kills);
}

/* When it will be over: the cgroup's limit or the machine's memory, whichever comes first. */
static void add_future(struct sp_words *t, const struct sp_diagnosis *v, const struct sp_diagnosis_more *more)
{
	const struct sp_suspect *s = v->has_steady ? &v->steady : v->has_who ? &v->who : NULL;
	double pace = s && s->is_growing ? s->per_second : 0;
	uint64_t limit_ns = UINT64_MAX, machine_ns = UINT64_MAX;
	bool has_limit = more->cgroup && foresee(room_of(&more->limit), pace, &limit_ns);
	bool has_end = foresee(v->available_bytes, pace, &machine_ns);
	char span[16];

	if (more->cgroup)
		add_cgroup(t, more->cgroup, &more->limit);
	if (has_limit && limit_ns <= machine_ns)
		sp_words_add(t, ": full in %s at this rate", sp_text_duration(span, sizeof(span), limit_ns));
	else if (has_end)
		sp_words_add(t, "; at this rate the machine is full in %s",
			     sp_text_duration(span, sizeof(span), machine_ns));
}

static void add_besides(struct sp_words *t, const struct sp_diagnosis *v, const struct sp_diagnosis_more *more)
{
	char rate[24];

	if (v->has_steady) {
		sp_words_add(t, "; and ");
		add_name(t, &v->steady);
		sp_words_add(t, " grows steadily, %s, %s", SIZE(v->steady.growth_bytes),
			     sp_text_rate(rate, sizeof(rate), v->steady.per_second));
	}
	add_future(t, v, more);
	if (v->has_reserved) {
		sp_words_add(t, "; ");
		add_reserved(t, &v->reserved, v->reserved_bytes);
	}
	if (more->full_cgroup)
		sp_words_add(t, "; cgroup %s is nearly full: %s left of %s", more->full_cgroup,
			     SIZE((int64_t)room_of(&more->full)), SIZE((int64_t)more->full.limit_bytes));
	if (more->waited_percent)
		sp_words_add(t, "; tasks waited for memory %u %% of the time", more->waited_percent);
	if (!is_noise(v, v->total_bytes))
		sp_words_add(t, "; the machine itself became %s %s", SIZE(v->total_bytes),
			     v->total_bytes < 0 ? "smaller" : "larger");
}

const char *sp_triage_sentence(const struct sp_diagnosis *v, const struct sp_diagnosis_more *more, char *buf,
			       size_t size)
{
	struct sp_words t = {.buf = buf, .size = size};

	buf[0] = '\0';
	if (v->cause == SP_CAUSE_TOO_SHORT) {
		sp_words_add(&t, "one look cannot tell what changes: ask for two or more");
		return buf;
	}
	add_free(&t, v);
	if (v->cause == SP_CAUSE_NOTHING || v->cause == SP_CAUSE_EASED) {
		sp_words_add(&t, ", and no process grows steadily: no leak to be seen");
	} else {
		add_link(&t, v);
		add_cause(&t, v, more);
		add_cache(&t, v);
	}
	add_besides(&t, v, more);
	return buf;
}

#define WORTH_A_LOOK 20 /* a steady process that took this part of what the cause took is looked at first */

/* Does the steady process come before the cause? Always when the cause is harmless. */
static bool is_steady_first(const struct sp_diagnosis *v)
{
	switch (v->cause) {
	case SP_CAUSE_CACHE:
	case SP_CAUSE_SLAB_GIVES:
	case SP_CAUSE_SETTLED:
	case SP_CAUSE_SPREAD:
	case SP_CAUSE_UNSEEN:
		return v->has_steady;
	default:
		return v->has_steady && v->steady.growth_bytes >= v->amount_bytes / WORTH_A_LOOK;
	}
}

const char *sp_triage_next(const struct sp_diagnosis *v, char *buf, size_t size)
{
	bool steady = is_steady_first(v);
	enum sp_cause cause = steady ? SP_CAUSE_SLOW : v->cause;
	int pid = (int)(steady ? v->steady.ps.pid : cause == SP_CAUSE_CROWD ? v->parent : v->who.ps.pid);

	return sp_text_command(buf, size, causes[cause].next, pid);
}
