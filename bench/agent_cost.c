// SPDX-License-Identifier: Apache-2.0
/*
 * What the agent adds to one malloc+free pair, without anything else around it: the agent lies in this process as the
 * injector would put it there (tests/unit/agent_fixture.h), and a chain of DEPTH functions built -O2
 * -fomit-frame-pointer calls malloc and free through pointers: libc's own, or hooks. What a real hook has in addition
 * are the jump at the function and the moved instructions, about 1 ns a call.
 *
 * Ways take turns in windows of some 20 ms; each is thread CPU time; median and minimum over the windows. `churn`: a
 * million live blocks of 16 to 528 bytes, of which one at random is replaced.
 *
 *   agent_cost pairs|churn [WINDOWS]      prints: KIND DEPTH THREADS WAY MEDIAN_NS MINIMUM_NS
 *   agent_cost memory                     prints: memory LIVE_BLOCKS RESIDENT_BYTES_OF_HEAP BYTES_OF_AGENT
 */
#include <sys/stat.h>
#include <time.h>

#include "../tests/unit/agent_fixture.h"

#include "agent/agent.blob.h"

enum { MAX_THREADS = 2, PAIRS = 200000, MAX_WINDOWS = 101, NR_LIVE = 1000000, REPLACED = 200000 };

enum way { BARE, OFF, EXACT, SAMPLED, HASHED, NR_WAYS };
static const char *const way_names[NR_WAYS] = {"bare", "hook-off", "exact", "sampled", "exact-hash"};

struct functions {
	void *(*alloc)(size_t);
	void (*release)(void *);
};

static struct fixture *fix, *hash_fix;
static struct functions bare = {malloc, free}, hooked, hashed;

#define USE(value) __asm__ volatile("" : : "r"(value) : "memory")

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- pairs ---- */

__attribute__((noinline)) static void one_pair(const struct functions *f)
{
	void *p = f->alloc(100);

	USE(p);
	f->release(p);
}

static void descend_even(const struct functions *f, unsigned depth);

__attribute__((noinline)) static void descend_odd(const struct functions *f, unsigned depth)
{
	char room[40];

	USE(room);
	if (depth > 1)
		descend_even(f, depth - 1);
	else
		one_pair(f);
	USE(room);
}

__attribute__((noinline)) static void descend_even(const struct functions *f, unsigned depth)
{
	char room[88];

	USE(room);
	if (depth > 1)
		descend_odd(f, depth - 1);
	else
		one_pair(f);
	USE(room);
}

/* ---- churn ---- */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

struct churn {
	void **live;
	uint64_t random;
};

__attribute__((noinline)) static void replace_one(const struct functions *f, struct churn *c, uint64_t i)
{
	f->release(c->live[i]);
	c->live[i] = f->alloc(16 + next_random(&c->random) % 512);
	*(char *)c->live[i] = 1;
}

static struct churn churn_new(const struct functions *f, uint64_t seed)
{
	struct churn c = {.live = calloc(NR_LIVE, sizeof(void *)), .random = seed};

	FIX_MUST(c.live);
	for (int i = 0; i < NR_LIVE; i++) {
		c.live[i] = f->alloc(16 + next_random(&c.random) % 512);
		*(char *)c.live[i] = 1;
	}
	return c;
}

/* ---- windows ---- */

static void use_way(enum way way)
{
	fix->ctl->active = way == EXACT || way == SAMPLED;
	fix->header->mode = way == SAMPLED ? SP_AGENT_SAMPLED : SP_AGENT_EXACT;
	hash_fix->ctl->active = way == HASHED;
}

static const struct functions *functions_of(enum way way)
{
	return way == BARE ? &bare : way == HASHED ? &hashed : &hooked;
}

struct job {
	unsigned depth; /* 0: churn */
	unsigned thread;
	struct churn churn;
	pthread_barrier_t *barrier;
	unsigned windows;
	double ns[NR_WAYS][MAX_WINDOWS];
};

static double window(struct job *j, const struct functions *f)
{
	uint64_t begin = cpu_ns();

	if (j->depth) {
		for (unsigned i = 0; i < PAIRS; i++)
			descend_odd(f, j->depth - 1);
		return (double)(cpu_ns() - begin) / PAIRS;
	}
	for (unsigned i = 0; i < REPLACED; i++)
		replace_one(f, &j->churn, next_random(&j->churn.random) % NR_LIVE);
	return (double)(cpu_ns() - begin) / REPLACED;
}

static void *work(void *arg)
{
	struct job *j = arg;

	if (!j->depth)
		j->churn = churn_new(&hooked, 88172645463325252u + j->thread);
	for (unsigned w = 0; w < j->windows; w++) {
		for (enum way way = 0; way < NR_WAYS; way++) {
			if (!j->depth && way == HASHED)
				continue; /* its blocks are in the other's shadow */
			pthread_barrier_wait(j->barrier);
			if (!j->thread)
				use_way(way);
			pthread_barrier_wait(j->barrier);
			j->ns[way][w] = window(j, functions_of(way));
		}
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(const char *kind, unsigned depth, unsigned threads, unsigned windows)
{
	static struct job jobs[MAX_THREADS];
	pthread_barrier_t barrier;
	pthread_t ids[MAX_THREADS];

	pthread_barrier_init(&barrier, NULL, threads);
	fix->ctl->active = 1;
	fix->header->mode = SP_AGENT_EXACT;
	for (unsigned t = 0; t < threads; t++) {
		jobs[t] = (struct job){.depth = depth, .thread = t, .barrier = &barrier, .windows = windows};
		FIX_MUST(!pthread_create(&ids[t], NULL, work, &jobs[t]));
	}
	for (unsigned t = 0; t < threads; t++)
		pthread_join(ids[t], NULL);
	for (enum way way = 0; way < NR_WAYS; way++) {
		double all[MAX_THREADS * MAX_WINDOWS];
		unsigned n = 0;
		for (unsigned t = 0; t < threads; t++)
			for (unsigned w = windows > 2; w < windows; w++) /* the first warms up */
				all[n++] = jobs[t].ns[way][w];
		qsort(all, n, sizeof(*all), by_value);
		if (depth || way != HASHED)
			printf("%s %u %u %s %.1f %.1f\n", kind, depth, threads, way_names[way], all[n / 2], all[0]);
	}
}

static void make_fixtures(void)
{
	struct sp_agent_limits limits = fix_limits();

	fix = fix_new(&sp_agent_blob, NULL, 0);
	fix->header->mean = 512 << 10;
	hooked.alloc = (void *(*)(size_t))fix_hook(fix, SP_KIND_MALLOC, 0, (void *)malloc);
	hooked.release = (void (*)(void *))fix_hook(fix, SP_KIND_FREE, 0, (void *)free);
	limits.max_shadows = 0;
	limits.hash_bits = 20;
	hash_fix = fix_new(&sp_agent_blob, &limits, 0);
	hashed.alloc = (void *(*)(size_t))fix_hook(hash_fix, SP_KIND_MALLOC, 0, (void *)malloc);
	hashed.release = (void (*)(void *))fix_hook(hash_fix, SP_KIND_FREE, 0, (void *)free);
	hash_fix->ctl->active = 0;
}

static uint64_t resident_bytes(const struct fixture *f)
{
	struct stat st;

	FIX_MUST(!fstat(f->fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static void memory(void)
{
	uint64_t before = resident_bytes(fix);
	struct churn c = churn_new(&hooked, 88172645463325252u);
	struct fix_sum s = fix_sum(fix);

	USE(c.live);
	printf("memory %llu %llu %llu\n", (unsigned long long)s.nr, (unsigned long long)s.bytes,
	       (unsigned long long)(resident_bytes(fix) - before));
}

int main(int argc, char **argv)
{
	unsigned windows = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 9;
	const unsigned depths[] = {5, 10, 40};

	if (argc < 2 || windows < 1 || windows > MAX_WINDOWS) {
		fputs("usage: agent_cost pairs|churn|memory [WINDOWS]\n", stderr);
		return 2;
	}
	make_fixtures();
	if (!strcmp(argv[1], "memory"))
		memory();
	for (unsigned threads = 1; threads <= MAX_THREADS; threads++) {
		for (unsigned d = 0; d < 3 && !strcmp(argv[1], "pairs"); d++)
			run("pair", depths[d], threads, windows);
		if (!strcmp(argv[1], "churn"))
			run("churn", 0, threads, windows);
	}
	return 0;
}
