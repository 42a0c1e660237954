// SPDX-License-Identifier: Apache-2.0
/* Mappings as several kernels write them, sorted into segments, compared, and judged. */
#include "proc_fixture.h"

#include "failing_alloc.h"
#include "segments/segments.h"

/* Linux 6.18, a program with two threads; numbers of a mapping that matter here stand in its lines. */
static const char smaps_618[] =
    "00400000-00401000 r--p 00000000 fe:01 100                        /app\n"
    "Size:                  4 kB\nKernelPageSize:        4 kB\nRss:                   4 kB\nPss:                   4 "
    "kB\n"
    "Pss_Dirty:             0 kB\nShared_Clean:          0 kB\nPrivate_Clean:         4 kB\nVmFlags: rd mr mw me sd \n"
    "00401000-00402000 r-xp 00001000 fe:01 100                        /app\nRss:                   4 kB\n"
    "00402000-00403000 rw-p 00002000 fe:01 100                        /app\nRss:   4 kB\nPrivate_Dirty: 4 kB\n"
    "00403000-00404000 rw-p 00000000 00:00 0 \nRss:   4 kB\nPrivate_Dirty: 4 kB\nAnonymous: 4 kB\n"
    "00500000-00600000 rw-p 00000000 00:00 0                          [heap]\nRss: 1000 kB\nPss: 1000 kB\n"
    "Private_Dirty: 1000 kB\nSwap: 24 kB\nAnonymous: 1000 kB\n"
    "7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \nRss: 8 kB\nPrivate_Dirty: 8 kB\n"
    "7f0000021000-7f0004000000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
    "7f0010000000-7f0010001000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
    "7f0010001000-7f0010801000 rw-p 00000000 00:00 0 \nRss: 12 kB\nPrivate_Dirty: 12 kB\n"
    "7f0020000000-7f0020010000 rw-s 00000000 00:01 9                  /memfd:a name (deleted)\nRss: 60 kB\n"
    "Shared_Dirty: 60 kB\n"
    "7f0030000000-7f0030010000 r--s 00000000 fe:01 7                  /data\nRss: 64 kB\nShared_Clean: 64 kB\n"
    "7f0040000000-7f0040200000 rw-s 00000000 00:1a 3                  /dev/hugepages/x\nRss: 0 kB\n"
    "Shared_Hugetlb: 0 kB\nPrivate_Hugetlb: 2048 kB\n"
    "7f0050000000-7f0050010000 rw-p 00000000 00:00 0                  [anon: JIT code]\nRss: 64 kB\n"
    "7f0060000000-7f0060001000 rw-s 00000000 00:05 8                  /dev/dri/card0\nRss: 0 kB\n"
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                  [stack]\nRss: 16 kB\n"
    "7ffc00030000-7ffc00034000 r--p 00000000 00:00 0                  [vvar]\nRss: 0 kB\n"
    "7ffc00034000-7ffc00036000 r-xp 00000000 00:00 0                  [vdso]\nRss: 4 kB\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]\nRss: 0 kB\n";

/* 3.10 (CentOS 7): no Pss_Dirty, no Shared_Hugetlb; threads' stacks still have a name of their own. */
static const char smaps_310[] =
    "7f11e8000000-7f11e8021000 rw-p 00000000 00:00 0                          [stack:812]\n"
    "Size:                132 kB\nRss:                   8 kB\nPss:                   8 kB\n"
    "Shared_Clean:          0 kB\nPrivate_Dirty:         8 kB\nReferenced:            8 kB\n"
    "Anonymous:             8 kB\nAnonHugePages:         0 kB\nSwap:                  4 kB\n"
    "MMUPageSize:           4 kB\nLocked:                0 kB\nVmFlags: rd wr mr mw me ac sd \n";

static struct sp_smaps parse(const char *text)
{
	struct sp_smaps s;

	assert_int_equal(sp_smaps_parse(text, strlen(text), &s), 0);
	return s;
}

static const struct sp_segment_thread threads[] = {
    {.tid = 9, .sp = 0}, {.tid = 8, .sp = 0x7f0010800000}, {.tid = 7, .sp = 0x7ffc00020000}};
static const struct sp_segment_region regions[] = {{0x500010, 0x5fffff, "glibc"},
						   {0x7f00000008d0, 0x7f0000021000, "glibc"}};
static const struct sp_data_range data[] = {{0x402000, 0x404000}};
static const uint64_t devices[] = {0x1, 0x1a}; /* 0:1, 0:26 */

static struct sp_segments sort(const struct sp_smaps *s)
{
	const struct sp_segment_facts facts = {.threads = threads,
					       .nr_threads = SP_ARRAY_SIZE(threads),
					       .regions = regions,
					       .nr_regions = SP_ARRAY_SIZE(regions),
					       .data = data,
					       .nr_data = SP_ARRAY_SIZE(data),
					       .memory_devices = devices,
					       .nr_memory_devices = SP_ARRAY_SIZE(devices)};
	struct sp_segments r;

	assert_int_equal(sp_segments_of(s, &facts, &r), 0);
	return r;
}

static void numbers_are_read_in_bytes(void **state)
{
	struct sp_smaps s = parse(smaps_618), old = parse(smaps_310);

	(void)state;
	assert_int_equal(s.nr, 18);
	assert_int_equal(s.nr_refused, 0);
	assert_int_equal(s.list[4].resident, 1000 * 1024);
	assert_int_equal(s.list[4].swapped, 24 * 1024);
	assert_int_equal(s.list[11].huge_private, 2048 * 1024);
	assert_string_equal(s.list[9].map.path, "/memfd:a name");
	assert_true(s.list[9].map.deleted);
	assert_string_equal(s.list[5].map.path, "");
	assert_int_equal(old.list[0].private_dirty, 8 * 1024);
	assert_int_equal(old.list[0].swapped, 4 * 1024);
	sp_smaps_done(&s);
	sp_smaps_done(&old);
}

static void each_mapping_is_the_segment_that_it_is_used_as(void **state)
{
	static const enum sp_segment_kind wanted[] = {
	    SP_SEGMENT_READONLY, SP_SEGMENT_READONLY, SP_SEGMENT_DATA,     SP_SEGMENT_DATA,         SP_SEGMENT_HEAP,
	    SP_SEGMENT_MALLOC,   SP_SEGMENT_RESERVED, SP_SEGMENT_RESERVED, SP_SEGMENT_THREAD_STACK, SP_SEGMENT_SHARED,
	    SP_SEGMENT_FILE,     SP_SEGMENT_SHARED,   SP_SEGMENT_ANON,     SP_SEGMENT_DEVICE,       SP_SEGMENT_STACK,
	    SP_SEGMENT_KERNEL,   SP_SEGMENT_KERNEL,   SP_SEGMENT_KERNEL};
	struct sp_smaps s = parse(smaps_618), old = parse(smaps_310);
	struct sp_segments r = sort(&s), o = sort(&old);

	(void)state;
	assert_int_equal(r.nr, SP_ARRAY_SIZE(wanted));
	for (size_t i = 0; i < r.nr; i++)
		assert_int_equal(r.list[i].kind, wanted[i]);
	assert_int_equal(r.list[8].tid, 8);
	assert_int_equal(r.list[14].tid, 7);
	assert_string_equal(r.list[5].owner, "glibc");
	assert_int_equal(r.list[5].owned, 0x21000 - 0x8d0);
	assert_int_equal(r.sums[SP_SEGMENT_DATA].nr, 2);
	assert_int_equal(r.sums[SP_SEGMENT_SHARED].huge, 2048 * 1024);
	assert_int_equal(r.sums[SP_SEGMENT_SHARED].dirty, 60 * 1024);
	assert_int_equal(r.total.resident, (4 * 4 + 1000 + 8 + 12 + 60 + 64 + 64 + 16 + 4) * 1024);
	assert_int_equal(r.total.unique, (4 * 3 + 1000 + 8 + 12) * 1024);
	assert_int_equal(o.list[0].kind, SP_SEGMENT_STACK);
	sp_segments_done(&r);
	sp_segments_done(&o);
	sp_smaps_done(&s);
	sp_smaps_done(&old);
}

/* As Linux 6.18 names them: by mmap(), shmget() and memfd_create(), and a file of that name on a disk. */
static void huge_pages_without_a_file_are_anonymous_or_shared(void **state)
{
	static const enum sp_segment_kind wanted[] = {SP_SEGMENT_ANON, SP_SEGMENT_SHARED, SP_SEGMENT_SHARED,
						      SP_SEGMENT_SHARED, SP_SEGMENT_FILE};
	struct sp_smaps s = parse("7f0000000000-7f0000400000 rw-p 00000000 00:1a 5 /anon_hugepage (deleted)\n"
				  "Rss: 0 kB\nPrivate_Hugetlb: 2048 kB\n"
				  "7f0001000000-7f0001200000 rw-s 00000000 00:1a 6 /anon_hugepage (deleted)\n"
				  "7f0002000000-7f0002200000 rw-s 00000000 00:1a 7 /SYSV00000000 (deleted)\n"
				  "7f0003000000-7f0003200000 rw-s 00000000 00:1a 8 /memfd:x (deleted)\n"
				  "7f0004000000-7f0004200000 rw-p 00000000 fe:01 9 /anon_hugepage (deleted)\n");
	struct sp_segments r = sort(&s);

	(void)state;
	assert_int_equal(r.nr, SP_ARRAY_SIZE(wanted));
	for (size_t i = 0; i < r.nr; i++)
		assert_int_equal(r.list[i].kind, wanted[i]);
	assert_int_equal(r.sums[SP_SEGMENT_ANON].huge, 2048 * 1024);
	sp_segments_done(&r);
	sp_smaps_done(&s);
}

/* Go keeps the stacks of its goroutines in its heap, which grows upwards into what it has reserved. */
static void a_stack_pointer_in_a_runtimes_heap_makes_no_stack_of_it(void **state)
{
	static const struct sp_segment_thread in_heap[] = {{.tid = 5, .sp = 0xc000012000}};
	const struct sp_segment_facts facts = {.threads = in_heap, .nr_threads = 1};
	struct sp_smaps s = parse("c000000000-c000400000 rw-p 00000000 00:00 0\nRss: 900 kB\n"
				  "c000400000-c004000000 ---p 00000000 00:00 0\nRss: 0 kB\n");
	struct sp_segments r;

	(void)state;
	assert_int_equal(sp_segments_of(&s, &facts, &r), 0);
	assert_int_equal(r.list[0].kind, SP_SEGMENT_ANON);
	assert_int_equal(r.list[0].tid, 0);
	sp_segments_done(&r);
	sp_smaps_done(&s);
}

static void bss_that_lies_beside_other_memory_does_not_swallow_it(void **state)
{
	static const struct sp_data_range small[] = {{0x402000, 0x404000}};
	const struct sp_segment_facts facts = {.data = small, .nr_data = 1};
	struct sp_smaps s = parse("00403000-00504000 rw-p 00000000 00:00 0\nRss: 1000 kB\n");
	struct sp_segments r;

	(void)state;
	assert_int_equal(sp_segments_of(&s, &facts, &r), 0);
	assert_int_equal(r.list[0].kind, SP_SEGMENT_ANON);
	sp_segments_done(&r);
	sp_smaps_done(&s);
}

static void growth_is_of_the_same_mapping(void **state)
{
	struct sp_smaps a = parse("00500000-00600000 rw-p 00000000 00:00 0 [heap]\nRss: 100 kB\n"
				  "7f0000000000-7f0000010000 rw-p 00000000 00:00 0\nRss: 64 kB\n"
				  "7ffc00010000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\nRss: 8 kB\n");
	struct sp_smaps b = parse("00500000-00800000 rw-p 00000000 00:00 0 [heap]\nRss: 400 kB\nSwap: 8 kB\n"
				  "7f1000000000-7f1000010000 rw-p 00000000 00:00 0\nRss: 20 kB\n"
				  "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\nRss: 72 kB\n");
	const struct sp_segment_facts none = {0};
	struct sp_segments before, now;

	(void)state;
	assert_int_equal(sp_segments_of(&a, &none, &before), 0);
	assert_int_equal(sp_segments_of(&b, &none, &now), 0);
	sp_segments_compare(&now, &before);
	assert_int_equal(now.list[0].growth, 308 * 1024);
	assert_int_equal(now.list[0].growth_size, 0x200000);
	assert_true(now.list[1].is_new);
	assert_int_equal(now.list[1].growth, 20 * 1024);
	assert_false(now.list[2].is_new);
	assert_int_equal(now.list[2].growth, 64 * 1024);
	assert_int_equal(now.sums[SP_SEGMENT_ANON].growth, -44 * 1024);
	assert_int_equal(now.total.growth, (308 - 44 + 64) * 1024);
	sp_segments_done(&before);
	sp_segments_done(&now);
	sp_smaps_done(&a);
	sp_smaps_done(&b);
}

/* ---- sentences ---- */

enum { MIB = 1 << 20 };

static void assert_said(const struct sp_segments *s, const struct sp_segment_heap *h, uint64_t span_ns,
			const char *sentence, const char *next)
{
	struct sp_segment_verdict v = sp_segments_judge(s, h, span_ns);
	char text[512], command[64];

	assert_string_equal(sp_segments_sentence(&v, s, h, text, sizeof(text)), sentence);
	assert_string_equal(sp_segments_next(&v, 42, command, sizeof(command)), next);
}

static struct sp_segments process(enum sp_segment_kind kind, uint64_t resident)
{
	struct sp_segments s = {0};

	s.sums[kind].size = s.sums[kind].resident = s.total.size = s.total.resident = resident;
	s.sums[SP_SEGMENT_READONLY].resident = 4 * MIB;
	s.total.resident += 4 * MIB;
	return s;
}

static void what_there_is_is_told_when_there_is_one_look(void **state)
{
	struct sp_segments heap = process(SP_SEGMENT_HEAP, 60 * MIB), anon = process(SP_SEGMENT_ANON, 60 * MIB),
			   shared = process(SP_SEGMENT_SHARED, 60 * MIB), file = process(SP_SEGMENT_FILE, 60 * MIB),
			   stack = process(SP_SEGMENT_THREAD_STACK, 60 * MIB), small = process(SP_SEGMENT_HEAP, 1000),
			   nothing = {0};
	struct sp_segment_heap full = {.is_known = true, .name = "glibc", .held = 60 * MIB, .used_held = 50 * MIB},
			       empty = {.is_known = true, .name = "glibc", .held = 60 * MIB, .used_held = 2 * MIB},
			       unknown = {0};

	(void)state;
	assert_said(
	    &heap, &full, 0,
	    "most of it, 60.0 MiB of 64.0 MiB, is the heap, and 50.0 MiB of it is in blocks in use: whether they "
	    "are leaked, a size cannot tell",
	    "seep scan 42");
	assert_said(&heap, &empty, 0,
		    "glibc holds 60.0 MiB in memory, and only 2.0 MiB of it is in blocks in use: the rest is "
		    "fragmentation or left from a peak, no leak",
		    "");
	assert_said(&heap, &unknown, 0,
		    "most of it, 60.0 MiB of 64.0 MiB, is the heap: how much of it is in use could not be read at the "
		    "same instant",
		    "seep trace 42");
	assert_said(&anon, &unknown, 0,
		    "most of it, 60.0 MiB of 64.0 MiB, is anonymous memory: the program's own mmap(), or "
		    "an allocator that seep does not know",
		    "seep trace --growth 42");
	assert_said(&shared, &unknown, 0,
		    "most of it, 60.0 MiB of 64.0 MiB, is shared memory: who else holds it decides when it goes",
		    "seep shm");
	assert_said(
	    &file, &unknown, 0,
	    "most of it, 60.0 MiB of 64.0 MiB, is mapped files: pages of files, which the kernel takes back when "
	    "it needs them: no leak",
	    "");
	assert_said(&stack, &unknown, 0,
		    "most of it, 60.0 MiB of 64.0 MiB, is the stacks: stacks go with their threads; threads that never "
		    "end keep them",
		    "ls /proc/42/task | wc -l");
	assert_said(&small, &unknown, 0,
		    "most of it, 4.0 MiB of 4.0 MiB, is the program and its libraries: code, constants and global "
		    "variables do not leak",
		    "");
	assert_said(&nothing, &unknown, 0, "nothing of the process is in memory", "");
}

static void what_grew_comes_first(void **state)
{
	const uint64_t span = 10000000000u;
	struct sp_segments s = process(SP_SEGMENT_ANON, 600 * MIB), still = s;
	struct sp_segment_heap h = {.is_known = true,
				    .has_growth = true,
				    .name = "glibc",
				    .held = 30 * MIB,
				    .used_held = 29 * MIB,
				    .growth_held = 10 * MIB,
				    .growth_used = 9 * MIB};

	(void)state;
	s.sums[SP_SEGMENT_HEAP].resident = 30 * MIB;
	s.sums[SP_SEGMENT_HEAP].growth = 6 * MIB;
	s.sums[SP_SEGMENT_MALLOC].growth = 4 * MIB;
	s.sums[SP_SEGMENT_ANON].growth = 8 * MIB;
	assert_said(
	    &s, &h, span,
	    "the heap grew 10.0 MiB in 10s, and blocks in use with it by 9.0 MiB: a leak, or a program that needs "
	    "more",
	    "seep trace 42");
	h.growth_used = 100;
	assert_said(&s, &h, span,
		    "the heap grew 10.0 MiB in 10s, but blocks in use only by 100 B: free memory inside it, no leak",
		    "");
	h.growth_held = 0; /* it had not grown yet when the heap was read */
	assert_said(&s, &h, span,
		    "the heap grew 10.0 MiB in 10s: how much of it is in use could not be read at the same instant",
		    "seep trace 42");
	s.sums[SP_SEGMENT_ANON].growth = 11 * MIB;
	assert_said(&s, &h, span,
		    "anonymous memory grew 11.0 MiB in 10s: the program's own mmap(), or "
		    "an allocator that seep does not know",
		    "seep trace --growth 42");
	assert_said(
	    &still, &h, span,
	    "nothing grew; most of it, 600.0 MiB of 604.0 MiB, is anonymous memory: the program's own mmap(), or "
	    "an allocator that seep does not know",
	    "seep trace --growth 42");
}

static void untouched_memory_is_said_to_take_none(void **state)
{
	struct sp_segments s = process(SP_SEGMENT_HEAP, 2 * MIB);
	struct sp_segment_heap h = {.is_known = true, .held = 2 * MIB, .used_held = 2 * MIB};

	(void)state;
	s.sums[SP_SEGMENT_MALLOC].size = (uint64_t)1024 * MIB;
	s.sums[SP_SEGMENT_RESERVED].size = (uint64_t)9000 * MIB; /* nobody could have touched it */
	assert_said(&s, &h, 0, "1.0 GiB are allocated and were never touched: they take no memory", "");
	s.sums[SP_SEGMENT_HEAP].resident = s.total.resident = 100 * MIB;
	h.held = h.used_held = 100 * MIB;
	assert_said(
	    &s, &h, 0,
	    "most of it, 100.0 MiB of 100.0 MiB, is the heap, and 100.0 MiB of it is in blocks in use: whether "
	    "they are leaked, a size cannot tell; 926.0 MiB more are allocated and were never touched: they take "
	    "no memory",
	    "seep scan 42");
}

static void want_of_memory_is_an_error_and_no_leak(void **state)
{
	const struct sp_segment_facts none = {0};
	bool has_failed;
	long n = 0;

	(void)state;
	do {
		struct sp_smaps s;
		struct sp_segments r;

		alloc_arm(n++);
		if (sp_smaps_parse(smaps_618, strlen(smaps_618), &s) == 0) {
			if (sp_segments_of(&s, &none, &r) == 0)
				sp_segments_done(&r);
			sp_smaps_done(&s);
		}
		has_failed = alloc_disarm();
	} while (has_failed);
	assert_true(n > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_are_read_in_bytes),
	    cmocka_unit_test(each_mapping_is_the_segment_that_it_is_used_as),
	    cmocka_unit_test(huge_pages_without_a_file_are_anonymous_or_shared),
	    cmocka_unit_test(a_stack_pointer_in_a_runtimes_heap_makes_no_stack_of_it),
	    cmocka_unit_test(bss_that_lies_beside_other_memory_does_not_swallow_it),
	    cmocka_unit_test(growth_is_of_the_same_mapping),
	    cmocka_unit_test(what_there_is_is_told_when_there_is_one_look),
	    cmocka_unit_test(what_grew_comes_first),
	    cmocka_unit_test(untouched_memory_is_said_to_take_none),
	    cmocka_unit_test(want_of_memory_is_an_error_and_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
