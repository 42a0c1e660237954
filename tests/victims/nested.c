/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the C library allocates for the program: the program's function must be named, and a call that reaches
 * the allocator through another allocator function must be counted once.
 *
 * go: leaks one of each.
 */
#include <pthread.h>

#include "victim.h"

enum { TEXT = 99, BIG = 1 << 20 };

VICTIM_NOINLINE static void leak_calloc(void)
{
	void *p = calloc(30, 40);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_calloc_big(void)
{
	void *p = calloc(1, BIG); /* an inner mmap */
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_malloc_big(void)
{
	void *p = malloc(BIG + 5);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_realloc_big(void)
{
	void *p = realloc(malloc(50), BIG + 7);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_posix_memalign(void)
{
	void *p = NULL;
	if (posix_memalign(&p, 4096, 2222))
		_exit(7);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_strdup(void)
{
	char text[TEXT + 1];
	memset(text, 'x', TEXT);
	text[TEXT] = 0;
	VICTIM_USE(text);
	char *p = strdup(text);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_strndup(void)
{
	char text[TEXT + 1];
	memset(text, 'y', TEXT);
	text[TEXT] = 0;
	VICTIM_USE(text);
	char *p = strndup(text, 50);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static size_t leak_asprintf(void)
{
	char *p = NULL;
	int n = asprintf(&p, "%0300d", 1);
	VICTIM_USE(p);
	return (size_t)n + 1;
}

/* The file itself is closed again, the line stays. */
VICTIM_NOINLINE static void leak_getline(void)
{
	char *p = NULL;
	size_t size = 0;
	FILE *f = fopen("/proc/self/stat", "r");
	if (!f || getline(&p, &size, f) < 0)
		_exit(7);
	fclose(f);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_fopen(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	if (!f || fgetc(f) == EOF)
		_exit(7);
	VICTIM_USE(f);
}

static void *first_malloc(void *arg)
{
	void *p = malloc(6789);
	VICTIM_USE(p);
	return arg;
}

/* A thread's first allocation makes its arena. */
VICTIM_NOINLINE static void leak_first_in_thread(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, first_malloc, NULL) || pthread_join(t, NULL))
		_exit(7);
}

int main(void)
{
	char line[VICTIM_LINE];
	uint64_t n = 0;
	size_t printed = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		leak_calloc();
		leak_calloc_big();
		leak_malloc_big();
		leak_realloc_big();
		leak_posix_memalign();
		leak_strdup();
		leak_strndup();
		printed += leak_asprintf();
		leak_getline();
		leak_fopen();
		leak_first_in_thread();
		n++;
		victim_through("leak_calloc", (long long)n * 1200, n);
		victim_through("leak_calloc_big", (long long)n * BIG, n);
		victim_through("leak_malloc_big", (long long)n * (BIG + 5), n);
		victim_through("leak_realloc_big", (long long)n * (BIG + 7), n);
		victim_through("leak_posix_memalign", (long long)n * 2222, n);
		victim_through("leak_strdup", (long long)n * (TEXT + 1), n);
		victim_through("leak_strndup", (long long)n * 51, n);
		victim_through("leak_asprintf", (long long)printed, n);
		victim_through("leak_getline", -1, n);
		victim_through("leak_fopen", -1, 2 * n); /* the stream and its buffer */
		victim_through("first_malloc", (long long)n * 6789, n);
		victim_done("go");
	}
	return 0;
}
