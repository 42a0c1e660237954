// SPDX-License-Identifier: Apache-2.0
/* The agent's record of blocks: each call leaves what it should, whoever else is calling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "agent_fixture.h"

#include <cmocka.h>

#include "agent/agent_check.blob.h"

typedef void *malloc_fn(size_t);
typedef void *calloc_fn(size_t, size_t);
typedef void *realloc_fn(void *, size_t);
typedef int posix_fn(void **, size_t, size_t);
typedef void *aligned_fn(size_t, size_t);
typedef void free_fn(void *);

static struct fixture *fix;
static malloc_fn *my_malloc;
static calloc_fn *my_calloc;
static realloc_fn *my_realloc;
static posix_fn *my_posix_memalign;
static aligned_fn *my_aligned_alloc;
static free_fn *my_free;

static void begin_with(const struct sp_agent_limits *limits, uint32_t flags)
{
	fix = fix_new(&sp_agent_check_blob, limits, flags);
	my_malloc = (malloc_fn *)fix_hook(fix, SP_KIND_MALLOC, 0, (void *)malloc);
	my_calloc = (calloc_fn *)fix_hook(fix, SP_KIND_CALLOC, 0, (void *)calloc);
	my_realloc = (realloc_fn *)fix_hook(fix, SP_KIND_REALLOC, 1, (void *)realloc);
	my_posix_memalign = (posix_fn *)fix_hook(fix, SP_KIND_POSIX, 2, (void *)posix_memalign);
	my_aligned_alloc = (aligned_fn *)fix_hook(fix, SP_KIND_MALLOC, 1, (void *)aligned_alloc);
	my_free = (free_fn *)fix_hook(fix, SP_KIND_FREE, 0, (void *)free);
}

static int begin(void **state)
{
	(void)state;
	begin_with(NULL, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(fix->header->nr_differences, 0);
	fix_free(fix);
	return 0;
}

static void an_allocated_block_is_recorded_until_it_is_freed(void **state)
{
	void *p = my_malloc(123);
	(void)state;

	assert_int_equal(fix_block_at(fix, p).size, 123);
	assert_int_equal(fix_sum(fix).nr, 1);
	my_free(p);
	assert_int_equal(fix_sum(fix).nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(an_allocated_block_is_recorded_until_it_is_freed, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
