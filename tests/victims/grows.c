/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grows by known numbers of pages on known paths. Commands work on one mapping; N is in pages.
 *	map N		by mmap(), nothing touched
 *	touch N		the first N pages are written, by first()
 *	again N		the same by second()
 *	forget N	the first N pages go back by madvise()
 *	unmap N		the first N pages are unmapped; the mapping begins behind them
 *	read N		the kernel writes the first N pages: read()
 *	fork		a child is born and ends; meanwhile the parent writes all that it has touched
 *	populate N	another mapping, which the kernel fills by itself
 *	huge		a huge page, one byte of it written; {"event":"huge","size":bytes in memory}
 *	brk N		by brk(2) itself, nothing touched
 *	churn N		a mapping of N pages comes, is written and goes, a hundred times
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "victim.h"

enum { PAGE = 4096, HUGE = 2 << 20 };

static char *at;
static size_t nr_touched;

static char *map(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		_exit(7);
	return p;
}

static void touch(char *p, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		((volatile char *)p)[i * PAGE]++;
}

VICTIM_NOINLINE static void first(size_t nr)
{
	touch(at, nr);
	VICTIM_USE(at);
}

VICTIM_NOINLINE static void second(size_t nr)
{
	touch(at, nr);
	VICTIM_USE(at);
}

VICTIM_NOINLINE static void fresh(size_t nr)
{
	at = map(nr * PAGE, 0);
	madvise(at, nr * PAGE, MADV_NOHUGEPAGE);
}

VICTIM_NOINLINE static void filled(size_t nr)
{
	VICTIM_USE(map(nr * PAGE, MAP_POPULATE));
}

VICTIM_NOINLINE static void read_into(size_t nr)
{
	int fd = open("/dev/zero", O_RDONLY);

	if (fd < 0 || read(fd, at, nr * PAGE) != (ssize_t)(nr * PAGE))
		_exit(7);
	close(fd);
}

VICTIM_NOINLINE static void write_shared(void)
{
	int ready[2], done[2];
	char c;

	if (pipe(ready) || pipe(done))
		_exit(7);
	pid_t child = fork();
	if (!child) {
		close(done[1]);
		_exit(read(done[0], &c, 1) != 0);
	}
	touch(at, nr_touched);
	close(done[0]);
	close(done[1]);
	close(ready[0]);
	close(ready[1]);
	waitpid(child, NULL, 0);
}

VICTIM_NOINLINE static void huge(void)
{
	char *p = map(2 * HUGE, 0);
	char *aligned = (char *)(((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	unsigned char there[HUGE / PAGE];
	size_t nr = 0;

	madvise(aligned, HUGE, MADV_HUGEPAGE);
	aligned[5 * PAGE] = 1;
	if (mincore(aligned, HUGE, there))
		_exit(7);
	for (size_t i = 0; i < HUGE / PAGE; i++)
		nr += there[i] & 1;
	victim_say("{\"event\":\"huge\",\"size\":%zu}\n", nr * PAGE);
}

VICTIM_NOINLINE static void by_brk(size_t nr)
{
	uintptr_t now = (uintptr_t)syscall(SYS_brk, 0);

	if ((uintptr_t)syscall(SYS_brk, now + nr * PAGE) != now + nr * PAGE)
		_exit(7);
}

VICTIM_NOINLINE static void churn(size_t nr)
{
	for (int i = 0; i < 100; i++) {
		char *p = map(nr * PAGE, 0);
		touch(p, nr);
		munmap(p, nr * PAGE);
	}
}

static void carry_out(const char *line)
{
	size_t n = victim_number(line, 0, 0);

	if (victim_is(line, "map"))
		fresh(n);
	else if (victim_is(line, "touch"))
		first(nr_touched = n);
	else if (victim_is(line, "again"))
		second(n);
	else if (victim_is(line, "forget"))
		madvise(at, n * PAGE, MADV_DONTNEED);
	else if (victim_is(line, "unmap"))
		at += munmap(at, n * PAGE) ? 0 : n * PAGE;
	else if (victim_is(line, "read"))
		read_into(n);
	else if (victim_is(line, "fork"))
		write_shared();
	else if (victim_is(line, "populate"))
		filled(n);
	else if (victim_is(line, "huge"))
		huge();
	else if (victim_is(line, "brk"))
		by_brk(n);
	else if (victim_is(line, "churn"))
		churn(n);
	else
		_exit(6);
	victim_done(line);
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line)))
		carry_out(line);
	return 0;
}
