// SPDX-License-Identifier: Apache-2.0
/* A scan as text, as JSON, and as LeakSanitizer and Valgrind print it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/scan.h"

static const uint64_t addresses[] = {0x1000, 0x2000};

static struct sp_scan_group groups[] = {
    {.class = SP_HEAP_LEAKED, .bytes = 80, .blocks = 2, .size = 40, .type = "app::Session", .example = 0x1000},
    {.class = SP_HEAP_INDIRECT, .bytes = 2048, .blocks = 1, .size = 2048, .text = "GET /\033", .example = 0x3000},
    {.class = SP_HEAP_POSSIBLE, .bytes = 24, .blocks = 1, .size = 24, .example = 0x4000},
};

static struct sp_scan scan_with(size_t nr_groups)
{
	struct sp_scan s = {.pid = 7,
			    .comm = "app",
			    .time.tv_sec = 41,
			    .nr_scans = nr_groups ? 2 : 1,
			    .pause_ns = 1234567,
			    .read_ns = 5000000,
			    .held_ns = 6000000,
			    .nr_models = 1,
			    .models = {{.name = "glibc", .nr_regions = 1, .used_bytes = 4096, .used_blocks = 9}},
			    .groups = groups,
			    .nr_groups = nr_groups};

	for (size_t i = 0; i < nr_groups; i++) {
		s.sums[groups[i].class].bytes += groups[i].bytes;
		s.sums[groups[i].class].blocks += groups[i].blocks;
	}
	return s;
}

typedef int (*writer)(FILE *out, const struct sp_scan *s, const struct sp_report_options *o);

static void check(writer write, const struct sp_scan *s, const char *wanted)
{
	const struct sp_report_options o = {.utc = true};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(write(f, s, &o), 0);
	fclose(f);
	assert_string_equal(text, wanted);
	free(text);
}

static void leaks_come_first_and_then_how_sure_that_is(void **state)
{
	struct sp_scan s = scan_with(3);

	(void)state;
	check(sp_report_scan_text, &s,
	      "00:00:41  app (pid 7): 80 B in 2 blocks leaked, and 2.0 KiB in 1 block that only they lead to\n\n"
	      "  leaked         80 B in 2 blocks of 40 bytes   app::Session   one at 0x1000\n"
	      "  indirect    2.0 KiB in 1 block of 2048 bytes   \"GET /?\"   at 0x3000\n"
	      "  possible       24 B in 1 block of 24 bytes   at 0x4000\n\n"
	      "          heap: glibc, 4.0 KiB in 9 blocks in use, 0 B free\n"
	      "          two scans agree; stopped for 1ms, snapshot held for 6ms\n");
	assert_true(sp_scan_has_leak(&s));
}

static void nothing_leaked_is_told_from_nothing_known(void **state)
{
	struct sp_scan s = scan_with(0);

	(void)state;
	check(sp_report_scan_text, &s,
	      "00:00:41  app (pid 7): nothing leaked\n"
	      "          heap: glibc, 4.0 KiB in 9 blocks in use, 0 B free\n"
	      "          stopped for 1ms, snapshot held for 6ms\n");
	assert_false(sp_scan_has_leak(&s) || sp_scan_is_blind(&s));
	s.nr_models = 0;
	check(sp_report_scan_text, &s, "00:00:41  app (pid 7): cannot tell: no heap of an allocator that seep knows\n");
	assert_true(sp_scan_is_blind(&s));
}

static void what_was_not_seen_is_said(void **state)
{
	struct sp_scan s = scan_with(0);

	(void)state;
	s.is_racy = true;
	s.held_ns = 0;
	s.lost = (struct sp_heap_lost){.away_bytes = 8192, .unjudged_bytes = 100, .threads_unknown = 3};
	s.nr_spared = 1;
	snprintf(s.racy_why, sizeof(s.racy_why), "refused");
	snprintf(s.models[0].gave_up, sizeof(s.models[0].gave_up), "a broken chain");
	check(sp_report_scan_text, &s,
	      "00:00:41  app (pid 7): nothing leaked\n"
	      "          heap: glibc, 4.0 KiB in 9 blocks in use, 0 B free\n"
	      "          not judged: glibc: a broken chain\n"
	      "          read while it ran, so blocks on the move may be wrong; stopped for 1ms\n"
	      "          no snapshot: refused\n"
	      "          not seen: 8.0 KiB swapped out, so nothing is called leaked\n"
	      "          not seen: 100 B of heap that is not understood; what it points to counts as reached\n"
	      "          not seen: registers of 3 threads, so nothing is called leaked\n"
	      "          1 block leaked in one scan only: taken for reached\n");
}

static void as_json_it_is_one_line(void **state)
{
	struct sp_scan s = scan_with(1);

	(void)state;
	groups[0].list = addresses;
	groups[0].nr_list = 2;
	check(
	    sp_report_scan_json, &s,
	    "{\"schema\":\"seep/1\",\"kind\":\"scan\",\"time\":\"1970-01-01T00:00:41.000Z\",\"pid\":7,\"comm\":\"app\","
	    "\"pause_ms\":1.235,\"scan_ms\":5.000,\"held_ms\":6.000,\"cost_bytes\":0,\"kept_out_bytes\":0,\"scans\":2,"
	    "\"racy\":false,"
	    "\"racy_why\":null,\"totals\":{\"unjudged\":{\"bytes\":0,\"blocks\":0},\"reached\":{\"bytes\":0,\"blocks\":"
	    "0},"
	    "\"possible\":{\"bytes\":0,\"blocks\":0},\"leaked\":{\"bytes\":80,\"blocks\":2},"
	    "\"indirect\":{\"bytes\":0,\"blocks\":0}},\"models\":[{\"name\":\"glibc\",\"used_bytes\":4096,"
	    "\"used_blocks\":9,\"free_bytes\":0,\"region_bytes\":0,\"gave_up\":null}],\"groups\":[{\"class\":"
	    "\"leaked\","
	    "\"bytes\":80,\"blocks\":2,\"size\":40,\"type\":\"app::Session\",\"frames\":[],\"evidence\":{\"scans\":2,"
	    "\"text\":null,\"example\":\"0x1000\"},\"list\":[{\"address\":\"0x1000\",\"size\":40},"
	    "{\"address\":\"0x2000\",\"size\":40}]}],\"lost\":{}}\n");
	groups[0].list = NULL;
	groups[0].nr_list = 0;
}

static void lsan_has_no_possible_leaks_and_says_nothing_of_no_leak(void **state)
{
	struct sp_scan s = scan_with(3), none = scan_with(0);

	(void)state;
	check(sp_report_scan_lsan, &s,
	      "\n=================================================================\n"
	      "==7==ERROR: LeakSanitizer: detected memory leaks\n\n"
	      "Direct leak of 80 byte(s) in 2 object(s) allocated from:\n"
	      "    #0 0x000000001000  (<unknown module>) blocks of 40 bytes, app::Session\n\n"
	      "Indirect leak of 2048 byte(s) in 1 object(s) allocated from:\n"
	      "    #0 0x000000003000  (<unknown module>) blocks of 2048 bytes\n\n"
	      "SUMMARY: LeakSanitizer: 2128 byte(s) leaked in 3 allocation(s).\n");
	check(sp_report_scan_lsan, &none, "");
}

static void valgrind_has_a_record_for_each_group_and_a_summary(void **state)
{
	struct sp_scan s = scan_with(2);

	(void)state;
	check(sp_report_scan_valgrind, &s,
	      "==7== HEAP SUMMARY:\n==7==     in use: 2,128 bytes in 3 blocks\n==7== \n"
	      "==7== 80 bytes in 2 blocks are definitely lost in loss record 1 of 2\n"
	      "==7==    at 0x1000: ??? (app::Session)\n==7== \n"
	      "==7== 2,048 bytes in 1 blocks are indirectly lost in loss record 2 of 2\n"
	      "==7==    at 0x3000: ??? (made before anybody watched)\n==7== \n"
	      "==7== LEAK SUMMARY:\n==7==    definitely lost: 80 bytes in 2 blocks\n"
	      "==7==    indirectly lost: 2,048 bytes in 1 blocks\n==7==      possibly lost: 0 bytes in 0 blocks\n"
	      "==7==    still reachable: 0 bytes in 0 blocks\n==7==         suppressed: 0 bytes in 0 blocks\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(leaks_come_first_and_then_how_sure_that_is),
	    cmocka_unit_test(nothing_leaked_is_told_from_nothing_known),
	    cmocka_unit_test(what_was_not_seen_is_said),
	    cmocka_unit_test(as_json_it_is_one_line),
	    cmocka_unit_test(lsan_has_no_possible_leaks_and_says_nothing_of_no_leak),
	    cmocka_unit_test(valgrind_has_a_record_for_each_group_and_a_summary),
	};

	return cmocka_run_group_tests_name("report scan", tests, NULL, NULL);
}
