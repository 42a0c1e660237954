/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of every segment in known amounts. Each command names what it has made with {"event":"segment"}: its kind, an
 * address in it, how much of it is in memory.
 *	all FILE	one of each kind, and a mapping of FILE
 *	leak KIB	small blocks of the heap in use, so much of them
 *	fragment KIB	small blocks, so much of them, all freed again but the last
 *	untouched MIB	a block that is never touched
 *	map KIB		anonymous memory by mmap(), the first half of it touched
 *	unmap KIB	so much of the end of the last one, by munmap()
 *	shrink		the top of the heap goes back
 *	spin		a thread that never waits
 */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "victim.h"

enum { PAGE = 4096, BLOCK = 1008, MAX_BLOCKS = 1 << 17, NR_PAGES = 40 };

static pthread_barrier_t barrier;
static volatile pid_t tid;

static void say(const char *kind, const void *at, size_t resident)
{
	victim_say("{\"event\":\"segment\",\"kind\":\"%s\",\"address\":%llu,\"resident\":%zu}\n", kind,
		   (unsigned long long)(uintptr_t)at, resident);
}

static char *touch(char *p, size_t size)
{
	if (p == MAP_FAILED || !p)
		_exit(7);
	for (size_t at = 0; at < size; at += PAGE)
		p[at] = 1;
	VICTIM_USE(p);
	return p;
}

static char *map(size_t size, int prot, int flags, int fd)
{
	char *p = mmap(NULL, size, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(7);
	return p;
}

static void *wait_for_ever(void *arg)
{
	char on_my_stack[NR_PAGES * PAGE];

	(void)arg;
	touch(on_my_stack, sizeof(on_my_stack));
	tid = (pid_t)syscall(SYS_gettid);
	say("thread_stack", on_my_stack, sizeof(on_my_stack));
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return NULL;
}

static void *spin(void *arg)
{
	pthread_barrier_wait(&barrier);
	for (;;)
		VICTIM_USE(arg);
	return NULL;
}

static void start(void *(*fn)(void *))
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, fn, NULL))
		_exit(7);
	pthread_barrier_wait(&barrier);
}

static char data[NR_PAGES * PAGE] = {1};
static char bss[NR_PAGES * PAGE];

static void make_all(const char *file)
{
	const size_t size = NR_PAGES * PAGE;
	int fd = open(file, O_RDONLY), memfd = memfd_create("segments", 0);
	char on_my_stack[PAGE];

	if (fd < 0 || memfd < 0 || ftruncate(memfd, (off_t)size))
		_exit(7);
	start(wait_for_ever);
	say("stack", touch(on_my_stack, sizeof(on_my_stack)), 0);
	say("data", touch(data, size), 0);
	say("data", touch(bss, size), 0);
	say("readonly", (const void *)(uintptr_t)make_all, 0);
	say("heap", touch(malloc(size / 2), size / 2), 0);
	say("malloc", touch(malloc((size_t)1 << 20), (size_t)1 << 20), 0);
	say("reserved", map(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1), 0);
	say("shared", touch(map(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1), size), size);
	say("shared", touch(map(size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd), size), size);
	say("file", map(size, PROT_READ, MAP_PRIVATE, fd), 0);
	char *p = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(p, size, MADV_NOHUGEPAGE); /* flags of its own: no neighbour is merged with it */
	say("anonymous", touch(p, size), size);
	victim_say("{\"event\":\"thread\",\"tid\":%d}\n", (int)tid);
}

VICTIM_NOINLINE static void fill(size_t kib, bool keep)
{
	static char *blocks[MAX_BLOCKS];
	size_t nr = kib * 1024 / (BLOCK + 16);

	for (size_t i = 0; i < nr && i < MAX_BLOCKS; i++)
		blocks[i] = touch(malloc(BLOCK), BLOCK);
	for (size_t i = 0; !keep && i + 1 < nr && i < MAX_BLOCKS; i++)
		free(blocks[i]);
}

static char *last;
static size_t last_size;

VICTIM_NOINLINE static void grow_map(size_t size)
{
	last = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	last_size = size;
	madvise(last, size, MADV_NOHUGEPAGE);
	touch(last, size / 2);
}

VICTIM_NOINLINE static void shrink_map(size_t size)
{
	last_size -= size;
	if (munmap(last + last_size, size))
		_exit(7);
}

static void carry_out(const char *line)
{
	size_t n = victim_number(line, 0, 0);

	if (victim_is(line, "all"))
		make_all(strchr(line, ' ') + 1);
	else if (victim_is(line, "leak") || victim_is(line, "fragment"))
		fill(n, victim_is(line, "leak"));
	else if (victim_is(line, "untouched"))
		VICTIM_USE(malloc(n << 20));
	else if (victim_is(line, "map"))
		grow_map(n << 10);
	else if (victim_is(line, "unmap"))
		shrink_map(n << 10);
	else if (victim_is(line, "shrink"))
		malloc_trim(0);
	else if (victim_is(line, "spin"))
		start(spin);
	else
		_exit(6);
	victim_done(victim_is(line, "all") ? "all" : line);
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line)))
		carry_out(line);
	return 0;
}
