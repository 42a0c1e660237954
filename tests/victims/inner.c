/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with an allocator of its own, in whose malloc odd things happen on demand: it never returns, a signal
 * arrives. None of it allocates otherwise.
 *
 * jump: longjmp out of malloc, then leaks from deeper and from equal depth.
 * coroutines: eight on small stacks beside each other; in one of them malloc never returns.
 * signal low|high [seen]: a thread's malloc is interrupted by a handler that allocates too, on a stack below or above
 * its own. Above it, its block counts only when it is said to be seen.
 */
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "victim.h"

enum {
	POOL = 1 << 24,
	JUMP = 0xdead, /* sizes that mean something */
	SIGNAL = 0x5166,
	BLOCKS = 10,
	SIZE = 100,
	IN_HANDLER = 33,
	COROUTINES = 8,
	ODD_ONE = 5,
	ROUNDS = 3,
	SMALL_STACK = 16384,
	SIGNAL_STACK = 65536,
};

static char pool[POOL] __attribute__((aligned(16)));
static size_t used;
static __thread jmp_buf *way_out;

VICTIM_NOINLINE void *malloc(size_t size)
{
	if (size == JUMP && way_out)
		longjmp(*way_out, 1);
	if (size == SIGNAL)
		raise(SIGUSR1);
	size_t at = __atomic_fetch_add(&used, (size + 31) & ~(size_t)31, __ATOMIC_RELAXED);
	if (at + size > sizeof(pool) - 32)
		return NULL;
	*(size_t *)(void *)(pool + at) = size;
	return pool + at + 16;
}

VICTIM_NOINLINE void free(void *p)
{
	VICTIM_USE(p);
}

VICTIM_NOINLINE void *calloc(size_t n, size_t size)
{
	return malloc(n * size);
}

VICTIM_NOINLINE void *realloc(void *p, size_t size)
{
	void *q = malloc(size);

	if (p && q)
		memcpy(q, p, size);
	return q;
}

VICTIM_NOINLINE static void jump(void)
{
	jmp_buf here;

	way_out = &here;
	if (!setjmp(here)) {
		void *p = malloc(JUMP);
		VICTIM_USE(p);
	}
	way_out = NULL;
}

VICTIM_NOINLINE static void leak_flat(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		void *p = malloc(SIZE);
		VICTIM_USE(p);
	}
}

VICTIM_NOINLINE static void leak_deep(void)
{
	char *room = alloca(5000);

	memset(room, 1, 5000);
	VICTIM_USE(room);
	leak_flat();
	VICTIM_USE(room);
}

/* ---- coroutines ---- */

static ucontext_t main_context, contexts[COROUTINES];

VICTIM_NOINLINE static void leak_in_coroutine(void)
{
	void *p = malloc(64);
	VICTIM_USE(p);
}

static void coroutine(int i)
{
	for (;;) {
		if (i == ODD_ONE)
			jump();
		else
			leak_in_coroutine();
		swapcontext(&contexts[i], &main_context);
	}
}

static void run_coroutines(void)
{
	char *stacks = mmap(NULL, COROUTINES * SMALL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack = (stack_t){.ss_sp = stacks + i * SMALL_STACK, .ss_size = SMALL_STACK};
		contexts[i].uc_link = NULL;
		makecontext(&contexts[i], (void (*)(void))(uintptr_t)coroutine, 1, i);
	}
	for (int round = 0; round < ROUNDS; round++) {
		swapcontext(&main_context, &contexts[ODD_ONE]);
		for (int i = 0; i < COROUTINES; i++)
			if (i != ODD_ONE)
				swapcontext(&main_context, &contexts[i]);
	}
}

/* ---- signals ---- */

VICTIM_NOINLINE static void leak_in_handler(void)
{
	void *p = malloc(IN_HANDLER);
	VICTIM_USE(p);
}

static void on_signal(int number)
{
	VICTIM_USE(number);
	leak_in_handler();
	VICTIM_USE(number);
}

VICTIM_NOINLINE static void leak_interrupted(void)
{
	void *p = malloc(SIGNAL);
	VICTIM_USE(p);
}

static void *interrupted(void *stack)
{
	sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = SIGNAL_STACK}, NULL);
	leak_interrupted();
	leak_flat();
	return NULL;
}

int main(void)
{
	static char low[SIGNAL_STACK]; /* below every mapping; a mapping made before a thread's stack is above it */
	char *high = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	char line[VICTIM_LINE];
	pthread_t t;

	sigaction(SIGUSR1, &action, NULL);
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "jump")) {
			jump();
			leak_deep();
			leak_flat();
			victim_path("leak_flat leak_deep main", BLOCKS * SIZE, BLOCKS);
			victim_path("leak_flat main", BLOCKS * SIZE, BLOCKS);
		} else if (victim_is(line, "coroutines")) {
			run_coroutines();
			victim_through("leak_in_coroutine", 64LL * (COROUTINES - 1) * ROUNDS,
				       (COROUTINES - 1) * ROUNDS);
		} else if (victim_is(line, "signal")) {
			bool is_high = strstr(line, "high"), is_seen = !is_high || strstr(line, "seen");
			if (pthread_create(&t, NULL, interrupted, is_high ? high : low) || pthread_join(t, NULL))
				_exit(7);
			victim_through("leak_interrupted", SIGNAL + (is_seen ? IN_HANDLER : 0), is_seen ? 2 : 1);
			victim_through("leak_flat", (long long)BLOCKS * SIZE, BLOCKS);
			if (is_seen)
				victim_through("leak_in_handler", IN_HANDLER, 1);
		}
		victim_done(line);
	}
	return 0;
}
