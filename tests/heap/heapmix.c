// SPDX-License-Identifier: Apache-2.0
/*
 * Mixes a heap: threads allocate and free blocks of every kind of size, also each other's, resize and align them; some
 * threads end. What lives then is in tables (so nothing of it leaks), what was freed fills the allocator's caches.
 *
 * go [STEPS [THREADS]]: mixes, then all rest; the threads of the last round stay, with what they cache.
 * leak [N]: forgets N blocks of each of some sizes and prints them.
 */
#include <malloc.h>
#include <pthread.h>

#include "victim.h"

enum { MAX_THREADS = 16, NR_SLOTS = 4096, NR_OWN = 512, DEFAULT_STEPS = 60000, DEFAULT_THREADS = 4 };

struct worker {
	pthread_t thread;
	uint64_t random;
	void *own[NR_OWN];
	bool stays;
};

static void *shared[NR_SLOTS];
static struct worker workers[MAX_THREADS];
static unsigned long steps;
static unsigned nr_done;

static uint32_t next_random(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*random >> 33);
}

/* Mostly small; now and then pages, and what an allocator maps for itself. */
static size_t random_size(uint64_t *random)
{
	uint32_t kind = next_random(random) % 1000, r = next_random(random);

	if (kind < 600)
		return r % 256;
	if (kind < 900)
		return r % 4096;
	if (kind < 980)
		return r % 40000;
	if (kind < 998)
		return r % 300000;
	return r % 3000000;
}

/* Old pointers in a block's memory would hide what is leaked. */
static void fill(void *p, size_t size)
{
	if (p && size)
		memset(p, 1, size);
}

static void *make(uint64_t *random)
{
	size_t size = random_size(random), align = (size_t)16 << (next_random(random) % 9);
	void *p;

	switch (next_random(random) % 8) {
	case 0:
		p = calloc(1, size);
		break;
	case 1:
		p = memalign(align, size);
		break;
	default:
		p = malloc(size);
	}
	fill(p, size);
	return p;
}

static void step(struct worker *w)
{
	uint32_t r = next_random(&w->random);
	void **slot = &w->own[r / 8 % NR_OWN];

	if (r % 8 == 0) {
		free(__atomic_exchange_n(&shared[r / 8 % NR_SLOTS], make(&w->random), __ATOMIC_ACQ_REL));
	} else if (r % 8 == 1) {
		free(__atomic_exchange_n(&shared[r / 8 % NR_SLOTS], NULL, __ATOMIC_ACQ_REL));
	} else if (r % 8 == 2) {
		size_t size = 1 + random_size(&w->random);
		void *p = realloc(*slot, size);

		fill(p, size);
		if (p)
			*slot = p;
	} else {
		void *p = *slot ? NULL : make(&w->random);
		free(*slot);
		*slot = p;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned long i = 0; i < steps; i++)
		step(w);
	w->stays = (w - workers) % 2;
	__atomic_add_fetch(&nr_done, 1, __ATOMIC_ACQ_REL);
	while (w->stays) /* with its caches */
		pause();
	return NULL;
}

static bool mix(unsigned nr_threads)
{
	nr_done = 0;
	for (unsigned i = 0; i < nr_threads; i++) {
		workers[i].random = workers[i].random ? workers[i].random : 77 + i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return false;
	}
	while (__atomic_load_n(&nr_done, __ATOMIC_ACQUIRE) < nr_threads)
		usleep(1000);
	for (unsigned i = 0; i < nr_threads; i++) /* who does not stay is gone, and its caches are */
		if (!workers[i].stays)
			pthread_join(workers[i].thread, NULL);
	return true;
}

VICTIM_NOINLINE static void leak(unsigned nr)
{
	static const size_t SIZES[] = {24, 100, 700, 5000, 70000, 400000};

	for (unsigned i = 0; i < nr; i++) {
		for (unsigned k = 0; k < sizeof(SIZES) / sizeof(*SIZES); k++) {
			void *p = malloc(SIZES[k]);
			memset(p, 0, SIZES[k]);
			victim_block(p, SIZES[k]);
		}
	}
}

int main(void)
{
	char line[VICTIM_LINE];
	struct worker me = {.random = 4711};

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "leak")) {
			leak((unsigned)victim_number(line, 0, 10));
			victim_done("leak");
			continue;
		}
		unsigned long nr_threads = victim_number(line, 1, DEFAULT_THREADS);
		steps = victim_number(line, 0, DEFAULT_STEPS);
		for (unsigned long i = 0; i < steps; i++)
			step(&me);
		if (nr_threads > MAX_THREADS || !mix((unsigned)nr_threads))
			return 7;
		victim_done("go");
	}
	return 0;
}
