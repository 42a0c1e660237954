// SPDX-License-Identifier: Apache-2.0
/*
 * A program whose thread stands among the first instructions of calloc() nearly all the time: they push registers onto
 * a stack whose next page is not there, and who asks for it (userfaultfd) gets it late. So a stop finds it where a hook
 * is to go. Talks as tests/unit/inject_inputs/host.c does. Exit status 77: the kernel has no userfaultfd for us,
 * or calloc() begins in another way.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, LATE_US = 20000, PUSHES = 6 };

static atomic_ulong ops, bad;
static atomic_bool stop;
static int uffd;

/* calloc(SIZE_MAX, 16) on another stack: it fails before it needs more than its first pushes. */
static void *ask_on(char *stack)
{
	void *(*volatile ask)(size_t, size_t) = calloc;
	void *got;

	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %[stack], %%rsp\n\t"
			 "call *%[ask]\n\t"
			 "mov %%rbx, %%rsp"
			 : "=a"(got)
			 : [stack] "r"(stack), [ask] "r"(ask), "D"(SIZE_MAX), "S"((size_t)16)
			 : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2",
			   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			   "xmm14", "xmm15");
	return got;
}

/* The stack begins a few words above the missing page: the return address takes one. */
static void *stand(void *arg)
{
	char *brink = arg;
	size_t words = 0;

	while (!atomic_load(&stop)) {
		size_t above = 1 + words++ % PUSHES;
		if (madvise(brink - PAGE, PAGE, MADV_DONTNEED) < 0 || ask_on(brink + above * sizeof(void *)))
			atomic_fetch_add(&bad, 1);
		atomic_fetch_add(&ops, 1);
	}
	return NULL;
}

static void *serve(void *arg)
{
	struct pollfd p = {.fd = uffd, .events = POLLIN};
	struct uffd_msg msg;

	(void)arg;
	while (!atomic_load(&stop)) {
		if (poll(&p, 1, 100) <= 0 || read(uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		usleep(LATE_US);
		struct uffdio_zeropage z = {
		    .range = {.start = msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1), .len = PAGE}};
		(void)ioctl(uffd, UFFDIO_ZEROPAGE, &z);
	}
	return NULL;
}

static bool watch(char *at)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.range = {.start = (uintptr_t)at, .len = PAGE},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0 && ioctl(uffd, UFFDIO_REGISTER, &reg) == 0;
}

/* push %r12 or the like, mov %rdi,%rax, push: the second push is among what a hook moves, as in Debian's glibc. */
static bool has_a_push_to_stand_at(void)
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)calloc;
	const uint8_t mov[] = {0x48, 0x89, 0xf8};

	return code[0] == 0x41 && code[1] >> 3 == 0x50 >> 3 && !memcmp(code + 2, mov, sizeof(mov)) && code[5] == 0x41;
}

int main(void)
{
	pthread_t threads[2];
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Pages: below (calloc may go on there), the one that is missing, above. */
	char *pages = mmap(NULL, 18 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	char *brink = pages + 17 * PAGE;
	if (pages == MAP_FAILED || !has_a_push_to_stand_at() || !watch(brink - PAGE))
		return 77;
	pthread_create(&threads[0], NULL, serve, NULL);
	pthread_create(&threads[1], NULL, stand, brink);
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != 'q') {
		printf("ops %lu eintr 0 bad %lu tracer 0\n", atomic_load(&ops), atomic_load(&bad));
		fflush(stdout);
	}
	atomic_store(&stop, true);
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
	return atomic_load(&bad) ? 1 : 7;
}
