// SPDX-License-Identifier: Apache-2.0
/*
 * Fails the 1st, 2nd, 3rd... allocation of a scenario, for test programs of the list `units_alloc`: there the calls of
 * the rooms under test go through the functions below, those of the C library and of cmocka do not.
 *
 *	do alloc_arm(n++), scenario(); while (alloc_disarm());
 */
#ifndef SEEP_TESTS_FAILING_ALLOC_H
#define SEEP_TESTS_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

static long alloc_countdown = -1; /* -1: nothing fails */
static bool alloc_has_failed;

static bool alloc_fails(void)
{
	if (alloc_countdown < 0 || alloc_countdown-- > 0)
		return false;
	alloc_has_failed = true;
	return true;
}

/* From now on the allocation number n (from 0) fails, once. */
static void alloc_arm(long n)
{
	alloc_countdown = n;
	alloc_has_failed = false;
}

/* True when one has failed since alloc_arm(). */
static bool alloc_disarm(void)
{
	alloc_countdown = -1;
	return alloc_has_failed;
}

void *__wrap_malloc(size_t size)
{
	return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return alloc_fails() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

#endif
