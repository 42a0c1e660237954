// SPDX-License-Identifier: Apache-2.0
/* seep top's three writers on made views: lines, JSON, screens of several sizes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/report.h"

#define MIB ((uint64_t)1 << 20)
#define S   ((uint64_t)1000000000)

static struct sp_top_row rows[40];

static struct sp_top_row make_row(pid_t pid, const char *comm, int64_t growth)
{
	struct sp_top_row r = {.suspect = {.ps = {.pid = pid, .ppid = 1, .anon_bytes = 60 * MIB, .rss_bytes = 62 * MIB},
					   .growth_bytes = growth,
					   .per_second = (double)growth / 30,
					   .confidence = 0.996,
					   .is_growing = growth > 0,
					   .is_steady = growth > 0},
			       .cgroup = "docker:0123456789ab",
			       .has_pss = true,
			       .pss_bytes = 61 * MIB};

	snprintf(r.comm, sizeof(r.comm), "%s", comm);
	snprintf(r.command, sizeof(r.command), "/usr/bin/%s --with a long command line that goes on and on", comm);
	return r;
}

static struct sp_top_view make_view(size_t nr_rows)
{
	struct sp_top_view v = {
	    .time = {.tv_sec = 1700017241, .tv_nsec = 123000000},
	    .interval_ns = 3 * S,
	    .period_ns = 3 * S,
	    .span_ns = 30 * S,
	    .nr_look = 11,
	    .is_fresh = true,
	    .first = {.total = 8192 * MIB, .free = 6062 * MIB, .available = 7000 * MIB},
	    .now = {.total = 8192 * MIB, .free = 6000 * MIB, .available = 6940 * MIB},
	    .has_pressure = true,
	    .some_percent = 1.25,
	    .rows = rows,
	    .nr_rows = nr_rows,
	    .nr_matching = nr_rows + 2,
	    .nr_processes = 187,
	    .sentence = "free fell 62.0 MiB in 30s: 58.0 MiB is anonymous memory of app[12512], still "
			"growing 2.0 MiB/s; page cache did not change",
	    .next = "seep trace 12512",
	    .verdict = {
		.cause = SP_CAUSE_PROCESS, .noise_bytes = 4 * MIB, .has_who = true, .amount_bytes = 58 * (int64_t)MIB}};

	v.verdict.who.ps.pid = 12512;
	v.first.mem[SP_MEM_ANON] = 100 * MIB;
	v.now.mem[SP_MEM_ANON] = 158 * MIB;
	v.line.v[SP_VMSTAT_free] = 6000 * 1024;
	v.line.v[SP_VMSTAT_id] = 100;
	for (size_t i = 0; i < nr_rows; i++)
		rows[i] = make_row(12512 + (pid_t)i, i ? "other" : "app", i ? -(int64_t)MIB : 58 * (int64_t)MIB);
	return v;
}

/* What a writer wrote; the caller frees. */
static char *lines(const struct sp_top_view *v, const struct sp_report_options *o,
		   int (*write)(FILE *, const struct sp_top_view *, const struct sp_report_options *))
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(write(f, v, o), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static char *screen(const struct sp_top_view *v, const struct sp_screen *s)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(sp_report_top_screen(f, v, s), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned nr = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		nr++;
	return nr;
}

/* ---- lines ---- */

static void a_look_is_one_line_of_vmstat(void **state)
{
	struct sp_top_view v = make_view(2);
	struct sp_report_options o = {0};
	char *text = lines(&v, &o, sp_report_top);

	(void)state;
	assert_string_equal(text, " 0  0      0 6144000     0      0    0    0     0     0    0    0  0  0 100 0  0\n");
	free(text);
	v.nr_look = 1;
	text = lines(&v, &o, sp_report_top);
	assert_int_equal(
	    strncmp(text,
		    "procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----\n"
		    " r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st\n 0  0 ",
		    160 + 5),
	    0);
	free(text);
}

static void the_last_look_ends_with_the_sentence(void **state)
{
	struct sp_top_view v = make_view(2);
	struct sp_report_options o = {0};
	char *text;

	(void)state;
	v.is_last = true;
	v.nr_lost = 3;
	text = lines(&v, &o, sp_report_top);
	assert_non_null(strstr(text, "\nfree memory              5.9G    -62.0M\n"));
	assert_non_null(strstr(text, "\nanonymous memory       158.0M    +58.0M\n"));
	assert_non_null(strstr(text, "\n  12512   +58.0M  +116.0M  99% steady   60.0M   62.0M   61.0M       0 "
				     "docker:0123456789ab  /usr/bin/app --with"));
	assert_non_null(strstr(text, "\n  12513    -1.0M        -  99% -    "));
	assert_non_null(strstr(text, "\n2 more of 187 processes (--top shows more)\n"));
	assert_non_null(strstr(text, "\nnot seen: 3 processes, the table is full\n"));
	assert_non_null(strstr(text, "page cache did not change. Next: seep trace 12512\n"));
	assert_string_equal(strrchr(text, '.'), ". Next: seep trace 12512\n");
	free(text);
}

static void one_look_has_nothing_to_compare(void **state)
{
	struct sp_top_view v = make_view(0);
	struct sp_report_options o = {0};
	char *text;

	(void)state;
	v.is_last = true;
	v.nr_look = 1;
	v.sentence = "one look cannot tell";
	v.next = "";
	text = lines(&v, &o, sp_report_top);
	assert_null(strstr(text, "change"));
	assert_non_null(strstr(text, "\none look cannot tell.\n"));
	free(text);
}

static void colours_are_there_only_when_asked_for(void **state)
{
	struct sp_top_view v = make_view(2);
	struct sp_report_options o = {0};
	char *text;

	(void)state;
	v.is_last = true;
	text = lines(&v, &o, sp_report_top);
	assert_null(strchr(text, '\033'));
	free(text);
	o.colour = true;
	text = lines(&v, &o, sp_report_top);
	assert_non_null(strstr(text, "\033[31m   +58.0M\033[0m"));
	assert_non_null(strstr(text, "\033[31m   -62.0M\033[0m")); /* free that falls */
	free(text);
}

static void a_full_disk_is_an_error(void **state)
{
	struct sp_top_view v = make_view(2);
	struct sp_report_options o = {0};
	struct sp_screen s = {.rows = 24, .columns = 80, .sort = "growth"};
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	v.is_last = true;
	assert_int_equal(sp_report_top(full, &v, &o), -ENOSPC);
	assert_int_equal(sp_report_top_json(full, &v, &o), -ENOSPC);
	assert_int_equal(sp_report_top_screen(full, &v, &s), -ENOSPC);
	fclose(full);
}

/* ---- JSON ---- */

static void json_has_what_the_text_has(void **state)
{
	struct sp_top_view v = make_view(1);
	struct sp_report_options o = {0};
	char *text;

	(void)state;
	v.is_last = true;
	v.nr_cgroups = 1;
	v.cgroups[0] = (struct sp_top_cgroup){.name = "db\"x", .limit = {.limit_bytes = 100, .used_bytes = 95}};
	v.nr_slabs = 1;
	v.slabs[0] = (struct sp_top_slab){.name = "dentry", .growth_bytes = 7};
	text = lines(&v, &o, sp_report_top_json);
	assert_int_equal(
	    strncmp(text, "{\"schema\":\"seep/1\",\"kind\":\"top\",\"time\":\"2023-11-15T03:00:41.123Z\",", 66), 0);
	assert_non_null(
	    strstr(text, "\"look\":11,\"fresh\":true,\"last\":true,\"interval_ms\":3000,\"span_ms\":30000,"));
	assert_non_null(strstr(text, "\"vmstat\":{\"r\":0,\"b\":0,\"swpd\":0,\"free\":6144000,"));
	assert_non_null(strstr(text, "\"change\":{\"free\":-65011712,\"swap_used\":0,\"anonymous\":60817408,"));
	assert_non_null(strstr(text, "\"pressure\":{\"some_percent\":1.25,\"all_percent\":0.00}"));
	assert_non_null(strstr(text, "\"growth_bytes\":60817408,\"bytes_per_minute\":121634816,\"confidence\":0.996,"
				     "\"trend\":\"steady\""));
	assert_non_null(strstr(text, "\"slabs\":[{\"name\":\"dentry\",\"growth_bytes\":7}]"));
	assert_non_null(strstr(text, "\"full_cgroups\":[{\"name\":\"db\\\"x\",\"limit_bytes\":100,\"used_bytes\":95,"));
	assert_non_null(strstr(text, "\"verdict\":{\"cause\":\"process\",\"pid\":12512,\"amount_bytes\":60817408,"
				     "\"steady_pid\":null,"));
	assert_int_equal(count(text, "\n"), 1);
	free(text);
}

/* ---- screens ---- */

static void a_screen_has_as_many_lines_as_the_terminal(void **state)
{
	struct sp_top_view v = make_view(30);
	struct sp_screen s = {.sort = "growth"};

	(void)state;
	for (s.rows = 1; s.rows < 60; s.rows++) {
		for (s.columns = 20; s.columns <= 200; s.columns += 60) {
			char *text = screen(&v, &s);

			if (count(text, "\r\n") + 1 > s.rows)
				print_error("%ux%u\n", s.columns, s.rows);
			assert_true(count(text, "\r\n") + 1 <= s.rows);
			assert_non_null(strstr(text, "q quit"));
			free(text);
		}
	}
}

static void eighty_columns_hold_every_line_but_commands(void **state)
{
	struct sp_top_view v = make_view(3);
	struct sp_screen s = {.rows = 24, .columns = 80, .sort = "growth"};
	char *text = screen(&v, &s), *save = NULL;

	(void)state;
	for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		while (*line == '\033')
			line = strpbrk(line, "HKJ") + 1;
		if (strlen(line) > 80)
			print_error("%zu: %s\n", strlen(line), line);
		assert_true(strlen(line) <= 80);
	}
	free(text);
}

static void the_selected_row_is_marked_and_visible(void **state)
{
	struct sp_top_view v = make_view(40);
	struct sp_screen s = {.rows = 24, .columns = 80, .sort = "growth", .selected = 12512 + 39};
	char *text = screen(&v, &s);

	(void)state;
	assert_int_equal(count(text, ">"), 1);
	assert_non_null(strstr(text, ">  12551"));
	assert_null(strstr(text, "  12512   +"));
	free(text);
	s.selected = 1; /* has ended */
	text = screen(&v, &s);
	assert_non_null(strstr(text, ">  12512"));
	free(text);
}

static void the_foot_says_what_keys_do(void **state)
{
	struct sp_top_view v = make_view(3);
	struct sp_screen s = {.rows = 24, .columns = 80, .sort = "anon", .filter = "web", .paused = true};
	char *text = screen(&v, &s);

	(void)state;
	assert_non_null(strstr(text, "; only web; PAUSED"));
	assert_non_null(strstr(text, "s order: anon"));
	free(text);
	s.is_typing = true;
	text = screen(&v, &s);
	assert_non_null(strstr(text, "everybody): web_"));
	free(text);
}

static void wide_screens_show_more(void **state)
{
	struct sp_top_view v = make_view(3);
	struct sp_screen narrow = {.rows = 24, .columns = 80, .sort = "growth"};
	struct sp_screen wide = {.rows = 50, .columns = 200, .sort = "growth"};
	char *text = screen(&v, &narrow);

	(void)state;
	assert_null(strstr(text, "PSS"));
	assert_null(strstr(text, "--with"));
	free(text);
	text = screen(&v, &wide);
	assert_non_null(strstr(text, "PSS"));
	assert_non_null(strstr(text, "/usr/bin/app --with"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_look_is_one_line_of_vmstat),
	    cmocka_unit_test(the_last_look_ends_with_the_sentence),
	    cmocka_unit_test(one_look_has_nothing_to_compare),
	    cmocka_unit_test(colours_are_there_only_when_asked_for),
	    cmocka_unit_test(a_full_disk_is_an_error),
	    cmocka_unit_test(json_has_what_the_text_has),
	    cmocka_unit_test(a_screen_has_as_many_lines_as_the_terminal),
	    cmocka_unit_test(eighty_columns_hold_every_line_but_commands),
	    cmocka_unit_test(the_selected_row_is_marked_and_visible),
	    cmocka_unit_test(the_foot_says_what_keys_do),
	    cmocka_unit_test(wide_screens_show_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
