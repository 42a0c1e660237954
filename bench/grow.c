// SPDX-License-Identifier: Apache-2.0
/*
 * What one page fault, or one system call that maps nothing, costs its thread: grow fault|syscall. Prints as pair does,
 * after each 100 ms of the thread's own CPU time
 *
 *   SECONDS 0 NS_EACH COUNT
 *
 * A fault is the first write to a page of a mapping of 4 MiB, with its part of mmap() and munmap().
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW_NS = 100000000, PAGE = 4096, NR_PAGES = 1024 };

static uint64_t read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((noinline)) static void fault(void)
{
	char *p = mmap(NULL, (size_t)NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < NR_PAGES; i++)
		((volatile char *)p)[i * PAGE] = 1;
	munmap(p, (size_t)NR_PAGES * PAGE);
}

__attribute__((noinline)) static void call(void)
{
	for (unsigned i = 0; i < NR_PAGES; i++)
		syscall(SYS_getppid);
}

int main(int argc, char **argv)
{
	void (*work)(void) = argc == 2 && !strcmp(argv[1], "fault") ? fault : call;

	if (argc != 2 || (work == call && strcmp(argv[1], "syscall") != 0)) {
		fputs("usage: grow fault|syscall\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		uint64_t begin = read_ns(CLOCK_THREAD_CPUTIME_ID), spent = 0, nr = 0;
		for (; spent < WINDOW_NS; nr += NR_PAGES) {
			work();
			spent = read_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
		}
		if (printf("%.6f 0 %.2f %llu\n", (double)read_ns(CLOCK_MONOTONIC) / 1e9, (double)spent / (double)nr,
			   (unsigned long long)nr) < 0 ||
		    fflush(stdout))
			return 0;
	}
}
