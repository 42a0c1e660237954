// SPDX-License-Identifier: Apache-2.0
/*
 * The agent in this very process, put there as the injector would: its code copied to a region of its own, a data
 * region in a memfd, row tables of ourselves. Instead of patched functions there are stubs to call:
 * fix->hooks[FN_MALLOC] is malloc as a program with a hooked malloc would have it.
 */
#ifndef SEEP_TESTS_AGENT_FIXTURE_H
#define SEEP_TESTS_AGENT_FIXTURE_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pure/agent.h"
#include "unwind/unwind.h"

#define FIX_MUST(x)                                                                                                    \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, strerror(errno));                   \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#define FIX_MAX_HOOKS  24
#define FIX_STUB_BYTES 32

struct fixture {
	const struct sp_agent_blob *blob;
	struct sp_agent_limits limits;
	uint8_t *code;
	struct sp_agent_config *config;
	struct sp_agent_ctl *ctl;
	uint8_t *data;
	uint64_t data_bytes;
	int fd;
	struct sp_agent_header *header;
	struct sp_agent_hook *hooks;
	uint8_t *stubs;
	unsigned nr_hooks;
	uint32_t row0; /* of the next publication */
};

static inline void *fix_area(const struct fixture *f, enum sp_agent_area which)
{
	return (void *)f->config->areas[which];
}

/* A function that enters the agent for `original`. Not static fallback: see fix_hook_new(). */
static inline void *fix_hook(struct fixture *f, enum sp_fn_kind kind, unsigned size_arg, void *original)
{
	unsigned n = f->nr_hooks++;
	struct sp_agent_hook *h = &f->hooks[n];
	uint8_t *stub = f->stubs + (size_t)n * FIX_STUB_BYTES;
	uint64_t entry = (uint64_t)f->code + f->blob->entries[kind];

	FIX_MUST(n < FIX_MAX_HOOKS && f->blob->entries[kind]);
	*h = (struct sp_agent_hook){
	    .original = (uint64_t)original, .kind = (uint8_t)kind, .size_arg = (uint8_t)size_arg};
	memcpy(stub, "\x49\xbb", 2); /* mov $h, %r11 */
	memcpy(stub + 2, &h, 8);
	memcpy(stub + 10, "\xff\x25\0\0\0", 6); /* jmp *0(%rip) */
	memcpy(stub + 16, &entry, 8);
	return stub;
}

static inline void *fix_hook_new(struct fixture *f, void *original, void *nothrow)
{
	void *stub = fix_hook(f, nothrow ? SP_KIND_NEW : SP_KIND_PASSED, 0, original);

	f->hooks[f->nr_hooks - 1].fallback = (uint64_t)nothrow;
	return stub;
}

/* ---- rows ---- */

static inline struct sp_unwind *fix_own_tables(void)
{
	pid_t child = fork(); /* a process cannot open itself */
	struct sp_unwind *u;
	struct sp_proc *p;
	struct sp_maps maps;

	if (!child)
		for (;;)
			pause();
	FIX_MUST(child > 0);
	FIX_MUST(!sp_proc_open(NULL, child, &p, NULL));
	FIX_MUST(!sp_unwind_new(1 << 22, &u));
	FIX_MUST(!sp_proc_maps(p, &maps, NULL));
	FIX_MUST(!sp_unwind_update(u, p, &maps));
	sp_maps_done(&maps);
	sp_proc_close(p);
	FIX_MUST(!kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
	return u;
}

/* The ranges of u with the agent's own in its place. Its rows come first in the pool. */
static inline void fix_publish(struct fixture *f, const struct sp_unwind *u)
{
	uint32_t gen = f->header->gen + 1, nr = 0;
	struct sp_row_range *to = (struct sp_row_range *)fix_area(f, SP_AGENT_RANGES) + (gen & 1) * SP_AGENT_MAX_RANGES;
	struct sp_row *rows = fix_area(f, SP_AGENT_ROWS);
	size_t nr_rows, nr_ranges;
	const struct sp_row *from = sp_unwind_rows(u, &nr_rows);
	const struct sp_row_range *ranges = sp_unwind_ranges(u, &nr_ranges);

	FIX_MUST(f->blob->nr_rows + nr_rows <= f->limits.max_rows);
	memcpy(rows, f->blob->rows, f->blob->nr_rows * sizeof(*rows));
	memcpy(rows + f->blob->nr_rows, from, nr_rows * sizeof(*rows));
	for (size_t i = 0; i < nr_ranges; i++) {
		if (ranges[i].start == (uint64_t)f->code)
			continue; /* as the maps know it: without rows */
		to[nr] = ranges[i];
		to[nr++].row0 += f->blob->nr_rows;
	}
	struct sp_row_range own = {.start = (uint64_t)f->code,
				   .end = (uint64_t)f->code + f->blob->code_bytes,
				   .base = (uint64_t)f->code,
				   .nr_rows = f->blob->nr_rows};
	uint32_t at = nr;
	while (at && to[at - 1].start > own.start) {
		to[at] = to[at - 1];
		at--;
	}
	to[at] = own;
	f->header->nr_ranges[gen & 1] = nr + 1;
	if (gen % SP_AGENT_ROW_CACHE_GENS == 0)
		memset(fix_area(f, SP_AGENT_ROW_CACHE), 0, 8u << SP_AGENT_ROW_CACHE_BITS);
	__atomic_store_n(&f->header->gen, gen, __ATOMIC_SEQ_CST);
}

/* ---- making and unmaking ---- */

static inline void fix_main_stack(uint64_t *lo, uint64_t *hi)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "[stack]"))
			FIX_MUST(sscanf(line, "%lx-%lx", lo, hi) == 2);
	FIX_MUST(*hi);
	*lo = *hi - (8 << 20);
	fclose(maps);
}

static inline struct sp_agent_limits fix_limits(void)
{
	return (struct sp_agent_limits){
	    .max_rows = 1 << 22, .max_nodes = 1 << 20, .hash_bits = 16, .thread_bits = 10, .max_shadows = 256};
}

static inline void fix_map(struct fixture *f)
{
	uint64_t offsets[SP_AGENT_NR_AREAS];

	FIX_MUST(sp_agent_limits_are_good(&f->limits));
	f->data_bytes = sp_agent_layout(&f->limits, offsets);
	f->fd = memfd_create("agent", MFD_CLOEXEC);
	FIX_MUST(f->fd >= 0 && !ftruncate(f->fd, (off_t)f->data_bytes));
	f->data = mmap(NULL, f->data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
	f->code =
	    mmap(NULL, f->blob->code_bytes + SP_AGENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	f->stubs = mmap(NULL, SP_AGENT_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	f->hooks = calloc(FIX_MAX_HOOKS, sizeof(*f->hooks));
	FIX_MUST(f->data != MAP_FAILED && f->code != MAP_FAILED && f->stubs != MAP_FAILED && f->hooks);
	f->header = (struct sp_agent_header *)f->data;
}

/* limits NULL: fix_limits(). Watches at once. */
static inline struct fixture *fix_new(const struct sp_agent_blob *blob, const struct sp_agent_limits *limits,
				      uint32_t flags)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sp_unwind *u;

	FIX_MUST(f);
	f->blob = blob;
	f->limits = limits ? *limits : fix_limits();
	fix_map(f);
	sp_agent_header_begin(f->header, &f->limits);
	memcpy(f->code, blob->bytes, blob->code_bytes);
	f->config = (struct sp_agent_config *)f->code;
	f->ctl = (struct sp_agent_ctl *)(f->code + blob->code_bytes);
	f->config->flags = flags;
	f->config->code = (uint64_t)f->code;
	f->config->code_end = (uint64_t)f->ctl;
	sp_agent_config_place(f->config, &f->limits, (uint64_t)f->data);
	fix_main_stack(&f->config->main_lo, &f->config->main_hi);
	FIX_MUST(!mprotect(f->code, blob->code_bytes, PROT_READ | PROT_EXEC));
	FIX_MUST(!madvise(f->ctl, SP_AGENT_PAGE, MADV_WIPEONFORK));
	u = fix_own_tables();
	fix_publish(f, u);
	sp_unwind_free(u);
	f->ctl->active = 1;
	return f;
}

static inline void fix_free(struct fixture *f)
{
	f->ctl->active = 0;
	munmap(f->code, f->blob->code_bytes + SP_AGENT_PAGE);
	munmap(f->data, f->data_bytes);
	munmap(f->stubs, SP_AGENT_PAGE);
	close(f->fd);
	free(f->hooks);
	free(f);
}

/* ---- what the agent has recorded ---- */

struct fix_block {
	uint64_t addr, size, mean;
	uint32_t node, tick;
};

typedef void fix_block_fn(const struct fix_block *b, void *arg);

static inline void fix_hash_blocks(const struct fixture *f, fix_block_fn *fn, void *arg)
{
	const uint64_t *keys = fix_area(f, SP_AGENT_KEYS);
	const struct sp_agent_value *values = fix_area(f, SP_AGENT_VALUES);

	for (uint64_t i = 0; i < 1ull << f->limits.hash_bits; i++) {
		if (!keys[i] || keys[i] & SP_AGENT_KEY_BUSY)
			continue;
		struct fix_block b = {.addr = keys[i] & ~SP_AGENT_KEY_FLAGS,
				      .size = values[i].size,
				      .mean = values[i].mean,
				      .node = values[i].node,
				      .tick = values[i].tick};
		fn(&b, arg);
	}
}

static inline void fix_chunk_blocks(const struct fixture *f, uint64_t base, uint32_t number, fix_block_fn *fn,
				    void *arg)
{
	uint64_t start =
	    (uint64_t)number * SP_AGENT_SHADOW_BYTES + (f->config->areas[SP_AGENT_SHADOW] - f->config->header);
	off_t at = lseek(f->fd, (off_t)start, SEEK_DATA);
	const uint64_t *words = (const uint64_t *)(f->data + start);

	for (uint64_t i = at < 0 ? UINT64_MAX : ((uint64_t)at - start) / 8; i < SP_AGENT_SHADOW_BYTES / 8; i++) {
		uint64_t w = words[i];
		if (!w || sp_agent_word_is_in_hash(w))
			continue;
		struct fix_block b = {.addr = base + (i << SP_AGENT_GRANULE_SHIFT) + (w & 3) * 8,
				      .size = sp_agent_word_size(w),
				      .node = sp_agent_word_node(w),
				      .tick = sp_agent_word_birth(w, f->header->tick)};
		fn(&b, arg);
	}
}

/* Every block that is recorded, in no order. */
static inline void fix_blocks(const struct fixture *f, fix_block_fn *fn, void *arg)
{
	const uint32_t *chunks = fix_area(f, SP_AGENT_CHUNKS);
	uint64_t start = f->config->areas[SP_AGENT_CHUNKS] - f->config->header;
	off_t at = (off_t)start;

	fix_hash_blocks(f, fn, arg);
	while ((at = lseek(f->fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < start + 4ull * SP_AGENT_NR_CHUNKS) {
		uint64_t first = ((uint64_t)at - start) / 4;
		for (uint64_t i = first; i < first + SP_AGENT_PAGE / 4; i++)
			if (chunks[i])
				fix_chunk_blocks(f, i << SP_AGENT_CHUNK_SHIFT, chunks[i], fn, arg);
		at += SP_AGENT_PAGE;
	}
}

struct fix_sum {
	uint64_t nr, bytes, nr_sampled;
	double scaled_bytes; /* of the sampled ones, by their chances */
};

static inline void fix_add_block(const struct fix_block *b, void *arg)
{
	struct fix_sum *s = arg;

	s->nr++;
	s->bytes += b->size;
	s->nr_sampled += b->mean != 0;
}

static inline struct fix_sum fix_sum(const struct fixture *f)
{
	struct fix_sum s = {0};

	fix_blocks(f, fix_add_block, &s);
	return s;
}

static inline void fix_find_block(const struct fix_block *b, void *arg)
{
	struct fix_block *wanted = arg;

	if (b->addr == wanted->addr)
		*wanted = *b;
}

/* Its size is UINT64_MAX when it is not recorded. */
static inline struct fix_block fix_block_at(const struct fixture *f, const void *p)
{
	struct fix_block b = {.addr = (uint64_t)p, .size = UINT64_MAX};

	fix_blocks(f, fix_find_block, &b);
	return b;
}

/* The pcs of a path, innermost first; *ret_root: what it ends in. */
static inline unsigned fix_path(const struct fixture *f, uint32_t id, uint64_t *pcs, unsigned max, uint32_t *ret_root)
{
	const struct sp_agent_node *nodes = fix_area(f, SP_AGENT_NODES);
	unsigned nr = 0;

	while (id >= SP_AGENT_NR_ROOTS && nr < max) {
		FIX_MUST(id < f->header->nr_nodes && nodes[id].parent < id && nodes[id].ready);
		pcs[nr++] = nodes[id].pc;
		id = nodes[id].parent;
	}
	*ret_root = id;
	return nr;
}

static inline uint64_t fix_lost(const struct fixture *f, enum sp_lost_id id)
{
	const uint64_t *keys = fix_area(f, SP_AGENT_THREAD_KEYS);
	uint64_t n = f->header->lost[id];

	for (uint32_t i = 0; i < 1u << f->limits.thread_bits; i++) {
		const struct sp_agent_thread *t =
		    (const struct sp_agent_thread *)((uint8_t *)fix_area(f, SP_AGENT_THREADS) +
						     (size_t)i * SP_AGENT_THREAD_BYTES);
		if (keys[i])
			n += t->lost[id];
	}
	return n;
}

#endif
