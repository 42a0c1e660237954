// SPDX-License-Identifier: Apache-2.0
/* Where a probe goes: on prologues as real allocators have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engines/bpf/impl.h"

#define PLACE(...)                                                                                                     \
	({                                                                                                             \
		const uint8_t code[] = {__VA_ARGS__};                                                                  \
		sp_bpf_place(code, sizeof(code));                                                                      \
	})

static void push_at_entry_stays(void **state)
{
	(void)state;
	/* glibc 2.36 malloc: push r12; push rbp; push rbx; mov rbx, rdi */
	assert_int_equal(PLACE(0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb), 0);
}

static void test_before_a_branch_is_skipped(void **state)
{
	(void)state;
	/* glibc 2.36 free: test rdi, rdi; je +0x100 */
	assert_int_equal(PLACE(0x48, 0x85, 0xff, 0x0f, 0x84, 0x00, 0x01, 0x00, 0x00), 3);
}

static void comparison_with_memory_is_skipped(void **state)
{
	(void)state;
	/* glibc 2.36 posix_memalign: cmpb $0, x(rip); push r12 */
	assert_int_equal(PLACE(0x80, 0x3d, 0x10, 0x20, 0x03, 0x00, 0x00, 0x41, 0x54), 7);
}

static void endbr_is_skipped(void **state)
{
	(void)state;
	/* libstdc++ operator delete: endbr64; jmp rel32 */
	assert_int_equal(PLACE(0xf3, 0x0f, 0x1e, 0xfa, 0xe9, 0x00, 0x10, 0x00, 0x00), 4);
}

static void changed_argument_keeps_the_entry(void **state)
{
	(void)state;
	/* mov edi, 5; push rbx: the argument is gone at the push */
	assert_int_equal(PLACE(0xbf, 0x05, 0x00, 0x00, 0x00, 0x53), 0);
}

static void changed_stack_keeps_the_entry(void **state)
{
	(void)state;
	/* sub rsp, 8; push rbx */
	assert_int_equal(PLACE(0x48, 0x83, 0xec, 0x08, 0x53), 0);
}

static void a_loop_back_into_the_entry_keeps_it(void **state)
{
	(void)state;
	/* test rdi, rdi; je +1; nop; jmp to the je */
	assert_int_equal(PLACE(0x48, 0x85, 0xff, 0x74, 0x01, 0x90, 0xeb, 0xfb), 0);
}

static void indirect_branches_are_not_emulated(void **state)
{
	(void)state;
	assert_int_equal(PLACE(0x48, 0x85, 0xff, 0xff, 0xe0), 0); /* test rdi, rdi; jmp rax */
}

static void garbage_and_nothing_give_the_entry(void **state)
{
	(void)state;
	const uint8_t none = 0;

	assert_int_equal(PLACE(0x06, 0x06), 0);
	assert_int_equal(sp_bpf_place(&none, 0), 0);
	assert_int_equal(PLACE(0x48), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(push_at_entry_stays),
	    cmocka_unit_test(test_before_a_branch_is_skipped),
	    cmocka_unit_test(comparison_with_memory_is_skipped),
	    cmocka_unit_test(endbr_is_skipped),
	    cmocka_unit_test(changed_argument_keeps_the_entry),
	    cmocka_unit_test(changed_stack_keeps_the_entry),
	    cmocka_unit_test(a_loop_back_into_the_entry_keeps_it),
	    cmocka_unit_test(indirect_branches_are_not_emulated),
	    cmocka_unit_test(garbage_and_nothing_give_the_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
