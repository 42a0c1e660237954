// SPDX-License-Identifier: Apache-2.0
/*
 * What the allocator models see in a process: heapwalk PID [RECORDING]. Stops the process meanwhile.
 *
 * Prints a line for each model, `model NAME used N bytes B free N bytes B regions N`, and `gave-up NAME: why`; then the
 * losses, the blocks that are not reached, and the classes, `leaked N`, `possible N`. With what recorder.c wrote it
 * compares: `truth N`, `missing N` (recorded, not seen in use), `extra N` (seen in use, not recorded), `short N`
 * (smaller than asked for), each with the first few.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "heap/heap.h"

enum { MAX_THREADS = 4096, SHOWN = 6 };

struct slot {
	uint64_t addr, size;
};

struct target {
	struct sp_proc *proc;
	struct sp_maps maps;
	struct sp_heap_thread threads[MAX_THREADS];
	uint64_t words[MAX_THREADS * 27];
	struct sp_heap_source source;
	struct sp_pagemap pagemap;
};

static struct target target;

static ssize_t read_mem(void *arg, uint64_t addr, void *buf, size_t len)
{
	return sp_proc_read_mem(arg, (sp_raddr){addr}, buf, len);
}

static enum sp_heap_pages pages(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	const struct sp_mapping *m = sp_maps_find(&target.maps, addr);

	(void)arg;
	if (m && end > m->end)
		end = m->end;
	switch (sp_pagemap_run(&target.pagemap, addr, end, ret_end)) {
	case SP_PAGE_NONE:
		return m && m->inode ? SP_HEAP_PAGES_RESIDENT : SP_HEAP_PAGES_EMPTY;
	case SP_PAGE_SWAPPED:
		return SP_HEAP_PAGES_AWAY;
	default:
		return SP_HEAP_PAGES_RESIDENT;
	}
}

static void add_thread(pid_t tid)
{
	struct sp_heap_source *s = &target.source;
	struct user_regs_struct regs;
	struct iovec io = {.iov_base = &regs, .iov_len = sizeof(regs)};

	if (s->nr_threads == MAX_THREADS || ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
	    waitpid(tid, NULL, __WALL) != tid || ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io))
		return;
	target.threads[s->nr_threads++] = (struct sp_heap_thread){.tid = tid,
								  .sp = regs.rsp,
								  .fs = getenv("HEAPWALK_NO_FS") ? 0 : regs.fs_base,
								  .first = s->nr_words,
								  .nr = sizeof(regs) / 8};
	memcpy(target.words + s->nr_words, &regs, sizeof(regs));
	s->nr_words += sizeof(regs) / 8;
}

static int stop(pid_t pid)
{
	char path[64];
	struct dirent *e;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			add_thread((pid_t)strtol(e->d_name, NULL, 10));
	if (d)
		closedir(d);
	return target.source.nr_threads ? 0 : -ESRCH;
}

static int open_target(pid_t pid, struct sp_why *why)
{
	int rc = sp_proc_open(NULL, pid, &target.proc, why);

	if (rc == 0)
		rc = stop(pid);
	if (rc == 0)
		rc = sp_proc_maps(target.proc, &target.maps, why);
	if (rc == 0)
		rc = sp_pagemap_open(sp_proc_dirfd(target.proc), &target.pagemap);
	target.source.read = read_mem;
	target.source.pages = getenv("HEAPWALK_NO_PAGES") ? NULL : pages;
	target.source.arg = target.proc;
	target.source.maps = &target.maps;
	target.source.threads = target.threads;
	target.source.words = target.words;
	return rc;
}

/* ---- comparing ---- */

struct comparison {
	const struct slot *slots;
	size_t nr_slots;
	const struct sp_heap *heap;
	struct sp_u64map truth; /* address -> size */
	unsigned long nr_extra, nr_short, nr_missing, classes[8];
};

static int compare_block(const struct sp_heap_block *b, void *arg)
{
	struct comparison *c = arg;

	c->classes[b->class]++;
	if (b->class == SP_HEAP_LEAKED || b->class == SP_HEAP_POSSIBLE || b->class == SP_HEAP_INDIRECT)
		printf("block 0x%llx size %llu %s\n", (unsigned long long)b->addr, (unsigned long long)b->size,
		       b->class == SP_HEAP_LEAKED     ? "leaked"
		       : b->class == SP_HEAP_POSSIBLE ? "possible"
						      : "indirect");
	if (!c->slots)
		return 0;
	const uint64_t *size = sp_u64map_find(&c->truth, b->addr);
	if (!size && c->nr_extra++ < SHOWN)
		printf("# extra 0x%llx size %llu class %d\n", (unsigned long long)b->addr, (unsigned long long)b->size,
		       (int)b->class);
	if (size && *size > b->size && c->nr_short++ < SHOWN)
		printf("# short 0x%llx: %llu, asked for %llu\n", (unsigned long long)b->addr,
		       (unsigned long long)b->size, (unsigned long long)*size);
	return 0;
}

static void compare_recorded(struct comparison *c)
{
	for (size_t i = 0; i < c->nr_slots; i++) {
		uint64_t addr = ~c->slots[i].addr;
		struct sp_heap_block b;

		if (c->slots[i].addr <= 1 || (sp_heap_find(c->heap, addr, &b) && b.addr == addr))
			continue;
		if (c->nr_missing++ < SHOWN)
			printf("# missing 0x%llx size %llu\n", (unsigned long long)addr,
			       (unsigned long long)c->slots[i].size);
	}
}

static int load_recording(struct comparison *c, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	c->nr_slots = (size_t)st.st_size / sizeof(struct slot);
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	c->slots = map;
	for (size_t i = 0; i < c->nr_slots; i++) {
		int rc = c->slots[i].addr > 1 ? sp_u64map_set(&c->truth, ~c->slots[i].addr, c->slots[i].size) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void print_models(const struct sp_heap *h)
{
	for (unsigned i = 0; i < sp_heap_nr_models(h); i++) {
		const struct sp_heap_model_info *m = sp_heap_model_info(h, i);

		printf("model %s used %llu bytes %llu free %llu bytes %llu regions %llu\n", m->name,
		       (unsigned long long)m->used_blocks, (unsigned long long)m->used_bytes,
		       (unsigned long long)m->free_blocks, (unsigned long long)m->free_bytes,
		       (unsigned long long)m->nr_regions);
		if (m->gave_up[0])
			printf("gave-up %s: %s\n", m->name, m->gave_up);
	}
}

static void print_lost(const struct sp_heap *h)
{
	struct sp_heap_lost lost;

	sp_heap_lost(h, &lost);
	printf("away %llu\nunreadable %llu\nunjudged %llu\nthreads-unknown %llu\n", (unsigned long long)lost.away_bytes,
	       (unsigned long long)lost.unreadable_bytes, (unsigned long long)lost.unjudged_bytes,
	       (unsigned long long)lost.threads_unknown);
}

static unsigned long ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

int main(int argc, char **argv)
{
	struct sp_why why = {0};
	struct sp_heap *heap = NULL;
	struct comparison c = {0};

	if (argc < 2)
		return 2;
	sp_u64map_init(&c.truth, 8 << 20);
	int rc = open_target((pid_t)strtol(argv[1], NULL, 10), &why);
	unsigned long begin = ms();
	if (rc == 0)
		rc = sp_heap_open(&target.source, NULL, &heap, &why);
	unsigned long walked = ms();
	if (rc == 0)
		rc = sp_heap_mark(heap, &why);
	if (rc == 0 && argc > 2)
		rc = load_recording(&c, argv[2]);
	if (rc < 0) {
		fprintf(stderr, "heapwalk: %s: %s\n", strerror(-rc), why.what);
		return 3;
	}
	printf("walk-ms %lu\nmark-ms %lu\n", walked - begin, ms() - walked);
	print_models(heap);
	print_lost(heap);
	c.heap = heap;
	sp_heap_for_each(heap, compare_block, &c);
	compare_recorded(&c);
	printf("leaked %lu\npossible %lu\nindirect %lu\nreached %lu\n", c.classes[SP_HEAP_LEAKED],
	       c.classes[SP_HEAP_POSSIBLE], c.classes[SP_HEAP_INDIRECT], c.classes[SP_HEAP_REACHED]);
	if (c.slots)
		printf("truth %zu\nmissing %lu\nextra %lu\nshort %lu\n", c.truth.nr, c.nr_missing, c.nr_extra,
		       c.nr_short);
	sp_heap_close(heap);
	sp_u64map_done(&c.truth);
	return 0;
}
