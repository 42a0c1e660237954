// SPDX-License-Identifier: Apache-2.0
/*
 * What one malloc+free pair costs its thread: pair DEPTH THREADS. Calls malloc and free at the end of a chain of DEPTH
 * functions built -O2 -fomit-frame-pointer, for ever, and prints after each 100 ms of the thread's own CPU time
 *
 *   SECONDS THREAD NS_PER_PAIR PAIRS
 *
 * where SECONDS is CLOCK_MONOTONIC at the end of the window. Time spent in the kernel on behalf of the thread (a probe)
 * counts. Ends when its parent ends or stdin does.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW_NS = 100000000, BATCH = 64, SIZE = 100, MAX_THREADS = 16, NR_WARM_UP = 1000 };

#define USE(value) __asm__ volatile("" : : "r"(value) : "memory")

struct worker {
	pthread_t thread;
	unsigned id, depth;
};

static uint64_t read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((noinline)) static void one_pair(void)
{
	void *p = malloc(SIZE);

	USE(p);
	free(p);
}

/* Two functions in turn, with frames of different sizes; each counts as one call of the chain. */
static void descend_even(unsigned depth);

__attribute__((noinline)) static void descend_odd(unsigned depth)
{
	char room[40];

	USE(room);
	if (depth > 1)
		descend_even(depth - 1);
	else
		one_pair();
	USE(room);
}

__attribute__((noinline)) static void descend_even(unsigned depth)
{
	char room[88];

	USE(room);
	if (depth > 1)
		descend_odd(depth - 1);
	else
		one_pair();
	USE(room);
}

static void say(const struct worker *w, double ns, uint64_t pairs)
{
	char line[128];
	double now = (double)read_ns(CLOCK_MONOTONIC) / 1e9;
	int n = snprintf(line, sizeof(line), "%.6f %u %.2f %llu\n", now, w->id, ns, (unsigned long long)pairs);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(0);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < NR_WARM_UP; i++)
		descend_odd(w->depth);
	for (;;) {
		uint64_t begin = read_ns(CLOCK_THREAD_CPUTIME_ID), spent = 0, pairs = 0;
		while (spent < WINDOW_NS) {
			for (unsigned i = 0; i < BATCH; i++)
				descend_odd(w->depth);
			pairs += BATCH;
			spent = read_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
		}
		say(w, (double)spent / (double)pairs, pairs);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	char c;

	if (argc != 3) {
		fputs("usage: pair DEPTH THREADS\n", stderr);
		return 2;
	}
	unsigned depth = (unsigned)strtoul(argv[1], NULL, 10), threads = (unsigned)strtoul(argv[2], NULL, 10);
	if (depth < 3 || threads < 1 || threads > MAX_THREADS) {
		fputs("pair: DEPTH is 3 or more, THREADS 1 to 16\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < threads; i++) {
		/* Above malloc: one_pair, the chain, work. The thread's begin in libc is not counted. */
		workers[i] = (struct worker){.id = i, .depth = depth - 2};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
