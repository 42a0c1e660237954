// SPDX-License-Identifier: Apache-2.0
/* inject/: calls, stops and snapshots in a program that goes on working and can tell when it was disturbed. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "inject_fixture.h"

struct into {
	struct host host;
	struct sp_proc *p;
	struct sp_inject *in;
	struct sp_why why;
};

static void enter(struct into *i)
{
	const struct sp_inject_opts opts = {.max_pause_ns = 5000000000ull}; /* the machine may be busy */

	MUST(i, sp_proc_open(NULL, i->host.pid, &i->p, &i->why));
	MUST(i, sp_inject_open(i->p, &opts, &i->in, &i->why));
}

static void go(struct into *i)
{
	sp_inject_close(i->in);
	sp_proc_close(i->p);
	host_is_well(&i->host);
	assert_int_equal(host_end(&i->host), 7);
}

static void a_call_is_made_and_the_program_goes_on(void **state)
{
	struct sp_inject_call calls[3] = {{.nr = SYS_getpid}, {.nr = SYS_close, .args = {9999}}, {.nr = SYS_getppid}};
	struct into i = {};
	struct looks before, after;

	(void)state;
	HOST_START(&i.host, "2", "2");
	look(i.host.pid, &before);
	enter(&i);
	for (int n = 0; n < 50; n++) {
		MUST(&i, sp_inject_calls(i.in, calls, 3, &i.why));
		assert_int_equal(calls[0].ret, i.host.pid);
		assert_int_equal(calls[1].ret, -EBADF);
		assert_int_equal(calls[2].ret, getpid());
	}
	sp_inject_close(i.in);
	look(i.host.pid, &after);
	looks_equal(&before, &after);
	MUST(&i, sp_inject_open(i.p, NULL, &i.in, &i.why));
	go(&i);
}

static void nobody_sees_an_interrupted_call(void **state)
{
	struct sp_inject_call call = {.nr = SYS_getpid};
	struct sp_inject_threads threads;
	struct into i = {};

	(void)state;
	HOST_START(&i.host, "1", "1", "waiters");
	enter(&i);
	for (int n = 0; n < 100; n++) {
		MUST(&i, sp_inject_threads(i.in, &threads, NULL, &i.why));
		assert_int_equal(threads.nr, 12);
		sp_inject_threads_done(&threads);
		MUST(&i, sp_inject_calls(i.in, &call, 1, &i.why));
		usleep(1000);
	}
	go(&i);
}

static void registers_of_all_threads_are_read(void **state)
{
	struct sp_inject_threads threads;
	struct sp_inject_pause pause;
	struct into i = {};

	(void)state;
	HOST_START(&i.host, "2", "20");
	enter(&i);
	MUST(&i, sp_inject_threads(i.in, &threads, &pause, &i.why));
	assert_int_equal(threads.nr, 23);
	assert_int_equal(pause.nr_threads, 23);
	assert_true(pause.ns > 0);
	for (size_t n = 0; n < threads.nr; n++) {
		assert_true(threads.list[n].pc && threads.list[n].sp && threads.list[n].fs_base);
		assert_true(threads.list[n].nr_vector >= 64);
	}
	sp_inject_threads_done(&threads);
	go(&i);
}

static void memory_is_mapped_near(void **state)
{
	struct sp_maps maps;
	struct into i = {};
	sp_raddr at;

	(void)state;
	HOST_START(&i.host, "1", "0");
	enter(&i);
	MUST(&i, sp_proc_maps(i.p, &maps, &i.why));
	for (size_t n = 0; n < maps.nr; n++) {
		struct sp_mapping *m = &maps.list[n];
		if (!(m->prot & SP_PROT_X) || !m->inode)
			continue;
		MUST(&i, sp_inject_map_near(i.in, (sp_raddr){m->start}, m->end - m->start, 5000, SP_PROT_R | SP_PROT_X,
					    &at, &i.why));
		assert_true(at.v + 8192 - m->start < 1ull << 31 || m->end - at.v < 1ull << 31);
		uint8_t bytes[100], back[100];
		memset(bytes, 0xcc, sizeof(bytes));
		MUST(&i, sp_inject_write(i.in, at, bytes, sizeof(bytes)));
		MUST(&i, sp_inject_read(i.in, at.v, back, sizeof(back)));
		assert_memory_equal(bytes, back, sizeof(bytes));
		struct sp_inject_call call = {.nr = SYS_munmap, .args = {at.v, 8192}};
		MUST(&i, sp_inject_calls(i.in, &call, 1, &i.why));
		assert_int_equal(call.ret, 0);
	}
	sp_maps_done(&maps);
	go(&i);
}

static unsigned nr_children(pid_t pid)
{
	char path[64];
	unsigned nr = 0;

	DIR *d = opendir("/proc");
	for (struct dirent *e; (e = readdir(d));) {
		int ppid = 0;
		snprintf(path, sizeof(path), "/proc/%.20s/stat", e->d_name);
		FILE *f = fopen(path, "re");
		if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &ppid) == 1 && ppid == pid)
			nr++;
		if (f)
			fclose(f);
	}
	closedir(d);
	return nr;
}

static void a_snapshot_stands_still_and_leaves_nothing(void **state)
{
	struct sp_inject_snapshot *s;
	struct into i = {};
	uint64_t word, later;

	(void)state;
	HOST_START(&i.host, "2", "10", "waiters");
	enter(&i);
	for (int n = 0; n < 20; n++) {
		MUST(&i, sp_inject_snapshot_take(i.in, &s, &i.why));
		const struct sp_inject_threads *t = sp_inject_snapshot_threads(s);
		assert_int_equal(t->nr, 22);
		for (size_t k = 0; k < t->nr; k++) {
			assert_int_equal(sp_inject_snapshot_read(s, (sp_raddr){t->list[k].sp}, &word, 8), 8);
			usleep(100);
			assert_int_equal(sp_inject_snapshot_read(s, (sp_raddr){t->list[k].sp}, &later, 8), 8);
			assert_int_equal(word, later);
		}
		host_is_well(&i.host);
		assert_int_equal(nr_children(i.host.pid), 1);
		sp_inject_snapshot_release(s);
		assert_int_equal(nr_children(i.host.pid), 0);
	}
	go(&i);
}

/* A program on musl: the only gaps near its C library are where the heap and the stack grow. */
static const char TIGHT[] = "555500001000-555500002000 r-xp 00000000 fe:00 1 /bin/p\n"
			    "555500003000-555500004000 rw-p 00000000 00:00 0 [heap]\n"
			    "7f0000000000-7f0000100000 r-xp 00000000 fe:00 2 /lib/libc.so\n"
			    "7f0000100000-7f0000200000 rw-p 00000000 00:00 0\n"
			    "7ffff0000000-7ffff0100000 rw-p 00000000 00:00 0 [stack]\n";

static void a_place_is_found_where_the_heap_will_not_come(void **state)
{
	struct sp_maps maps;

	(void)state;
	assert_int_equal(sp_maps_parse(TIGHT, sizeof(TIGHT) - 1, &maps), 0);
	uint64_t at = sp_near_choose(&maps, 0x7f0000000000, 0x100000, 4096);
	assert_int_equal(at, 0x7f0000000000 - 2 * 4096); /* not side by side */
	at = sp_near_choose(&maps, 0x555500001000, 0x1000, 4096);
	assert_true(at && at < 0x555500001000); /* behind the heap is not near enough where the heap does not come */
	sp_maps_done(&maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_place_is_found_where_the_heap_will_not_come),
	    cmocka_unit_test(a_call_is_made_and_the_program_goes_on),
	    cmocka_unit_test(nobody_sees_an_interrupted_call),
	    cmocka_unit_test(registers_of_all_threads_are_read),
	    cmocka_unit_test(memory_is_mapped_near),
	    cmocka_unit_test(a_snapshot_stands_still_and_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
