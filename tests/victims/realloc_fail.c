/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edges of realloc: a failing one keeps the block, one to size 0 frees it, one that grows makes a block of the new
 * size.
 *
 * go: does each once and leaves known blocks behind.
 */
#include <errno.h>
#include <malloc.h>

#include "victim.h"

static volatile size_t too_much = SIZE_MAX / 2; /* not a constant: the compiler would warn, rightly */
static volatile size_t zero;

VICTIM_NOINLINE static void *made_kept(void)
{
	void *p = malloc(5000);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *made_kept_array(void)
{
	void *p = malloc(5100);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *made_freed(void)
{
	void *p = malloc(5200);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *made_small(void)
{
	void *p = malloc(100);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *grown(void *p, size_t size)
{
	void *q = realloc(p, size);
	VICTIM_USE(q);
	return q;
}

VICTIM_NOINLINE static void *shrunk(void *p, size_t size)
{
	void *q = realloc(p, size);
	VICTIM_USE(q);
	return q;
}

VICTIM_NOINLINE static void *from_null(size_t size)
{
	void *q = realloc(NULL, size);
	VICTIM_USE(q);
	return q;
}

VICTIM_NOINLINE static void *from_array(size_t n, size_t size)
{
	void *q = reallocarray(NULL, n, size);
	VICTIM_USE(q);
	return q;
}

static void fail(const char *what)
{
	victim_say("{\"event\":\"error\",\"what\":\"%s\"}\n", what);
	_exit(7);
}

VICTIM_NOINLINE static void run(void)
{
	if (realloc(made_kept(), too_much) != NULL || errno != ENOMEM)
		fail("a realloc of too much did not fail");
	if (reallocarray(made_kept_array(), too_much, 16) != NULL || errno != ENOMEM)
		fail("a reallocarray of too much did not fail");
	void *gone = realloc(made_freed(), zero);
	VICTIM_USE(gone);
	free(gone);

	void *between = malloc(64); /* so that the block has to move */
	void *p = made_small();
	free(between);
	victim_block(grown(p, 200000), 200000); /* over the mmap threshold */
	p = made_small();
	for (size_t size = 1000; size <= 64000; size *= 2)
		p = grown(p, size);
	victim_block(p, 64000);
	victim_block(shrunk(made_small(), 40), 40);
	victim_block(from_null(3333), 3333);
	victim_block(from_array(10, 30), 300);
}

int main(void)
{
	char line[VICTIM_LINE];
	uint64_t n = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		run();
		n++;
		victim_through("made_kept", (long long)n * 5000, n);
		victim_through("made_kept_array", (long long)n * 5100, n);
		victim_through("made_freed", 0, 0);
		victim_through("made_small", 0, 0);
		victim_through("grown", (long long)n * 264000, n * 2);
		victim_through("shrunk", (long long)n * 40, n);
		victim_through("from_null", (long long)n * 3333, n);
		victim_through("from_array", (long long)n * 300, n);
		victim_done("go");
	}
	return 0;
}
