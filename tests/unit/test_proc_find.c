// SPDX-License-Identifier: Apache-2.0
/* proc/: a name or a number becomes a pid; stat and status of several kernels. */
#include "proc_fixture.h"

enum { KTHREAD = 0x208040 };

/* ---- stat and status ---- */

static void stat_of_an_old_and_of_a_new_kernel_is_read(void **state)
{
	struct sp_stat st;

	(void)state;
	/* 2.6.32: 44 fields */
	assert_int_equal(sp_stat_parse("1234 (cat) R 1200 1234 1200 34816 1234 4202496 179 0 0 0 0 0 0 0 20 0 1 0"
				       " 81235 103321600 129 18446744073709551615 4194304 4235780 140733 0 0 0 0 0 0"
				       " 0 0 0 17 0 0 0 0 0 0\n",
				       &st),
			 0);
	assert_string_equal(st.comm, "cat");
	assert_int_equal(st.state, 'R');
	assert_int_equal(st.ppid, 1200);
	assert_int_equal(st.start_time, 81235);
	assert_false(sp_stat_is_kernel_thread(&st));
	/* 6.x: 52 fields */
	assert_int_equal(sp_stat_parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 33 0 0"
				       " 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0"
				       " 0 0 0\n",
				       &st),
			 0);
	assert_true(sp_stat_is_kernel_thread(&st));
	assert_int_equal(st.nr_threads, 1);
	assert_int_equal(st.start_time, 33);
}

static void a_name_full_of_parentheses_and_newlines_does_not_fake_a_state(void **state)
{
	struct sp_stat st;
	char text[256];
	static const char *const names[] = {") R 1", "a b", "((", ")", "x) Z 1 (y", "a\nb", "", ") Z 0 0 0"};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		snprintf(text, sizeof(text), "77 (%s) S 5 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 999 1 2 3",
			 names[i]);
		assert_int_equal(sp_stat_parse(text, &st), 0);
		assert_string_equal(st.comm, names[i]);
		assert_int_equal(st.state, 'S');
		assert_int_equal(st.ppid, 5);
		assert_int_equal(st.nr_threads, 3);
		assert_int_equal(st.start_time, 999);
	}
}

static void a_broken_stat_is_refused(void **state)
{
	struct sp_stat st;
	static const char *const texts[] = {
	    "",
	    "1",
	    "1 (a",
	    "1 a) S",
	    "1 (a)",
	    "1 (a) ",
	    "1 (a) S",
	    "1 (a) S 1 2 3",
	    ")(",
	    "1 (a) S x 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 999",
	    "1 (a) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 99999999999999999999999"};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(texts); i++)
		assert_int_equal(sp_stat_parse(texts[i], &st), -EINVAL);
}

static void a_status_line_is_found_by_its_whole_key(void **state)
{
	static const char text[] = "Name:\tUid:\nUidX:\t1\nUid:\t5 6\nTgid:\t9";

	(void)state;
	assert_int_equal(strtol(sp_status_find(text, "Uid"), NULL, 10), 5);
	assert_int_equal(strtol(sp_status_find(text, "Tgid"), NULL, 10), 9);
	assert_null(sp_status_find(text, "NSpid"));
	assert_null(sp_status_find("", "Uid"));
}

/* ---- find ---- */

static int set_up(void **state)
{
	static struct tree t; /* one test at a time */

	tree_init(&t);
	*state = &t;
	return 0;
}

static int tear_down(void **state)
{
	tree_done(*state);
	return 0;
}

static void expect_found(const struct tree *t, const char *name, pid_t pid)
{
	struct sp_why why = {};
	pid_t found = 0;

	assert_int_equal(sp_proc_find(&t->fs, name, &found, &why), 0);
	assert_int_equal(found, pid);
	assert_false(sp_why_is_set(&why));
}

static void expect_refused(const struct tree *t, const char *name, int rc, enum sp_fault fault, struct sp_why *why)
{
	pid_t found = -7;

	*why = (struct sp_why){};
	assert_int_equal(sp_proc_find(&t->fs, name, &found, why), rc);
	assert_int_equal(found, -7);
	assert_int_equal(why->fault, fault);
}

static void a_number_is_a_pid_and_nothing_else(void **state)
{
	struct sp_why why;

	tree_put_process(*state, 12, "12345", 'S', 0, NULL);
	expect_found(*state, "12345", 12345); /* also when something has that name; open says whether it exists */
	expect_refused(*state, "0", -ESRCH, SP_FAULT_TARGET, &why);
	expect_refused(*state, "99999999999999999999", -ESRCH, SP_FAULT_TARGET, &why);
	assert_string_equal(why.what, "no process has the pid 99999999999999999999");
	expect_refused(*state, "", -EINVAL, SP_FAULT_USAGE, &why);
	expect_refused(*state, "-5", -ESRCH, SP_FAULT_TARGET, &why);
}

static void a_name_is_comm_or_the_file_or_argv0(void **state)
{
	struct tree *t = *state;

	tree_put_process(t, 10, "redis-server", 'S', 0, "/usr/bin/redis-server *:6379");
	tree_put_process(t, 11, "a-very-long-pro", 'S', 0, "./x");
	tree_link(t, "11/exe", "/opt/a-very-long-program");
	tree_put_process(t, 12, "renamed", 'S', 0, "/opt/bin/known-as");
	tree_link(t, "12/exe", "/opt/upgraded (deleted)");
	expect_found(t, "redis-server", 10);
	expect_found(t, "a-very-long-program", 11);
	expect_found(t, "a-very-long-pro", 11);
	expect_found(t, "upgraded", 12);
	expect_found(t, "known-as", 12);
}

static void several_of_a_name_are_refused_with_a_list(void **state)
{
	struct sp_why why;

	tree_put_process(*state, 10, "nginx", 'S', 0, "nginx: master\x1b[2J");
	tree_put_process(*state, 20, "nginx", 'S', 0, NULL);
	expect_refused(*state, "nginx", -ENOTUNIQ, SP_FAULT_USAGE, &why);
	assert_string_equal(why.what, "2 processes are named 'nginx'");
	assert_non_null(strstr(why.hint, "10 nginx: master?[2J"));
	assert_non_null(strstr(why.hint, "20 [nginx]"));
}

static void a_list_too_long_for_a_line_says_how_many_are_missing(void **state)
{
	struct sp_why why;
	unsigned listed = 0, more = 0;

	for (int pid = 100; pid < 200; pid++)
		tree_put_process(*state, pid, "worker", 'S', 0, "worker with a fairly long command line to show");
	expect_refused(*state, "worker", -ENOTUNIQ, SP_FAULT_USAGE, &why);
	for (const char *s = why.hint; (s = strstr(s, "worker with")); s++)
		listed++;
	assert_int_equal(sscanf(strstr(why.hint, "; and "), "; and %u more", &more), 1);
	assert_int_equal(listed + more, 100);
}

static void kernel_threads_zombies_and_ourselves_never_match(void **state)
{
	struct sp_why why;
	struct tree *t = *state;

	tree_put_process(t, 10, "app", 'I', KTHREAD, NULL);
	tree_put_process(t, 11, "app", 'Z', 0, NULL);
	tree_put_process(t, 12, "app", 'S', 0, NULL);
	tree_link(t, "self", "12");
	tree_put(t, "13/stat", "garbage");
	tree_put(t, "version", "Linux");
	expect_refused(t, "app", -ESRCH, SP_FAULT_TARGET, &why);
	assert_string_equal(why.what, "no running process is named 'app'");
}

static void a_proc_that_cannot_be_listed_is_our_fault(void **state)
{
	struct sp_procfs fs = {.root = "/nonexistent-proc", .fake = true};
	struct sp_why why = {};
	pid_t pid;

	(void)state;
	assert_int_equal(sp_proc_find(&fs, "app", &pid, &why), -ENOENT);
	assert_int_equal(why.fault, SP_FAULT_OURS);
}

static void a_real_child_is_found_by_its_name(void **state)
{
	pid_t pid = 0, child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "seep ) R 1 x");
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	wait_for_state(child, 'T');
	assert_int_equal(sp_proc_find(NULL, "seep ) R 1 x", &pid, NULL), 0);
	assert_int_equal(pid, child);
	victim_stop(child);
	assert_int_equal(sp_proc_find(NULL, "seep ) R 1 x", &pid, NULL), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stat_of_an_old_and_of_a_new_kernel_is_read),
	    cmocka_unit_test(a_name_full_of_parentheses_and_newlines_does_not_fake_a_state),
	    cmocka_unit_test(a_broken_stat_is_refused),
	    cmocka_unit_test(a_status_line_is_found_by_its_whole_key),
	    cmocka_unit_test_setup_teardown(a_number_is_a_pid_and_nothing_else, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_name_is_comm_or_the_file_or_argv0, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(several_of_a_name_are_refused_with_a_list, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_list_too_long_for_a_line_says_how_many_are_missing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(kernel_threads_zombies_and_ourselves_never_match, set_up, tear_down),
	    cmocka_unit_test(a_proc_that_cannot_be_listed_is_our_fault),
	    cmocka_unit_test(a_real_child_is_found_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
