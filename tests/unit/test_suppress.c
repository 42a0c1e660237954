// SPDX-License-Identifier: Apache-2.0
/* suppress/: which frames a rule fits, and what is no rule. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "suppress/suppress.h"

static struct sp_suppress *rules_of(const char *text)
{
	struct sp_suppress *s = NULL;
	struct sp_why why = {0};

	assert_int_equal(sp_suppress_parse("file", text, strlen(text), &s, &why), 0);
	assert_non_null(s);
	return s;
}

static bool takes(const char *text, const char *function)
{
	struct sp_suppress *s = rules_of(text);
	const struct sp_frame frame = {.function = function};
	bool ret = sp_suppress_take(s, &frame, 1, 1, 1);

	sp_suppress_free(s);
	return ret;
}

static void a_pattern_lies_anywhere_in_the_name_unless_it_is_held(void **state)
{
	(void)state;
	assert_true(takes("leak:bar", "foobarbaz"));
	assert_true(takes("leak:bar", "bar"));
	assert_false(takes("leak:bar", "foo"));
	assert_false(takes("leak:bar", NULL));
	assert_false(takes("leak:bar", ""));
	assert_true(takes("leak:^foo", "foobar"));
	assert_false(takes("leak:^bar", "foobar"));
	assert_true(takes("leak:bar$", "barbar"));
	assert_false(takes("leak:foo$", "foobar"));
	assert_true(takes("leak:^foo$", "foo"));
	assert_false(takes("leak:^foo$", "foofoo"));
}

static void a_star_is_any_text(void **state)
{
	(void)state;
	assert_true(takes("leak:*", "x"));
	assert_true(takes("leak:std::*vector", "std::__1::vector<int>"));
	assert_true(takes("leak:^a*c*e$", "abcde"));
	assert_true(takes("leak:^a*c*e$", "ace"));
	assert_false(takes("leak:^a*c*e$", "abde"));
	assert_true(takes("leak:^*z$", "xyz"));
	assert_false(takes("leak:a*b", "ba"));
	assert_true(takes("leak:ab*ab$", "ab-ab-ab"));
}

static void a_rule_fits_any_frame_by_function_file_or_module(void **state)
{
	const struct sp_frame frames[] = {
	    {.function = "malloc", .module = "libc.so.6", .module_path = "/usr/lib/libc.so.6"},
	    {.function = "make", .file = "/src/make.c", .line = 7, .module = "app"},
	};

	(void)state;
	for (const char *const *text =
		 (const char *const[]){"leak:^make$", "leak:make.c", "leak:^/usr/lib/", "leak:app", NULL};
	     *text; text++) {
		struct sp_suppress *s = rules_of(*text);
		assert_true(sp_suppress_take(s, frames, 2, 1, 1));
		sp_suppress_free(s);
	}
	struct sp_suppress *s = rules_of("leak:^app$\nleak:other");
	assert_false(sp_suppress_take(s, frames, 1, 1, 1));
	sp_suppress_free(s);
	assert_false(sp_suppress_take(NULL, frames, 2, 1, 1));
}

static void a_path_counts_for_the_first_rule_that_takes_it(void **state)
{
	struct sp_suppress *s = rules_of("# known\r\n\n  leak:foo  \r\nleak:f\nleak:never");
	const struct sp_frame foo = {.function = "foo"}, fork = {.function = "fork"};
	size_t nr = 0;

	(void)state;
	assert_true(sp_suppress_take(s, &foo, 1, 100, 2));
	assert_true(sp_suppress_take(s, &foo, 1, 10, 1));
	assert_true(sp_suppress_take(s, &fork, 1, 5, 1));
	const struct sp_suppress_rule *r = sp_suppress_rules(s, &nr);
	assert_int_equal(nr, 3);
	assert_string_equal(r[0].pattern, "foo");
	assert_int_equal(r[0].nr_paths, 2);
	assert_int_equal(r[0].bytes, 110);
	assert_int_equal(r[0].blocks, 3);
	assert_int_equal(r[1].bytes, 5);
	assert_int_equal(r[2].nr_paths, 0);
	sp_suppress_reset(s);
	assert_int_equal(r[0].bytes + r[0].blocks + r[0].nr_paths, 0);
	assert_string_equal(r[0].pattern, "foo");
	sp_suppress_free(s);
}

static void assert_refused(const char *text, const char *what)
{
	struct sp_suppress *s = NULL;
	struct sp_why why = {0};

	assert_int_equal(sp_suppress_parse("file", text, strlen(text), &s, &why), -EINVAL);
	assert_null(s);
	assert_int_equal(why.fault, SP_FAULT_USAGE);
	assert_string_equal(why.what, what);
}

static void what_is_no_rule_is_refused_with_its_line(void **state)
{
	(void)state;
	assert_refused("leak:a\n\nrace:b\n", "file:3: 'race:b' is not a suppression");
	assert_refused("leak:", "file:1: 'leak:' is not a suppression");
	assert_refused("leak\n", "file:1: 'leak' is not a suppression");
	assert_refused("\033[2J", "file:1: '?[2J' is not a suppression");
}

static void a_file_that_cannot_be_read_is_refused_with_its_name(void **state)
{
	struct sp_suppress *s = NULL;
	struct sp_why why = {0};

	(void)state;
	assert_int_equal(sp_suppress_open("/nonexistent/supp", &s, &why), -ENOENT);
	assert_string_equal(why.what, "cannot read the suppressions in /nonexistent/supp: No such file or directory");
	why = (struct sp_why){0};
	assert_int_equal(sp_suppress_open("/", &s, &why), -EISDIR);
	why = (struct sp_why){0};
	assert_int_equal(sp_suppress_open("/dev/zero", &s, &why), -EFBIG);
	assert_int_equal(why.fault, SP_FAULT_USAGE);
	assert_int_equal(sp_suppress_open("/dev/null", &s, NULL), 0);
	sp_suppress_free(s);
}

static bool is_runtimes(const struct sp_frame *frames, unsigned nr)
{
	struct sp_suppress *s = NULL;

	assert_int_equal(sp_suppress_add_runtime(&s, NULL), 0);
	bool ret = sp_suppress_take(s, frames, nr, 1, 1);
	sp_suppress_free(s);
	return ret;
}

static void the_runtimes_own_blocks_are_known_by_who_made_them(void **state)
{
	const struct sp_frame main = {.function = "main", .module = "app"};
	const struct sp_frame libc = {.function = "strdup", .module = "libc.so.6"};
	const struct sp_frame stream = {.function = "_IO_file_doallocate", .module = "libc.so.6"};
	const struct sp_frame linker = {.module = "ld-linux-x86-64.so.2"};
	const struct sp_frame pool = {.module = "libstdc++.so.6.0.30"};

	(void)state;
	assert_true(is_runtimes((struct sp_frame[]){stream, main}, 2));
	assert_true(is_runtimes((struct sp_frame[]){linker, libc, main}, 3));
	assert_true(is_runtimes((struct sp_frame[]){pool, linker}, 2));
	assert_false(is_runtimes((struct sp_frame[]){main, linker}, 2)); /* a constructor of the program */
	assert_false(is_runtimes((struct sp_frame[]){libc, main, libc}, 3));
	assert_false(is_runtimes((struct sp_frame[]){libc}, 1)); /* cut short */
	assert_false(is_runtimes(NULL, 0));
	assert_false(is_runtimes((struct sp_frame[]){{.function = "setlocale", .module = "app"}}, 1));
}

static void want_of_memory_is_said(void **state)
{
	long n = 0;
	int err;

	(void)state;
	do {
		struct sp_suppress *s = NULL;
		struct sp_why why = {0};
		alloc_arm(n++);
		err = sp_suppress_parse("file", "leak:a", 6, &s, &why);
		if (!err)
			sp_suppress_free(sp_take_ptr(s));
		if (!err)
			err = sp_suppress_add_runtime(&s, &why);
		assert_true(err ? err == -ENOMEM && !s && why.fault == SP_FAULT_OURS : s != NULL);
		sp_suppress_free(s);
	} while (alloc_disarm());
	assert_int_equal(err, 0);
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pattern_lies_anywhere_in_the_name_unless_it_is_held),
	    cmocka_unit_test(a_star_is_any_text),
	    cmocka_unit_test(a_rule_fits_any_frame_by_function_file_or_module),
	    cmocka_unit_test(a_path_counts_for_the_first_rule_that_takes_it),
	    cmocka_unit_test(what_is_no_rule_is_refused_with_its_line),
	    cmocka_unit_test(a_file_that_cannot_be_read_is_refused_with_its_name),
	    cmocka_unit_test(the_runtimes_own_blocks_are_known_by_who_made_them),
	    cmocka_unit_test(want_of_memory_is_said),
	};

	return cmocka_run_group_tests_name("suppress", tests, NULL, NULL);
}
