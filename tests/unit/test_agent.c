// SPDX-License-Identifier: Apache-2.0
/* The agent's record of blocks: each call leaves what it should, whoever else is calling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "agent_fixture.h"

#include <cmocka.h>

#include "agent/agent_check.blob.h"

typedef void *malloc_fn(size_t);
typedef void *calloc_fn(size_t, size_t);
typedef void *realloc_fn(void *, size_t);
typedef int posix_fn(void **, size_t, size_t);
typedef void *aligned_fn(size_t, size_t);
typedef void free_fn(void *);

static struct fixture *fix;
static malloc_fn *my_malloc;
static calloc_fn *my_calloc;
static realloc_fn *my_realloc;
static posix_fn *my_posix_memalign;
static aligned_fn *my_aligned_alloc;
static free_fn *my_free;

static void begin_with(const struct sp_agent_limits *limits, uint32_t flags)
{
	fix = fix_new(&sp_agent_check_blob, limits, flags);
	my_malloc = (malloc_fn *)fix_hook(fix, SP_KIND_MALLOC, 0, (void *)malloc);
	my_calloc = (calloc_fn *)fix_hook(fix, SP_KIND_CALLOC, 0, (void *)calloc);
	my_realloc = (realloc_fn *)fix_hook(fix, SP_KIND_REALLOC, 1, (void *)realloc);
	my_posix_memalign = (posix_fn *)fix_hook(fix, SP_KIND_POSIX, 2, (void *)posix_memalign);
	my_aligned_alloc = (aligned_fn *)fix_hook(fix, SP_KIND_MALLOC, 1, (void *)aligned_alloc);
	my_free = (free_fn *)fix_hook(fix, SP_KIND_FREE, 0, (void *)free);
}

static int begin(void **state)
{
	(void)state;
	begin_with(NULL, 0);
	return 0;
}

static int begin_tiny(void **state)
{
	(void)state;
	begin_with(NULL, SP_AGENT_TINY);
	return 0;
}

static int begin_without_shadow(void **state)
{
	struct sp_agent_limits l = fix_limits();
	(void)state;

	l.max_shadows = 0;
	begin_with(&l, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(fix->header->nr_differences, 0);
	fix_free(fix);
	return 0;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static uint64_t size_at(const void *p)
{
	return fix_block_at(fix, p).size;
}

#define NOT_THERE UINT64_MAX

/* ---- one call at a time ---- */

static void an_allocated_block_is_recorded_until_it_is_freed(void **state)
{
	void *p = my_malloc(123);
	(void)state;

	assert_int_equal(size_at(p), 123);
	assert_int_equal(fix_sum(fix).nr, 1);
	my_free(p);
	assert_int_equal(fix_sum(fix).nr, 0);
}

static void every_kind_of_call_is_recorded_with_the_size_asked_for(void **state)
{
	void *p[4] = {my_malloc(0), my_calloc(7, 9), my_aligned_alloc(64, 640), NULL};
	(void)state;

	assert_int_equal(my_posix_memalign(&p[3], 4096, 5000), 0);
	assert_int_equal(size_at(p[0]), 0);
	assert_int_equal(size_at(p[1]), 63);
	assert_int_equal(size_at(p[2]), 640);
	assert_int_equal(size_at(p[3]), 5000);
	assert_int_equal((uintptr_t)p[3] % 4096, 0);
	for (int i = 0; i < 4; i++)
		my_free(p[i]);
	my_free(NULL);
	assert_int_equal(fix_sum(fix).nr, 0);
}

static void sizes_are_exact_around_what_a_word_can_say(void **state)
{
	const size_t sizes[] = {65534, 65535, 65536, 1 << 20, 300 << 20};
	(void)state;

	for (size_t i = 0; i < SP_ARRAY_SIZE(sizes); i++) {
		void *p = my_malloc(sizes[i]);
		assert_int_equal(size_at(p), sizes[i]);
		my_free(p);
		assert_int_equal(fix_sum(fix).nr, 0);
	}
}

static void *fail_to_calloc(size_t nr, size_t size)
{
	(void)nr;
	(void)size;
	return NULL;
}

static void a_calloc_that_overflows_records_nothing(void **state)
{
	calloc_fn *failing = (calloc_fn *)fix_hook(fix, SP_KIND_CALLOC, 0, (void *)fail_to_calloc);
	(void)state;

	assert_null(failing(SIZE_MAX / 2, 4));
	assert_int_equal(fix_sum(fix).nr, 0);
}

static void realloc_moves_the_record(void **state)
{
	void *p = my_realloc(NULL, 10), *q;
	(void)state;

	assert_int_equal(size_at(p), 10);
	q = my_realloc(p, 100000);
	assert_int_equal(size_at(q), 100000);
	q = my_realloc(q, 20);
	assert_int_equal(size_at(q), 20);
	assert_int_equal(fix_sum(fix).nr, 1);
	my_free(q);
	assert_int_equal(fix_sum(fix).nr, 0);
}

static void *fail_to_grow(void *p, size_t size)
{
	(void)p;
	(void)size;
	return NULL;
}

static void a_failed_realloc_keeps_the_old_block_as_it_was(void **state)
{
	realloc_fn *failing = (realloc_fn *)fix_hook(fix, SP_KIND_REALLOC, 1, (void *)fail_to_grow);
	const size_t sizes[] = {50, 70000};
	const uint32_t ages[] = {5, SP_AGENT_BIRTH_MASK - SP_AGENT_READING_TICKS - 10, 3 * SP_AGENT_BIRTH_MASK};
	(void)state;

	for (size_t i = 0; i < SP_ARRAY_SIZE(sizes); i++) {
		for (size_t k = 0; k < SP_ARRAY_SIZE(ages); k++) {
			fix->header->tick = 1000;
			void *p = my_malloc(sizes[i]);
			struct fix_block before = fix_block_at(fix, p);
			fix->header->tick += ages[k];
			if (k == 2 && i == 0) { /* our side would have done this in time */
				fix->header->tick = 1000 + SP_AGENT_BIRTH_MASK / 2 + 10;
				failing(p, 1);
				fix->header->tick = 1000 + ages[k];
			}
			assert_null(failing(p, 1000));
			struct fix_block after = fix_block_at(fix, p);
			assert_int_equal(after.size, before.size);
			assert_int_equal(after.node, before.node);
			assert_in_range(after.tick, 1000 - (1 << SP_AGENT_OLD_SHIFT), 1000);
			assert_int_equal(fix_sum(fix).nr, 1);
			my_free(p);
			assert_int_equal(fix_sum(fix).nr, 0);
		}
	}
}

static void a_block_from_before_may_be_freed_and_reallocated(void **state)
{
	void *p = malloc(100), *q = malloc(100);
	(void)state;

	my_free(p);
	assert_int_equal(fix_sum(fix).nr, 0);
	q = my_realloc(q, 5000);
	assert_int_equal(size_at(q), 5000);
	my_free(q);
	assert_int_equal(fix_sum(fix).nr, 0);
}

static void a_record_whose_free_was_not_seen_gives_way_to_the_next(void **state)
{
	const size_t sizes[] = {10, 70000, 20, 80000, 90000, 30};
	(void)state;

	for (size_t i = 0; i < SP_ARRAY_SIZE(sizes); i++) {
		void *p = my_malloc(sizes[i]);
		uint64_t nr = fix_sum(fix).nr;
		free(p); /* behind the agent's back */
		void *q = my_malloc(sizes[i]);
		assert_int_equal(size_at(q), sizes[i]);
		if (p == q)
			assert_int_equal(fix_sum(fix).nr, nr);
		my_free(q);
	}
}

static void a_child_of_fork_passes_straight_on(void **state)
{
	void *p = my_malloc(100);
	uint64_t before = fix->header->nr_nodes;
	int status;
	pid_t child = fork();
	(void)state;

	if (!child) {
		for (int i = 0; i < 1000; i++)
			my_free(my_realloc(my_malloc(i + 1), 2 * i + 1));
		my_free(p);
		_exit(fix->ctl->active != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(fix->header->nr_nodes, before);
	assert_int_equal(size_at(p), 100);
	assert_int_equal(fix_sum(fix).nr, 1);
	my_free(p);
}

/* ---- arguments, results ---- */

static uint64_t seen[6];

static uint64_t look_at_arguments(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	seen[0] = a;
	seen[1] = b;
	seen[2] = c;
	seen[3] = d;
	seen[4] = e;
	seen[5] = f;
	return (uint64_t)-12; /* for malloc an address, for mmap an error */
}

static void every_argument_and_result_comes_through(void **state)
{
	typedef uint64_t fn(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
	const enum sp_fn_kind kinds[] = {SP_KIND_MMAP, SP_KIND_MREMAP, SP_KIND_MUNMAP};
	const enum sp_fn_kind threes[] = {SP_KIND_MALLOC, SP_KIND_FREE, SP_KIND_REALLOC, SP_KIND_CALLOC,
					  SP_KIND_PASSED};
	(void)state;

	for (size_t i = 0; i < SP_ARRAY_SIZE(kinds); i++) {
		fn *f = (fn *)fix_hook(fix, kinds[i], 0, (void *)look_at_arguments);
		assert_int_equal(f(11, 12, 13, 14, 15, 16), (uint64_t)-12);
		for (uint64_t k = 0; k < 6; k++)
			assert_int_equal(seen[k], 11 + k);
	}
	for (size_t i = 0; i < SP_ARRAY_SIZE(threes); i++) {
		for (uint32_t mode = 0; mode < 2; mode++) {
			fix->header->mode = mode;
			fix->header->mean = 1 + mode;
			fn *f = (fn *)fix_hook(fix, threes[i], 1, (void *)look_at_arguments);
			assert_int_equal(f(21, 22, 23, 0, 0, 0), (uint64_t)-12);
			for (uint64_t k = 0; k < 3; k++)
				assert_int_equal(seen[k], 21 + k);
		}
	}
}

/* ---- operator new ---- */

static void *caller_of_new;
static int nr_nothrow;

static void *new_that_throws(size_t size)
{
	caller_of_new = __builtin_return_address(0);
	return malloc(size);
}

static void *new_without_memory(size_t size)
{
	(void)size;
	nr_nothrow++;
	return NULL;
}

static void *new_nothrow(size_t size)
{
	nr_nothrow++;
	return malloc(size);
}

static void operator_new_runs_as_its_nothrow_twin(void **state)
{
	malloc_fn *f = (malloc_fn *)fix_hook_new(fix, (void *)new_that_throws, (void *)new_nothrow);
	(void)state;

	caller_of_new = NULL;
	nr_nothrow = 0;
	void *p = f(40);
	assert_int_equal(nr_nothrow, 1);
	assert_null(caller_of_new);
	assert_int_equal(size_at(p), 40);
	my_free(p);
	assert_int_equal(fix_lost(fix, SP_LOST_THROWING), 0);
}

/* The original could throw now: the frame below it must be the program's. */
static void operator_new_that_finds_no_memory_has_no_frame_of_ours_below_it(void **state)
{
	extern char etext, __executable_start;
	malloc_fn *volatile f = (malloc_fn *)fix_hook_new(fix, (void *)new_that_throws, (void *)new_without_memory);
	malloc_fn *volatile g = (malloc_fn *)fix_hook_new(fix, (void *)new_that_throws, NULL);
	(void)state;

	nr_nothrow = 0;
	free(f(40));
	assert_int_equal(nr_nothrow, 1);
	assert_in_range((uintptr_t)caller_of_new, (uintptr_t)&__executable_start, (uintptr_t)&etext);
	caller_of_new = NULL;
	free(g(40));
	assert_in_range((uintptr_t)caller_of_new, (uintptr_t)&__executable_start, (uintptr_t)&etext);
	assert_int_equal(fix_lost(fix, SP_LOST_THROWING), 2);
	assert_int_equal(fix_sum(fix).nr, 0);
}

/* ---- many threads ---- */

enum { NR_THREADS = 3, NR_SLOTS = 400, NR_SURVIVORS = 100 };

struct worker {
	pthread_t thread;
	uint64_t random, bytes, blocks;
	unsigned nr_ops;
	void *survivors[NR_SURVIVORS];
};

static size_t some_size(uint64_t *random)
{
	uint64_t r = next_random(random);

	return r % 50 == 0 ? r >> 8 & 0x3ffff : r >> 8 & 0x1ff;
}

static void *allocate_at_random(void *random)
{
	switch (next_random(random) % 4) {
	case 0:
		return my_calloc(1, some_size(random));
	case 1:
		return my_realloc(NULL, some_size(random));
	default:
		return my_malloc(some_size(random));
	}
}

static void *churn(void *arg)
{
	struct worker *w = arg;
	void *slots[NR_SLOTS] = {0};

	for (unsigned i = 0; i < w->nr_ops; i++) {
		void **s = &slots[next_random(&w->random) % NR_SLOTS];
		if (*s && next_random(&w->random) % 4 == 0) {
			*s = my_realloc(*s, some_size(&w->random) + 1);
		} else {
			my_free(*s);
			*s = NULL;
			if (next_random(&w->random) % 8)
				*s = allocate_at_random(&w->random);
		}
	}
	for (int i = 0; i < NR_SLOTS; i++)
		my_free(slots[i]);
	for (int i = 0; i < NR_SURVIVORS; i++) {
		size_t size = (size_t)i * 999;
		w->survivors[i] = my_malloc(size);
		w->bytes += size;
		w->blocks += w->survivors[i] != NULL;
	}
	return NULL;
}

static void threads_at_random_leave_exactly_the_survivors(void **state)
{
	struct worker workers[NR_THREADS];
	uint64_t bytes = 0, blocks = 0;
	(void)state;

	for (int i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){.random = 77 + (uint64_t)i, .nr_ops = 250000};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, churn, &workers[i]), 0);
	}
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		bytes += workers[i].bytes;
		blocks += workers[i].blocks;
	}
	struct fix_sum s = fix_sum(fix);
	assert_int_equal(s.nr, blocks);
	assert_int_equal(s.bytes, bytes);
	assert_int_equal(fix->header->mode, SP_AGENT_EXACT);
	assert_true(fix->header->nr_checked > 100000);
	for (int i = 0; i < NR_THREADS * NR_SURVIVORS; i++)
		my_free(workers[i / NR_SURVIVORS].survivors[i % NR_SURVIVORS]);
}

/* ---- several blocks in one granule, of different threads ---- */

enum { NR_TINY = 256, TINY_OPS = 200000 };

static uint64_t tiny_heap[NR_TINY] __attribute__((aligned(4096)));
static uint64_t tiny_free[NR_TINY]; /* not 0: free */

/* Hands out 8 bytes: any that is free. */
static void *tiny_malloc(size_t size)
{
	static __thread unsigned at;

	for (unsigned i = 0; i < 4 * NR_TINY; i++) {
		at = (at + 1 + (unsigned)size) % NR_TINY;
		if (__atomic_exchange_n(&tiny_free[at], 0, __ATOMIC_ACQ_REL))
			return &tiny_heap[at];
	}
	return NULL;
}

static void tiny_release(void *p)
{
	__atomic_store_n(&tiny_free[(uint64_t *)p - tiny_heap], 1, __ATOMIC_RELEASE);
}

static malloc_fn *my_tiny_malloc;
static free_fn *my_tiny_free;

static void *churn_tiny(void *arg)
{
	struct worker *w = arg;
	void *mine[32] = {0};

	for (unsigned i = 0; i < TINY_OPS; i++) {
		void **s = &mine[next_random(&w->random) % 32];
		if (*s)
			my_tiny_free(*s);
		*s = my_tiny_malloc(next_random(&w->random) % 50 ? next_random(&w->random) % 9 : 70000);
	}
	for (int i = 0; i < 32; i++)
		if (mine[i] && i % 2)
			my_tiny_free(mine[i]);
		else
			w->blocks += mine[i] != NULL;
	return NULL;
}

static void blocks_of_one_granule_are_told_apart(void **state)
{
	struct worker workers[NR_THREADS];
	uint64_t blocks = 0;
	(void)state;

	my_tiny_malloc = (malloc_fn *)fix_hook(fix, SP_KIND_MALLOC, 0, (void *)tiny_malloc);
	my_tiny_free = (free_fn *)fix_hook(fix, SP_KIND_FREE, 0, (void *)tiny_release);
	for (int i = 0; i < NR_TINY; i++)
		tiny_free[i] = 1;
	for (int i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){.random = 7 + (uint64_t)i};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, churn_tiny, &workers[i]), 0);
	}
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		blocks += workers[i].blocks;
	}
	assert_int_equal(fix_sum(fix).nr, blocks);
	for (int i = 0; i < NR_TINY; i++)
		if (!tiny_free[i]) {
			assert_int_not_equal(size_at(&tiny_heap[i]), NOT_THERE);
			my_tiny_free(&tiny_heap[i]);
		}
	assert_int_equal(fix_sum(fix).nr, 0);
	for (uint64_t i = 0; i < NR_TINY; i += 4) { /* no granule thinks that it has blocks in the hash */
		my_tiny_free(my_tiny_malloc(8));
		assert_int_equal(fix_sum(fix).nr, 0);
	}
	assert_int_equal(fix_lost(fix, SP_LOST_BLOCKS_FULL), 0);
}

/* ---- tables that get full ---- */

static int begin_few_nodes(void **state)
{
	struct sp_agent_limits l = fix_limits();
	(void)state;

	l.max_nodes = SP_AGENT_NR_ROOTS + 4;
	begin_with(&l, 0);
	return 0;
}

static void a_full_tree_costs_the_path_but_not_the_block(void **state)
{
	void *p = my_malloc(33);
	(void)state;

	assert_int_equal(size_at(p), 33);
	assert_int_equal(fix_block_at(fix, p).node, SP_AGENT_NODE_NONE);
	assert_int_equal(fix_lost(fix, SP_LOST_PATHS_FULL), 1);
	assert_int_equal(fix->header->nr_nodes, fix->limits.max_nodes);
	my_free(p);
}

static int begin_few_threads(void **state)
{
	struct sp_agent_limits l = fix_limits();
	(void)state;

	l.thread_bits = 4;
	begin_with(&l, 0);
	return 0;
}

static pthread_barrier_t all_there;

static void *allocate_once(void *arg)
{
	void *p = my_malloc(10);

	(void)arg;
	pthread_barrier_wait(&all_there);
	return p;
}

static void threads_without_state_are_counted_and_their_blocks_recorded(void **state)
{
	enum { NR = 40 };
	pthread_t threads[NR];
	void *blocks[NR];
	(void)state;

	pthread_barrier_init(&all_there, NULL, NR);
	for (int i = 0; i < NR; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, allocate_once, NULL), 0);
	for (int i = 0; i < NR; i++)
		pthread_join(threads[i], &blocks[i]);
	assert_int_equal(fix_sum(fix).nr, NR);
	assert_int_equal(fix_lost(fix, SP_LOST_THREAD_STATE), NR - 16);
	for (int i = 0; i < NR; i++)
		my_free(blocks[i]);
}

int main(void)
{
#define WITH(begin, test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
	    WITH(begin, an_allocated_block_is_recorded_until_it_is_freed),
	    WITH(begin, every_kind_of_call_is_recorded_with_the_size_asked_for),
	    WITH(begin_without_shadow, every_kind_of_call_is_recorded_with_the_size_asked_for),
	    WITH(begin, sizes_are_exact_around_what_a_word_can_say),
	    WITH(begin, a_calloc_that_overflows_records_nothing),
	    WITH(begin, realloc_moves_the_record),
	    WITH(begin_without_shadow, realloc_moves_the_record),
	    WITH(begin, a_failed_realloc_keeps_the_old_block_as_it_was),
	    WITH(begin, a_block_from_before_may_be_freed_and_reallocated),
	    WITH(begin, a_record_whose_free_was_not_seen_gives_way_to_the_next),
	    WITH(begin, a_child_of_fork_passes_straight_on),
	    WITH(begin, every_argument_and_result_comes_through),
	    WITH(begin, operator_new_runs_as_its_nothrow_twin),
	    WITH(begin, operator_new_that_finds_no_memory_has_no_frame_of_ours_below_it),
	    WITH(begin, threads_at_random_leave_exactly_the_survivors),
	    WITH(begin_tiny, threads_at_random_leave_exactly_the_survivors),
	    WITH(begin_without_shadow, threads_at_random_leave_exactly_the_survivors),
	    WITH(begin_tiny, blocks_of_one_granule_are_told_apart),
	    WITH(begin_without_shadow, blocks_of_one_granule_are_told_apart),
	    WITH(begin_few_nodes, a_full_tree_costs_the_path_but_not_the_block),
	    WITH(begin_few_threads, threads_without_state_are_counted_and_their_blocks_recorded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
