// SPDX-License-Identifier: Apache-2.0
/* Which bytes of a process are in physical memory. */
#include <sys/mman.h>

#include "proc_fixture.h"

enum { PAGES = 64 };

static struct sp_proc *open_child(pid_t pid)
{
	struct sp_why why = {0};
	struct sp_proc *p = NULL;

	assert_int_equal(sp_proc_open(NULL, pid, &p, &why), 0);
	return p;
}

static void only_touched_pages_count_and_only_their_part_of_a_range(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(m != MAP_FAILED);
	madvise(m, PAGES * page, MADV_NOHUGEPAGE);
	m[3 * page] = m[4 * page] = m[40 * page] = 1;
	pid_t pid = victim_start(); /* has a copy of the page tables */
	struct sp_proc *p = open_child(pid);
	uint64_t at = (uint64_t)(uintptr_t)m;
	struct sp_range r[] = {
	    {.addr = at, .size = PAGES * page},
	    {.addr = at + 3 * page + 10, .size = 20},
	    {.addr = at + 2 * page + 50, .size = page},
	    {.addr = at + 5 * page, .size = 35 * page + 7},
	    {.addr = at + 6 * page, .size = 3 * page},
	    {.addr = at + 4 * page, .size = 0},
	    {.addr = 0, .size = page},
	    {.addr = UINT64_MAX - 5, .size = 100},
	    {.addr = 1ULL << 63, .size = page},
	};
	assert_int_equal(sp_proc_resident(p, r, SP_ARRAY_SIZE(r)), 0);
	assert_int_equal(r[0].resident, 3 * page);
	assert_int_equal(r[1].resident, 20);
	assert_int_equal(r[2].resident, 50);
	assert_int_equal(r[3].resident, 7);
	for (size_t i = 4; i < SP_ARRAY_SIZE(r); i++)
		assert_int_equal(r[i].resident, 0);
	sp_proc_close(p);
	victim_stop(pid);
	munmap(m, PAGES * page);
}

static void a_range_larger_than_one_look_is_summed(void **state)
{
	size_t size = (size_t)256 << 20, step = (size_t)16 << 20;
	char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	(void)state;
	assert_true(m != MAP_FAILED);
	madvise(m, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += step)
		m[i] = 1;
	pid_t pid = victim_start();
	struct sp_proc *p = open_child(pid);
	struct sp_range r = {.addr = (uint64_t)(uintptr_t)m, .size = size};
	assert_int_equal(sp_proc_resident(p, &r, 1), 0);
	assert_int_equal(r.resident, size / step * page);
	victim_stop(pid);
	assert_true(sp_proc_resident(p, &r, 1) < 0 || r.resident == 0); /* it has ended */
	sp_proc_close(p);
	munmap(m, size);
}

static void old_kernels_are_read_word_by_word(void **state)
{
	uint64_t words[32] = {[2] = 1ULL << 63, [3] = 1ULL << 62, [31] = 1ULL << 63 | 77};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct sp_range r[] = {{.addr = page, .size = 2 * page}, {.addr = 0, .size = 1000 * page}};
	struct sp_proc *p = NULL;
	struct sp_why why = {0};
	struct tree t;

	(void)state;
	tree_init(&t);
	tree_put_process(&t, 10, "app", 'S', 0, "app");
	tree_put_bytes(&t, "10/pagemap", words, sizeof(words));
	assert_int_equal(sp_proc_open(&t.fs, 10, &p, &why), 0);
	assert_int_equal(sp_proc_resident(p, r, SP_ARRAY_SIZE(r)), 0);
	assert_int_equal(r[0].resident, page);
	assert_int_equal(r[1].resident, 2 * page);
	sp_proc_close(p);
	tree_done(&t);
}

static void a_guard_is_not_swapped_out(void **state)
{
	const uint64_t words[] = {0, UINT64_C(1) << 63, UINT64_C(0x440000000000009f), UINT64_C(0x4000000000000083)};
	static const enum sp_page_kind kinds[] = {SP_PAGE_NONE, SP_PAGE_OWN, SP_PAGE_NONE, SP_PAGE_SWAPPED};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end;
	struct sp_pagemap pm;
	struct sp_proc *p = NULL;
	struct sp_why why = {0};
	struct tree t;

	(void)state;
	tree_init(&t);
	tree_put_process(&t, 10, "app", 'S', 0, "app");
	tree_put_bytes(&t, "10/pagemap", words, sizeof(words));
	assert_int_equal(sp_proc_open(&t.fs, 10, &p, &why), 0);
	assert_int_equal(sp_pagemap_open(sp_proc_dirfd(p), &pm), 0);
	for (unsigned i = 0; i < SP_ARRAY_SIZE(words); i++)
		assert_int_equal(sp_pagemap_run(&pm, i * page, (i + 1) * page, &end), kinds[i]);
	sp_pagemap_close(&pm);
	sp_proc_close(p);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_touched_pages_count_and_only_their_part_of_a_range),
	    cmocka_unit_test(a_range_larger_than_one_look_is_summed),
	    cmocka_unit_test(old_kernels_are_read_word_by_word),
	    cmocka_unit_test(a_guard_is_not_swapped_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
