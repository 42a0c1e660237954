// SPDX-License-Identifier: Apache-2.0
/* report/diff*.c: which paths of two views are one, and what is said of the difference. */
#include "view_fixture.h"

#include "failing_alloc.h"
#include "report/diff.h"

/* The fixture twice: before, and after with what `change` did to it. */
struct two {
	struct fixture before, after;
};

static struct two *two_new(void)
{
	struct two *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	fixture_init(&t->before);
	fixture_init(&t->after);
	t->after.view.paths = t->after.paths;
	return t;
}

static int compare(const struct two *t, struct sp_diff **ret)
{
	struct sp_diff *d = NULL;
	int err = sp_diff_new(&d);

	if (!err)
		err = sp_diff_take(d, SP_DIFF_BEFORE, &t->before.view, 10000000000u);
	if (!err)
		err = sp_diff_take(d, SP_DIFF_AFTER, &t->after.view, 20000000000u);
	if (!err)
		err = sp_diff_compare(d);
	if (err)
		sp_diff_free(d);
	else
		*ret = d;
	return err;
}

static struct sp_diff *diff_of(const struct two *t)
{
	struct sp_diff *d = NULL;

	assert_int_equal(compare(t, &d), 0);
	return d;
}

static char *text_of(const struct sp_diff *d, bool json, unsigned top)
{
	const struct sp_report_options o = {.utc = true};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(json ? sp_report_diff_json(f, d, top) : sp_report_diff(f, d, top, &o), 0);
	fclose(f);
	return text;
}

static void assert_says(const struct two *t, const char *what)
{
	struct sp_diff *d = diff_of(t);
	char *text = text_of(d, false, 0);

	if (!strstr(text, what))
		fail_msg("'%s' is not in\n%s", what, text);
	free(text);
	sp_diff_free(d);
}

static void two_equal_views_have_no_difference(void **state)
{
	struct two *t = two_new();

	(void)state;
	assert_says(t, "after:  03:00:41  app (pid 12512)  40.2 KiB in 6 blocks, after 20s\nnothing has changed\n");
	free(t);
}

static void a_path_is_known_again_at_other_addresses(void **state)
{
	struct two *t = two_new();

	(void)state;
	t->after.leak[0].address += 0x1000;
	t->after.leak[1].address += 0x1000;
	t->after.other[2].address += 0x5000; /* no name, but the same place in its module */
	t->after.paths[0].sum.bytes += 8192;
	t->after.paths[0].sum.blocks++;
	assert_says(t, "grew by 8.0 KiB on 1 call path, shrank by 0 B on 0\n\n"
		       "#1      +8.0 KiB  grew: 40.0 KiB in 5 blocks -> 48.0 KiB in 6 blocks\n"
		       "       fibonacci     leak.c:21\n");
	free(t);
}

static void other_lines_are_other_paths_unless_the_build_is_another(void **state)
{
	struct two *t = two_new();

	(void)state;
	t->after.leak[0].line = 22;
	assert_says(t, "new: 40.0 KiB in 5 blocks\n       fibonacci     leak.c:22\n");
	assert_says(t, "gone: 40.0 KiB in 5 blocks\n       fibonacci     leak.c:21\n");
	t->after.leak[0].build_id = t->after.leak[1].build_id = "ffff";
	assert_says(t, "nothing has changed\n");
	t->after.paths[0].sum.blocks++;
	assert_says(t, "same: 40.0 KiB in 5 blocks -> 40.0 KiB in 6 blocks\n");
	free(t);
}

static void paths_of_one_view_that_mean_the_same_are_added_up(void **state)
{
	struct two *t = two_new();

	(void)state;
	t->after.paths[1] = t->after.paths[0];
	t->after.view.total_bytes = 81920;
	struct sp_diff *d = diff_of(t);
	assert_int_equal(sp_diff_grown_bytes(d), 40960);
	char *text = text_of(d, true, 1);
	assert_non_null(strstr(text, "\"kind\":\"diff\""));
	assert_non_null(strstr(text,
			       "\"grew\":{\"bytes\":40960,\"paths\":1},\"shrank\":{\"bytes\":245,\"paths\":1},"
			       "\"paths\":[{\"change\":\"grew\",\"growth_bytes\":40960,\"growth_blocks\":5,"
			       "\"before\":{\"bytes\":40960,\"blocks\":5},\"after\":{\"bytes\":81920,\"blocks\":10}"));
	assert_null(strstr(text, "\"gone\"")); /* top 1 */
	free(text);
	sp_diff_free(d);
	free(t);
}

static void losses_and_suppressions_of_either_side_are_said(void **state)
{
	struct two *t = two_new();

	(void)state;
	t->before.view.lost[SP_LOST_STACK_CUT] = 12;
	t->after.view.suppressed_paths = 1;
	t->after.view.suppressed_blocks = 2;
	t->after.view.suppressed_bytes = 1024;
	assert_says(t, "before: not seen: 12 ");
	assert_says(t, "after: suppressed: 1 call path, 1.0 KiB in 2 blocks\n");
	free(t);
}

static void want_of_memory_is_said(void **state)
{
	struct two *t = two_new();
	long n = 0;
	int err;

	(void)state;
	do {
		struct sp_diff *d = NULL;
		alloc_arm(n++);
		err = compare(t, &d);
		assert_true(err ? err == -ENOMEM && !d : d != NULL);
		sp_diff_free(d);
	} while (alloc_disarm());
	assert_int_equal(err, 0);
	assert_true(n > 20);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_equal_views_have_no_difference),
	    cmocka_unit_test(a_path_is_known_again_at_other_addresses),
	    cmocka_unit_test(other_lines_are_other_paths_unless_the_build_is_another),
	    cmocka_unit_test(paths_of_one_view_that_mean_the_same_are_added_up),
	    cmocka_unit_test(losses_and_suppressions_of_either_side_are_said),
	    cmocka_unit_test(want_of_memory_is_said),
	};

	return cmocka_run_group_tests_name("report: diff", tests, NULL, NULL);
}
