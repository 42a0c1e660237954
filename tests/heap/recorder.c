// SPDX-License-Identifier: Apache-2.0
/*
 * Writes down every block that a program has: stands in front of its allocator, as a preloaded library or linked with
 * --wrap (RECORDER_WRAPS), and keeps {address, size} in a file that a test compares with what an allocator model sees.
 *
 * RECORDER_FILE names the file, which holds SLOTS pairs of words: the complement of an address, so that no word of it
 * looks like a pointer to the block, and a size. Empty slots are zeros, those that were used once have address 1. A
 * child of the program records nothing. Everything of the program goes through here, what libc allocates for itself
 * included.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 1 << 22 };

struct slot {
	uint64_t addr, size;
};

static struct slot *slots;
static bool is_lock_taken, is_opened;

#ifdef RECORDER_WRAPS
#define NAME(fn) __wrap_##fn
void *__real_malloc(size_t);
void __real_free(void *);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_aligned_alloc(size_t, size_t);
#define REAL(fn) __real_##fn
#else
#define NAME(fn) fn
static struct {
	void *(*malloc)(size_t);
	void (*free)(void *);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*aligned_alloc)(size_t, size_t);
} real;
#define REAL(fn) (resolve(), real.fn)
static void resolve(void)
{
	if (real.aligned_alloc)
		return;
	real.malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	real.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	real.calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	real.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	real.aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
}
#endif

static void lock(void)
{
	while (__atomic_test_and_set(&is_lock_taken, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(void)
{
	__atomic_clear(&is_lock_taken, __ATOMIC_RELEASE);
}

static void in_child(void)
{
	slots = NULL;
}

/* Holding the lock. */
static void open_file(void)
{
	const char *path = getenv("RECORDER_FILE");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	is_opened = true;
	if (fd < 0 || ftruncate(fd, SLOTS * sizeof(struct slot)))
		return;
	void *map = mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		slots = map;
}

__attribute__((constructor)) static void start(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

static size_t home(uint64_t addr)
{
	return (size_t)(addr * 0x9e3779b97f4a7c15u >> 42);
}

static void add(void *addr, size_t size)
{
	if (!addr)
		return;
	lock();
	if (!is_opened)
		open_file();
	if (slots) {
		size_t i = home((uintptr_t)addr);
		for (size_t n = 0; slots[i].addr > 1 && n < SLOTS; n++)
			i = (i + 1) % SLOTS;
		if (slots[i].addr > 1)
			abort(); /* full: a truth that is not whole is none */
		slots[i] = (struct slot){~(uint64_t)(uintptr_t)addr, size};
	}
	unlock();
}

/* The slot becomes 1: it was used. */
static size_t take(void *addr)
{
	size_t size = 0;

	lock();
	for (size_t i = home((uintptr_t)addr), n = 0; slots && slots[i].addr && n < SLOTS; i = (i + 1) % SLOTS, n++) {
		if (slots[i].addr != ~(uint64_t)(uintptr_t)addr)
			continue;
		size = slots[i].size;
		slots[i] = (struct slot){1, 0};
		break;
	}
	unlock();
	return size;
}

void *NAME(malloc)(size_t size)
{
	void *p = REAL(malloc)(size);
	add(p, size);
	return p;
}

void NAME(free)(void *p)
{
	int err = errno;

	if (p)
		take(p);
	REAL(free)(p);
	errno = err;
}

void *NAME(calloc)(size_t nr, size_t size)
{
	void *p = REAL(calloc)(nr, size);
	if (p)
		take(p); /* a static musl's calloc comes through malloc above */
	add(p, nr * size);
	return p;
}

void *NAME(realloc)(void *old, size_t size)
{
	size_t old_size = old ? take(old) : 0;
	void *p = REAL(realloc)(old, size);

	if (!p && old && size)
		add(old, old_size);
	add(p, size);
	return p;
}

void *NAME(aligned_alloc)(size_t align, size_t size)
{
	void *p = REAL(aligned_alloc)(align, size);
	add(p, size);
	return p;
}

void *NAME(memalign)(size_t align, size_t size)
{
	return NAME(aligned_alloc)(align, size);
}

int NAME(posix_memalign)(void **ret, size_t align, size_t size)
{
	void *p = NAME(aligned_alloc)(align, size);
	if (p)
		*ret = p;
	return p ? 0 : ENOMEM;
}

#ifndef RECORDER_WRAPS
void *reallocarray(void *old, size_t nr, size_t size)
{
	return nr && size > SIZE_MAX / nr ? NULL : realloc(old, nr * size);
}

void *valloc(size_t size)
{
	return aligned_alloc(4096, size);
}

/* C++: operator new and delete, plain, sized, nothrow, aligned; the allocators have their own that know no malloc. */
#define NEW(name)    void *name(size_t size)
#define DELETE(name) void name(void *p)
NEW(_Znwm) __attribute__((alias("malloc")));
NEW(_Znam) __attribute__((alias("malloc")));
NEW(_ZnwmRKSt9nothrow_t) __attribute__((alias("malloc")));
NEW(_ZnamRKSt9nothrow_t) __attribute__((alias("malloc")));
DELETE(_ZdlPv) __attribute__((alias("free")));
DELETE(_ZdaPv) __attribute__((alias("free")));
DELETE(_ZdlPvm) __attribute__((alias("free")));
DELETE(_ZdaPvm) __attribute__((alias("free")));
DELETE(_ZdlPvRKSt9nothrow_t) __attribute__((alias("free")));
DELETE(_ZdaPvRKSt9nothrow_t) __attribute__((alias("free")));
DELETE(_ZdlPvSt11align_val_t) __attribute__((alias("free")));
DELETE(_ZdaPvSt11align_val_t) __attribute__((alias("free")));
DELETE(_ZdlPvmSt11align_val_t) __attribute__((alias("free")));
DELETE(_ZdaPvmSt11align_val_t) __attribute__((alias("free")));

void *_ZnwmSt11align_val_t(size_t size, size_t align)
{
	return aligned_alloc(align, size);
}

void *_ZnamSt11align_val_t(size_t size, size_t align)
{
	return aligned_alloc(align, size);
}
#endif
