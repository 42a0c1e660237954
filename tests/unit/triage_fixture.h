// SPDX-License-Identifier: Apache-2.0
/* A made machine for the tests of triage/: looks in, a verdict and its sentence out. */
#ifndef SEEP_TESTS_TRIAGE_FIXTURE_H
#define SEEP_TESTS_TRIAGE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "triage/triage.h"

#define MIB ((uint64_t)1 << 20)
#define S   ((uint64_t)1000000000)

/* A machine of 8 GiB whose looks are a second apart. */
struct world {
	struct sp_triage *t;
	struct sp_machine m;
	struct sp_ps ps[300];
	size_t nr;
	uint64_t now;
	struct sp_diagnosis d;
	struct sp_diagnosis_more more;
	char sentence[1024], next[96];
};

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(sp_triage_new(1000, &w->t), 0);
	w->m = (struct sp_machine){.total = 8192 * MIB, .free = 6000 * MIB, .available = 7000 * MIB};
	w->m.mem[SP_MEM_CACHE] = 1000 * MIB;
	w->m.mem[SP_MEM_ANON] = 1000 * MIB;
	w->now = 100 * S;
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	sp_triage_free(w->t);
	free(w);
	return 0;
}

static inline struct sp_ps *add(struct world *w, pid_t pid, const char *comm, uint64_t anon)
{
	struct sp_ps *ps = &w->ps[w->nr++];

	*ps = (struct sp_ps){.pid = pid, .ppid = 1, .start_time = 5, .anon_bytes = anon, .rss_bytes = anon + MIB};
	snprintf(ps->comm, sizeof(ps->comm), "%s", comm);
	return ps;
}

/* Memory that goes from `free` to a kind (or back). */
static inline void take(struct world *w, enum sp_mem kind, int64_t bytes)
{
	w->m.mem[kind] += (uint64_t)bytes;
	w->m.free -= (uint64_t)bytes;
	if (kind != SP_MEM_CACHE)
		w->m.available -= (uint64_t)bytes;
}

static inline void grow(struct world *w, struct sp_ps *ps, int64_t bytes)
{
	ps->anon_bytes += (uint64_t)bytes;
	ps->rss_bytes += (uint64_t)bytes;
	take(w, SP_MEM_ANON, bytes);
}

static inline void look(struct world *w)
{
	sp_triage_begin(w->t, w->now, &w->m);
	for (size_t i = 0; i < w->nr; i++)
		assert_int_equal(sp_triage_process(w->t, &w->ps[i]), 0);
	sp_triage_end(w->t);
	w->now += S;
}

static inline void looks(struct world *w, unsigned nr)
{
	while (nr--)
		look(w);
}

static inline void judge(struct world *w)
{
	assert_int_equal(sp_triage_judge(w->t, &w->d), 0);
	sp_triage_sentence(&w->d, &w->more, w->sentence, sizeof(w->sentence));
	sp_triage_next(&w->d, w->next, sizeof(w->next));
}

static inline void assert_said(struct world *w, const char *sentence, const char *next)
{
	judge(w);
	assert_string_equal(w->sentence, sentence);
	assert_string_equal(w->next, next);
}

static inline void assert_cause(struct world *w, enum sp_cause cause)
{
	judge(w);
	if (w->d.cause != cause)
		print_error("%s, not %s: %s\n", sp_cause_key(w->d.cause), sp_cause_key(cause), w->sentence);
	assert_int_equal(w->d.cause, cause);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
