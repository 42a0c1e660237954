/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads, children and mappings at once.
 *
 * threads N: N threads that leak at the same time. fork N: N times fork, vfork and posix_spawn beside threads that
 * allocate; children must end well and are not watched. maps N: two threads map and unmap N times beside five mappings
 * that stay.
 */
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "victim.h"

enum { BLOCKS = 20, SIZE = 77, STAY = 5, STAY_BYTES = 12288, BESIDE = 4, MAX_THREADS = 2000 };

static pthread_barrier_t start;
static unsigned long nr;
extern char **environ;

VICTIM_NOINLINE static void leak_in_thread(void)
{
	void *p = malloc(SIZE);
	VICTIM_USE(p);
}

static void *work(void *arg)
{
	pthread_barrier_wait(&start);
	for (int i = 0; i < BLOCKS; i++) {
		leak_in_thread();
		void *p = malloc(10);
		VICTIM_USE(p);
		free(p);
	}
	return arg;
}

/* `beside` runs in the main thread. */
static void run(unsigned long count, void *(*fn)(void *), void (*beside)(void))
{
	static pthread_t threads[MAX_THREADS];

	if (count > MAX_THREADS || pthread_barrier_init(&start, NULL, (unsigned)count + (beside ? 1 : 0)))
		_exit(7);
	for (unsigned long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, fn, NULL))
			_exit(7);
	if (beside)
		beside();
	for (unsigned long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* ---- children ---- */

VICTIM_NOINLINE static void leak_in_child(void)
{
	for (int i = 0; i < 50; i++) {
		void *p = malloc(55);
		VICTIM_USE(p);
	}
}

static void must_end_well(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status)
		_exit(6);
}

static void make_children(void)
{
	char name[] = "true", *argv[] = {name, NULL};
	pid_t child;

	pthread_barrier_wait(&start);
	for (unsigned long i = 0; i < nr; i++) {
		child = fork();
		if (!child) {
			leak_in_child();
			_exit(0);
		}
		must_end_well(child);
		child = vfork();
		if (!child) {
			execv("/bin/true", argv);
			_exit(1);
		}
		must_end_well(child);
		must_end_well(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) ? -1 : child);
	}
}

/* ---- mappings ---- */

static void *map(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

VICTIM_NOINLINE static void *come_and_go(void *arg)
{
	for (unsigned long i = 0; i < nr; i++) {
		void *p = map(8192);
		VICTIM_USE(p);
		munmap(p, 8192);
	}
	return arg;
}

VICTIM_NOINLINE static void leak_mappings(void)
{
	for (int i = 0; i < STAY; i++) {
		void *p = map(STAY_BYTES);
		VICTIM_USE(p);
	}
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		nr = victim_number(line, 0, 100);
		if (victim_is(line, "threads")) {
			run(nr, work, NULL);
			victim_through("leak_in_thread", (long long)nr * BLOCKS * SIZE, nr * BLOCKS);
		} else if (victim_is(line, "fork")) {
			run(BESIDE, work, make_children);
			victim_through("leak_in_thread", (long long)BESIDE * BLOCKS * SIZE, BESIDE * BLOCKS);
			victim_through("leak_in_child", 0, 0);
		} else if (victim_is(line, "maps")) {
			leak_mappings();
			run(2, come_and_go, NULL);
			victim_through("leak_mappings", (long long)STAY * STAY_BYTES, STAY);
			victim_through("come_and_go", 0, 0);
		}
		victim_done(line);
	}
	return 0;
}
