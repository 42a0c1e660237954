// SPDX-License-Identifier: Apache-2.0
/*
 * A program that does everything at once that makes entering it hard: threads that come and go, fork, vfork and
 * posix_spawn, signals whose handlers enter the allocator or jump out of it, a small signal stack, coroutines,
 * set*id in all threads. It checks each answer. Talks as tests/unit/inject_inputs/host.c does; "ops" is the progress of
 * the slowest of its threads.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	SIGNAL_NS = 3000000,
	CHILD_SAYS = 5,
	STACK = 65536,
	SMALL_STACK = 1024 /* beyond what the kernel puts there */,
	NR_MAX = 16
};

static atomic_ulong progress[NR_MAX], bad;
static atomic_bool stop;
static char true_path[] = "/bin/true";
static char *const TRUE_ARGV[] = {true_path, NULL};
extern char **environ;

static bool goes_on(uintptr_t me)
{
	atomic_fetch_add(&progress[me], 1);
	return !atomic_load(&stop);
}

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "restless: %s\n", what);
	atomic_fetch_add(&bad, 1);
}

static void churn(unsigned seed)
{
	unsigned char *p[16] = {0};

	for (unsigned i = 0; i < 200; i++) {
		unsigned slot = (seed = seed * 1664525u + 1013904223u) >> 28;
		size_t size = 1 + (seed >> 8) % 3000;
		must(!p[slot] || *p[slot] == (unsigned char)slot, "a block has changed");
		free(p[slot]);
		p[slot] = malloc(size);
		p[slot][0] = p[slot][size - 1] = (unsigned char)slot;
	}
	for (unsigned i = 0; i < 16; i++)
		free(p[i]);
}

/* ---- threads that come and go ---- */

static void *short_life(void *arg)
{
	churn((unsigned)(uintptr_t)arg);
	return malloc(1);
}

static void *threads(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	while (goes_on(me)) {
		pthread_t t[4];
		void *got;
		unsigned nr = 0;
		while (nr < 4 && !pthread_create(&t[nr], NULL, short_life, (void *)(uintptr_t)(nr + 1)))
			nr++;
		must(nr == 4, "a thread cannot be made");
		while (nr) {
			pthread_join(t[--nr], &got);
			must(got != NULL, "a thread has ended without its answer");
			free(got);
		}
	}
	return NULL;
}

/* ---- children ---- */

static void wait_for(pid_t pid, int want, const char *what)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	must(WIFEXITED(status) && WEXITSTATUS(status) == want, what);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
		fprintf(stderr, "status %x\n", (unsigned)status);
}

static void *forks(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	while (goes_on(me)) {
		pid_t pid = fork();
		if (pid == 0) {
			churn(7);
			_exit(atomic_load(&bad) ? 1 : CHILD_SAYS);
		}
		must(pid > 0, "fork");
		if (pid > 0)
			wait_for(pid, CHILD_SAYS, "a child of fork");
	}
	return NULL;
}

static void *spawns(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	while (goes_on(me)) {
		pid_t pid = -1;
		must(posix_spawn(&pid, TRUE_ARGV[0], NULL, NULL, TRUE_ARGV, environ) == 0, "posix_spawn");
		if (pid > 0)
			wait_for(pid, 0, "a child of posix_spawn");
		pid = vfork();
		if (pid == 0) {
			execve(TRUE_ARGV[0], TRUE_ARGV, environ);
			_exit(127);
		}
		if (pid > 0)
			wait_for(pid, 0, "a child of vfork");
	}
	return NULL;
}

/* ---- signals ---- */

static void send_to_me(int signal_number)
{
	struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_number};
	const struct itimerspec often = {.it_interval = {.tv_nsec = SIGNAL_NS}, .it_value = {.tv_nsec = SIGNAL_NS}};
	timer_t timer;

	e._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	must(timer_create(CLOCK_MONOTONIC, &e, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0, "a timer");
}

/* Functions of the allocator that hold nothing while they run, so that a handler may come at any time. */
static void harmless_calls(void)
{
	void (*volatile give)(void *) = free;
	void *(*volatile ask)(size_t, size_t) = calloc;

	give(NULL);
	must(!ask(SIZE_MAX, 16), "too much was given");
}

static atomic_ulong nr_signals;
static _Thread_local sigjmp_buf out;

static void on_small_stack(int number)
{
	(void)number;
	harmless_calls();
	atomic_fetch_add(&nr_signals, 1);
}

/* Who jumps out of the C library's own handler keeps set*id waiting for ever. */
static atomic_bool is_changing_ids;

static void jump_out(int number)
{
	(void)number;
	harmless_calls();
	if (!atomic_load(&is_changing_ids))
		siglongjmp(out, 1);
}

static void *handled(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	/* The signal of set*id may come on top. */
	size_t size = 2 * getauxval(AT_MINSIGSTKSZ) + SMALL_STACK;
	stack_t small = {.ss_sp = calloc(1, size), .ss_size = size};
	volatile unsigned long turns = 0;

	must(sigaltstack(&small, NULL) == 0, "sigaltstack");
	send_to_me(SIGUSR1);
	while (goes_on(me))
		for (turns = 0; turns < 1000; turns++)
			harmless_calls();
	return NULL;
}

static void *jumps(void *arg)
{
	volatile uintptr_t me = (uintptr_t)arg;

	if (sigsetjmp(out, 1) == 0)
		send_to_me(SIGUSR2);
	while (goes_on(me))
		for (volatile int i = 0; i < 1000; i++)
			harmless_calls();
	signal(SIGUSR2, SIG_IGN);
	return NULL;
}

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	sigemptyset(&sa.sa_mask);
	must(sigaction(number, &sa, NULL) == 0, "sigaction");
}

/* ---- coroutines, ids ---- */

static _Thread_local ucontext_t home, other;

static void coroutine(void)
{
	for (unsigned seed = 1;; seed++) {
		churn(seed);
		swapcontext(&other, &home);
	}
}

static void *coroutines(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	getcontext(&other);
	other.uc_stack.ss_sp = malloc(STACK);
	other.uc_stack.ss_size = STACK;
	makecontext(&other, coroutine, 0);
	while (goes_on(me)) {
		swapcontext(&home, &other);
		churn(3);
	}
	free(other.uc_stack.ss_sp);
	return NULL;
}

/* Sends a signal to every thread and waits for all of them (setxid of glibc, synccall of musl). */
static void *ids(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	while (goes_on(me)) {
		atomic_store(&is_changing_ids, true);
		must(seteuid(geteuid()) == 0, "seteuid");
		atomic_store(&is_changing_ids, false);
		usleep(2000);
	}
	return NULL;
}

static void *(*const LIVES[])(void *) = {threads, forks, spawns, handled, jumps, coroutines, ids};
enum { NR_LIVES = sizeof(LIVES) / sizeof(LIVES[0]) };

static unsigned long slowest(void)
{
	unsigned long least = ~0ul;

	for (unsigned i = 0; i < NR_LIVES; i++) {
		unsigned long n = atomic_load(&progress[i]);
		least = n < least ? n : least;
	}
	return least;
}

int main(void)
{
	pthread_t t[NR_LIVES];
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	handle(SIGUSR1, on_small_stack, SA_ONSTACK | SA_RESTART);
	handle(SIGUSR2, jump_out, SA_RESTART);
	for (uintptr_t i = 0; i < NR_LIVES; i++)
		must(pthread_create(&t[i], NULL, LIVES[i], (void *)i) == 0, "pthread_create");
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != 'q') {
		printf("ops %lu eintr 0 bad %lu tracer 0\n", slowest(), atomic_load(&bad));
		fflush(stdout);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < NR_LIVES; i++)
		pthread_join(t[i], NULL);
	must(atomic_load(&nr_signals) > 0, "no signal came");
	return atomic_load(&bad) ? 1 : 7;
}
