// SPDX-License-Identifier: Apache-2.0
/* report/trace.c: seep's own text. */
#include "view_fixture.h"

static const char head[] = "03:00:41  app (pid 12512), engine bpf\n"
			   "          40.2 KiB in 6 blocks outstanding on 2 call paths, older than 500ms\n";

static const char first[] = "\n"
			    "#1   40.0 KiB in 5 blocks   +24.0 KiB in 5s, +4.8 KiB/s\n"
			    "    oldest 12s, 12 of 340 older blocks were freed\n"
			    "      fibonacci     leak.c:21\n"
			    "      child         leak.c:40\n"
			    "      start_thread  libc.so.6+0x89144 build-id 51657f818beb\n";

static const char second[] = "\n"
			     "#2      245 B in 1 block       -100 B in 5s, -20 B/s\n"
			     "    oldest 800ms, all new since the last look\n"
			     "      std::vector<int>::push_back(int const&) (inlined)\n"
			     "          /usr/include/c++/12/bits/stl_vector.h:1287\n"
			     "      fill(std::vector<int>&)  /src/main.cc:7\n"
			     "      0x7f8f70400abc           libstripped.so.1+0xabc\n"
			     "      0x7f0000000010\n";

static void assert_trace(const struct sp_view *v, struct sp_report_options o, const char *a, const char *b,
			 const char *c)
{
	char want[4096];

	snprintf(want, sizeof(want), "%s%s%s\n", a, b, c);
	assert_report(sp_report_trace, v, o, want);
}

static void worst_path_first_with_names_and_places_in_columns(void **state)
{
	struct fixture f;
	char both[2048];

	(void)state;
	fixture_init(&f);
	snprintf(both, sizeof(both), "%s%s", first, second);
	assert_trace(&f.view, (struct sp_report_options){.width = 80}, head, both, "");
}

static void every_line_fits_the_terminal(void **state)
{
	struct fixture f;
	char *text, *save = NULL;

	(void)state;
	fixture_init(&f);
	f.other[1].file = "/a/very/very/long/path/of/some/build/machine/that/nobody/knows/src/main.cc";
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		f.view.lost[i] = 1;
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){.width = 80});
	assert_non_null(strstr(text, "\n          ...ery/long/path/of/"));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		assert_in_range(strlen(line), 0, 80);
	free(text);
}

static void without_a_terminal_nothing_is_cut(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "push_back(int const&) (inlined)  /usr/include/c++/12/bits/stl_vector.h:1287\n"));
	free(text);
}

static void the_first_look_claims_no_growth(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = f.view.total_paths = 1;
	f.view.total_bytes = 40960;
	f.view.total_blocks = 5;
	f.view.interval_ns = 0;
	f.view.filter.min_age_ns = 0;
	f.paths[0].sum.old_seen = f.paths[0].sum.old_freed = 0;
	f.paths[0].nr_frames = 1;
	assert_trace(&f.view, (struct sp_report_options){0},
		     "03:00:41  app (pid 12512), engine bpf\n"
		     "          40.0 KiB in 5 blocks outstanding on 1 call path\n",
		     "\n#1   40.0 KiB in 5 blocks\n    oldest 12s\n      fibonacci  leak.c:21\n", "");
}

static void no_growth_is_said(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.paths[0].sum.growth_bytes = 0;
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "#1   40.0 KiB in 5 blocks   no growth in 5s\n"));
	free(text);
}

static void an_interval_is_shown_as_it_was_meant(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.interval_ns = 4999800000u;
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "+24.0 KiB in 5s, +4.8 KiB/s\n"));
	free(text);
	f.view.interval_ns = 499900000u;
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "+24.0 KiB in 499ms, +48.0 KiB/s\n"));
	free(text);
}

static void nothing_outstanding_is_said(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 0;
	f.view.total_paths = f.view.total_blocks = f.view.total_bytes = 0;
	f.view.is_last = f.view.target_ended = true;
	assert_trace(&f.view, (struct sp_report_options){0},
		     "03:00:41  app (pid 12512, ended), engine bpf, last report\n",
		     "          nothing outstanding, older than 500ms\n", "");
}

static void the_kernel_has_no_pid(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.is_kernel = true;
	f.view.pid = 0;
	f.view.comm = "";
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_ptr_equal(strstr(text, "03:00:41  kernel, engine bpf\n"), text);
	free(text);
}

static void filters_are_part_of_the_head(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.filter = (struct sp_ledger_filter){.min_age_ns = 90000000000u, .min_size = 16, .max_size = 2048};
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, " call paths, older than 1m30s, from 16 B, up to 2.0 KiB\n"));
	free(text);
}

static void blocks_stand_under_their_path(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.paths[0].list = f.list;
	f.paths[0].nr_list = 3;
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){.show_list = true});
	assert_non_null(strstr(text, "51657f818beb\n"
				     "      at 0x7f8f70861210  8192 bytes, 2s old\n"
				     "      at 0x7f8f70863220  8192 bytes, 1s old\n"
				     "      at 0x7f8f70900000   245 bytes, 800ms old\n"
				     "\n#2 "));
	free(text);
}

static void what_is_not_shown_is_counted(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.total_paths = 15;
	f.view.total_bytes += 10240;
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "\n\n13 more call paths, 10.0 KiB (--top shows more)\n\n"));
	free(text);
}

static void samples_show_their_error(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.scale = 5;
	f.paths[0].sum.blocks = 400; /* 80 recorded: sqrt(4 / 400) */
	text = report_text(sp_report_trace, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "#1   40.0 KiB in 400 blocks +-10%   +24.0 KiB"));
	assert_non_null(strstr(text, "\nsampled: one call in 5, sums are multiplied by 5\n"));
	free(text);
}

static void losses_are_listed_one_a_line(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	f.view.total_paths = 1;
	f.view.lost[SP_LOST_STACK_CUT] = 12;
	f.view.lost[SP_LOST_MISSED] = 3;
	assert_trace(&f.view, (struct sp_report_options){0},
		     "03:00:41  app (pid 12512), engine bpf\n"
		     "          40.2 KiB in 6 blocks outstanding on 1 call path, older than 500ms\n",
		     first,
		     "not seen: 12 call paths cut: deeper than 127 frames\n"
		     "          3 probe hits that the kernel skipped\n");
}

/* Escape sequences only when asked for; and taken away, the same text. */
static void colour_adds_nothing_but_colour(void **state)
{
	struct fixture f;
	char *plain, *coloured, *to;

	(void)state;
	fixture_init(&f);
	plain = report_text(sp_report_trace, &f.view, (struct sp_report_options){.width = 80});
	coloured = report_text(sp_report_trace, &f.view, (struct sp_report_options){.width = 80, .colour = true});
	assert_null(strchr(plain, '\033'));
	assert_non_null(strstr(coloured, "\033[31m   +24.0 KiB"));
	to = coloured;
	for (const char *from = coloured; *from; from++) {
		if (*from == '\033')
			from = strchr(from, 'm');
		else
			*to++ = *from;
	}
	*to = '\0';
	assert_string_equal(plain, coloured);
	free(plain);
	free(coloured);
}

static void a_full_disk_is_reported(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_reports_full_disk(sp_report_trace, &f.view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(worst_path_first_with_names_and_places_in_columns),
	    cmocka_unit_test(every_line_fits_the_terminal),
	    cmocka_unit_test(without_a_terminal_nothing_is_cut),
	    cmocka_unit_test(the_first_look_claims_no_growth),
	    cmocka_unit_test(no_growth_is_said),
	    cmocka_unit_test(an_interval_is_shown_as_it_was_meant),
	    cmocka_unit_test(nothing_outstanding_is_said),
	    cmocka_unit_test(the_kernel_has_no_pid),
	    cmocka_unit_test(filters_are_part_of_the_head),
	    cmocka_unit_test(blocks_stand_under_their_path),
	    cmocka_unit_test(what_is_not_shown_is_counted),
	    cmocka_unit_test(samples_show_their_error),
	    cmocka_unit_test(losses_are_listed_one_a_line),
	    cmocka_unit_test(colour_adds_nothing_but_colour),
	    cmocka_unit_test(a_full_disk_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
