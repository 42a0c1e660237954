// SPDX-License-Identifier: Apache-2.0
/* proc/: which processes are refused and in which words; memory and liveness of those that are not. */
#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "failing_alloc.h"
#include "proc_fixture.h"

enum { KTHREAD = 0x208040, NOBODY = 65534 };

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

static void expect_refused(const struct sp_procfs *fs, pid_t pid, int rc, struct sp_why *why)
{
	struct sp_proc *p = NULL;

	*why = (struct sp_why){};
	assert_int_equal(sp_proc_open(fs, pid, &p, why), rc);
	assert_null(p);
	assert_true(sp_why_is_set(why));
	assert_int_equal(why->err, -rc);
}

/* ---- a tree on disk ---- */

static void a_fake_process_opens(void **state)
{
	struct tree *t = *state;
	struct sp_proc *p;
	char magic[5] = "";

	tree_put_process(t, 10, "a\nb", 'S', 0, NULL);
	tree_put(t, "10/statm", "1425 229 205 6 0 113 0\n");
	tree_put(t, "10/mem",
		 "\x7f"
		 "ELF");
	tree_link(t, "10/ns/mnt", "mnt:[4026531841]");
	assert_int_equal(sp_proc_open(&t->fs, 10, &p, NULL), 0);
	assert_int_equal(sp_proc_pid(p), 10);
	assert_int_equal(sp_proc_pidfd(p), -1);
	assert_true(sp_proc_dirfd(p) >= 0);
	assert_string_equal(sp_proc_comm(p), "a?b");
	assert_int_equal(sp_proc_start_time(p), 4242);
	assert_true(sp_proc_is_alive(p));
	assert_int_equal(sp_proc_rss_bytes(p), 229 * sysconf(_SC_PAGESIZE));
	assert_int_equal(sp_proc_ns(&t->fs, 10, "mnt"), 4026531841);
	assert_int_equal(sp_proc_ns(&t->fs, 10, "pid"), 0);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){1}, magic, 4), 3);
	assert_string_equal(magic, "ELF");
	sp_proc_close(p);
}

static void a_fake_without_memory_opens_and_reads_nothing(void **state)
{
	struct tree *t = *state;
	struct sp_proc *p;
	char byte;

	tree_put_process(t, 10, "app", 'S', 0, NULL);
	assert_int_equal(sp_proc_open(&t->fs, 10, &p, NULL), 0);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){0}, &byte, 1), -EIO);
	assert_int_equal(sp_proc_rss_bytes(p), 0);
	sp_proc_close(p);
	sp_proc_close(NULL);
}

static void an_absent_pid_is_refused(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	expect_refused(&t->fs, 999, -ESRCH, &why);
	assert_string_equal(why.what, "cannot attach to 999: no such process");
	expect_refused(&t->fs, 0, -ESRCH, &why);
	expect_refused(&t->fs, -1, -ESRCH, &why);
	assert_int_equal(why.fault, SP_FAULT_TARGET);
}

static void a_pid_of_a_container_is_translated_in_the_hint(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	tree_put_process(t, 12345, "app", 'S', 0, NULL);
	tree_put(t, "12345/status", "Name:\tapp\nUmask:\t0022\nNStgid:\t12345\t7\nNSpid:\t12345\t7\nNSsid:\t1\t1\n");
	tree_put_process(t, 20, "plain", 'S', 0, NULL);
	tree_put(t, "20/status", "Name:\tplain\nNSpid:\t20\n");
	expect_refused(&t->fs, 7, -ESRCH, &why);
	assert_string_equal(why.hint,
			    "process 7 of another pid namespace (a container) is seen here as 12345 (app); use"
			    " that");
	expect_refused(&t->fs, 8, -ESRCH, &why);
	assert_string_equal(why.hint, "");

	tree_put_process(t, 30, "other", 'S', 0, NULL);
	tree_put(t, "30/status", "NSpid:\t30\t5\t7\n");
	expect_refused(&t->fs, 7, -ESRCH, &why);
	assert_non_null(strstr(why.hint, "12345 (app)"));
	assert_non_null(strstr(why.hint, "30 (other)"));
	assert_non_null(strstr(why.hint, "use one of these"));
}

static void inside_a_container_an_absent_pid_points_to_the_host(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	tree_link(t, "self/ns/pid", "pid:[4026532200]");
	expect_refused(&t->fs, 7, -ESRCH, &why);
	assert_non_null(strstr(why.hint, "run seep on the host"));
}

static void a_kernel_thread_is_refused(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	tree_put_process(t, 7, "kworker/0:1H", 'I', KTHREAD, "");
	expect_refused(&t->fs, 7, -EINVAL, &why);
	assert_string_equal(why.what, "cannot attach to 7 (kworker/0:1H): it is a thread of the kernel");
	assert_non_null(strstr(why.hint, "seep kernel"));

	tree_put_process(t, 500, "app", 'S', 0, NULL);
	tree_put(t, "500/status", "NSpid:\t500\t7\n");
	expect_refused(&t->fs, 7, -EINVAL, &why);
	assert_non_null(strstr(why.hint, "seen here as 500 (app)"));
}

static void a_zombie_is_refused_and_its_parent_named(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	tree_put_process(t, 10, "app", 'Z', 0, NULL);
	expect_refused(&t->fs, 10, -ESRCH, &why);
	assert_string_equal(why.what, "cannot attach to 10 (app): it has ended (a zombie)");
	assert_non_null(strstr(why.hint, "parent 7"));
	tree_put(t, "11/stat", "11 (app) Z 7 11 11 0 -1 4 1 0 0 0 0 0 0 0 20 0 4 0 999 1 2 3");
	expect_refused(&t->fs, 11, -ESRCH, &why);
	assert_non_null(strstr(why.what, "its main thread has ended"));
}

static void a_thread_is_refused_and_its_process_named(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	tree_put_process(t, 11, "worker", 'S', 0, NULL);
	tree_put(t, "11/status", "Name:\tworker\nTgid:\t10\nPid:\t11\n");
	expect_refused(&t->fs, 11, -EINVAL, &why);
	assert_string_equal(why.what, "11 (worker) is a thread, not a process");
	assert_string_equal(why.hint, "it belongs to process 10; use that");
	assert_int_equal(why.fault, SP_FAULT_USAGE);
}

static void a_32_bit_program_is_refused_and_a_64_bit_one_is_not(void **state)
{
	struct tree *t = *state;
	struct sp_why why;
	struct sp_proc *p;
	unsigned char ident[EI_NIDENT] = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT};

	tree_put_process(t, 10, "app", 'S', 0, NULL);
	tree_put_bytes(t, "10/exe", ident, sizeof(ident));
	expect_refused(&t->fs, 10, -ENOEXEC, &why);
	assert_string_equal(why.what, "cannot attach to 10 (app): it is a 32-bit program");
	ident[EI_CLASS] = ELFCLASS64;
	tree_put_bytes(t, "10/exe", ident, sizeof(ident));
	assert_int_equal(sp_proc_open(&t->fs, 10, &p, NULL), 0);
	sp_proc_close(p);
}

static void ourselves_is_refused(void **state)
{
	struct tree *t = *state;
	struct sp_why why;

	tree_link(t, "self", "10");
	expect_refused(&t->fs, 10, -EINVAL, &why);
	expect_refused(NULL, getpid(), -EINVAL, &why);
	assert_non_null(strstr(why.what, "that is seep itself"));
	assert_int_equal(why.fault, SP_FAULT_USAGE);
}

/* ---- permission: asked by a child that is nobody ---- */

/* Opens pid as user nobody and returns the refusal. */
static void refusal_for_nobody(const struct sp_procfs *fs, pid_t pid, struct sp_why *ret)
{
	int pipefd[2], status;

	assert_int_equal(pipe(pipefd), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct sp_proc *p;
		struct sp_why why = {};
		int rc = setgid(NOBODY) == 0 && setuid(NOBODY) == 0 ? 0 : 2;
		if (rc == 0 && sp_proc_open(fs, pid, &p, &why) == 0)
			rc = 3;
		if (write(pipefd[1], &why, sizeof(why)) != sizeof(why))
			rc = 4;
		_exit(rc);
	}
	assert_int_equal(read(pipefd[0], ret, sizeof(*ret)), sizeof(*ret));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* A process of user nobody in the tree whose memory nobody may not read. */
static void put_unreadable(const struct tree *t, const char *uids)
{
	char path[PATH_MAX], text[128];

	tree_put_process(t, 10, "app", 'S', 0, NULL);
	snprintf(text, sizeof(text), "Name:\tapp\nTgid:\t10\nUid:\t%s\n", uids);
	tree_put(t, "10/status", text);
	tree_put(t, "10/mem", "");
	assert_int_equal(chmod(tree_path(t, "10/mem", path), 0), 0);
	tree_put(t, "self/status", "Name:\tseep\nCapEff:\t0000000000000000\n");
}

static void needs_root(void)
{
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
}

static void another_users_process_is_refused_with_the_ways_out(void **state)
{
	struct sp_why why;

	needs_root();
	put_unreadable(*state, "12345\t12345\t12345\t12345");
	refusal_for_nobody(&((struct tree *)*state)->fs, 10, &why);
	assert_int_equal(why.fault, SP_FAULT_TARGET);
	assert_int_equal(why.err, EACCES);
	assert_non_null(strstr(why.what, "it belongs to user 12345"));
	assert_non_null(strstr(why.what, "CAP_SYS_PTRACE"));
	assert_non_null(strstr(why.hint, "run as root or as user 12345"));
	assert_non_null(strstr(why.hint, "setcap cap_sys_ptrace"));
}

static void yama_is_named_with_its_value(void **state)
{
	struct sp_why why;
	struct tree *t = *state;

	needs_root();
	put_unreadable(t, "65534\t65534\t65534\t65534");
	tree_put(t, "sys/kernel/yama/ptrace_scope", "1\n");
	refusal_for_nobody(&t->fs, 10, &why);
	assert_non_null(strstr(why.what, "kernel.yama.ptrace_scope is 1 (only a parent may attach)"));
	assert_non_null(strstr(why.hint, "sysctl kernel.yama.ptrace_scope=0"));
	assert_non_null(strstr(why.hint, "seep trace -- COMMAND"));
	tree_put(t, "sys/kernel/yama/ptrace_scope", "3\n");
	refusal_for_nobody(&t->fs, 10, &why);
	assert_non_null(strstr(why.what, "is 3 (nobody may attach)"));
	assert_non_null(strstr(why.hint, "next boot"));
}

static void a_protected_process_of_the_same_user_is_refused(void **state)
{
	struct sp_why why;
	struct tree *t = *state;

	needs_root();
	put_unreadable(t, "65534\t65534\t65534\t65534");
	tree_put(t, "sys/kernel/yama/ptrace_scope", "0\n");
	refusal_for_nobody(&t->fs, 10, &why);
	assert_non_null(strstr(why.what, "it is protected against its own user"));
	assert_string_equal(why.hint, "run as root");
}

static void with_the_capability_a_refusal_blames_a_security_module(void **state)
{
	struct sp_why why;
	struct tree *t = *state;

	needs_root();
	put_unreadable(t, "0\t0\t0\t0");
	tree_put(t, "self/status", "CapEff:\t000001ffffffffff\n");
	refusal_for_nobody(&t->fs, 10, &why);
	assert_non_null(strstr(why.what, "although we have CAP_SYS_PTRACE"));
	tree_put(t, "self/status", "CapEff:\t0000000000080000\n"); /* CAP_SYS_PTRACE alone */
	refusal_for_nobody(&t->fs, 10, &why);
	assert_non_null(
	    strstr(why.what, "belongs to user root, and we have CAP_SYS_PTRACE but not CAP_DAC_READ_SEARCH"));
	tree_put(t, "self/status", "CapEff:\t000001ffffffffff\n");
	tree_put(t, "sys/kernel/yama/ptrace_scope", "3\n");
	refusal_for_nobody(&t->fs, 10, &why);
	assert_non_null(strstr(why.what, "ptrace_scope is 3"));
}

static void a_real_process_of_root_is_refused_to_nobody(void **state)
{
	struct sp_why why;

	(void)state;
	needs_root();
	pid_t pid = victim_start();
	refusal_for_nobody(NULL, pid, &why);
	assert_int_equal(why.err, EACCES);
	assert_non_null(strstr(why.what, "it belongs to user root"));
	assert_non_null(strstr(why.hint, "run as root, or give seep"));
	victim_stop(pid);
}

/* ---- real processes ---- */

static void a_sleeping_child_opens_and_its_end_is_seen(void **state)
{
	struct sp_proc *p;
	char byte;
	pid_t pid = victim_start();

	(void)state;
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	assert_true(sp_proc_is_alive(p));
	assert_true(sp_proc_start_time(p) > 0);
	assert_true(sp_proc_rss_bytes(p) > 0);
	assert_true(sp_proc_ns(NULL, pid, "pid") && sp_proc_ns(NULL, pid, "pid") == sp_proc_ns(NULL, 0, "pid"));
	kill(pid, SIGKILL);
	wait_for_state(pid, 'Z');
	assert_false(sp_proc_is_alive(p));
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){(uintptr_t)&byte}, &byte, 1), -ESRCH);
	assert_int_equal(sp_proc_rss_bytes(p), 0);
	victim_stop(pid);
	assert_false(sp_proc_is_alive(p));
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){(uintptr_t)&byte}, &byte, 1), -ESRCH);
	sp_proc_close(p);
}

static void without_a_pidfd_the_end_is_seen_too(void **state)
{
	struct sp_proc *p;
	pid_t pid = victim_start();

	(void)state;
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	close(p->pidfd);
	p->pidfd = -1;
	assert_true(sp_proc_is_alive(p));
	kill(pid, SIGKILL);
	wait_for_state(pid, 'Z');
	assert_false(sp_proc_is_alive(p));
	victim_stop(pid);
	assert_false(sp_proc_is_alive(p));
	sp_proc_close(p);
}

static void a_stopped_child_opens(void **state)
{
	struct sp_proc *p;
	pid_t pid = victim_start();

	(void)state;
	kill(pid, SIGSTOP);
	wait_for_state(pid, 'T');
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	assert_true(sp_proc_is_alive(p));
	sp_proc_close(p);
	victim_stop(pid);
}

static void a_real_zombie_is_refused(void **state)
{
	struct sp_why why;
	pid_t pid = victim_start();

	(void)state;
	kill(pid, SIGKILL);
	wait_for_state(pid, 'Z');
	expect_refused(NULL, pid, -ESRCH, &why);
	assert_non_null(strstr(why.what, "zombie"));
	victim_stop(pid);
	expect_refused(NULL, pid, -ESRCH, &why);
	assert_non_null(strstr(why.what, "no such process"));
}

static void a_real_kernel_thread_is_refused(void **state)
{
	struct sp_why why;
	struct sp_stat st;

	(void)state;
	sp_autoclose int fd = sp_procfs_open_pid(NULL, 2);
	if (fd < 0 || sp_stat_read(fd, &st) < 0 || !sp_stat_is_kernel_thread(&st)) {
		print_message("skipped: pid 2 is no kernel thread here\n");
		skip();
	}
	expect_refused(NULL, 2, -EINVAL, &why);
	assert_non_null(strstr(why.what, "(kthreadd): it is a thread of the kernel"));
}

static void *hold(void *arg)
{
	pthread_barrier_t *b = ((void **)arg)[0];

	*(pid_t *)((void **)arg)[1] = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(b);
	pthread_barrier_wait(b);
	return NULL;
}

static void a_real_thread_id_is_refused(void **state)
{
	struct sp_why why;
	pthread_barrier_t b;
	pthread_t th;
	pid_t tid;
	void *arg[2] = {&b, &tid};

	(void)state;
	pthread_barrier_init(&b, NULL, 2);
	assert_int_equal(pthread_create(&th, NULL, hold, arg), 0);
	pthread_barrier_wait(&b);
	expect_refused(NULL, tid, -EINVAL, &why);
	assert_non_null(strstr(why.what, "is a thread, not a process"));
	pthread_barrier_wait(&b);
	pthread_join(th, NULL);
	pthread_barrier_destroy(&b);
}

/* ---- memory ---- */

static void memory_is_read_up_to_the_first_hole(void **state)
{
	struct sp_proc *p;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *buf = malloc(2 * page);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_non_null(buf);
	assert_true(pages != MAP_FAILED);
	memset(pages, 'x', 2 * page);
	munmap(pages + page, page);
	pid_t pid = victim_start();
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){(uintptr_t)pages + page - 100}, buf, 2 * page), 100);
	assert_int_equal(buf[0], 'x');
	assert_int_equal(buf[99], 'x');
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){(uintptr_t)pages + page}, buf, 1), -EIO);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){UINT64_MAX}, buf, 8), -EIO);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){0xffffffffff600000}, buf, 8), -EIO);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){(uintptr_t)pages}, buf, 0), 0);
	sp_proc_close(p);
	victim_stop(pid);
	munmap(pages, page);
	free(buf);
}

static void memory_is_read_across_an_exec(void **state)
{
	struct sp_proc *p;
	struct sp_auxv aux;
	uint32_t type;
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char c;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		if (read(go[0], &c, 1) == 0)
			execlp("sleep", "sleep", "100", (char *)NULL);
		_exit(1);
	}
	close(go[0]);
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	close(go[1]);
	for (int i = 0; i < 5000; i++) {
		struct sp_stat st;
		assert_int_equal(sp_stat_read(sp_proc_dirfd(p), &st), 0);
		if (!strcmp(st.comm, "sleep") && st.state == 'S')
			break;
		usleep(1000);
	}
	assert_int_equal(sp_auxv_read(sp_proc_dirfd(p), &aux), 0);
	assert_int_equal(sp_proc_read_mem(p, (sp_raddr){aux.phdr}, &type, sizeof(type)), sizeof(type));
	assert_int_equal(type, PT_PHDR);
	sp_proc_close(p);
	victim_stop(pid);
}

/* ---- out of memory ---- */

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
	pid_t pid = victim_start();
	bool failed = true;

	(void)state;
	for (long n = 0; failed; n++) {
		struct sp_why why = {};
		struct sp_proc *p = NULL;
		struct sp_maps maps = {};
		struct sp_modules mods = {};

		assert_true(n < 1000);
		alloc_arm(n);
		int rc = sp_proc_open(NULL, pid, &p, &why);
		if (rc == 0)
			rc = sp_proc_maps(p, &maps, &why);
		if (rc == 0)
			rc = sp_proc_modules(p, &maps, &mods);
		failed = alloc_disarm();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		sp_modules_done(&mods);
		sp_maps_done(&maps);
		sp_proc_close(p);
	}
	victim_stop(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_fake_process_opens, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_fake_without_memory_opens_and_reads_nothing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(an_absent_pid_is_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_pid_of_a_container_is_translated_in_the_hint, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(inside_a_container_an_absent_pid_points_to_the_host, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_kernel_thread_is_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_zombie_is_refused_and_its_parent_named, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_thread_is_refused_and_its_process_named, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_32_bit_program_is_refused_and_a_64_bit_one_is_not, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(ourselves_is_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(another_users_process_is_refused_with_the_ways_out, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(yama_is_named_with_its_value, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_protected_process_of_the_same_user_is_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(with_the_capability_a_refusal_blames_a_security_module, set_up, tear_down),
	    cmocka_unit_test(a_real_process_of_root_is_refused_to_nobody),
	    cmocka_unit_test(a_sleeping_child_opens_and_its_end_is_seen),
	    cmocka_unit_test(without_a_pidfd_the_end_is_seen_too),
	    cmocka_unit_test(a_stopped_child_opens),
	    cmocka_unit_test(a_real_zombie_is_refused),
	    cmocka_unit_test(a_real_kernel_thread_is_refused),
	    cmocka_unit_test(a_real_thread_id_is_refused),
	    cmocka_unit_test(memory_is_read_up_to_the_first_hole),
	    cmocka_unit_test(memory_is_read_across_an_exec),
	    cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
