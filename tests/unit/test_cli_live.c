// SPDX-License-Identifier: Apache-2.0
/* seep trace's screen without a terminal: what its keys change, which rows it has, source lines, exports. */
#include "view_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/live_export.h"
#include "cli/live_keys.h"
#include "cli/live_rows.h"
#include "cli/source.h"

static const uint32_t ids[] = {10, 20, 30, SP_NO_PATH};

static enum sp_live_wish press(struct sp_live_keys *k, const char *keys)
{
	const struct sp_live_shown shown = {.ids = ids, .nr = 4, .page_rows = 2};

	return sp_live_keys_take(k, keys, strlen(keys), &shown);
}

/* ---- keys ---- */

static void arrows_pages_and_letters_move(void **state)
{
	struct sp_live_keys k = {0};

	(void)state;
	press(&k, "\033[B");
	assert_int_equal(k.selected, 20);
	press(&k, "\033[6~");
	assert_true(k.selected == SP_NO_PATH);
	press(&k, "j");
	assert_true(k.selected == SP_NO_PATH);
	press(&k, "\033OA");
	assert_int_equal(k.selected, 30);
	press(&k, "\033[5~");
	assert_int_equal(k.selected, 10);
	press(&k, "\033[F");
	assert_true(k.selected == SP_NO_PATH);
	press(&k, "\033[1~k");
	assert_int_equal(k.selected, 10);
	assert_int_equal(sp_live_keys_row(&k, ids, 4), 0);
	k.selected = 99; /* it has been freed meanwhile */
	assert_int_equal(sp_live_keys_row(&k, ids, 4), 0);
}

static void nothing_is_selected_by_other_keys(void **state)
{
	struct sp_live_keys k = {0};

	(void)state;
	press(&k, "zq");
	press(&k, "\033[99~\033[");
	assert_false(k.has_selected);
	assert_int_equal(k.page, SP_LIVE_TABLE);
}

static void enter_opens_a_stack_and_escape_closes_it(void **state)
{
	const struct sp_live_shown empty = {.page_rows = 2};
	struct sp_live_keys k = {0};

	(void)state;
	assert_int_equal(press(&k, "\r"), SP_LIVE_WISH_DRAW);
	assert_int_equal(k.page, SP_LIVE_STACK);
	assert_int_equal(k.selected, 10);
	press(&k, "jj\033[6~");
	assert_int_equal(k.scroll, 4);
	assert_int_equal(k.selected, 10);
	press(&k, "\033");
	assert_int_equal(k.page, SP_LIVE_TABLE);
	assert_int_equal(k.scroll, 0);
	k.has_selected = false;
	sp_live_keys_take(&k, "\r", 1, &empty);
	assert_int_equal(k.page, SP_LIVE_TABLE);
}

static void letters_sort_pause_and_set_a_baseline(void **state)
{
	struct sp_live_keys k = {.sort = SP_SORT_GROWTH, .resident = true};

	(void)state;
	press(&k, "s");
	assert_int_equal(k.sort, SP_SORT_BYTES);
	press(&k, "sss");
	assert_int_equal(k.sort, SP_SORT_GROWTH);
	press(&k, "pr");
	assert_true(k.paused);
	assert_false(k.resident);
	assert_int_equal(press(&k, "dq"), SP_LIVE_WISH_BASELINE);
	assert_true(k.has_baseline);
	assert_int_equal(press(&k, "d"), SP_LIVE_WISH_BASELINE);
	assert_false(k.has_baseline);
	assert_int_equal(press(&k, "q"), SP_LIVE_WISH_QUIT);
}

static void a_filter_is_typed_and_taken_back(void **state)
{
	struct sp_live_keys k = {0};
	char foot[200];

	(void)state;
	press(&k, "/qsx\177");
	assert_string_equal(k.filter, "qs");
	assert_string_equal(sp_live_keys_foot(&k, foot, sizeof(foot)), "only (Enter: done, Esc: all): qs_");
	press(&k, "\r");
	assert_false(k.is_typing);
	assert_string_equal(k.filter, "qs");
	press(&k, "\033");
	assert_string_equal(k.filter, "");
	press(&k, "/");
	for (unsigned i = 0; i < 3 * SP_LIVE_FILTER_SIZE; i++)
		press(&k, "a");
	assert_int_equal(strlen(k.filter), SP_LIVE_FILTER_SIZE - 1);
}

static void an_export_asks_for_its_format(void **state)
{
	struct sp_live_keys k = {0};
	char foot[200];

	(void)state;
	assert_int_equal(press(&k, "x"), SP_LIVE_WISH_DRAW);
	assert_non_null(strstr(sp_live_keys_foot(&k, foot, sizeof(foot)), "1 text  2 json"));
	assert_int_equal(press(&k, "2"), SP_LIVE_WISH_EXPORT);
	assert_int_equal(k.format, SP_REPORT_json);
	press(&k, "x");
	assert_int_equal(press(&k, "q"), SP_LIVE_WISH_DRAW); /* not one of them: nothing happens */
	assert_int_equal(k.page, SP_LIVE_TABLE);
}

static void every_key_of_the_help_does_something_and_the_foot_fits(void **state)
{
	struct sp_live_keys k = {0};
	char help[2000], foot[200];

	(void)state;
	sp_live_keys_help(help, sizeof(help));
	for (char *at = strtok(help, "\n"); at; at = strtok(NULL, "\n"))
		assert_in_range(strlen(at), 20, 80);
	assert_in_range(strlen(sp_live_keys_foot(&k, foot, sizeof(foot))), 60, 80);
	press(&k, "?");
	assert_int_equal(k.page, SP_LIVE_HELP);
	press(&k, "?");
	assert_int_equal(k.page, SP_LIVE_TABLE);
}

/* ---- rows ---- */

static void rows_obey_the_filter_and_count_from_the_baseline(void **state)
{
	struct sp_path_sum sums[3];
	struct sp_baseline b;
	struct sp_vec rows;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	sp_baseline_init(&b);
	sp_vec_init(&rows, sizeof(struct sp_live_row), 100);
	sums[0] = f.paths[0].sum; /* the second path comes after the baseline */
	f.view.sums = sums;
	f.view.total_paths = 1;
	assert_int_equal(sp_baseline_set(&b, &f.view), 0);
	f.paths[0].sum.bytes -= 100;
	assert_int_equal(sp_live_rows_make(&f.view, "", &b, true, &rows), 0);
	assert_int_equal(rows.nr, 2);
	assert_ptr_equal(sp_vec_at(&rows, struct sp_live_row, 0)->path, &f.paths[1]);
	assert_int_equal(sp_vec_at(&rows, struct sp_live_row, 0)->since_bytes, 245);
	assert_int_equal(sp_vec_at(&rows, struct sp_live_row, 1)->since_bytes, -100);
	assert_int_equal(sp_live_rows_make(&f.view, "fibonacci", NULL, true, &rows), 0);
	assert_int_equal(rows.nr, 1);
	assert_ptr_equal(sp_vec_at(&rows, struct sp_live_row, 0)->path, &f.paths[0]);
	sp_vec_done(&rows);
	sp_baseline_done(&b);
}

/* ---- files ---- */

struct place {
	char dir[64];
	int before; /* where we were */
};

static int setup_dir(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/seep-live-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->before = open(".", O_PATH | O_DIRECTORY);
	assert_int_equal(chdir(p->dir), 0);
	*state = p;
	return 0;
}

static int teardown_dir(void **state)
{
	struct place *p = *state;
	DIR *d = opendir(".");
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			unlink(e->d_name);
	closedir(d);
	assert_int_equal(fchdir(p->before), 0);
	close(p->before);
	rmdir(p->dir);
	free(p);
	return 0;
}

static void an_export_is_a_new_file_of_a_harmless_name(void **state)
{
	struct fixture f;
	char said[256];
	struct stat st;

	(void)state;
	setenv("TZ", "UTC", 1);
	fixture_init(&f);
	f.view.comm = "../a b\x1b";
	sp_live_export(&f.view, SP_REPORT_folded, said, sizeof(said));
	assert_string_equal(said, "written: ___a_b_-12512-030041.folded");
	assert_int_equal(stat("___a_b_-12512-030041.folded", &st), 0);
	assert_true(st.st_size > 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	sp_live_export(&f.view, SP_REPORT_folded, said, sizeof(said)); /* the same second: it is there already */
	assert_string_equal(said, "___a_b_-12512-030041.folded: File exists");
}

static void write_text(const char *name, const char *text, size_t size)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	fclose(f);
}

static const char *line_of(struct sp_source *s, const char *file, unsigned line)
{
	const struct sp_frame f = {.file = file, .line = line};

	return sp_source_line(s, &f);
}

/* Of a child of ours: we are refused ourselves. */
static void source_lines_are_found_and_harmless(void **state)
{
	static const char text[] = "one\n\t  two\x1b[2J\tthree\nno newline";
	struct place *place = *state;
	struct sp_source *s = NULL;
	struct sp_why why = {0};
	char file[128], none[128];
	int pipes[2];
	pid_t child;

	write_text("a.c", text, sizeof(text) - 1);
	snprintf(file, sizeof(file), "%s/a.c", place->dir);
	snprintf(none, sizeof(none), "%s/b.c", place->dir);
	assert_int_equal(mkfifo("b.c", 0600), 0);
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		close(pipes[1]);
		_exit(read(pipes[0], &(char){0}, 1) > 0);
	}
	assert_int_equal(sp_source_open(child, &s, &why), 0);
	assert_string_equal(line_of(s, file, 1), "one");
	assert_string_equal(line_of(s, file, 2), "two?[2J three");
	assert_string_equal(line_of(s, file, 3), "no newline");
	assert_ptr_equal(line_of(s, file, 2), line_of(s, file, 2)); /* read once */
	assert_null(line_of(s, file, 4));
	assert_null(line_of(s, file, 0));
	assert_null(line_of(s, none, 1));  /* does not wait for a writer */
	assert_null(line_of(s, "a.c", 1)); /* relative to what? */
	sp_source_close(s);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(arrows_pages_and_letters_move),
	    cmocka_unit_test(nothing_is_selected_by_other_keys),
	    cmocka_unit_test(enter_opens_a_stack_and_escape_closes_it),
	    cmocka_unit_test(letters_sort_pause_and_set_a_baseline),
	    cmocka_unit_test(a_filter_is_typed_and_taken_back),
	    cmocka_unit_test(an_export_asks_for_its_format),
	    cmocka_unit_test(every_key_of_the_help_does_something_and_the_foot_fits),
	    cmocka_unit_test(rows_obey_the_filter_and_count_from_the_baseline),
	    cmocka_unit_test_setup_teardown(an_export_is_a_new_file_of_a_harmless_name, setup_dir, teardown_dir),
	    cmocka_unit_test_setup_teardown(source_lines_are_found_and_harmless, setup_dir, teardown_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
