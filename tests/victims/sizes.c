/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes at the edge: products over 4 GiB and over everything, requests that fail. go: each once. */
#include "victim.h"

static volatile size_t giant = (size_t)1 << 60;

VICTIM_NOINLINE static void leak_calloc_5g(void)
{
	void *p = calloc(1, (size_t)5 << 30);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_calloc_5g_turned(void)
{
	void *p = calloc((size_t)5 << 30, 1);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void fail_calloc(void)
{
	void *p = calloc(giant, giant);
	if (p)
		_exit(7);
}

/* Jumps into realloc, which fails. */
VICTIM_NOINLINE static void keep_at_reallocarray(void)
{
	void *p = malloc(777);
	VICTIM_USE(p);
	if (reallocarray(p, 1, giant))
		_exit(7);
}

VICTIM_NOINLINE static void keep_at_overflow(void)
{
	void *p = malloc(888);
	VICTIM_USE(p);
	if (reallocarray(p, giant, giant))
		_exit(7);
}

VICTIM_NOINLINE static void leak_reallocarray(void)
{
	void *p = reallocarray(malloc(88), 3, 333);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void fail_posix_memalign(void)
{
	void *p = &p;
	if (!posix_memalign(&p, 3, 100) || !posix_memalign(&p, 4096, giant))
		_exit(7);
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		leak_calloc_5g();
		leak_calloc_5g_turned();
		fail_calloc();
		keep_at_reallocarray();
		keep_at_overflow();
		leak_reallocarray();
		fail_posix_memalign();
		victim_through("leak_calloc_5g", 5LL << 30, 1);
		victim_through("leak_calloc_5g_turned", 5LL << 30, 1);
		victim_through("fail_calloc", 0, 0);
		victim_through("keep_at_reallocarray", 777, 1);
		victim_through("keep_at_overflow", 888, 1);
		victim_through("leak_reallocarray", 999, 1);
		victim_through("fail_posix_memalign", 0, 0);
		victim_done("go");
	}
	return 0;
}
