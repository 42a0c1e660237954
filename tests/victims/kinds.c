/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One leak of one kind: kinds KIND SIZE. Waits for a line on stdin, allocates, says so and stays alive for a bounded
 * time. It is what bcc's own test of memleak does with its leaker, so that the same protocol can be run.
 */
#include <malloc.h>

#include "victim.h"

enum { ALIGNMENT = 64, LIFETIME_S = 60 };

static void *leak_malloc(size_t size)
{
	void *p = malloc(size);

	VICTIM_USE(p);
	return p;
}

static void *leak_calloc(size_t size)
{
	void *p = calloc(size, 1);

	VICTIM_USE(p);
	return p;
}

static void *leak_realloc(size_t size)
{
	void *p = realloc(malloc(17), size);

	VICTIM_USE(p);
	return p;
}

static void *leak_posix_memalign(size_t size)
{
	void *p = NULL;

	return posix_memalign(&p, ALIGNMENT, size) ? NULL : p;
}

static void *leak_valloc(size_t size)
{
	void *p = valloc(size);

	VICTIM_USE(p);
	return p;
}

static void *leak_memalign(size_t size)
{
	void *p = memalign(ALIGNMENT, size);

	VICTIM_USE(p);
	return p;
}

static void *leak_pvalloc(size_t size)
{
	void *p = pvalloc(size);

	VICTIM_USE(p);
	return p;
}

static void *leak_aligned_alloc(size_t size)
{
	void *p = aligned_alloc(ALIGNMENT, size);

	VICTIM_USE(p);
	return p;
}

static void *no_leak(size_t size)
{
	static char nothing;

	free(malloc(size));
	return &nothing;
}

static const struct {
	const char *name;
	void *(*run)(size_t size);
} kinds[] = {
    {"malloc", leak_malloc},   {"calloc", leak_calloc},
    {"realloc", leak_realloc}, {"posix_memalign", leak_posix_memalign},
    {"valloc", leak_valloc},   {"memalign", leak_memalign},
    {"pvalloc", leak_pvalloc}, {"aligned_alloc", leak_aligned_alloc},
    {"no_leak", no_leak},
};

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: kinds KIND SIZE\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIFETIME_S);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name) != 0)
			continue;
		char line[VICTIM_LINE];
		victim_command(line, sizeof(line));
		void *p = kinds[i].run(strtoul(argv[2], NULL, 0));
		VICTIM_USE(p);
		printf("allocated with %s: %s\n", kinds[i].name, p ? "yes" : "no");
		fflush(stdout);
		for (;;)
			pause();
	}
	fprintf(stderr, "kinds: no such kind: %s\n", argv[1]);
	return 2;
}
