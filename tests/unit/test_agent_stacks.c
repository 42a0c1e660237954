// SPDX-License-Identifier: Apache-2.0
/* The agent on stacks that are no thread's own: as far as a mapping is known, else within a page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ucontext.h>

#include "agent_fixture.h"

#include <cmocka.h>

#include "agent/agent_check.blob.h"

enum { STACK = 16 * SP_AGENT_PAGE, BIG = 2 * SP_AGENT_PAGE, SIZE = 48 };

typedef void *malloc_fn(size_t);
typedef void *mmap_fn(void *, size_t, int, int, int, off_t);
typedef int munmap_fn(void *, size_t);

static struct fixture *fix;
static malloc_fn *my_malloc;
static uint8_t *stack; /* a page that may not be touched, STACK bytes, another such page */
static ucontext_t outside, inside;
static void *volatile made;

static int begin(void **state)
{
	(void)state;
	fix = fix_new(&sp_agent_check_blob, NULL, 0);
	my_malloc = (malloc_fn *)fix_hook(fix, SP_KIND_MALLOC, 0, (void *)malloc);
	stack = mmap(NULL, STACK + BIG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(stack != MAP_FAILED);
	stack += SP_AGENT_PAGE;
	assert_int_equal(mprotect(stack, STACK, PROT_READ | PROT_WRITE), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	munmap(stack - SP_AGENT_PAGE, STACK + BIG);
	fix_free(fix);
	return 0;
}

static void publish(uint64_t start, uint64_t end)
{
	uint32_t gen = fix->header->stacks_gen + 1;
	uint64_t *list = (uint64_t *)fix_area(fix, SP_AGENT_STACKS) + (size_t)(gen & 1) * SP_AGENT_MAX_STACKS;

	list[0] = sp_agent_stack(start - 64 * SP_AGENT_PAGE, start - 32 * SP_AGENT_PAGE); /* not this one */
	list[1] = sp_agent_stack(start, end);
	fix->header->nr_stacks[gen & 1] = 2;
	fix->header->stacks_gen = gen;
}

static uint64_t published(void)
{
	uint32_t gen = fix->header->stacks_gen;

	return ((uint64_t *)fix_area(fix, SP_AGENT_STACKS) + (size_t)(gen & 1) * SP_AGENT_MAX_STACKS)[1];
}

__attribute__((noinline)) static void leaf(void)
{
	made = my_malloc(SIZE);
}

__attribute__((noinline)) static void with_big_frame(void)
{
	char room[BIG];

	memset(room, 1, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory");
	leaf();
	__asm__ volatile("" : : "r"(room) : "memory");
}

static void on_coroutine(void)
{
	with_big_frame();
	__asm__ volatile("" : : : "memory"); /* no jump instead of a call */
}

/* The path of a block that a coroutine allocates; returns its root. */
static uint32_t allocate_there(unsigned *ret_nr)
{
	uint64_t pcs[SP_MAX_FRAMES];
	uint32_t root;

	assert_int_equal(getcontext(&inside), 0);
	inside.uc_stack = (stack_t){.ss_sp = stack, .ss_size = STACK};
	inside.uc_link = &outside;
	makecontext(&inside, on_coroutine, 0);
	assert_int_equal(swapcontext(&outside, &inside), 0);
	*ret_nr = fix_path(fix, fix_block_at(fix, made).node, pcs, SP_MAX_FRAMES, &root);
	free(made);
	return root;
}

static void nothing_is_read_behind_the_page_of_an_unknown_stack(void **state)
{
	unsigned nr;
	(void)state;

	assert_int_equal(allocate_there(&nr), SP_AGENT_ROOT_BROKEN);
	assert_int_equal(nr, 2); /* leaf, with_big_frame: whose own return address is two pages up */
	assert_int_equal(fix_lost(fix, SP_LOST_STACK_BROKEN), 1);
	assert_int_equal(fix->header->nr_foreign, 1);
}

static void a_known_stack_is_walked_to_its_end(void **state)
{
	unsigned nr;
	(void)state;

	publish((uint64_t)stack, (uint64_t)stack + STACK);
	allocate_there(&nr);  /* how it ends at the bottom is libc's affair */
	assert_true(nr >= 4); /* and on_coroutine, __start_context */
	assert_int_equal(fix->header->nr_foreign, 0);
}

static void what_is_unmapped_is_known_no_more(void **state)
{
	munmap_fn *my_munmap = (munmap_fn *)fix_hook(fix, SP_KIND_MUNMAP, 1, (void *)munmap);
	mmap_fn *my_mmap = (mmap_fn *)fix_hook(fix, SP_KIND_MMAP, 1, (void *)mmap);
	uint64_t start = (uint64_t)stack;
	(void)state;

	publish(start, start + STACK);
	assert_int_equal(my_munmap(stack + STACK - SP_AGENT_PAGE, SP_AGENT_PAGE), 0);
	assert_int_equal(published(), sp_agent_stack(start, start + STACK - SP_AGENT_PAGE));
	assert_int_equal(fix->header->nr_unmapped, 1);
	void *over = my_mmap(stack + BIG, SP_AGENT_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(over, stack + BIG);
	assert_int_equal(published(), sp_agent_stack(start, start + BIG));
	assert_int_equal(my_munmap(stack, BIG), 0);
	assert_int_equal(published(), sp_agent_stack(start, start));
	over = my_mmap(NULL, SP_AGENT_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(munmap(over, SP_AGENT_PAGE), 0);
	assert_int_equal(fix->header->nr_unmapped, 3); /* a new mapping takes nothing away */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(nothing_is_read_behind_the_page_of_an_unknown_stack, begin, end),
	    cmocka_unit_test_setup_teardown(a_known_stack_is_walked_to_its_end, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_unmapped_is_known_no_more, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
