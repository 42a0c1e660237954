// SPDX-License-Identifier: Apache-2.0
/*
 * Takes memory of the machine, one kind for each command, as much as it is told; gives it back when its input ends.
 *	grow KIB MS	that much anonymous memory every so many milliseconds, for ever
 *	settle MIB	anonymous memory, in a second, and then no more
 *	crowd N MIB	so many children, each with that much
 *	reserve GIB	address space, not touched
 *	mapped MIB	shared memory that stays mapped
 *	huge MIB	private huge pages out of the machine's pool
 *	memfd MIB	a file without a name that is written and not mapped
 *	dentries N DIR	looks for so many names that do not exist in DIR, which the kernel remembers
 *	sockets MIB	datagrams that nobody reads: kernel slab
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "victim.h"

#define KIB  ((size_t)1 << 10)
#define MIB  ((size_t)1 << 20)
#define GIB  ((size_t)1 << 30)
#define PAGE 4096

static void fail(const char *what)
{
	victim_say("{\"event\":\"error\",\"what\":\"%s: %s\"}\n", what, strerror(errno));
	_exit(1);
}

static char *map(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	madvise(p, size, MADV_NOHUGEPAGE); /* what is touched is what is taken, page by page */
	return p;
}

static char *take(size_t size, int flags)
{
	char *p = map(size, flags);

	for (size_t at = 0; at < size; at += PAGE)
		p[at] = 1;
	return p;
}

static bool input_ends_within(int ms)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char c;

	return poll(&in, 1, ms) > 0 && read(STDIN_FILENO, &c, 1) <= 0;
}

static void grow(size_t kib, int ms)
{
	while (!input_ends_within(ms))
		take(kib * KIB, MAP_PRIVATE);
}

static void settle(size_t mib)
{
	for (size_t i = 0; i < 20; i++) {
		take(mib * MIB / 20, MAP_PRIVATE);
		usleep(50000);
	}
}

static void crowd(unsigned long nr, size_t mib)
{
	int pipes[2];
	char c;

	if (pipe(pipes))
		fail("pipe");
	for (unsigned long i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (pid > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipes[0]);
		take(mib * MIB, MAP_PRIVATE);
		close(pipes[1]);
		for (;;)
			pause();
	}
	close(pipes[1]);
	(void)!read(pipes[0], &c, 1); /* until the last child has taken its part */
}

static void hold_memfd(size_t mib)
{
	static char block[MIB];
	int fd = memfd_create("hog", MFD_CLOEXEC);

	if (fd < 0)
		fail("memfd_create");
	for (size_t i = 0; i < mib; i++)
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			fail("write");
}

static void look_for(unsigned long nr, const char *dir)
{
	char path[VICTIM_LINE];
	struct stat st;

	for (unsigned long i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/a-name-that-is-too-long-to-stand-in-the-dentry-%lu", dir, i);
		(void)!stat(path, &st);
	}
}

/* A datagram of this size takes a kmalloc-1k beside its head. */
#define DATAGRAM 512
#define ITS_SLAB 1280

static void fill_sockets(size_t mib)
{
	struct rlimit all = {.rlim_cur = 20000, .rlim_max = 20000};
	static char datagram[DATAGRAM];
	size_t left = mib * MIB / ITS_SLAB;
	int pair[2];

	(void)!setrlimit(RLIMIT_NOFILE, &all);
	while (left) {
		size_t before = left;

		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair))
			fail("socketpair");
		while (left && send(pair[0], datagram, sizeof(datagram), 0) == DATAGRAM)
			left--;
		if (left == before)
			fail("send");
	}
}

static void carry_out(const char *line)
{
	const char *last = strrchr(line, ' ');
	size_t n = victim_number(line, 0, 0), m = victim_number(line, 1, 0);

	if (victim_is(line, "settle"))
		settle(n);
	else if (victim_is(line, "crowd"))
		crowd(n, m);
	else if (victim_is(line, "reserve"))
		VICTIM_USE(map(n * GIB, MAP_PRIVATE));
	else if (victim_is(line, "mapped"))
		take(n * MIB, MAP_SHARED);
	else if (victim_is(line, "huge"))
		take(n * MIB, MAP_PRIVATE | MAP_HUGETLB);
	else if (victim_is(line, "memfd"))
		hold_memfd(n);
	else if (victim_is(line, "dentries"))
		look_for(n, last + 1);
	else if (victim_is(line, "sockets"))
		fill_sockets(n);
	else if (!victim_is(line, "grow"))
		fail(line);
	victim_done(line);
	if (victim_is(line, "grow"))
		grow(n, (int)m);
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line)))
		carry_out(line);
	return 0;
}
