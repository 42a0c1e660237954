/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three threads allocate and free at random; some blocks are freed by another thread than the one that made them. What
 * survives is known exactly, by the thread (its own function) that made it.
 *
 * go [N]: N steps in each thread.
 */
#include <pthread.h>

#include "victim.h"

enum { NR_THREADS = 3, NR_OWN = 256, NR_SHARED = 64, DEFAULT_STEPS = 20000 };

struct block {
	uint32_t size, origin;
};

struct worker {
	pthread_t thread;
	unsigned id;
	uint64_t random;
	struct block *own[NR_OWN];
};

struct all {
	pthread_barrier_t begin, end;
	unsigned long steps;
	struct block *shared[NR_SHARED];
	struct worker workers[NR_THREADS];
};

static struct all all; /* threads need it as long as the process lives */

#define MAKE(colour)                                                                                                   \
	VICTIM_NOINLINE static struct block *make_##colour(uint32_t size)                                              \
	{                                                                                                              \
		struct block *b = malloc(size);                                                                        \
		VICTIM_USE(b);                                                                                         \
		return b;                                                                                              \
	}
MAKE(red)
MAKE(green)
MAKE(blue)

static const struct {
	struct block *(*make)(uint32_t size);
	const char *name;
} colours[NR_THREADS] = {{make_red, "make_red"}, {make_green, "make_green"}, {make_blue, "make_blue"}};

static uint32_t next_random(struct worker *w)
{
	w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(w->random >> 33);
}

static struct block *make(struct worker *w)
{
	uint32_t size = 16 + next_random(w) % 2000;
	struct block *b = colours[w->id].make(size);

	if (!b)
		_exit(7);
	*b = (struct block){size, w->id};
	return b;
}

VICTIM_NOINLINE static void work(struct worker *w, unsigned long steps)
{
	for (unsigned long i = 0; i < steps; i++) {
		uint32_t r = next_random(w);
		if (r % 4 == 0) {
			struct block *mine = r & 16 ? make(w) : NULL;
			free(__atomic_exchange_n(&all.shared[(r >> 8) % NR_SHARED], mine, __ATOMIC_ACQ_REL));
			continue;
		}
		struct block **slot = &w->own[(r >> 8) % NR_OWN];
		struct block *old = *slot;
		*slot = old ? NULL : make(w);
		free(old);
	}
	VICTIM_USE(w);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		pthread_barrier_wait(&all.begin);
		work(w, all.steps);
		pthread_barrier_wait(&all.end);
	}
	return NULL;
}

static void add(const struct block *b, uint64_t *bytes, uint64_t *blocks)
{
	if (!b)
		return;
	bytes[b->origin] += b->size;
	blocks[b->origin]++;
	victim_block(b, b->size);
}

static void print_truth(void)
{
	uint64_t bytes[NR_THREADS] = {0}, blocks[NR_THREADS] = {0};

	for (int i = 0; i < NR_SHARED; i++)
		add(all.shared[i], bytes, blocks);
	for (int t = 0; t < NR_THREADS; t++)
		for (int i = 0; i < NR_OWN; i++)
			add(all.workers[t].own[i], bytes, blocks);
	/* make() may be inlined into work() or not: each colour's own function tells whose block it is. */
	for (int t = 0; t < NR_THREADS; t++)
		victim_through(colours[t].name, (long long)bytes[t], blocks[t]);
}

int main(void)
{
	char line[VICTIM_LINE];

	pthread_barrier_init(&all.begin, NULL, NR_THREADS + 1);
	pthread_barrier_init(&all.end, NULL, NR_THREADS + 1);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		all.workers[i].id = i;
		all.workers[i].random = 12345 + i;
		if (pthread_create(&all.workers[i].thread, NULL, thread_main, &all.workers[i]))
			return 7;
	}
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		all.steps = victim_number(line, 0, DEFAULT_STEPS);
		pthread_barrier_wait(&all.begin);
		pthread_barrier_wait(&all.end);
		print_truth();
		victim_done("go");
	}
	return 0;
}
