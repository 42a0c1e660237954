/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings of its own: plain, partly unmapped, moved and grown, mapped over, failing, and the stack of a thread (which
 * is not the program's leak).
 *
 * go: does each once and leaves known ranges behind.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "victim.h"

enum { PAGE = 4096 };

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(7);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void map_plain(void)
{
	map(16);
}

VICTIM_NOINLINE static void map_and_unmap(void)
{
	munmap(map(20), 20 * PAGE);
}

/* A hole in the middle: 3 + 4 of 10 pages stay. */
VICTIM_NOINLINE static void map_hole(void)
{
	char *p = map(10);
	munmap(p + 3 * PAGE, 3 * PAGE);
}

/* The front goes: 5 of 12 stay. */
VICTIM_NOINLINE static void map_front(void)
{
	munmap(map(12), 7 * PAGE);
}

/* Freed in two steps, by one call that spans both halves of the hole: nothing stays. */
VICTIM_NOINLINE static void map_gone_in_steps(void)
{
	char *p = map(9);
	munmap(p + 3 * PAGE, 3 * PAGE);
	munmap(p, 9 * PAGE);
}

/* Something right behind it, so that it has to move. */
VICTIM_NOINLINE static void map_grow(void)
{
	char *p = map(8);
	char *wall = mmap(p + 4 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(p + 5 * PAGE, 3 * PAGE);
	char *q = mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED || q == p)
		_exit(7);
	munmap(wall, PAGE);
	VICTIM_USE(q);
}

VICTIM_NOINLINE static void map_shrink(void)
{
	if (mremap(map(30), 30 * PAGE, 11 * PAGE, 0) == MAP_FAILED)
		_exit(7);
}

VICTIM_NOINLINE static void map_inner(char *where)
{
	if (mmap(where, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != where)
		_exit(7);
}

/* Two pages in the middle are replaced by another call's. */
VICTIM_NOINLINE static void map_over(void)
{
	char *p = map(8);
	map_inner(p + 3 * PAGE);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void map_failing(void)
{
	void *p = mmap(NULL, (size_t)1 << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		_exit(7);
	p = mremap(map(1), PAGE, (size_t)1 << 62, MREMAP_MAYMOVE); /* fails: the page stays */
	if (p != MAP_FAILED)
		_exit(7);
}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

VICTIM_NOINLINE static void start_thread_idle(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, idle, NULL))
		_exit(7);
}

int main(void)
{
	char line[VICTIM_LINE];
	long long n = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		map_plain();
		map_and_unmap();
		map_hole();
		map_front();
		map_gone_in_steps();
		map_grow();
		map_shrink();
		map_over();
		map_failing();
		start_thread_idle();
		n += PAGE;
		victim_through("map_plain", n * 16, (uint64_t)n / PAGE);
		victim_through("map_and_unmap", 0, 0);
		victim_through("map_hole", n * 7, 0);
		victim_through("map_front", n * 5, (uint64_t)n / PAGE);
		victim_through("map_gone_in_steps", 0, 0);
		victim_through("map_grow", n * 64, (uint64_t)n / PAGE);
		victim_through("map_shrink", n * 11, (uint64_t)n / PAGE);
		victim_through("map_over", n * 8, 0);
		victim_through("map_inner", n * 2, (uint64_t)n / PAGE);
		victim_through("map_failing", n, (uint64_t)n / PAGE);
		victim_done("go");
	}
	return 0;
}
