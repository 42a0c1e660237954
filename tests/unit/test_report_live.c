// SPDX-License-Identifier: Apache-2.0
/* The screen of seep trace, drawn for made views: what stands where, on terminals of several sizes. */
#include "view_fixture.h"

#include <stdlib.h>

#include "report/live.h"

struct scene {
	struct fixture f;
	struct sp_live_row rows[40];
	struct sp_live live;
	size_t scroll;
	uint64_t history[2][4];
};

static const char *source(const struct sp_frame *f, void *arg)
{
	(void)arg;
	return f->line == 21 ? "p = malloc(8192);" : NULL;
}

static void fill_history(struct scene *s)
{
	static const uint64_t bytes[] = {0, 10240, 20480, 40960};
	struct sp_view *v = &s->f.view;

	v->has_verdicts = true;
	v->nr_history = 4;
	for (unsigned i = 0; i < 4; i++) {
		v->history_ns[i] = FIXTURE_NOW_NS - (3 - i) * 5000000000u;
		v->history_bytes[i] = s->history[0][i] = bytes[i];
	}
	s->f.paths[0].history = s->history[0];
	s->f.paths[0].verdict.class = SP_CLASS_GROWING;
	s->f.paths[1].verdict.class = SP_CLASS_UNKNOWN;
}

static void init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	fixture_init(&s->f);
	fill_history(s);
	for (size_t i = 0; i < SP_ARRAY_SIZE(s->rows); i++)
		s->rows[i].path = &s->f.paths[i % 2];
	s->live = (struct sp_live){.rows = 24,
				   .columns = 80,
				   .list = s->rows,
				   .nr = 2,
				   .scroll = &s->scroll,
				   .sort = "growth",
				   .filter = "",
				   .foot = "q quit",
				   .help = "  q  end\n",
				   .interval_ns = 5000000000u,
				   .source = source};
}

/* The lines of the screen, as a terminal has them; free() it. */
static char *screen(struct scene *s)
{
	char *text = NULL, *to;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(sp_report_live(f, &s->f.view, &s->live), 0);
	assert_int_equal(fclose(f), 0);
	to = text;
	for (const char *p = text; *p;) {
		if (!strncmp(p, "\033[H", 3) || !strncmp(p, "\033[J", 3))
			p += 3;
		else if (!strncmp(p, "\033[2K", 4))
			p += 4;
		else if (*p == '\r')
			p++;
		else
			*to++ = *p++;
	}
	*to = '\0';
	return text;
}

/* The nr-th line, from 1. */
static const char *line(const char *text, unsigned nr)
{
	static char buf[512];

	while (--nr) {
		text = strchr(text, '\n');
		assert_non_null(text);
		text++;
	}
	snprintf(buf, sizeof(buf), "%.*s", (int)strcspn(text, "\n"), text);
	return buf;
}

static unsigned nr_lines(const char *text)
{
	unsigned nr = 1;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

static void the_table_says_how_much_how_fast_how_old_and_where(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	text = screen(&s);
	assert_string_equal(line(text, 1), "seep trace: app (pid 12512), engine bpf, every 5s, for 15s, by growth");
	assert_string_equal(line(text, 2), "40.2 KiB in 6 blocks on 2 call paths, older than 500ms");
	assert_string_equal(line(text, 5), "not seen: nothing");
	assert_string_equal(line(text, 7),
			    "   BYTES  BLOCKS GROWTH/s OLDEST KEPT  IN MEM VERDICT  CALL PATH, inner first");
	assert_string_equal(line(text, 8),
			    ">  40.0K       5    +4.8K    12s  96%       - growing  fibonacci < child < start");
	assert_string_equal(line(text, 9),
			    "     245       1      -20  800ms    -       - unknown  std::vector<int>::push_ba");
	assert_string_equal(line(text, 24), "q quit");
	assert_int_equal(nr_lines(text), 24);
	free(text);
}

static void the_history_is_a_line_of_bars(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	s.live.columns = 40; /* eight columns of bars */
	text = screen(&s);
	assert_string_equal(line(text, 3), "live bytes     ..==#  40.0K, of any age");
	free(text);
	s.live.unicode = true;
	text = screen(&s);
	assert_non_null(strstr(line(text, 3), "▂"));
	assert_non_null(strstr(line(text, 3), "█"));
	free(text);
	s.f.view.nr_history = 1;
	text = screen(&s);
	assert_string_equal(line(text, 3), "live bytes  (from the second look on)");
	free(text);
}

static void a_stack_has_its_source_lines_and_scrolls_to_its_end(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	s.live.page = SP_LIVE_STACK;
	text = screen(&s);
	assert_non_null(strstr(text, "#1   40.0 KiB in 5 blocks"));
	assert_non_null(strstr(text, "      fibonacci     leak.c:21\n          21 | p = malloc(8192);\n"));
	assert_non_null(strstr(text, "its bytes"));
	free(text);
	s.live.rows = 14;
	s.scroll = 1000;
	text = screen(&s);
	assert_int_equal(nr_lines(text), 14);
	assert_in_range(s.scroll, 1, 10); /* set back to where the text ends */
	assert_non_null(strstr(text, "its bytes"));
	assert_null(strstr(text, "#1 "));
	free(text);
}

static void the_selected_row_is_on_the_screen_however_far_down(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	s.live.nr = SP_ARRAY_SIZE(s.rows);
	s.live.selected = 39;
	text = screen(&s);
	assert_int_equal(line(text, 22)[0], '>');
	assert_int_equal(line(text, 21)[0], ' ');
	assert_int_equal(sp_report_live_room(24), 15);
	free(text);
}

static void a_baseline_shows_growth_since_then(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	s.live.has_baseline = true;
	s.live.baseline_ns = FIXTURE_NOW_NS - 42000000000u;
	s.rows[0].since_bytes = 1 << 20;
	text = screen(&s);
	assert_string_equal(line(text, 6), "growth since d was pressed, 42s ago");
	assert_non_null(strstr(line(text, 7), " SINCE d "));
	assert_non_null(strstr(line(text, 8), " +1.0M "));
	free(text);
}

static void losses_cost_and_pause_are_said(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	s.f.view.lost[SP_LOST_NAMES] = 7;
	s.f.view.own_cpu_ns = 150000000u;
	s.f.view.stats.pause_ns = 2000000u;
	s.f.view.stats.memory = 1 << 20;
	s.live.paused = true;
	s.live.filter = "vector";
	s.live.columns = 200;
	text = screen(&s);
	assert_non_null(strstr(line(text, 1), "; PAUSED; only vector"));
	assert_string_equal(line(text, 4), "cost: seep 1.0 % of a CPU; 1.0 MiB in the program; it was stopped for 2ms");
	assert_non_null(strstr(line(text, 5), "not seen: 7 "));
	free(text);
}

/* Whatever the size, it is filled and nothing is wider than it. */
static void every_size_of_terminal_is_filled_and_not_exceeded(void **state)
{
	static const unsigned sizes[][2] = {{1, 1}, {2, 5}, {8, 30}, {24, 80}, {60, 20}, {50, 200}};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(sizes); i++) {
		for (unsigned page = SP_LIVE_TABLE; page <= SP_LIVE_EXPORT; page++) {
			struct scene s;
			char *text;

			init(&s);
			s.live.rows = sizes[i][0];
			s.live.columns = sizes[i][1];
			s.live.page = page;
			text = screen(&s);
			assert_int_equal(nr_lines(text), sizes[i][0]);
			for (unsigned k = 1; page == SP_LIVE_TABLE && k <= sizes[i][0]; k++)
				if (sizes[i][1] >= 60)
					assert_in_range(strlen(line(text, k)), 0, sizes[i][1]);
			free(text);
		}
	}
}

static void without_colour_there_is_no_escape_but_for_moving(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	text = screen(&s);
	assert_null(strchr(text, '\033'));
	free(text);
	s.live.colour = true;
	text = screen(&s);
	assert_non_null(strstr(text, "\033[31m growing \033[0m"));
	assert_non_null(strstr(text, "\033[1mseep trace: app"));
	free(text);
}

static void an_empty_view_and_a_path_that_has_gone_are_said(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	init(&s);
	s.live.nr = 0;
	text = screen(&s);
	assert_string_equal(line(text, 8), "  nothing");
	free(text);
	s.f.view.nr_report = 0;
	text = screen(&s);
	assert_string_equal(line(text, 8), "  the first look comes in a moment");
	free(text);
	s.live.page = SP_LIVE_STACK;
	text = screen(&s);
	assert_non_null(strstr(text, "this call path holds nothing any more"));
	free(text);
}

static void the_filter_finds_functions_modules_and_files_in_either_case(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	assert_true(sp_report_live_matches(&s.f.paths[0], ""));
	assert_true(sp_report_live_matches(&s.f.paths[0], "FIBO"));
	assert_true(sp_report_live_matches(&s.f.paths[0], "libc.so"));
	assert_true(sp_report_live_matches(&s.f.paths[1], "main.cc"));
	assert_false(sp_report_live_matches(&s.f.paths[1], "fibonacci"));
}

static void a_full_disk_is_said(void **state)
{
	FILE *f = fopen("/dev/full", "w");
	struct scene s;

	(void)state;
	init(&s);
	assert_non_null(f);
	assert_int_equal(sp_report_live(f, &s.f.view, &s.live), -ENOSPC);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_table_says_how_much_how_fast_how_old_and_where),
	    cmocka_unit_test(the_history_is_a_line_of_bars),
	    cmocka_unit_test(a_stack_has_its_source_lines_and_scrolls_to_its_end),
	    cmocka_unit_test(the_selected_row_is_on_the_screen_however_far_down),
	    cmocka_unit_test(a_baseline_shows_growth_since_then),
	    cmocka_unit_test(losses_cost_and_pause_are_said),
	    cmocka_unit_test(every_size_of_terminal_is_filled_and_not_exceeded),
	    cmocka_unit_test(without_colour_there_is_no_escape_but_for_moving),
	    cmocka_unit_test(an_empty_view_and_a_path_that_has_gone_are_said),
	    cmocka_unit_test(the_filter_finds_functions_modules_and_files_in_either_case),
	    cmocka_unit_test(a_full_disk_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
