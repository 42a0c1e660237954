// SPDX-License-Identifier: Apache-2.0
/* System-wide readers on recorded /proc trees: several kernels, swap, huge pages, odd names, vanishing processes. */
#include "proc_fixture.h"

#include "failing_alloc.h"
#include "proc/system.h"

/* ---- meminfo ---- */

static const char meminfo_618[] = "MemTotal:       24683620 kB\n"
				  "MemFree:        24075912 kB\n"
				  "MemAvailable:   24315920 kB\n"
				  "Buffers:            2936 kB\n"
				  "Cached:           421480 kB\n"
				  "SwapCached:            0 kB\n"
				  "SwapTotal:       1048576 kB\n"
				  "SwapFree:        1000000 kB\n"
				  "AnonPages:         47512 kB\n"
				  "Shmem:              8952 kB\n"
				  "KReclaimable:      62296 kB\n"
				  "Slab:              84876 kB\n"
				  "SReclaimable:      62296 kB\n"
				  "SUnreclaim:        22580 kB\n"
				  "KernelStack:        2100 kB\n"
				  "PageTables:         3356 kB\n"
				  "SecPageTables:        12 kB\n"
				  "Committed_AS:     129440 kB\n"
				  "Percpu:              712 kB\n"
				  "AnonHugePages:      4096 kB\n"
				  "HugePages_Total:       3\n"
				  "Hugepagesize:       2048 kB\n"
				  "Hugetlb:         1054720 kB\n";

static void meminfo_is_read_in_bytes(void **state)
{
	struct sp_meminfo m;

	(void)state;
	assert_int_equal(sp_meminfo_parse(meminfo_618, &m), 0);
	assert_int_equal(m.total, 24683620ull * 1024);
	assert_int_equal(m.free, 24075912ull * 1024);
	assert_int_equal(m.available, 24315920ull * 1024);
	assert_int_equal(m.swap_total - m.swap_free, 48576ull * 1024);
	assert_int_equal(m.slab_reclaimable, 62296 * 1024);
	assert_int_equal(m.slab_unreclaimable, 22580 * 1024);
	assert_int_equal(m.page_tables + m.sec_page_tables, 3368 * 1024);
	assert_int_equal(m.hugetlb, 1054720 * 1024); /* also of other sizes than the default one */
}

/* CentOS 7: no MemAvailable before 3.14, no Hugetlb before 4.13, no Percpu before 4.15. */
static void an_old_kernels_gaps_are_filled(void **state)
{
	static const char old[] = "MemTotal:        1000 kB\nMemFree:          100 kB\nBuffers:           10 kB\n"
				  "Cached:           300 kB\nShmem:            50 kB\nHugePages_Total:     2\n"
				  "Hugepagesize:    2048 kB\n";
	struct sp_meminfo m;

	(void)state;
	assert_int_equal(sp_meminfo_parse(old, &m), 0);
	assert_int_equal(m.available, (100 + 10 + 250) * 1024);
	assert_int_equal(m.hugetlb, 2 * 2048 * 1024);
	assert_int_equal(m.percpu, 0);
}

static void free_pages_on_the_cpus_lists_are_summed(void **state)
{
	(void)state;
	assert_int_equal(
	    sp_zoneinfo_parse("Node 0, zone DMA\n  pages free 2\n  pagesets\n    cpu: 0\n              count:    7\n"
			      "              high:     9\n    cpu: 1\n              count:    35\n"),
	    42);
	assert_int_equal(sp_zoneinfo_parse(""), 0);
	assert_int_equal(sp_zoneinfo_parse("count: x\ncount: 18446744073709551615\ncount: 1"), UINT64_MAX);
}

static void what_is_no_meminfo_is_refused(void **state)
{
	struct sp_meminfo m;

	(void)state;
	assert_int_equal(sp_meminfo_parse("", &m), -EINVAL);
	assert_int_equal(sp_meminfo_parse("MemTotal: 12 kB\n", &m), -EINVAL);
	assert_int_equal(sp_meminfo_parse("MemTotal: x kB\nMemFree: 1 kB\n", &m), -EINVAL);
}

static void numbers_beyond_all_bounds_saturate(void **state)
{
	struct sp_meminfo m;

	(void)state;
	assert_int_equal(
	    sp_meminfo_parse("MemTotal: 99999999999999999999999 kB\nMemFree: 18446744073709551615 kB\n", &m), 0);
	assert_true(m.total == UINT64_MAX && m.free == UINT64_MAX);
}

static void a_missing_proc_is_said(void **state)
{
	struct sp_procfs fs = {.root = "/nonexistent", .fake = true};
	struct sp_meminfo m;
	struct sp_why why = {0};

	(void)state;
	assert_int_equal(sp_meminfo_read(&fs, &m, &why), -ENOENT);
	assert_non_null(strstr(why.what, "/nonexistent/meminfo"));
}

/* ---- stat, vmstat, uptime ---- */

static const char stat_618[] = "cpu  100 2 30 4000 50 6 7 8 9 1\ncpu0 50 1 15 2000 25 3 3 4 0 0\n"
			       "intr 123456 1 2 3 0 0\nctxt 7890\nbtime 1\nprocesses 55\nprocs_running 3\n"
			       "procs_blocked 1\nsoftirq 12 3 4\n";

static void activity_is_read_from_three_files(void **state)
{
	struct sp_activity a;

	(void)state;
	assert_int_equal(sp_activity_parse(stat_618,
					   "nr_free_pages 5\npgpgin 1000\npgpgout 2000\npswpin 3\npswpout 4\n",
					   "12.50 40.00\n", &a),
			 0);
	assert_true(a.user == 100 && a.nice == 2 && a.sys == 30 && a.idle == 4000 && a.iowait == 50);
	assert_true(a.irq == 6 && a.softirq == 7 && a.steal == 8 && a.guest == 9 && a.guest_nice == 1);
	assert_true(a.interrupts == 123456 && a.switches == 7890 && a.running == 3 && a.blocked == 1);
	assert_true(a.paged_in_kb == 1000 && a.paged_out_kb == 2000);
	assert_true(a.swapped_in_pages == 3 && a.swapped_out_pages == 4);
	assert_int_equal(a.uptime_ms, 12000);
}

static void a_stat_of_fewer_columns_will_do(void **state)
{
	struct sp_activity a;

	(void)state;
	assert_int_equal(sp_activity_parse("cpu  1 2 3 4\n", "", "", &a), 0);
	assert_true(a.idle == 4 && a.steal == 0);
	assert_int_equal(sp_activity_parse("cpu  1 2 3\n", "", "", &a), -EINVAL);
	assert_int_equal(sp_activity_parse("cpu0 1 2 3 4\n", "", "", &a), -EINVAL);
	assert_int_equal(sp_activity_parse("", "", "", &a), -EINVAL);
}

/* ---- pressure, slab ---- */

static void pressure_is_known_or_not(void **state)
{
	struct sp_pressure p = sp_pressure_parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=120\n"
						 "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");

	(void)state;
	assert_true(p.known && p.some_us == 120 && p.full_us == 7);
	assert_false(sp_pressure_parse("").known);
	assert_false(sp_pressure_parse("some avg10=0.00 avg60=0.00 avg300=0.00\nfull total=7\n").known);
}

static void slab_caches_have_the_size_of_their_slabs(void **state)
{
	static const char text[] =
	    "slabinfo - version: 2.1\n"
	    "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables ...\n"
	    "dentry  1000 1050 192 21 1 : tunables 0 0 0 : slabdata 50 50 0\n"
	    "kmalloc-8k 4 4 8192 4 8 : tunables 0 0 0 : slabdata 1 2 0\n"
	    "broken 1 2\n"
	    "a_name_that_is_longer_than_what_we_keep_of_it 1 1 1 1 1 : tunables 0 0 0 : slabdata 1 1 0";
	struct sp_vec slabs;

	(void)state;
	sp_vec_init(&slabs, sizeof(struct sp_slab), SP_SLAB_MAX);
	assert_int_equal(sp_slabs_parse(text, &slabs), 0);
	assert_int_equal(slabs.nr, 3);
	assert_string_equal(sp_vec_at(&slabs, struct sp_slab, 0)->name, "dentry");
	assert_int_equal(sp_vec_at(&slabs, struct sp_slab, 0)->bytes, 50 * sysconf(_SC_PAGESIZE));
	assert_int_equal(sp_vec_at(&slabs, struct sp_slab, 1)->bytes, 16 * sysconf(_SC_PAGESIZE));
	assert_int_equal(strlen(sp_vec_at(&slabs, struct sp_slab, 2)->name), 31);
	sp_vec_done(&slabs);
}

/* ---- processes ---- */

static void put_statm(const struct tree *t, int pid, const char *statm)
{
	char name[64];

	snprintf(name, sizeof(name), "%d/statm", pid);
	tree_put(t, name, statm);
}

static void put_program(const struct tree *t, int pid, const char *comm, const char *statm)
{
	tree_put_process(t, pid, comm, 'S', 0, "prog\0-x");
	put_statm(t, pid, statm);
}

static const struct sp_ps *find(const struct sp_ps_table *table, pid_t pid)
{
	for (size_t i = 0; i < sp_ps_nr(table); i++)
		if (sp_ps_at(table, i)->pid == pid)
			return sp_ps_at(table, i);
	return NULL;
}

static struct sp_ps_table *scanned(const struct tree *t, bool with_swap)
{
	struct sp_ps_table *table = NULL;
	struct sp_why why = {0};

	assert_int_equal(sp_ps_open(&t->fs, NULL, &table, &why), 0);
	assert_int_equal(sp_ps_scan(table, with_swap, &why), 0);
	return table;
}

static void anonymous_memory_is_what_is_not_shared(void **state)
{
	struct sp_ps_table *table;
	struct tree t;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	(void)state;
	tree_init(&t);
	put_program(&t, 12, "app", "1000 300 100 10 0 500 0\n");
	table = scanned(&t, false);
	assert_int_equal(sp_ps_nr(table), 1);
	assert_int_equal(find(table, 12)->anon_bytes, 200 * page);
	assert_int_equal(find(table, 12)->rss_bytes, 300 * page);
	assert_int_equal(find(table, 12)->data_bytes, 500 * page);
	assert_int_equal(find(table, 12)->start_time, 4242);
	assert_int_equal(find(table, 12)->ppid, 7);
	assert_string_equal(find(table, 12)->comm, "app");
	sp_ps_close(table);
	tree_done(&t);
}

static void kernel_threads_zombies_and_the_half_gone_are_left_out(void **state)
{
	struct sp_ps_table *table;
	struct tree t;

	(void)state;
	tree_init(&t);
	put_program(&t, 2, "kthreadd", "0 0 0 0 0 0 0\n");
	put_statm(&t, 30, "5 5 5 5 5 5 5\n"); /* ended between the two reads */
	tree_put(&t, "31/comm", "ended before the first\n");
	put_program(&t, 32, "app", "cut off");
	tree_put(&t, "self", "no pid\n");
	table = scanned(&t, false);
	assert_int_equal(sp_ps_nr(table), 0);
	sp_ps_close(table);
	tree_done(&t);
}

static void a_name_made_to_confuse_is_a_name(void **state)
{
	struct sp_ps_table *table;
	struct tree t;

	(void)state;
	tree_init(&t);
	put_program(&t, 12, ") R 1 (", "1000 300 100 10 0 500 0\n");
	put_program(&t, 13, "a b\nc", "1000 300 100 10 0 500 0\n");
	table = scanned(&t, false);
	assert_string_equal(find(table, 12)->comm, ") R 1 (");
	assert_int_equal(find(table, 12)->ppid, 7);
	assert_string_equal(find(table, 13)->comm, "a b\nc");
	sp_ps_close(table);
	tree_done(&t);
}

static void a_process_that_has_ended_leaves_the_table(void **state)
{
	struct sp_ps_table *table;
	struct sp_why why = {0};
	char path[PATH_MAX];
	struct tree t;

	(void)state;
	tree_init(&t);
	for (int pid = 10; pid < 20; pid++)
		put_program(&t, pid, "app", "1000 300 100 10 0 500 0\n");
	table = scanned(&t, false);
	assert_int_equal(sp_ps_nr(table), 10);
	for (int pid = 10; pid < 20; pid += 2) {
		snprintf(path, sizeof(path), "%s/%d/statm", t.dir, pid);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(sp_ps_scan(table, false, &why), 0);
	assert_int_equal(sp_ps_nr(table), 5);
	for (int pid = 10; pid < 20; pid++)
		assert_int_equal(find(table, pid) != NULL, pid % 2);
	sp_ps_close(table);
	tree_done(&t);
}

/* What has not changed is not read again: its name cannot have changed either, for all that statm tells. */
static void only_who_changed_is_read_again(void **state)
{
	struct sp_ps_table *table;
	struct sp_why why = {0};
	struct tree t;

	(void)state;
	tree_init(&t);
	put_program(&t, 12, "before", "1000 300 100 10 0 500 0\n");
	table = scanned(&t, false);
	put_program(&t, 12, "after", "1000 300 100 10 0 500 0\n");
	assert_int_equal(sp_ps_scan(table, false, &why), 0);
	assert_string_equal(find(table, 12)->comm, "before");
	put_statm(&t, 12, "1000 301 100 10 0 500 0\n");
	assert_int_equal(sp_ps_scan(table, false, &why), 0);
	assert_string_equal(find(table, 12)->comm, "after");
	sp_ps_close(table);
	tree_done(&t);
}

static void swap_and_shared_memory_are_looked_up_when_they_matter(void **state)
{
	struct sp_ps_table *table;
	struct tree t;

	(void)state;
	tree_init(&t);
	put_program(&t, 12, "app", "100000 300 100 10 0 500 0\n");
	put_program(&t, 13, "mapper", "100000 90000 80000 10 0 500 0\n");
	tree_put(&t, "12/status", "Name:\tapp\nRssShmem:\t       4 kB\nVmSwap:\t    2048 kB\n");
	tree_put(&t, "13/status", "Name:\tmapper\nRssShmem:\t  300000 kB\nVmSwap:\t    0 kB\n");
	table = scanned(&t, false);
	assert_int_equal(find(table, 12)->swap_bytes, 0); /* no swap in use: nobody can have any */
	assert_int_equal(find(table, 13)->shmem_bytes, 300000 * 1024);
	sp_ps_close(table);
	table = scanned(&t, true);
	assert_int_equal(find(table, 12)->swap_bytes, 2048 * 1024);
	sp_ps_close(table);
	tree_done(&t);
}

static void pss_comes_from_the_rollup(void **state)
{
	struct sp_ps_table *table;
	uint64_t pss = 0;
	char text[64];
	struct tree t;

	(void)state;
	tree_init(&t);
	put_program(&t, 12, "app", "1000 300 100 10 0 500 0\n");
	tree_put(&t, "12/smaps_rollup",
		 "00400000-7ffe0000 ---p 00000000 00:00 0    [rollup]\nRss:   99 kB\nPss:   55 kB\n");
	put_program(&t, 13, "app", "1000 300 100 10 0 500 0\n");
	table = scanned(&t, false);
	assert_true(sp_ps_pss(table, 12, &pss));
	assert_int_equal(pss, 55 * 1024);
	assert_false(sp_ps_pss(table, 13, &pss));
	assert_string_equal(sp_ps_describe(table, 12, text, sizeof(text)), "prog");
	assert_string_equal(sp_ps_describe(table, 99, text, sizeof(text)), "");
	sp_ps_close(table);
	tree_done(&t);
}

static void no_allocation_failure_loses_anything(void **state)
{
	struct tree t;
	long nth = 0;

	(void)state;
	tree_init(&t);
	for (int pid = 10; pid < 60; pid++)
		put_program(&t, pid, "app", "1000 300 100 10 0 500 0\n");
	do {
		struct sp_ps_table *table = NULL;
		int err;

		alloc_arm(nth++);
		err = sp_ps_open(&t.fs, NULL, &table, NULL);
		if (!err)
			err = sp_ps_scan(table, false, NULL);
		assert_true(err == 0 || err == -ENOMEM);
		if (!err)
			assert_int_equal(sp_ps_nr(table), 50);
		sp_ps_close(table);
	} while (alloc_disarm());
	assert_true(nth > 4);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(meminfo_is_read_in_bytes),
	    cmocka_unit_test(an_old_kernels_gaps_are_filled),
	    cmocka_unit_test(free_pages_on_the_cpus_lists_are_summed),
	    cmocka_unit_test(what_is_no_meminfo_is_refused),
	    cmocka_unit_test(numbers_beyond_all_bounds_saturate),
	    cmocka_unit_test(a_missing_proc_is_said),
	    cmocka_unit_test(activity_is_read_from_three_files),
	    cmocka_unit_test(a_stat_of_fewer_columns_will_do),
	    cmocka_unit_test(pressure_is_known_or_not),
	    cmocka_unit_test(slab_caches_have_the_size_of_their_slabs),
	    cmocka_unit_test(anonymous_memory_is_what_is_not_shared),
	    cmocka_unit_test(kernel_threads_zombies_and_the_half_gone_are_left_out),
	    cmocka_unit_test(a_name_made_to_confuse_is_a_name),
	    cmocka_unit_test(a_process_that_has_ended_leaves_the_table),
	    cmocka_unit_test(only_who_changed_is_read_again),
	    cmocka_unit_test(swap_and_shared_memory_are_looked_up_when_they_matter),
	    cmocka_unit_test(pss_comes_from_the_rollup),
	    cmocka_unit_test(no_allocation_failure_loses_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
