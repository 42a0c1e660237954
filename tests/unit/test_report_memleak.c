// SPDX-License-Identifier: Apache-2.0
/* report/memleak.c: bcc's text, to the byte. */
#include "view_fixture.h"

static const char the_stacks[] = "\t245 bytes in 1 allocations from stack\n"
				 "\t\tfill(std::vector<int>&)+0x40 [app]\n"
				 "\t\t[unknown] [libstripped.so.1]\n"
				 "\t\t[unknown]\n"
				 "\t40960 bytes in 5 allocations from stack\n"
				 "\t\tfibonacci+0x1f [app]\n"
				 "\t\tchild+0x4f [app]\n"
				 "\t\tstart_thread+0xdb [libc.so.6]\n";

static void biggest_stack_is_last_and_inlined_frames_are_left_out(void **state)
{
	struct fixture f;
	char want[1024];

	(void)state;
	fixture_init(&f);
	snprintf(want, sizeof(want), "[03:00:41] Top 10 stacks with outstanding allocations:\n%s", the_stacks);
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){0}, want);
}

static void blocks_come_first_by_size_then_address(void **state)
{
	struct fixture f;
	char want[1024];

	(void)state;
	fixture_init(&f);
	f.view.list = f.list;
	f.view.nr_list = 3;
	snprintf(want, sizeof(want),
		 "[03:00:41] Top 10 stacks with outstanding allocations:\n"
		 "\taddr = 7f8f70900000 size = 245\n"
		 "\taddr = 7f8f70861210 size = 8192\n"
		 "\taddr = 7f8f70863220 size = 8192\n%s",
		 the_stacks);
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){.show_list = true}, want);
}

static void top_in_the_header_is_what_was_asked_for(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.top = 1;
	f.view.nr_paths = 1;
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){0},
		      "[03:00:41] Top 1 stacks with outstanding allocations:\n"
		      "\t40960 bytes in 5 allocations from stack\n"
		      "\t\tfibonacci+0x1f [app]\n"
		      "\t\tchild+0x4f [app]\n"
		      "\t\tstart_thread+0xdb [libc.so.6]\n");
}

static void address_column_when_asked_for(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){.show_pc = true},
		      "[03:00:41] Top 10 stacks with outstanding allocations:\n"
		      "\t40960 bytes in 5 allocations from stack\n"
		      "\t\t0x000055d000001170\tfibonacci+0x1f [app]\n"
		      "\t\t0x000055d0000011f0\tchild+0x4f [app]\n"
		      "\t\t0x00007f8f70300144\tstart_thread+0xdb [libc.so.6]\n");
}

static void nothing_outstanding_is_the_header_alone(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 0;
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){.show_list = true},
		      "[03:00:41] Top 10 stacks with outstanding allocations:\n");
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){.combined = true},
		      "[03:00:41] Top 10 stacks with outstanding allocations:\n\n");
}

static void combined_has_neither_blocks_nor_addresses(void **state)
{
	struct fixture f;
	char want[1024];

	(void)state;
	fixture_init(&f);
	f.view.list = f.list;
	f.view.nr_list = 3;
	snprintf(want, sizeof(want), "[03:00:41] Top 10 stacks with outstanding allocations:\n%s", the_stacks);
	assert_report(sp_report_memleak, &f.view,
		      (struct sp_report_options){.combined = true, .show_pc = true, .show_list = true}, want);
}

static void modules_in_brackets_keep_one_pair(void **state)
{
	struct sp_frame kernel = {
	    .address = 0xffffffff8130a3b8, .function = "pcpu_alloc", .offset = 0x3d8, .module = "[kernel]"};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	f.paths[0].frames = &kernel;
	f.paths[0].nr_frames = 1;
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){.show_pc = true},
		      "[03:00:41] Top 10 stacks with outstanding allocations:\n"
		      "\t40960 bytes in 5 allocations from stack\n"
		      "\t\t0xffffffff8130a3b8\tpcpu_alloc+0x3d8 [kernel]\n");
}

static void an_unknown_call_path_has_no_offset(void **state)
{
	struct sp_frame none = {.function = "[call path unknown]"};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	f.paths[0].frames = &none;
	f.paths[0].nr_frames = 1;
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){.show_pc = true},
		      "[03:00:41] Top 10 stacks with outstanding allocations:\n"
		      "\t40960 bytes in 5 allocations from stack\n"
		      "\t\t[call path unknown]\n");
}

/* bcc's own test reads the first word of the last line that contains "byte". */
static void notes_stand_last_and_never_say_byte(void **state)
{
	struct fixture f;
	char *text, *notes;

	(void)state;
	fixture_init(&f);
	f.view.scale = 16;
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		f.view.lost[i] = i + 1;
	text = report_text(sp_report_memleak, &f.view, (struct sp_report_options){0});
	notes = strstr(text, "\tsampled: one call in 16, ");
	assert_non_null(notes);
	assert_true(notes > strstr(text, "40960 bytes"));
	assert_non_null(strstr(notes, "\n\tnot seen: 1 blocks not recorded: table full (--max-blocks); 2 "));
	assert_null(strstr(notes, "byte"));
	free(text);
}

static void a_single_loss_is_one_line(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 0;
	f.view.lost[SP_LOST_STACK_CUT] = 12;
	assert_report(sp_report_memleak, &f.view, (struct sp_report_options){0},
		      "[03:00:41] Top 10 stacks with outstanding allocations:\n"
		      "\tnot seen: 12 call paths cut: deeper than 127 frames\n");
}

static void a_full_disk_is_reported(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.list = f.list;
	f.view.nr_list = 3;
	assert_reports_full_disk(sp_report_memleak, &f.view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(biggest_stack_is_last_and_inlined_frames_are_left_out),
	    cmocka_unit_test(blocks_come_first_by_size_then_address),
	    cmocka_unit_test(top_in_the_header_is_what_was_asked_for),
	    cmocka_unit_test(address_column_when_asked_for),
	    cmocka_unit_test(nothing_outstanding_is_the_header_alone),
	    cmocka_unit_test(combined_has_neither_blocks_nor_addresses),
	    cmocka_unit_test(modules_in_brackets_keep_one_pair),
	    cmocka_unit_test(an_unknown_call_path_has_no_offset),
	    cmocka_unit_test(notes_stand_last_and_never_say_byte),
	    cmocka_unit_test(a_single_loss_is_one_line),
	    cmocka_unit_test(a_full_disk_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
