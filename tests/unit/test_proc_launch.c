// SPDX-License-Identifier: Apache-2.0
/*
 * proc/: a program is started and held before the first constructor of its libraries. The programs are compiled here,
 * since what matters is how they are linked: dynamically, statically, against musl.
 */
#include <poll.h>
#include <sys/ptrace.h>

#include "proc_fixture.h"

static const char LIBRARY[] = "#include <fcntl.h>\n#include <unistd.h>\n"
			      "__attribute__((constructor)) static void early(void)\n"
			      "{ close(open(\"constructed\", O_CREAT | O_WRONLY, 0600)); }\n"
			      "int answer(void) { return 42; }\n";
static const char PROGRAM[] = "int answer(void);\nint main(void) { return answer(); }\n";
static const char ALONE[] = "#include <fcntl.h>\n#include <unistd.h>\n"
			    "__attribute__((constructor)) static void early(void)\n"
			    "{ close(open(\"constructed\", O_CREAT | O_WRONLY, 0600)); }\n"
			    "int main(void) { return 42; }\n";

/* Each test runs in a directory of its own. */
static int set_up(void **state)
{
	static struct tree t;

	tree_init(&t);
	assert_int_equal(chdir(t.dir), 0);
	*state = &t;
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(chdir("/"), 0);
	tree_done(*state);
	return 0;
}

/* Runs a command to its end and returns its exit status; its output is dropped. */
static int run(const char *const argv[])
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void need(bool have, const char *what)
{
	if (have)
		return;
	print_message("skipped: %s\n", what);
	skip();
}

static struct sp_launch *launch(const char *name)
{
	char *argv[] = {strdup(name), NULL};
	struct sp_launch *l = NULL;
	struct sp_why why = {};

	int rc = sp_launch_start(argv, &l, &why);
	if (rc < 0)
		print_message("%s (%s)\n", why.what, why.hint);
	assert_int_equal(rc, 0);
	free(argv[0]);
	return l;
}

static int wait_for_end(struct sp_launch *l)
{
	int status = -1;

	for (int i = 0; i < 10000 && !sp_launch_reap(l, &status); i++)
		usleep(1000);
	assert_true(status != -1);
	return status;
}

static bool has_constructed(void)
{
	return access("constructed", F_OK) == 0;
}

/* True when a file whose path contains `part` is mapped executable; *ret_linked: and the dynamic linker lists it. */
static bool is_mapped(const struct sp_launch *l, const char *part, bool *ret_linked)
{
	struct sp_proc *p;
	struct sp_maps maps;
	struct sp_modules mods;
	bool found = false;

	*ret_linked = false;
	assert_int_equal(sp_proc_open(NULL, sp_launch_pid(l), &p, NULL), 0);
	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	assert_int_equal(sp_proc_modules(p, &maps, &mods), 0);
	assert_true(mods.nr > 0 && mods.list[0].is_exe);
	for (size_t i = 0; i < mods.nr; i++) {
		if (!strstr(mods.list[i].path, part))
			continue;
		found = true;
		*ret_linked = mods.list[i].in_link_map;
	}
	sp_modules_done(&mods);
	sp_maps_done(&maps);
	sp_proc_close(p);
	return found;
}

static void expect_gone(pid_t pid)
{
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

/* From the stop to the end: nothing has run before, everything after. */
static void finish(struct sp_launch *l, int expected)
{
	int status = -7;

	usleep(20000);
	assert_false(has_constructed());
	assert_false(sp_launch_reap(l, &status));
	assert_int_equal(sp_launch_resume(l, NULL), 0);
	status = wait_for_end(l);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
	assert_true(sp_launch_reap(l, &status)); /* again: the same */
	pid_t pid = sp_launch_pid(l);
	sp_launch_close(l);
	expect_gone(pid);
}

/* ---- how it is linked ---- */

static void no_constructor_of_a_library_has_run_and_all_are_mapped(void **state)
{
	bool linked;

	tree_put(*state, "lib.c", LIBRARY);
	tree_put(*state, "program.c", PROGRAM);
	need(RUN("cc", "-shared", "-fPIC", "-o", "libearly.so", "lib.c") == 0, "no C compiler");
	assert_int_equal(RUN("cc", "-o", "program", "program.c", "./libearly.so"), 0);
	struct sp_launch *l = launch("./program");
	assert_true(is_mapped(l, "/libearly.so", &linked) && linked);
	assert_true(is_mapped(l, "/libc", &linked) && linked);
	finish(l, 42);
	assert_true(has_constructed());
}

/* The linker's own note is already written when it says so: libraries named by LD_PRELOAD count too. */
static void a_preloaded_library_is_mapped_and_not_run(void **state)
{
	bool linked;

	tree_put(*state, "lib.c", LIBRARY);
	need(RUN("cc", "-shared", "-fPIC", "-o", "libearly.so", "lib.c") == 0, "no C compiler");
	setenv("LD_PRELOAD", "./libearly.so", 1);
	struct sp_launch *l = launch("true");
	unsetenv("LD_PRELOAD");
	assert_true(is_mapped(l, "/libearly.so", &linked) && linked);
	finish(l, 0);
	assert_true(has_constructed());
}

/* glibc's list for debuggers is then in the program's own data. */
static void a_program_that_copies_r_debug_is_held_too(void **state)
{
	bool linked;

	tree_put(*state, "lib.c", LIBRARY);
	tree_put(*state, "program.c",
		 "#include <link.h>\nint answer(void);\n"
		 "int main(void) { return _r_debug.r_map ? answer() : 1; }\n");
	need(RUN("cc", "-shared", "-fPIC", "-o", "libearly.so", "lib.c") == 0, "no C compiler");
	need(RUN("cc", "-fno-pic", "-no-pie", "-o", "program", "program.c", "./libearly.so") == 0, "no -no-pie here");
	struct sp_launch *l = launch("./program");
	assert_true(is_mapped(l, "/libearly.so", &linked) && linked);
	finish(l, 42);
}

static void a_static_program_has_run_nothing(void **state)
{
	bool linked;

	tree_put(*state, "alone.c", ALONE);
	need(RUN("cc", "-static", "-o", "alone", "alone.c") == 0, "no static C library");
	struct sp_launch *l = launch("./alone");
	assert_false(is_mapped(l, "/libc", &linked));
	finish(l, 42);
	assert_true(has_constructed());
}

static void a_static_pie_program_has_run_nothing(void **state)
{
	tree_put(*state, "alone.c", ALONE);
	need(RUN("cc", "-static-pie", "-o", "alone", "alone.c") == 0, "no static-pie C library");
	finish(launch("./alone"), 42);
	assert_true(has_constructed());
}

static void a_musl_program_has_its_library_mapped_and_has_run_nothing(void **state)
{
	bool linked;

	tree_put(*state, "alone.c", ALONE);
	need(RUN("musl-gcc", "-o", "alone", "alone.c") == 0, "no musl-gcc");
	struct sp_launch *l = launch("./alone");
	assert_true((is_mapped(l, "/libc.so", &linked) || is_mapped(l, "/ld-musl", &linked)) && linked);
	finish(l, 42);
	assert_true(has_constructed());
}

static void a_32_bit_program_is_held_and_left_to_open_to_refuse(void **state)
{
	struct sp_proc *p;
	struct sp_why why = {};

	tree_put(*state, "alone.c", ALONE);
	need(RUN("cc", "-m32", "-o", "alone", "alone.c") == 0, "no 32-bit C library");
	struct sp_launch *l = launch("./alone");
	assert_int_equal(sp_proc_open(NULL, sp_launch_pid(l), &p, &why), -ENOEXEC);
	assert_non_null(strstr(why.what, "32-bit"));
	finish(l, 42);
}

static void a_script_is_held_in_its_interpreter(void **state)
{
	bool linked;

	tree_put(*state, "script", "#!/bin/sh\n: > constructed\nexit 5\n");
	assert_int_equal(chmod("script", 0755), 0);
	struct sp_launch *l = launch("./script");
	assert_true(is_mapped(l, "/libc", &linked));
	finish(l, 5);
	assert_true(has_constructed());
}

static void a_text_without_interpreter_line_is_run_by_the_shell(void **state)
{
	tree_put(*state, "script", "exit 6\n");
	assert_int_equal(chmod("script", 0755), 0);
	finish(launch("./script"), 6);
}

static void the_path_is_searched(void **state)
{
	(void)state;
	finish(launch("true"), 0);
	finish(launch("false"), 1);
}

static void the_code_of_the_dynamic_linker_is_left_as_it_was(void **state)
{
	struct sp_proc *p;
	struct sp_auxv aux;
	struct sp_maps maps;
	char in_file[4096], in_memory[4096];

	(void)state;
	struct sp_launch *l = launch("true");
	assert_int_equal(sp_proc_open(NULL, sp_launch_pid(l), &p, NULL), 0);
	assert_int_equal(sp_auxv_read(sp_proc_dirfd(p), &aux), 0);
	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	for (size_t i = 0; i < maps.nr; i++) {
		const struct sp_mapping *m = &maps.list[i];
		if (!(m->prot & SP_PROT_X) || m->path[0] != '/')
			continue;
		sp_autoclose int fd = sp_proc_open_mapping(p, m, NULL);
		assert_true(fd >= 0);
		for (uint64_t at = m->start; at < m->end; at += sizeof(in_file)) {
			ssize_t n = pread(fd, in_file, sizeof(in_file), (off_t)(m->offset + at - m->start));
			assert_true(n > 0);
			assert_int_equal(sp_proc_read_mem(p, (sp_raddr){at}, in_memory, (size_t)n), n);
			assert_memory_equal(in_file, in_memory, (size_t)n);
		}
	}
	sp_maps_done(&maps);
	sp_proc_close(p);
	finish(l, 0);
}

/* ---- what cannot be run ---- */

static void expect_refused(const char *name, int rc, enum sp_fault fault, const char *what)
{
	char *argv[] = {strdup(name), NULL};
	struct sp_launch *l = NULL;
	struct sp_why why = {};

	assert_int_equal(sp_launch_start(argv, &l, &why), rc);
	assert_null(l);
	assert_int_equal(why.fault, fault);
	assert_string_equal(why.what, what);
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1); /* no zombie, no child */
	assert_int_equal(errno, ECHILD);
	free(argv[0]);
}

static void what_cannot_be_run_is_the_users_mistake(void **state)
{
	char *nothing[] = {NULL};
	struct sp_launch *l = NULL;

	tree_put(*state, "plain", "text");
	tree_put(*state, "broken",
		 "\x7f"
		 "ELF");
	tree_put(*state, "orphan", "#!/nonexistent/interpreter\n");
	assert_int_equal(chmod("orphan", 0755), 0);
	expect_refused("no-such-program-here", -ENOENT, SP_FAULT_USAGE,
		       "cannot run 'no-such-program-here': No such file or directory");
	expect_refused("./nothing", -ENOENT, SP_FAULT_USAGE, "cannot run './nothing': No such file or directory");
	expect_refused("./orphan", -ENOENT, SP_FAULT_USAGE, "cannot run './orphan': No such file or directory");
	expect_refused("./plain", -EACCES, SP_FAULT_USAGE, "cannot run './plain': Permission denied");
	expect_refused("/", -EACCES, SP_FAULT_USAGE, "cannot run '/': Permission denied");
	expect_refused("", -EINVAL, SP_FAULT_USAGE, "the command to run is empty");
	assert_int_equal(sp_launch_start(nothing, &l, NULL), -EINVAL);
}

static void a_program_whose_library_is_missing_ends_before_it_is_held(void **state)
{
	tree_put(*state, "lib.c", LIBRARY);
	tree_put(*state, "program.c", PROGRAM);
	need(RUN("cc", "-shared", "-fPIC", "-o", "libearly.so", "lib.c") == 0, "no C compiler");
	assert_int_equal(RUN("cc", "-o", "program", "program.c", "./libearly.so"), 0);
	assert_int_equal(unlink("libearly.so"), 0);
	expect_refused("./program", -ESRCH, SP_FAULT_TARGET,
		       "'./program' ended before its first instruction: status 127");
}

/* ---- its end, and signals ---- */

static void closing_a_held_child_kills_and_reaps_it(void **state)
{
	tree_put(*state, "script", "#!/bin/sh\n: > constructed\n");
	assert_int_equal(chmod("script", 0755), 0);
	struct sp_launch *l = launch("./script");
	pid_t pid = sp_launch_pid(l);
	sp_launch_close(l);
	expect_gone(pid);
	assert_false(has_constructed());
	sp_launch_close(NULL);
}

static void closing_a_running_child_lets_it_go_on(void **state)
{
	char *argv[] = {strdup("sleep"), strdup("100"), NULL};
	struct sp_launch *l;

	(void)state;
	assert_int_equal(sp_launch_start(argv, &l, NULL), 0);
	pid_t pid = sp_launch_pid(l);
	assert_int_equal(sp_launch_resume(l, NULL), 0);
	sp_launch_close(l);
	usleep(20000);
	assert_int_equal(kill(pid, 0), 0);
	victim_stop(pid);
	free(argv[0]);
	free(argv[1]);
}

static void a_child_killed_while_held_is_reaped(void **state)
{
	struct sp_why why = {};

	(void)state;
	struct sp_launch *l = launch("true");
	kill(sp_launch_pid(l), SIGKILL);
	int status = wait_for_end(l);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pid_t pid = sp_launch_pid(l);
	(void)!sp_launch_resume(l, &why);
	sp_launch_close(l);
	expect_gone(pid);

	l = launch("true");
	pid = sp_launch_pid(l);
	kill(pid, SIGKILL);
	wait_for_state(pid, 'Z');
	assert_int_equal(sp_launch_resume(l, &why), -ESRCH);
	assert_non_null(strstr(why.what, "ended before it was let run"));
	sp_launch_close(l);
	expect_gone(pid);
}

/* The launcher is a process of its own here, killed without a chance to clean up. */
static void a_held_child_dies_with_its_launcher(void **state)
{
	int pipefd[2];
	pid_t child = 0;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(pipefd), 0);
	pid_t launcher = fork();
	assert_true(launcher >= 0);
	if (launcher == 0) {
		char name[] = "true", *argv[] = {name, NULL};
		struct sp_launch *l;
		if (sp_launch_start(argv, &l, NULL) < 0)
			_exit(1);
		child = sp_launch_pid(l);
		if (write(pipefd[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipefd[0], &child, sizeof(child)), sizeof(child));
	victim_stop(launcher);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child); /* ours now */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	close(pipefd[0]);
	close(pipefd[1]);
}

static void handler(int sig)
{
	(void)sig;
}

/* /proc/self/status of the child: its mask and what it ignores. */
static void the_child_starts_with_no_signal_blocked_and_sigpipe_not_ignored(void **state)
{
	sigset_t set, old;
	struct sigaction act = {.sa_handler = handler}, ign = {.sa_handler = SIG_IGN}, old_usr1, old_pipe, old_hup;

	tree_put(*state, "script", "#!/bin/sh\nexec cat /proc/self/status > signals\n");
	assert_int_equal(chmod("script", 0755), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, &old), 0);
	sigaction(SIGUSR1, &act, &old_usr1);
	sigaction(SIGPIPE, &ign, &old_pipe);
	sigaction(SIGHUP, &ign, &old_hup); /* as nohup does: this one is kept */
	struct sp_launch *l = launch("./script");
	assert_int_equal(sp_launch_resume(l, NULL), 0);
	assert_int_equal(wait_for_end(l), 0);
	sp_launch_close(l);
	sigaction(SIGUSR1, &old_usr1, NULL);
	sigaction(SIGPIPE, &old_pipe, NULL);
	sigaction(SIGHUP, &old_hup, NULL);

	sigset_t now; /* ours is as before */
	sigprocmask(SIG_SETMASK, &old, &now);
	assert_true(sigismember(&now, SIGINT) && sigismember(&now, SIGTERM) && !sigismember(&now, SIGUSR2));

	char *text;
	size_t len;
	assert_int_equal(sp_proc_read_file(AT_FDCWD, "signals", 65536, &text, &len), 0);
	assert_int_equal(strtoull(sp_status_find(text, "SigBlk"), NULL, 16), 0);
	assert_int_equal(strtoull(sp_status_find(text, "SigIgn"), NULL, 16) & (1u << (SIGPIPE - 1)), 0);
	assert_true(strtoull(sp_status_find(text, "SigIgn"), NULL, 16) & (1u << (SIGHUP - 1)));
	assert_int_equal(strtoull(sp_status_find(text, "SigCgt"), NULL, 16), 0);
	free(text);
}

static void a_signal_sent_while_held_is_delivered_afterwards(void **state)
{
	(void)state;
	struct sp_launch *l = launch("true");
	kill(sp_launch_pid(l), SIGTERM);
	assert_int_equal(sp_launch_resume(l, NULL), 0);
	int status = wait_for_end(l);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	sp_launch_close(l);
}

static void no_descriptor_of_ours_reaches_the_child(void **state)
{
	char *text;
	size_t len;
	int before = 0, after = 0;

	tree_put(*state, "script", "#!/bin/sh\nls /proc/self/fd > fds\n");
	assert_int_equal(chmod("script", 0755), 0);
	assert_int_equal(system("./script"), 0);
	assert_int_equal(rename("fds", "fds.before"), 0);
	struct sp_launch *l = launch("./script");
	assert_int_equal(sp_launch_resume(l, NULL), 0);
	assert_int_equal(wait_for_end(l), 0);
	sp_launch_close(l);
	assert_int_equal(sp_proc_read_file(AT_FDCWD, "fds.before", 4096, &text, &len), 0);
	before = (int)len;
	free(text);
	assert_int_equal(sp_proc_read_file(AT_FDCWD, "fds", 4096, &text, &len), 0);
	after = (int)len;
	free(text);
	assert_int_equal(before, after);
}

/* When the kernel reaps children by itself their status is lost, but nothing waits for ever. */
static void an_ignored_sigchld_does_no_harm(void **state)
{
	struct sigaction ign = {.sa_handler = SIG_IGN}, old;
	int status = -1;

	(void)state;
	sigaction(SIGCHLD, &ign, &old);
	struct sp_launch *l = launch("false");
	assert_int_equal(sp_launch_resume(l, NULL), 0);
	status = wait_for_end(l);
	assert_int_equal(status, 0);
	sp_launch_close(l);
	sigaction(SIGCHLD, &old, NULL);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    IN_DIR(no_constructor_of_a_library_has_run_and_all_are_mapped),
	    IN_DIR(a_preloaded_library_is_mapped_and_not_run),
	    IN_DIR(a_program_that_copies_r_debug_is_held_too),
	    IN_DIR(a_static_program_has_run_nothing),
	    IN_DIR(a_static_pie_program_has_run_nothing),
	    IN_DIR(a_musl_program_has_its_library_mapped_and_has_run_nothing),
	    IN_DIR(a_32_bit_program_is_held_and_left_to_open_to_refuse),
	    IN_DIR(a_script_is_held_in_its_interpreter),
	    IN_DIR(a_text_without_interpreter_line_is_run_by_the_shell),
	    IN_DIR(the_path_is_searched),
	    IN_DIR(the_code_of_the_dynamic_linker_is_left_as_it_was),
	    IN_DIR(what_cannot_be_run_is_the_users_mistake),
	    IN_DIR(a_program_whose_library_is_missing_ends_before_it_is_held),
	    IN_DIR(closing_a_held_child_kills_and_reaps_it),
	    IN_DIR(closing_a_running_child_lets_it_go_on),
	    IN_DIR(a_child_killed_while_held_is_reaped),
	    IN_DIR(a_held_child_dies_with_its_launcher),
	    IN_DIR(the_child_starts_with_no_signal_blocked_and_sigpipe_not_ignored),
	    IN_DIR(a_signal_sent_while_held_is_delivered_afterwards),
	    IN_DIR(no_descriptor_of_ours_reaches_the_child),
	    IN_DIR(an_ignored_sigchld_does_no_harm),
	};

	/* A directory of PATH that may not be read would turn "no such file" into "permission denied". */
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
