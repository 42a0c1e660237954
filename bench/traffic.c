// SPDX-License-Identifier: Apache-2.0
/*
 * An hour of a server's traffic in SECONDS: traffic SECONDS. 100 requests a second, 360,000 in all, each of which
 * allocates a session that lives for 2,000 requests, a buffer and eight words that live as long as it; a cache of 5,000
 * entries fills up and is renewed; one request in 1,000 leaks 100 bytes. Prints "ready", waits for a line, and prints
 * then
 *
 *   CPU_NS WALL_NS
 *
 * its own CPU time for the hour, in the kernel and outside, and how long it took. Ends when stdin does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NR_REQUESTS = 360000, NR_SESSIONS = 2000, NR_CACHED = 5000, NR_WORDS = 8, IN_A_BATCH = 50 };

#define USE(value) __asm__ volatile("" : : "r"(value) : "memory")

static void *sessions[NR_SESSIONS], *cache[NR_CACHED];
static uint64_t seed = 1;

static uint64_t read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned draw(unsigned below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % below;
}

__attribute__((noinline)) static void keep_session(unsigned nr)
{
	free(sessions[nr % NR_SESSIONS]);
	sessions[nr % NR_SESSIONS] = malloc(512 + 16 * (size_t)draw(16));
}

__attribute__((noinline)) static void keep_in_cache(void)
{
	unsigned at = draw(NR_CACHED);

	free(cache[at]);
	cache[at] = malloc(64 << draw(5));
}

__attribute__((noinline)) static void lose(void)
{
	void *p = malloc(100);

	USE(p);
}

__attribute__((noinline)) static void parse(void **words)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		words[i] = malloc(16 << draw(4));
}

__attribute__((noinline)) static void serve_request(unsigned nr)
{
	void *words[NR_WORDS], *buffer = malloc((size_t)1024 << draw(5));

	USE(buffer);
	parse(words);
	keep_session(nr);
	if (!draw(10))
		keep_in_cache();
	if (!draw(1000))
		lose();
	for (unsigned i = 0; i < NR_WORDS; i++)
		free(words[i]);
	free(buffer);
}

/* At an even pace, or as fast as it goes. */
static void serve_hour(uint64_t length_ns)
{
	uint64_t began = read_ns(CLOCK_MONOTONIC);

	for (unsigned nr = 0; nr < NR_REQUESTS; nr++) {
		uint64_t at = began + (uint64_t)((double)length_ns * nr / NR_REQUESTS);
		struct timespec t = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};

		if (nr % IN_A_BATCH == 0)
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		serve_request(nr);
	}
}

int main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	char line[16];

	if (!seconds || seconds > 3600) {
		fputs("usage: traffic SECONDS (1 to 3600)\n", stderr);
		return 2;
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID), wall = read_ns(CLOCK_MONOTONIC);

		serve_hour(seconds * 1000000000u);
		printf("%llu %llu\n", (unsigned long long)(read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu),
		       (unsigned long long)(read_ns(CLOCK_MONOTONIC) - wall));
		fflush(stdout);
	}
	return 0;
}
