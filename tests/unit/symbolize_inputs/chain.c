// SPDX-License-Identifier: Apache-2.0
/* C shapes whose names a symbolizer can get wrong. Waits for ever: it is only looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int sink;

__attribute__((noinline)) void *leaf(unsigned n)
{
	void *p = malloc(n);

	sink += p != NULL;
	return p;
}

static inline __attribute__((always_inline)) void *innermost(unsigned n)
{
	void *p = leaf(n + 1);

	sink++;
	return p;
}

static inline __attribute__((always_inline)) void *middle(unsigned n)
{
	if (n > 3)
		return innermost(n * 2);
	sink += 2;
	return innermost(n);
}

static inline __attribute__((always_inline)) void *outer(unsigned n)
{
	void *p;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = i * n;

		p = middle(k);
		sink += p != NULL;
	}
	return leaf(n);
}

__attribute__((noinline)) void *chain(unsigned n)
{
	void *p = outer(n);

	sink++;
	return p;
}

static __attribute__((noinline)) void *twice(void *(*fn)(unsigned), unsigned n)
{
	void *p = fn(n);

	free(p);
	return fn(n + 1);
}

__attribute__((noinline)) void stop(const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

#ifndef __clang__
/* GNU C: a concrete function inside a function. */
__attribute__((noinline)) int nested(int n)
{
	__attribute__((noinline)) int inside(int k)
	{
		sink += n;
		return (int)(size_t)leaf((unsigned)(k + n)) & 1;
	}

	int r = inside(n);

	sink += r;
	return r + inside(n + 1);
}
#else
__attribute__((noinline)) int nested(int n)
{
	return n;
}
#endif

int main(int argc, char **argv)
{
	void *p = chain((unsigned)argc);

	if (argc > 7)
		stop(argv[0]); /* a cold path that does not return */
	p = twice(chain, (unsigned)argc);
	sink += nested(argc);
	free(p);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
