// SPDX-License-Identifier: Apache-2.0
/* The heap of a process, on memory made by hand, on garbage, and on a frozen copy of this very process. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "heap_memory.h"

static void assert_class(const struct sp_heap *h, unsigned i, enum sp_heap_class class)
{
	struct sp_heap_block b;

	assert_true(sp_heap_find(h, block(i) + 5, &b));
	assert_int_equal(b.addr, block(i));
	assert_int_equal(b.size, BLOCK);
	assert_string_equal(sp_heap_model_info(h, b.model)->name, "recorded");
	if (b.class != class)
		fail_msg("block %u is of class %d, not %d", i, b.class, class);
}

static void test_each_block_has_the_class_its_pointers_give_it(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();

	(void)state;
	record_blocks(m, list);
	*word_at(m, DATA + 800) = block(0);
	*word_at(m, block(0) + 8) = block(1);
	*word_at(m, block(2)) = block(3);
	*word_at(m, DATA + 808) = block(4) + 24;
	*word_at(m, block(4)) = block(5);
	*word_at(m, block(6)) = block(7);
	*word_at(m, block(7)) = block(6);
	*word_at(m, block(8)) = block(8);

	struct sp_heap *h = scan(&m->src);
	static const enum sp_heap_class expected[NR_BLOCKS] = {
	    SP_HEAP_REACHED,  SP_HEAP_REACHED, SP_HEAP_LEAKED,   SP_HEAP_INDIRECT, SP_HEAP_POSSIBLE,
	    SP_HEAP_POSSIBLE, SP_HEAP_LEAKED,  SP_HEAP_INDIRECT, SP_HEAP_LEAKED,   SP_HEAP_LEAKED,
	};
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		assert_class(h, i, expected[i]);
	struct sp_heap_block b;
	assert_false(sp_heap_find(h, block(0) + BLOCK, &b));
	sp_heap_close(h);
	memory_free(m);
}

static void test_a_register_is_a_root(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();
	uint64_t word = block(2);

	(void)state;
	record_blocks(m, list);
	m->src.words = &word;
	m->src.nr_words = 1;
	struct sp_heap *h = scan(&m->src);
	assert_class(h, 2, SP_HEAP_REACHED);
	assert_class(h, 3, SP_HEAP_LEAKED);
	sp_heap_close(h);
	memory_free(m);
}

enum { RING_BYTES = 1 << 20, NR_RING = RING_BYTES / BLOCK };

struct ring {
	uint64_t words[RING_BYTES / 8];
	struct sp_heap_recorded list[NR_RING];
	uint64_t nr_reads;
};

static ssize_t read_ring(void *arg, uint64_t addr, void *buf, size_t len)
{
	struct ring *r = arg;

	r->nr_reads++;
	if (addr < ANON || addr - ANON > RING_BYTES || len > RING_BYTES - (addr - ANON))
		return -EIO;
	memcpy(buf, (const char *)r->words + (addr - ANON), len);
	return (ssize_t)len;
}

/* Each block of the ring leads to one in another window. */
static void ring_init(struct ring *r)
{
	for (unsigned i = 0; i < NR_RING; i++) {
		r->list[i] = (struct sp_heap_recorded){.addr = ANON + (uint64_t)i * BLOCK, .size = BLOCK};
		r->words[i * BLOCK / 8] = ANON + (i + 4099u) % NR_RING * (uint64_t)BLOCK;
	}
}

static uint64_t reads_of_a_scan(struct ring *r, const struct sp_heap_source *src)
{
	r->nr_reads = 0;
	struct sp_heap *h = scan(src);
	uint64_t nr_reads = r->nr_reads;

	for (unsigned i = 0; i < NR_RING; i++) {
		struct sp_heap_block b;

		assert_true(sp_heap_find(h, r->list[i].addr, &b));
		assert_int_equal(b.class, SP_HEAP_REACHED);
	}
	sp_heap_close(h);
	return nr_reads;
}

/* What runs meanwhile is read as it comes. */
static void test_the_pages_of_a_list_in_random_order_are_read_once(void **state)
{
	static const char text[] = "7ffff0000000-7ffff0100000 rw-p 00000000 00:00 0 \n";
	struct ring *r = calloc(1, sizeof(*r));
	const uint64_t root = ANON;
	struct sp_maps maps;

	(void)state;
	assert_non_null(r);
	ring_init(r);
	assert_int_equal(sp_maps_parse(text, sizeof(text) - 1, &maps), 0);
	struct sp_heap_source src = {.read = read_ring,
				     .arg = r,
				     .maps = &maps,
				     .words = &root,
				     .nr_words = 1,
				     .recorded = r->list,
				     .nr_recorded = NR_RING};
	assert_true(reads_of_a_scan(r, &src) < 2 * RING_BYTES / PAGE);
	src.is_live = true;
	assert_true(reads_of_a_scan(r, &src) >= NR_RING);
	sp_maps_done(&maps);
	free(r);
}

static enum sp_heap_pages heap_is_swapped(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	(void)arg;
	*ret_end = end;
	return addr >= HEAP && addr < HEAP + SIZE ? SP_HEAP_PAGES_AWAY : SP_HEAP_PAGES_RESIDENT;
}

static void test_nothing_is_called_leaked_while_a_root_is_swapped_out(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();
	struct sp_heap_lost lost;

	(void)state;
	record_blocks(m, list);
	m->src.pages = heap_is_swapped;
	struct sp_heap *h = scan(&m->src);
	sp_heap_lost(h, &lost);
	assert_int_equal(lost.away_bytes, SIZE);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		assert_class(h, i, SP_HEAP_POSSIBLE);
	sp_heap_close(h);
	memory_free(m);
}

static void test_a_leak_that_an_earlier_scan_reached_is_spared_with_what_it_leads_to(void **state)
{
	struct sp_heap_recorded list[NR_BLOCKS];
	struct memory *m = memory_new();
	uint64_t nr_spared;

	(void)state;
	record_blocks(m, list);
	*word_at(m, block(2)) = block(3);
	*word_at(m, DATA + 800) = block(2);
	struct sp_heap *earlier = scan(&m->src);
	*word_at(m, DATA + 800) = 0;
	struct sp_heap *h = scan(&m->src);
	assert_class(h, 2, SP_HEAP_LEAKED);
	assert_int_equal(sp_heap_confirm(h, earlier, &nr_spared), 0);
	assert_true(nr_spared > 0);
	assert_class(h, 2, SP_HEAP_REACHED);
	assert_class(h, 3, SP_HEAP_REACHED);
	assert_class(h, 4, SP_HEAP_LEAKED);
	sp_heap_close(h);
	sp_heap_close(earlier);
	memory_free(m);
}

static enum sp_heap_pages first_page_is_swapped(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	(void)arg;
	*ret_end = addr + PAGE < end ? addr + PAGE : end;
	return addr == ANON ? SP_HEAP_PAGES_AWAY : SP_HEAP_PAGES_RESIDENT;
}

static void test_the_page_behind_one_that_is_swapped_out_is_read(void **state)
{
	struct sp_heap_recorded list[] = {{.addr = ANON + 64, .size = BLOCK}, {.addr = ANON + PAGE, .size = BLOCK}};
	struct memory *m = memory_new();
	struct sp_heap_look look;
	struct sp_heap_block b;

	(void)state;
	m->src.recorded = list;
	m->src.nr_recorded = SP_ARRAY_SIZE(list);
	m->src.pages = first_page_is_swapped;
	*word_at(m, ANON + PAGE) = 0x1234;
	struct sp_heap *h = scan(&m->src);
	assert_true(sp_heap_find(h, list[0].addr, &b));
	sp_heap_look(h, &b, &look);
	assert_int_equal(look.nr_head, 0);
	assert_true(sp_heap_find(h, list[1].addr, &b));
	sp_heap_look(h, &b, &look);
	assert_int_equal(look.nr_head, SP_HEAP_HEAD_MAX);
	assert_int_equal(look.head[0], 0x34);
	assert_int_equal(look.head[1], 0x12);
	sp_heap_close(h);
	memory_free(m);
}

/* ---- garbage ---- */

static uint64_t garbage_word(struct memory *m)
{
	uint64_t r = next_random(m);

	switch (r % 4) {
	case 0:
		return bases[(r >> 8) % NR_MAPS] + (r >> 16) % SIZE;
	case 1:
		return bases[(r >> 8) % NR_MAPS] + ((r >> 16) % SIZE & ~(uint64_t)15);
	case 2:
		return (r >> 16) % 2048;
	default:
		return r;
	}
}

/* An arena that looks right, whose top is anywhere, over rows of chunks of any size. */
static void put_arena(struct memory *m)
{
	uint64_t bins = DATA + 0x800;

	for (unsigned i = 0; i < 127; i++)
		*word_at(m, bins + i * 16u) = *word_at(m, bins + i * 16u + 8) = bins + i * 16u - 16;
	*word_at(m, bins + 0x800) = next_random(m) % 4 ? bins - 0x70 : HEAP + 0x100;
	*word_at(m, bins - 16) = HEAP + (next_random(m) % SIZE & ~UINT64_C(15));
	for (unsigned i = 1; i < WORDS; i += 2)
		if (next_random(m) % 8)
			m->words[1][i] = (2 + next_random(m) % 64) * 16 + 1;
}

static enum sp_heap_pages random_pages(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	uint64_t r = next_random(arg);

	*ret_end = addr + PAGE < end ? addr + PAGE : end;
	return r % 16 ? SP_HEAP_PAGES_RESIDENT : (enum sp_heap_pages)(r >> 8) % 4;
}

/* The same questions of whatever was found. */
static void ask_garbage(struct sp_heap *h, const struct sp_heap_block *b)
{
	struct sp_heap_chain chains[3];
	struct sp_heap_holders holders = {0};
	struct sp_why why = {0};

	assert_int_equal(sp_heap_holders(h, b, chains, 3, &holders, &why), 0);
	for (unsigned i = 0; i < holders.nr_chains; i++)
		assert_int_equal(chains[i].steps[chains[i].nr - 1].block.addr, b->addr);
}

static int look_at_block(const struct sp_heap_block *b, void *arg)
{
	struct sp_heap_look look;

	sp_heap_look(arg, b, &look);
	return 0;
}

static void scan_garbage(uint64_t seed)
{
	struct memory *m = memory_new();
	struct sp_heap_recorded list[64];
	struct sp_heap_thread threads[2];

	m->random = seed * 0x9e3779b97f4a7c15u | 1;
	for (size_t i = 0; i < NR_MAPS; i++)
		for (size_t k = 0; k < WORDS; k++)
			m->words[i][k] = garbage_word(m);
	put_arena(m);
	for (unsigned i = 0; i < SP_ARRAY_SIZE(list); i++)
		list[i] =
		    (struct sp_heap_recorded){.addr = ANON + i * 1024u + next_random(m) % 1024,
					      .size = next_random(m) % 3 ? next_random(m) % 2000 : next_random(m)};
	for (unsigned i = 0; i < SP_ARRAY_SIZE(threads); i++)
		threads[i] = (struct sp_heap_thread){.tid = 7, .sp = garbage_word(m), .fs = garbage_word(m), .nr = i};
	m->src.recorded = list;
	m->src.nr_recorded = SP_ARRAY_SIZE(list);
	m->src.threads = threads;
	m->src.nr_threads = SP_ARRAY_SIZE(threads);
	m->src.pages = random_pages;
	m->src.is_live = seed % 2;

	struct sp_heap *h = scan(&m->src);
	assert_int_equal(sp_heap_for_each(h, look_at_block, h), 0);
	struct sp_heap_block b;
	for (unsigned i = 0; i < 8; i++)
		if (sp_heap_find(h, i % 2 ? list[i].addr : HEAP + next_random(m) % SIZE, &b))
			ask_garbage(h, &b);
	sp_heap_close(h);
	memory_free(m);
}

static void test_garbage_neither_breaks_nor_holds_up_a_scan(void **state)
{
	(void)state;
	alarm(100); /* a scan that does not end is a failure */
	for (uint64_t seed = 1; seed <= 200; seed++)
		scan_garbage(seed);
	alarm(0);
}

/* ---- a frozen copy of this process ---- */

static void *(*libc_malloc)(size_t);
static void (*libc_free)(void *);

enum { NR_EACH = 20, NR_SIZES = 5 };

/* In a thread's cache, beyond it in bins, and a mapping of its own. */
static const size_t sizes[NR_SIZES] = {24, 100, 1000, 5000, 1 << 20};

struct blocks {
	void *list[NR_SIZES][NR_EACH]; /* every second one is freed */
};

static void *make_blocks(void *arg)
{
	struct blocks *b = arg;

	for (unsigned s = 0; s < NR_SIZES; s++)
		for (unsigned i = 0; i < NR_EACH; i++) {
			b->list[s][i] = libc_malloc(sizes[s]);
			assert_non_null(b->list[s][i]);
			memset(b->list[s][i], 1, sizes[s]);
		}
	for (unsigned s = 0; s < NR_SIZES; s++)
		for (unsigned i = 1; i < NR_EACH; i += 2)
			libc_free(b->list[s][i]);
	return NULL;
}

static void drop_blocks(struct blocks *b)
{
	for (unsigned s = 0; s < NR_SIZES; s++)
		for (unsigned i = 0; i < NR_EACH; i += 2)
			libc_free(b->list[s][i]);
}

static ssize_t read_fd(void *arg, uint64_t addr, void *buf, size_t len)
{
	ssize_t n = pread(*(int *)arg, buf, len, (off_t)addr);

	return n < 0 ? -errno : n;
}

static void read_maps(pid_t pid, struct sp_maps *ret)
{
	static char text[1 << 20];
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	assert_true(len && len < sizeof(text));
	assert_int_equal(sp_maps_parse(text, len, ret), 0);
}

static void assert_blocks(const struct sp_heap *h, const struct blocks *blocks)
{
	struct sp_heap_block b;

	for (unsigned s = 0; s < NR_SIZES; s++)
		for (unsigned i = 0; i < NR_EACH; i++) {
			uint64_t addr = (uint64_t)(uintptr_t)blocks->list[s][i];
			bool is_used = sp_heap_find(h, addr, &b) && b.addr == addr;

			if (is_used != (i % 2 == 0))
				fail_msg("block %u of %zu bytes at %#llx: in use: %d", i, sizes[s],
					 (unsigned long long)addr, is_used);
			if (is_used) {
				assert_string_equal(sp_heap_model_info(h, b.model)->name, "glibc");
				assert_in_range(b.size, sizes[s], sizes[s] < PAGE ? sizes[s] + 24 : sizes[s] + PAGE);
			}
		}
}

/* It has the same blocks at the same addresses, and stands still. */
static pid_t freeze_copy(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void walk_copy(pid_t pid, const struct blocks *of_main, const struct blocks *of_thread)
{
	struct sp_why why = {0};
	struct sp_maps maps;
	struct sp_heap *h;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	read_maps(pid, &maps);
	struct sp_heap_source src = {.read = read_fd, .arg = &fd, .maps = &maps};
	assert_int_equal(sp_heap_open(&src, NULL, &h, &why), 0);
	assert_int_equal(sp_heap_nr_models(h), 1);
	assert_string_equal(sp_heap_model_info(h, 0)->gave_up, "");
	assert_blocks(h, of_main);
	assert_blocks(h, of_thread);
	sp_heap_close(h);
	sp_maps_done(&maps);
	close(fd);
}

static void test_glibc_tells_blocks_in_use_from_freed_ones(void **state)
{
	static struct blocks of_main, of_thread;
	pthread_t thread;

	(void)state;
	/* a sanitizer has a malloc of its own; this one is glibc's under both */
	*(void **)&libc_malloc = dlsym(RTLD_DEFAULT, "__libc_malloc");
	*(void **)&libc_free = dlsym(RTLD_DEFAULT, "__libc_free");
	if (!libc_malloc || !libc_free) {
		skip();
		return;
	}
	libc_free(libc_malloc(1)); /* who comes first has the main arena, and what a thread frees there is used again */
	assert_int_equal(pthread_create(&thread, NULL, make_blocks, &of_thread), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	make_blocks(&of_main); /* last: to make a thread takes memory, and would take what is freed here */
	pid_t pid = freeze_copy();
	walk_copy(pid, &of_main, &of_thread);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	drop_blocks(&of_main);
	drop_blocks(&of_thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_block_has_the_class_its_pointers_give_it),
	    cmocka_unit_test(test_a_register_is_a_root),
	    cmocka_unit_test(test_the_pages_of_a_list_in_random_order_are_read_once),
	    cmocka_unit_test(test_nothing_is_called_leaked_while_a_root_is_swapped_out),
	    cmocka_unit_test(test_a_leak_that_an_earlier_scan_reached_is_spared_with_what_it_leads_to),
	    cmocka_unit_test(test_the_page_behind_one_that_is_swapped_out_is_read),
	    cmocka_unit_test(test_garbage_neither_breaks_nor_holds_up_a_scan),
	    cmocka_unit_test(test_glibc_tells_blocks_in_use_from_freed_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
