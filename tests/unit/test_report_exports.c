// SPDX-License-Identifier: Apache-2.0
/* What other tools read: folded stacks, pprof's profile, LeakSanitizer's and Valgrind's text. */
#include "view_fixture.h"

#include <zlib.h>

#include "failing_alloc.h"

#include "report/profile.pb-c.h"

static void a_folded_line_is_a_path_from_outside_inwards_and_its_bytes(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.leak[1].function = "lambda;1";
	assert_report(sp_report_folded, &f.view, (struct sp_report_options){0},
		      "start_thread;lambda:1;fibonacci 40960\n"
		      "0x7f0000000010;libstripped.so.1+0xabc;fill(std::vector<int>&);"
		      "std::vector<int>::push_back(int const&)_[i] 245\n");
	f.view.nr_paths = 1;
	f.leak[1].function = "child";
	assert_report(sp_report_folded, &f.view, (struct sp_report_options){0},
		      "start_thread;child;fibonacci 40960\n[call paths not shown] 245\n");
}

static void lsan_has_a_leak_a_path_and_says_what_was_not_looked_at(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.lost[SP_LOST_STACK_CUT] = 3;
	assert_report(sp_report_lsan, &f.view, (struct sp_report_options){0},
		      "seep: outstanding blocks; whether something points to them was not looked at\n"
		      "seep: not seen: 3 call paths cut: deeper than 127 frames\n"
		      "\n=================================================================\n"
		      "==12512==ERROR: LeakSanitizer: detected memory leaks\n\n"
		      "Direct leak of 40960 byte(s) in 5 object(s) allocated from:\n"
		      "    #0 0x55d000001170 in fibonacci leak.c:21\n"
		      "    #1 0x55d0000011f0 in child leak.c:40\n"
		      "    #2 0x7f8f70300144 in start_thread (/usr/lib/libc.so.6+0x89144)\n\n"
		      "Direct leak of 245 byte(s) in 1 object(s) allocated from:\n"
		      "    #0 0x55d000002000 in std::vector<int>::push_back(int const&) "
		      "/usr/include/c++/12/bits/stl_vector.h:1287\n"
		      "    #1 0x55d000002000 in fill(std::vector<int>&) /src/main.cc:7\n"
		      "    #2 0x7f8f70400abc  (<unknown module>+0xabc)\n"
		      "    #3 0x7f0000000010  (<unknown module>+0x0)\n\n"
		      "SUMMARY: LeakSanitizer: 41205 byte(s) leaked in 6 allocation(s).\n");
	f.view.nr_paths = f.view.total_paths = f.view.total_bytes = f.view.total_blocks = 0;
	assert_report(sp_report_lsan, &f.view, (struct sp_report_options){0}, "");
}

static void valgrind_calls_what_is_outstanding_possibly_lost(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.suppressed_bytes = 1000;
	f.view.suppressed_blocks = 2;
	assert_report(sp_report_valgrind, &f.view, (struct sp_report_options){0},
		      "==12512== outstanding blocks; whether something points to them was not looked at\n"
		      "==12512== HEAP SUMMARY:\n==12512==     in use: 41,205 bytes in 6 blocks\n==12512== \n"
		      "==12512== 40,960 bytes in 5 blocks are possibly lost in loss record 1 of 2\n"
		      "==12512==    at 0x55D000001170: fibonacci (leak.c:21)\n"
		      "==12512==    by 0x55D0000011F0: child (leak.c:40)\n"
		      "==12512==    by 0x7F8F70300144: start_thread (in /usr/lib/libc.so.6)\n==12512== \n"
		      "==12512== 245 bytes in 1 blocks are possibly lost in loss record 2 of 2\n"
		      "==12512==    at 0x55D000002000: std::vector<int>::push_back(int const&) (stl_vector.h:1287)\n"
		      "==12512==    by 0x55D000002000: fill(std::vector<int>&) (main.cc:7)\n"
		      "==12512==    by 0x7F8F70400ABC: ?\?\? (in ?\?\?)\n"
		      "==12512==    by 0x7F0000000010: ?\?\? (in ?\?\?)\n==12512== \n"
		      "==12512== LEAK SUMMARY:\n"
		      "==12512==    definitely lost: 0 bytes in 0 blocks\n"
		      "==12512==    indirectly lost: 0 bytes in 0 blocks\n"
		      "==12512==      possibly lost: 41,205 bytes in 6 blocks\n"
		      "==12512==    still reachable: 0 bytes in 0 blocks\n"
		      "==12512==         suppressed: 1,000 bytes in 2 blocks\n");
}

/* The profile of a view, unpacked; free_profile() it. */
static Sp__Pprof__Profile *profile_of(const struct sp_view *v)
{
	static uint8_t raw[1 << 16];
	z_stream z = {.next_out = raw, .avail_out = sizeof(raw)};
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	assert_int_equal(sp_report_pprof(file, v, &(struct sp_report_options){0}), 0);
	fclose(file);
	z.next_in = (uint8_t *)text;
	z.avail_in = (uInt)len;
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	free(text);
	Sp__Pprof__Profile *p = sp__pprof__profile__unpack(NULL, z.total_out, raw);
	assert_non_null(p);
	return p;
}

static void free_profile(Sp__Pprof__Profile *p)
{
	sp__pprof__profile__free_unpacked(p, NULL);
}

static const char *name_of(const Sp__Pprof__Profile *p, const Sp__Pprof__Line *line)
{
	return p->string_table[p->function[line->function_id - 1]->name];
}

static void a_profile_has_objects_and_bytes_of_every_path(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	Sp__Pprof__Profile *p = profile_of(&f.view);
	assert_int_equal(p->n_sample_type, 2);
	assert_string_equal(p->string_table[p->sample_type[0]->type], "inuse_objects");
	assert_string_equal(p->string_table[p->sample_type[1]->type], "inuse_space");
	assert_string_equal(p->string_table[p->sample_type[1]->unit], "bytes");
	assert_int_equal(p->default_sample_type, p->sample_type[1]->type);
	assert_int_equal(p->n_sample, 2);
	assert_int_equal(p->sample[0]->value[0], 5);
	assert_int_equal(p->sample[0]->value[1], 40960);
	assert_int_equal(p->sample[1]->value[1], 245);
	assert_int_equal(p->time_nanos, 1700017241123456789);
	assert_string_equal(p->string_table[0], "");
	free_profile(p);
}

static void an_inlined_frame_is_a_line_of_its_callers_location(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	Sp__Pprof__Profile *p = profile_of(&f.view);
	const Sp__Pprof__Sample *s = p->sample[1];
	assert_int_equal(s->n_location_id, 3);
	const Sp__Pprof__Location *loc = p->location[s->location_id[0] - 1];
	assert_int_equal(loc->address, 0x55d000002000);
	assert_int_equal(loc->n_line, 2);
	assert_string_equal(name_of(p, loc->line[0]), "std::vector<int>::push_back(int const&)");
	assert_int_equal(loc->line[0]->line, 1287);
	assert_string_equal(name_of(p, loc->line[1]), "fill(std::vector<int>&)");
	assert_int_equal(p->location[s->location_id[2] - 1]->n_line, 0);
	free_profile(p);
}

static void mappings_have_build_ids_and_hold_their_locations(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.leak[1].module_offset = 0x11f0;
	f.other[0].module_offset = f.other[1].module_offset = 0x2000;
	Sp__Pprof__Profile *p = profile_of(&f.view);
	assert_int_equal(p->n_mapping, 2); /* app, libc */
	for (size_t i = 0; i < p->n_location; i++) {
		const Sp__Pprof__Location *loc = p->location[i];
		if (!loc->mapping_id)
			continue;
		const Sp__Pprof__Mapping *m = p->mapping[loc->mapping_id - 1];
		assert_int_equal(m->id, loc->mapping_id);
		assert_true(loc->address >= m->memory_start && loc->address < m->memory_limit);
	}
	const Sp__Pprof__Mapping *app = p->mapping[p->location[0]->mapping_id - 1];
	assert_string_equal(p->string_table[app->filename], "/app");
	assert_string_equal(p->string_table[app->build_id], "5e3cbd3c8a1f0b6d");
	assert_int_equal(app->memory_start - app->file_offset, 0x55d000000000);
	free_profile(p);
}

static void functions_of_one_name_in_two_files_stay_two(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.leak[1].function = f.leak[0].function;
	f.leak[1].file = "other.c";
	Sp__Pprof__Profile *p = profile_of(&f.view);
	const Sp__Pprof__Line *a = p->location[p->sample[0]->location_id[0] - 1]->line[0];
	const Sp__Pprof__Line *b = p->location[p->sample[0]->location_id[1] - 1]->line[0];
	assert_int_not_equal(a->function_id, b->function_id);
	assert_string_equal(name_of(p, a), name_of(p, b));
	free_profile(p);
}

static void what_is_not_shown_is_in_the_totals(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	Sp__Pprof__Profile *p = profile_of(&f.view);
	assert_int_equal(p->n_sample, 2);
	assert_int_equal(p->sample[1]->value[0], 1);
	assert_int_equal(p->sample[1]->value[1], 245);
	free_profile(p);
}

static void no_memory_and_a_full_disk_are_said(void **state)
{
	struct fixture f;
	long n = 0;
	int err;

	(void)state;
	fixture_init(&f);
	assert_reports_full_disk(sp_report_folded, &f.view);
	assert_reports_full_disk(sp_report_lsan, &f.view);
	assert_reports_full_disk(sp_report_valgrind, &f.view);
	assert_reports_full_disk(sp_report_pprof, &f.view);
	FILE *file = fopen("/dev/null", "w");
	do {
		alloc_arm(n++);
		err = sp_report_pprof(file, &f.view, &(struct sp_report_options){0});
		assert_true(err == 0 || err == -ENOMEM);
	} while (alloc_disarm());
	assert_int_equal(err, 0);
	assert_true(n > 10);
	fclose(file);
}

/* The page of a view; free() it. */
static char *page_of(const struct sp_view *v)
{
	return report_text(sp_report_html, v, (struct sp_report_options){0});
}

static void a_page_has_every_path_frame_and_note(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.paths[0].list = f.list;
	f.paths[0].nr_list = 2;
	f.view.suppressed_paths = 1;
	f.view.lost[SP_LOST_STACK_CUT] = 3;
	char *page = page_of(&f.view);
	assert_int_equal(strncmp(page, "<!DOCTYPE html>\n", 16), 0);
	assert_non_null(strstr(page, "default-src 'none'"));
	assert_non_null(strstr(page, "\"totals\":{\"bytes\":41205,\"blocks\":6,\"paths\":2}"));
	assert_non_null(strstr(page, "\"notes\":\"suppressed: 1 call path, 0 B in 0 blocks\\nnot seen: 3 "));
	assert_non_null(
	    strstr(page, "\"frames\":[0,1,2],\"list\":[[\"0x7f8f70861210\",8192,2000],[\"0x7f8f70863220\""));
	assert_non_null(strstr(page, "\"frames\":[3,4,5,6]}],\"frames\":[[\"fibonacci\",\"app\",\"leak.c\",21,false,"
				     "\"0x1170\",\"5e3cbd3c8a1f0b6d\"]"));
	assert_string_equal(page + strlen(page) - 8, "</html>\n");
	free(page);
}

static void a_frame_that_several_paths_have_is_there_once(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.other[3] = f.leak[2];
	char *page = page_of(&f.view);
	assert_non_null(strstr(page, "\"frames\":[3,4,5,2]}]"));
	free(page);
}

static size_t nr_of(const char *text, const char *what)
{
	size_t nr = 0;

	for (const char *p = strstr(text, what); p; p = strstr(p + 1, what))
		nr++;
	return nr;
}

static void a_hostile_name_cannot_leave_its_string(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	char *plain = page_of(&f.view);
	f.leak[0].function = "</script><script>alert(1)</script><!--";
	f.leak[1].file = "\"]}</SCRIPT>\\";
	f.view.comm = "<b>";
	char *page = page_of(&f.view);
	assert_int_equal(nr_of(page, "<"), nr_of(plain, "<"));
	assert_int_equal(nr_of(page, "</script>"), 4);
	assert_non_null(strstr(page, "\"\\u003c/script>\\u003cscript>alert(1)\\u003c/script>\\u003c!--\""));
	assert_non_null(strstr(page, "\"\\\"]}\\u003c/SCRIPT>\\\\\""));
	free(plain);
	free(page);
}

static void histories_and_verdicts_are_in_the_page_when_they_are_known(void **state)
{
	const uint64_t history[] = {16384, 40960};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.has_verdicts = true;
	f.view.nr_history = 2;
	f.view.history_ns[0] = FIXTURE_NOW_NS - 5000000000u;
	f.view.history_ns[1] = FIXTURE_NOW_NS;
	f.paths[0].history = history;
	f.paths[0].verdict = (struct sp_verdict){.class = SP_CLASS_GROWING, .trend = {.slope = 4915.2}};
	char *page = page_of(&f.view);
	assert_non_null(strstr(page, "\"times\":[1700017236123,1700017241123],"));
	assert_non_null(strstr(page, "\"class\":\"growing\",\"slope\":4915.2,\"history\":[16384,40960]"));
	free(page);
}

static void a_page_that_cannot_be_written_is_said(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_reports_full_disk(sp_report_html, &f.view);
}

static void want_of_memory_for_a_page_is_said(void **state)
{
	struct fixture f;
	long n = 0;
	int err;

	(void)state;
	fixture_init(&f);
	do {
		FILE *file = fopen("/dev/null", "w");
		alloc_arm(n++);
		err = sp_report_html(file, &f.view, &(struct sp_report_options){0});
		assert_true(!err || err == -ENOMEM);
		fclose(file);
	} while (alloc_disarm());
	assert_int_equal(err, 0);
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lsan_has_a_leak_a_path_and_says_what_was_not_looked_at),
	    cmocka_unit_test(valgrind_calls_what_is_outstanding_possibly_lost),
	    cmocka_unit_test(a_folded_line_is_a_path_from_outside_inwards_and_its_bytes),
	    cmocka_unit_test(a_profile_has_objects_and_bytes_of_every_path),
	    cmocka_unit_test(an_inlined_frame_is_a_line_of_its_callers_location),
	    cmocka_unit_test(mappings_have_build_ids_and_hold_their_locations),
	    cmocka_unit_test(functions_of_one_name_in_two_files_stay_two),
	    cmocka_unit_test(what_is_not_shown_is_in_the_totals),
	    cmocka_unit_test(no_memory_and_a_full_disk_are_said),
	    cmocka_unit_test(a_page_has_every_path_frame_and_note),
	    cmocka_unit_test(a_frame_that_several_paths_have_is_there_once),
	    cmocka_unit_test(a_hostile_name_cannot_leave_its_string),
	    cmocka_unit_test(histories_and_verdicts_are_in_the_page_when_they_are_known),
	    cmocka_unit_test(a_page_that_cannot_be_written_is_said),
	    cmocka_unit_test(want_of_memory_for_a_page_is_said),
	};

	return cmocka_run_group_tests_name("report_exports", tests, NULL, NULL);
}
