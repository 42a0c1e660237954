// SPDX-License-Identifier: Apache-2.0
/* Looks at a target's mappings: whether its code has changed, and how much of a CPU that question may cost. */
#include <time.h>

#include "base/clock.h"
#include "engines/watch/watch.h"

#define LOOK_NS    1000000000ULL /* at the mappings, when nothing says that they changed */
#define LOOK_SHARE 20            /* of a CPU's time at most one in so many is for looks that are asked for */
#define LOOK_SAVED 500000000LL   /* but after a quiet time so much at once: a program that loads its libraries */

uint64_t sp_watch_now_ns(void)
{
	return sp_clock_ns();
}

/* Of this thread: waiting for a busy machine costs nobody anything. */
uint64_t sp_watch_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* FNV-1a over what unwinding needs of the mappings: a heap that grows changes nothing here. */
static uint64_t hash_of_code(const struct sp_maps *maps)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		const uint64_t words[] = {m->start, m->end, m->offset, m->inode, m->dev_major, m->dev_minor};
		if (!(m->prot & SP_PROT_X))
			continue;
		for (size_t k = 0; k < SP_ARRAY_SIZE(words); k++)
			h = (h ^ words[k]) * 0x100000001b3;
	}
	return h;
}

static int64_t income(const struct sp_watch_look *l)
{
	return (int64_t)((sp_watch_now_ns() - l->look_ns) / LOOK_SHARE);
}

void sp_watch_look_init(struct sp_watch_look *l, const struct sp_maps *maps)
{
	*l = (struct sp_watch_look){
	    .code_hash = hash_of_code(maps), .look_ns = sp_watch_now_ns(), .saved_ns = LOOK_SAVED};
}

bool sp_watch_look(struct sp_watch_look *l, struct sp_proc *p, sp_watch_follow *follow, void *arg)
{
	struct sp_maps maps = {0};
	uint64_t begin_ns = sp_watch_cpu_ns();
	bool changed = false;

	l->saved_ns += income(l);
	if (l->saved_ns > LOOK_SAVED)
		l->saved_ns = LOOK_SAVED;
	l->look_ns = sp_watch_now_ns();
	if (sp_proc_maps(p, &maps, NULL))
		return false;
	uint64_t hash = hash_of_code(&maps);
	if (hash != l->code_hash && follow(p, &maps, arg)) {
		l->code_hash = hash;
		changed = true;
	}
	sp_maps_done(&maps);
	l->saved_ns -= (int64_t)(sp_watch_cpu_ns() - begin_ns);
	return changed;
}

bool sp_watch_look_is_affordable(const struct sp_watch_look *l)
{
	return l->saved_ns + income(l) > 0;
}

bool sp_watch_look_is_due(const struct sp_watch_look *l)
{
	return sp_watch_now_ns() - l->look_ns > LOOK_NS;
}
