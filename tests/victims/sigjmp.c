/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations in signal handlers (on the normal and on an alternate stack) and jumps out of them.
 *
 * go [N]: N rounds; each leaks one block of 70 bytes in a handler, one of 80 in a handler on the alternate stack, and
 * frees one of 90 that a handler made before it jumped out.
 */
#include <setjmp.h>

#include "victim.h"

enum { DEFAULT_ROUNDS = 300, STACK_BYTES = 64 * 1024, SIZE = 70, ALT_SIZE = 80, JUMP_SIZE = 90 };

static sigjmp_buf back;
static void *volatile made;

VICTIM_NOINLINE static void leak_in_handler(void)
{
	void *p = malloc(SIZE);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void leak_on_alternate_stack(void)
{
	void *p = malloc(ALT_SIZE);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void make_then_jump(void)
{
	made = malloc(JUMP_SIZE);
	siglongjmp(back, 1);
}

static void on_usr1(int number)
{
	leak_in_handler();
	VICTIM_USE(number);
}

static void on_usr2(int number)
{
	leak_on_alternate_stack();
	VICTIM_USE(number);
}

static void on_hup(int number)
{
	make_then_jump();
	VICTIM_USE(number);
}

VICTIM_NOINLINE static void raise_all(void)
{
	raise(SIGUSR1);
	raise(SIGUSR2);
	if (sigsetjmp(back, 1) == 0)
		raise(SIGHUP);
	free(made);
}

int main(void)
{
	static char stack[STACK_BYTES];
	char line[VICTIM_LINE];
	uint64_t n = 0;
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_usr1}, NULL);
	sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_usr2, .sa_flags = SA_ONSTACK}, NULL);
	sigaction(SIGHUP, &(struct sigaction){.sa_handler = on_hup}, NULL);
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		unsigned long rounds = victim_number(line, 0, DEFAULT_ROUNDS);
		for (unsigned long i = 0; i < rounds; i++)
			raise_all();
		n += rounds;
		victim_path("leak_in_handler on_usr1", n * SIZE, n);
		victim_path("leak_on_alternate_stack on_usr2", n * ALT_SIZE, n);
		victim_through("make_then_jump", 0, 0);
		victim_through("raise_all", (long long)(n * (SIZE + ALT_SIZE)), n * 2);
		victim_done("go");
	}
	return 0;
}
