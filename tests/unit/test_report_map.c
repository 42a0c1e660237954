// SPDX-License-Identifier: Apache-2.0
/* seep map's two writers on a made view. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/map.h"

static struct sp_smap heap = {
    .map = {.start = 0x500000, .end = 0x600000, .prot = SP_PROT_R | SP_PROT_W, .path = "[heap]"},
    .resident = 1 << 20,
    .pss = 1 << 20,
    .private_dirty = 1 << 20};
static struct sp_smap stack = {.map = {.start = 0x7f0000, .end = 0x7f8000, .prot = SP_PROT_R | SP_PROT_W, .path = ""},
			       .resident = 8192,
			       .pss = 8192,
			       .private_dirty = 8192,
			       .swapped = 4096};

static struct sp_segment list[2];
static struct sp_segments segments;

static const char *name_of_thread(const struct sp_map_view *v, pid_t tid, char *buf, size_t size)
{
	assert_int_equal(tid, 13);
	(void)v;
	snprintf(buf, size, "worker");
	return buf;
}

static struct sp_map_view view(uint64_t nr_look)
{
	struct sp_map_view v = {.pid = 12,
				.comm = "app",
				.time = {.tv_sec = 1700017241},
				.nr_look = nr_look,
				.interval_ns = nr_look > 1 ? 5000000000u : 0,
				.nr_threads = 2,
				.segments = &segments,
				.thread_name = name_of_thread,
				.has_heap = true,
				.heap_why = "",
				.sentence = "most of it is the heap",
				.next = "seep trace 12"};

	list[0] = (struct sp_segment){.smap = &heap,
				      .kind = SP_SEGMENT_HEAP,
				      .owner = "glibc",
				      .owned = 0xfff00,
				      .growth = 65536,
				      .growth_size = 65536};
	list[1] = (struct sp_segment){.smap = &stack, .kind = SP_SEGMENT_THREAD_STACK, .tid = 13, .is_new = true};
	segments = (struct sp_segments){.list = list, .nr = 2};
	segments.sums[SP_SEGMENT_HEAP] = (struct sp_segment_sum){.nr = 1,
								 .size = 1 << 20,
								 .resident = 1 << 20,
								 .pss = 1 << 20,
								 .unique = 1 << 20,
								 .dirty = 1 << 20,
								 .growth = 65536};
	segments.sums[SP_SEGMENT_THREAD_STACK] = (struct sp_segment_sum){
	    .nr = 1, .size = 32768, .resident = 8192, .pss = 8192, .unique = 8192, .dirty = 8192, .swapped = 4096};
	segments.total = (struct sp_segment_sum){.nr = 2,
						 .size = 1081344,
						 .resident = 1056768,
						 .pss = 1056768,
						 .unique = 1056768,
						 .dirty = 1056768,
						 .swapped = 4096,
						 .growth = 65536};
	v.heaps[0] = (struct sp_map_heap){.name = "glibc",
					  .used_bytes = 262144,
					  .used_blocks = 1,
					  .free_bytes = 786432,
					  .free_blocks = 3,
					  .region_bytes = 0xfff00,
					  .nr_regions = 1,
					  .held_bytes = 1048576,
					  .used_held_bytes = 262144,
					  .has_growth = nr_look > 1,
					  .growth_used_bytes = 4096};
	v.nr_heaps = 1;
	return v;
}

typedef int writer(FILE *out, const struct sp_map_view *v, const struct sp_report_map_options *o);

static char *written(writer *write, const struct sp_map_view *v, struct sp_report_map_options o)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	o.utc = true;
	assert_int_equal(write(f, v, &o), 0);
	fclose(f);
	return text;
}

static void assert_written(writer *write, const struct sp_map_view *v, struct sp_report_map_options o,
			   const char *wanted)
{
	char *text = written(write, v, o);

	assert_string_equal(text, wanted);
	free(text);
}

static void assert_has(const struct sp_map_view *v, struct sp_report_map_options o, const char *part)
{
	char *text = written(sp_report_map, v, o);

	if (!strstr(text, part))
		fail_msg("no '%s' in:\n%s", part, text);
	free(text);
}

static void a_first_look_has_no_growth(void **state)
{
	struct sp_map_view v = view(1);

	(void)state;
	assert_written(
	    sp_report_map, &v, (struct sp_report_map_options){0},
	    "app[12] at 03:00:41: 1.0 MiB in memory of 1.0 MiB, 4.0 KiB swapped; 1.0 MiB its own; 2 threads\n"
	    "\n"
	    "segment             maps  virtual resident    dirty  swapped   growth leaks  who frees it\n"
	    "heap                   1     1.0M     1.0M     1.0M        0        - yes    the program, by free(); the "
	    "top "
	    "goes back to the kernel\n"
	    "thread stacks          1    32.0K     8.0K     8.0K     4.0K        - no     the thread's end, if it is "
	    "joined or detached\n"
	    "total                  2     1.0M     1.0M     1.0M     4.0K        -\n"
	    "\n"
	    "glibc: 256.0 KiB in 1 block in use, 768.0 KiB free inside; 1.0 MiB in memory, 256.0 KiB of it under "
	    "blocks "
	    "in use: 75 % is kept for later or fragmented\n"
	    "\n"
	    "most of it is the heap. Next: seep trace 12\n");
}

static void a_narrow_terminal_has_who_frees_below(void **state)
{
	struct sp_map_view v = view(1);
	const struct sp_report_map_options narrow = {.width = 80};
	char *text = written(sp_report_map, &v, narrow);

	(void)state;
	for (char *line = strtok(text, "\n"); line && !strstr(line, "who frees"); line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 100);
	free(text);
	assert_has(&v, narrow,
		   "\nwho frees it\n  heap             the program, by free(); the top goes back to the kernel\n");
}

static void mappings_say_what_they_are_and_whose(void **state)
{
	struct sp_map_view v = view(2);
	const struct sp_report_map_options o = {.list = true};

	(void)state;
	assert_has(&v, o,
		   "\n500000-600000                 rw-p     1.0M     1.0M     1.0M        0   +64.0K heap, [heap], "
		   "glibc has 1023.8 KiB of it\n");
	assert_has(&v, o,
		   "\n7f0000-7f8000                 rw-p    32.0K     8.0K     8.0K     4.0K        0 thread stacks, "
		   "of thread 13 worker, new\n");
	assert_has(&v, o, "1 block in use (growth +4.0K), ");
}

static void what_was_not_seen_is_said(void **state)
{
	struct sp_map_view v = view(1);

	(void)state;
	v.nr_heaps = 0;
	v.heap_why = "no allocator that seep knows was found in it";
	v.nr_threads_unknown = 1;
	v.nr_lost = 7;
	assert_has(&v, (struct sp_report_map_options){0},
		   "the heap from inside: no allocator that seep knows was found in it\n"
		   "1 thread ran while seep looked: the stack may be among the anonymous maps\n"
		   "not seen: 7 mappings, the table is full\n");
}

static void json_has_everything(void **state)
{
	struct sp_map_view v = view(2);

	(void)state;
	assert_written(
	    sp_report_map_json, &v, (struct sp_report_map_options){.list = true},
	    "{\"schema\":\"seep/1\",\"kind\":\"map\",\"time\":\"2023-11-15T03:00:41.000Z\",\"pid\":12,\"comm\":\"app\","
	    "\"look\":2,\"last\":false,\"interval_ms\":5000,\"took_ms\":0,\"threads\":2,"
	    "\"total\":{\"maps\":2,\"size\":1081344,\"resident\":1056768,\"pss\":1056768,\"unique\":1056768,"
	    "\"dirty\":1056768,\"swapped\":4096,\"huge\":0,\"growth\":65536,\"growth_size\":0},"
	    "\"segments\":[{\"segment\":\"heap\",\"maps\":1,\"size\":1048576,\"resident\":1048576,\"pss\":1048576,"
	    "\"unique\":1048576,\"dirty\":1048576,\"swapped\":0,\"huge\":0,\"growth\":65536,\"growth_size\":0,"
	    "\"can_leak\":\"yes\",\"freed_by\":\"the program, by free(); the top goes back to the kernel\"},"
	    "{\"segment\":\"thread_stack\",\"maps\":1,\"size\":32768,\"resident\":8192,\"pss\":8192,\"unique\":8192,"
	    "\"dirty\":8192,\"swapped\":4096,\"huge\":0,\"growth\":0,\"growth_size\":0,\"can_leak\":\"no\","
	    "\"freed_by\":\"the thread's end, if it is joined or detached\"}],"
	    "\"maps\":[{\"start\":\"0x500000\",\"end\":\"0x600000\",\"mode\":\"rw-p\",\"segment\":\"heap\","
	    "\"path\":\"[heap]\",\"deleted\":false,\"tid\":null,\"owner\":\"glibc\",\"owned\":1048320,\"size\":1048576,"
	    "\"resident\":1048576,\"pss\":1048576,\"anonymous\":0,\"dirty\":1048576,\"swapped\":0,\"huge\":0,"
	    "\"new\":false,\"growth\":65536,\"growth_size\":65536},"
	    "{\"start\":\"0x7f0000\",\"end\":\"0x7f8000\",\"mode\":\"rw-p\",\"segment\":\"thread_stack\",\"path\":null,"
	    "\"deleted\":false,\"tid\":13,\"owner\":null,\"owned\":0,\"size\":32768,\"resident\":8192,\"pss\":8192,"
	    "\"anonymous\":0,\"dirty\":8192,\"swapped\":4096,\"huge\":0,\"new\":true,\"growth\":0,\"growth_size\":0}],"
	    "\"heaps\":[{\"allocator\":\"glibc\",\"used_bytes\":262144,\"used_blocks\":1,\"free_bytes\":786432,"
	    "\"free_blocks\":3,\"region_bytes\":1048320,\"regions\":1,\"held_bytes\":1048576,\"used_held_bytes\":"
	    "262144,"
	    "\"growth_used_bytes\":4096,\"growth_used_blocks\":0,\"growth_held_bytes\":0,\"not_understood\":null}],"
	    "\"heaps_why\":null,\"verdict\":{\"cause\":\"nothing\",\"growth\":false,\"amount_bytes\":0,"
	    "\"untouched_bytes\":0,\"sentence\":\"most of it is the heap\",\"next\":\"seep trace 12\"},\"lost\":{}}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_first_look_has_no_growth),
	    cmocka_unit_test(a_narrow_terminal_has_who_frees_below),
	    cmocka_unit_test(mappings_say_what_they_are_and_whose),
	    cmocka_unit_test(what_was_not_seen_is_said),
	    cmocka_unit_test(json_has_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
