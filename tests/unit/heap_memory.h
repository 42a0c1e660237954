/* SPDX-License-Identifier: Apache-2.0 */
/* A process' memory made by hand: three mappings of one size each, and recorded blocks in one of them. */
#ifndef SEEP_TESTS_HEAP_MEMORY_H
#define SEEP_TESTS_HEAP_MEMORY_H

#include "heap/heap.h"

#define DATA UINT64_C(0x555555000000)
#define HEAP UINT64_C(0x555556000000)
#define ANON UINT64_C(0x7ffff0000000)

enum { SIZE = 64 << 10, WORDS = SIZE / 8, NR_MAPS = 3, PAGE = 4096 };

static const char maps_text[] = "555555000000-555555010000 rw-p 00000000 08:01 42 /lib/libc.so.6\n"
				"555556000000-555556010000 rw-p 00000000 00:00 0 [heap]\n"
				"7ffff0000000-7ffff0010000 rw-p 00000000 00:00 0 \n";
static const uint64_t bases[NR_MAPS] = {DATA, HEAP, ANON};

struct memory {
	uint64_t words[NR_MAPS][WORDS];
	struct sp_maps maps;
	struct sp_heap_source src;
	uint64_t random; /* state; 0: nothing is left to chance */
};

static uint64_t next_random(struct memory *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random;
}

static uint64_t *word_at(struct memory *m, uint64_t addr)
{
	for (size_t i = 0; i < NR_MAPS; i++)
		if (addr >= bases[i] && addr < bases[i] + SIZE)
			return &m->words[i][(addr - bases[i]) / 8];
	fail_msg("no memory at %#llx", (unsigned long long)addr);
	return NULL;
}

/* Of hostile memory some reads fail or are short. */
static ssize_t read_memory(void *arg, uint64_t addr, void *buf, size_t len)
{
	struct memory *m = arg;

	if (m->random && next_random(m) % 64 == 0)
		return -EIO;
	if (m->random && next_random(m) % 64 == 0)
		len = 1 + len / 2;
	for (size_t i = 0; i < NR_MAPS; i++) {
		if (addr < bases[i] || addr >= bases[i] + SIZE)
			continue;
		if (len > bases[i] + SIZE - addr)
			len = (size_t)(bases[i] + SIZE - addr);
		memcpy(buf, (const char *)m->words[i] + (addr - bases[i]), len);
		return (ssize_t)len;
	}
	return -EIO;
}

static struct memory *memory_new(void)
{
	struct memory *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	assert_int_equal(sp_maps_parse(maps_text, sizeof(maps_text) - 1, &m->maps), 0);
	m->src = (struct sp_heap_source){.read = read_memory, .arg = m, .maps = &m->maps};
	return m;
}

static void memory_free(struct memory *m)
{
	sp_maps_done(&m->maps);
	free(m);
}

static struct sp_heap *scan(const struct sp_heap_source *src)
{
	struct sp_why why = {0};
	struct sp_heap *h;

	assert_int_equal(sp_heap_open(src, NULL, &h, &why), 0);
	assert_int_equal(sp_heap_mark(h, &why), 0);
	return h;
}

/* ---- blocks in it that somebody has recorded ---- */

enum { BLOCK = 64, STEP = 256, NR_BLOCKS = 10 };

static uint64_t block(unsigned i)
{
	return ANON + (uint64_t)i * STEP;
}

static void record_blocks(struct memory *m, struct sp_heap_recorded list[NR_BLOCKS])
{
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		list[i] = (struct sp_heap_recorded){.addr = block(i), .size = BLOCK};
	m->src.recorded = list;
	m->src.nr_recorded = NR_BLOCKS;
}

#endif
