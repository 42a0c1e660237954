// SPDX-License-Identifier: Apache-2.0
/* The agent where one call in so many is recorded: all records stand for the same number of calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "agent_fixture.h"

#include <cmocka.h>

#include "agent/agent_check.blob.h"

enum { RATE = 10, CALLS = 1000 };

typedef void *malloc_fn(size_t);
typedef void *mmap_fn(void *, size_t, int, int, int, off_t);

static struct fixture *fix;

static int begin(void **state)
{
	struct sp_agent_limits l = fix_limits();

	(void)state;
	l.hash_bits = SP_AGENT_MIN_HASH_BITS;
	fix = fix_new(&sp_agent_check_blob, &l, 0);
	fix->header->mode = SP_AGENT_SAMPLED;
	fix->header->is_regular = 1;
	return 0;
}

static int end(void **state)
{
	(void)state;
	fix_free(fix);
	return 0;
}

/* As engines/agent sets it up; the code is not writable any more. */
static void count_calls(uint64_t mean)
{
	FIX_MUST(!mprotect(fix->code, SP_AGENT_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	fix->config->size_mask = 0;
	FIX_MUST(!mprotect(fix->code, SP_AGENT_PAGE, PROT_READ | PROT_EXEC));
	fix->header->mean = mean;
}

static void *counting_up(size_t size)
{
	static uint64_t at = 1ull << 40;

	(void)size;
	at += 64;
	return (void *)at;
}

static void *map_counting_up(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	(void)addr;
	(void)prot;
	(void)flags;
	(void)fd;
	(void)offset;
	return counting_up(size);
}

static void mapping_calls_are_sampled_as_all_others(void **state)
{
	mmap_fn *f = (mmap_fn *)fix_hook(fix, SP_KIND_MMAP, 1, (void *)map_counting_up);
	malloc_fn *g = (malloc_fn *)fix_hook(fix, SP_KIND_MALLOC, 0, (void *)counting_up);
	(void)state;

	count_calls(RATE);
	for (int i = 0; i < CALLS; i++) {
		f(NULL, SP_AGENT_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (i % 3)
			g(100);
	}
	uint64_t nr = fix->header->ring_head + fix_sum(fix).nr;
	/* Of 1666 calls 166 with a standard deviation of 7; of 1000, which are each second or third, 100 with one of 8.
	 */
	assert_in_range(nr, 166 - 50, 166 + 50);
	assert_in_range(fix->header->ring_head, 100 - 55, 100 + 55);
}

static void what_a_full_hash_cannot_take_is_counted_and_the_interval_stays(void **state)
{
	malloc_fn *f = (malloc_fn *)fix_hook(fix, SP_KIND_MALLOC, 0, (void *)counting_up);
	uint64_t max = 1ull << fix->limits.hash_bits, nr = RATE * 2 * max;
	(void)state;

	count_calls(RATE);
	for (uint64_t i = 0; i < nr; i++)
		f(100);
	assert_int_equal(fix->header->mean, RATE);
	assert_in_range(fix_sum(fix).nr, max * 8 / 10, max);
	/* The standard deviation is about an eightieth. */
	assert_in_range(fix_sum(fix).nr + fix_lost(fix, SP_LOST_BLOCKS_FULL), nr / RATE * 9 / 10, nr / RATE * 11 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(mapping_calls_are_sampled_as_all_others, begin, end),
	    cmocka_unit_test_setup_teardown(what_a_full_hash_cannot_take_is_counted_and_the_interval_stays, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
