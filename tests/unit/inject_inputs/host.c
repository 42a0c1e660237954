/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program to act in: host ALLOCATORS IDLERS [waiters]. It works on hot allocators in some threads, sleeps in others,
 * and knows when something was done to it. Commands on stdin, one byte each, answered by a line: t   talk: "ops N eintr
 * N bad N tracer N"; ops grows while it lives f   fork a child that allocates and ends: "child STATUS" q   end:
 * everything is joined and checked; exit status 7 when all was well
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 64, MAX_THREADS = 512, TIMEOUT_MS = 15 };

static atomic_ulong ops, eintr, bad;
static atomic_bool stop;
static int sem_id = -1, epoll_fd = -1, pair[2];

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void *get(unsigned kind, size_t size)
{
	void *p = NULL;

	switch (kind % 4) {
	case 0:
		return calloc(1, size);
	case 1:
		return posix_memalign(&p, 64, size) ? NULL : p;
	default:
		return malloc(size);
	}
}

/* Each block is filled with its slot's number, which must still be there when it goes. */
static void check(const unsigned char *p, size_t size, unsigned char want)
{
	if (p[0] != want || p[size / 2] != want || p[size - 1] != want)
		atomic_fetch_add(&bad, 1);
}

static void *allocator(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	unsigned char *p[SLOTS] = {0};
	size_t size[SLOTS] = {0};

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned i = next(&seed) % SLOTS;
		if (p[i]) {
			check(p[i], size[i], (unsigned char)i);
			if (next(&seed) % 8 == 0) {
				size[i] = 1 + next(&seed) % 3000;
				p[i] = realloc(p[i], size[i]);
				memset(p[i], (int)i, size[i]);
				continue;
			}
			free(p[i]);
			p[i] = NULL;
		} else {
			size[i] = 1 + next(&seed) % 2000;
			p[i] = get(next(&seed), size[i]);
			memset(p[i], (int)i, size[i]);
		}
		atomic_fetch_add_explicit(&ops, 1, memory_order_relaxed);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		if (p[i])
			check(p[i], size[i], (unsigned char)i);
		free(p[i]);
	}
	return NULL;
}

static void *idler(void *arg)
{
	int word = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		struct timespec ts = {.tv_nsec = 200000000};
		if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0) < 0 && errno == EINTR)
			atomic_fetch_add(&eintr, 1);
	}
	return NULL;
}

/* ---- calls that wait: none of them may say EINTR, since no signal is ever sent ---- */

static int wait_epoll(void)
{
	struct epoll_event ev;
	return epoll_wait(epoll_fd, &ev, 1, TIMEOUT_MS);
}

static int wait_semop(void)
{
	struct sembuf op = {.sem_op = -1};
	struct timespec ts = {.tv_nsec = TIMEOUT_MS * 1000000};
	return semtimedop(sem_id, &op, 1, &ts);
}

static int wait_nanosleep(void)
{
	struct timespec ts = {.tv_nsec = TIMEOUT_MS * 1000000};
	return nanosleep(&ts, NULL);
}

static int wait_select(void)
{
	struct timeval tv = {.tv_usec = TIMEOUT_MS * 1000};
	return select(0, NULL, NULL, NULL, &tv);
}

static int wait_poll(void)
{
	return poll(NULL, 0, TIMEOUT_MS);
}

static int wait_futex(void)
{
	static int word;
	struct timespec ts = {.tv_nsec = TIMEOUT_MS * 1000000};
	return (int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
}

static int wait_recv(void)
{
	char c;
	return (int)recv(pair[0], &c, 1, 0); /* has a timeout */
}

static int wait_read(void)
{
	char c;
	return (int)read(pair[0], &c, 1);
}

static int wait_signal(void)
{
	sigset_t set;
	struct timespec ts = {.tv_nsec = TIMEOUT_MS * 1000000};
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &ts);
}

static int (*const WAITS[])(void) = {wait_epoll, wait_semop, wait_nanosleep, wait_select, wait_poll,
				     wait_futex, wait_recv,  wait_read,      wait_signal};
enum { NR_WAITS = sizeof(WAITS) / sizeof(WAITS[0]) };

static void *waiter(void *arg)
{
	int (*wait)(void) = WAITS[(uintptr_t)arg % NR_WAITS];

	while (!atomic_load(&stop))
		if (wait() < 0 && errno == EINTR)
			atomic_fetch_add(&eintr, 1);
	return NULL;
}

static void set_up_waits(void)
{
	struct timeval tv = {.tv_usec = TIMEOUT_MS * 1000};

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sem_id = semget(IPC_PRIVATE, 1, 0600);
	if (epoll_fd < 0 || sem_id < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0)
		_exit(3);
}

/* ---- talking ---- */

static long tracer(void)
{
	char line[256];
	long pid = -1;

	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %ld", &pid) == 1)
			break;
	if (f)
		fclose(f);
	return pid;
}

static void fork_one(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		unsigned seed = 1;
		for (int i = 0; i < 1000; i++)
			free(get(next(&seed), 1 + next(&seed) % 5000));
		_exit(5);
	}
	waitpid(pid, &status, 0);
	printf("child %d\n", status);
}

static int talk(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != 'q') {
		if (c == 't')
			printf("ops %lu eintr %lu bad %lu tracer %ld\n", atomic_load(&ops), atomic_load(&eintr),
			       atomic_load(&bad), tracer());
		if (c == 'f')
			fork_one();
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static pthread_t threads[MAX_THREADS];
	unsigned nr = 0;
	unsigned nr_allocators = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
	unsigned nr_idlers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	unsigned nr_waiters = argc > 3 ? NR_WAITS : 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (nr_allocators + nr_idlers + nr_waiters > MAX_THREADS)
		return 2;
	if (nr_waiters)
		set_up_waits();
	for (uintptr_t i = 0; i < nr_allocators; i++)
		nr += !pthread_create(&threads[nr], NULL, allocator, (void *)(i + 1));
	for (uintptr_t i = 0; i < nr_idlers; i++)
		nr += !pthread_create(&threads[nr], NULL, idler, NULL);
	for (uintptr_t i = 0; i < nr_waiters; i++)
		nr += !pthread_create(&threads[nr], NULL, waiter, (void *)i);
	printf("ready\n");
	fflush(stdout);
	talk();
	atomic_store(&stop, true);
	for (unsigned i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	if (sem_id >= 0)
		semctl(sem_id, 0, IPC_RMID);
	if (atomic_load(&bad) || atomic_load(&eintr)) {
		printf("end: eintr %lu bad %lu\n", atomic_load(&eintr), atomic_load(&bad));
		return 1;
	}
	return 7;
}
