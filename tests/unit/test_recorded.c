// SPDX-License-Identifier: Apache-2.0
/*
 * Whole machines as they were recorded (trees/record): Linux 5.10, 6.1, 6.12, and 6.18 in a container; memory cgroups
 * of both versions; swap in use, huge pages, names that are made to confuse, a zombie, processes that ended while they
 * were read. At the second look one process has grown by 30 MiB, one has ended, one has begun.
 */
#include "recorded_tree.h"

#include "proc/smaps.h"
#include "proc/system.h"
#include "triage/triage.h"

#define MIB ((uint64_t)1 << 20)

static const struct machine {
	const char *name;
	bool is_container; /* without swap and huge pages of its own; one cgroup around all */
} machines[] = {
    {"linux-5.10-cgroup1", false},
    {"linux-6.1-cgroup1", false},
    {"linux-6.12-cgroup2", false},
    {"container", true},
};

/* Calls fn for every machine, at its first look. */
static void for_each_machine(void (*fn)(struct recorded *r, const struct machine *m))
{
	for (size_t i = 0; i < SP_ARRAY_SIZE(machines); i++) {
		struct recorded r;

		print_message("%s\n", machines[i].name);
		recorded_init(&r, machines[i].name);
		fn(&r, &machines[i]);
		recorded_done(&r);
	}
}

/* ---- what procps says ---- */

static struct sp_meminfo memory_of(const struct recorded *r)
{
	struct sp_meminfo m;
	struct sp_why why = {0};

	assert_int_equal(sp_meminfo_read(&r->t.fs, &m, &why), 0);
	return m;
}

static void check_free(const struct recorded *r)
{
	struct sp_meminfo m = memory_of(r);
	struct sp_machine machine = sp_machine_of(&m);
	unsigned long long total, used, free_kib, shared, cache, available, swap, swap_used;
	uint64_t sum = machine.free;
	char *text = recorded_read(r, "expect/free", NULL);

	assert_non_null(text);
	assert_int_equal(sscanf(strstr(text, "Mem:"), "Mem: %llu %llu %llu %llu %llu %llu", &total, &used, &free_kib,
				&shared, &cache, &available),
			 6);
	assert_int_equal(sscanf(strstr(text, "Swap:"), "Swap: %llu %llu", &swap, &swap_used), 2);
	assert_int_equal(machine.total, total * 1024);
	assert_int_equal(machine.free, free_kib * 1024);
	assert_int_equal(m.shmem, shared * 1024);
	assert_int_equal(m.buffers + m.cached + m.slab_reclaimable, cache * 1024);
	assert_int_equal(machine.available, available * 1024);
	assert_int_equal(machine.swap_used, swap_used * 1024);
	for (unsigned i = 0; i < SP_NR_MEM; i++)
		sum += machine.mem[i];
	assert_int_equal(sum, machine.total);
	free(text);
}

static void free_says_the_same_of(struct recorded *r, const struct machine *m)
{
	check_free(r);
	if (!m->is_container) {
		assert_int_equal(memory_of(r).hugetlb, 16 * MIB);
		assert_true(memory_of(r).swap_total - memory_of(r).swap_free > 8 * MIB);
	}
	recorded_look(r);
	check_free(r);
}

static void free_says_the_same(void **state)
{
	(void)state;
	for_each_machine(free_says_the_same_of);
}

/* Without the rates, which some versions of vmstat divide by the number of CPUs in the line since boot. */
static void vmstat_says_the_same_of(struct recorded *r, const struct machine *unused)
{
	static const enum sp_vmstat_column columns[] = {SP_VMSTAT_r,    SP_VMSTAT_b,     SP_VMSTAT_swpd, SP_VMSTAT_free,
							SP_VMSTAT_buff, SP_VMSTAT_cache, SP_VMSTAT_us,   SP_VMSTAT_sy,
							SP_VMSTAT_id,   SP_VMSTAT_wa,    SP_VMSTAT_st};
	struct sp_meminfo m = memory_of(r);
	struct sp_vmstat_line line;
	struct sp_activity a;
	struct sp_why why = {0};
	char *text = recorded_read(r, "expect/vmstat", NULL), *s = text;

	(void)unused;
	assert_non_null(text);
	assert_int_equal(sp_activity_read(&r->t.fs, &a, &why), 0);
	line = sp_vmstat_line_of(NULL, &a, 0, &m, 4096);
	for (unsigned i = 0; i < 2; i++) /* its headings */
		s = strchr(s, '\n') + 1;
	for (unsigned column = 0, i = 0; column < SP_NR_VMSTAT; column++) {
		unsigned long long wanted = strtoull(s, &s, 10);

		if (i < SP_ARRAY_SIZE(columns) && columns[i] == column) {
			assert_int_equal(line.v[column], wanted);
			i++;
		}
	}
	free(text);
}

static void vmstat_says_the_same(void **state)
{
	(void)state;
	for_each_machine(vmstat_says_the_same_of);
}

/* ---- processes ---- */

struct view {
	struct sp_cgroups *cgroups;
	struct sp_ps_table *table;
};

static void scan(struct view *v, const struct recorded *r)
{
	struct sp_meminfo m = memory_of(r);
	struct sp_why why = {0};

	assert_int_equal(sp_ps_scan(v->table, m.swap_free < m.swap_total, &why), 0);
}

static struct view view_of(const struct recorded *r)
{
	struct view v = {0};
	struct sp_why why = {0};

	assert_int_equal(sp_cgroups_open(&r->t.fs, &v.cgroups, &why), 0);
	assert_int_equal(sp_ps_open(&r->t.fs, v.cgroups, &v.table, &why), 0);
	scan(&v, r);
	return v;
}

static void view_done(struct view *v)
{
	sp_ps_close(v->table);
	sp_cgroups_close(v->cgroups);
}

static const struct sp_ps *by_pid(const struct view *v, pid_t pid)
{
	for (size_t i = 0; i < sp_ps_nr(v->table); i++)
		if (sp_ps_at(v->table, i)->pid == pid)
			return sp_ps_at(v->table, i);
	return NULL;
}

static const struct sp_ps *by_name(const struct view *v, const char *comm)
{
	for (size_t i = 0; i < sp_ps_nr(v->table); i++)
		if (!strcmp(sp_ps_at(v->table, i)->comm, comm))
			return sp_ps_at(v->table, i);
	return NULL;
}

static bool has_file(const struct recorded *r, int pid, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d/%s", r->root, pid, file);
	return access(path, F_OK) == 0;
}

/* Those that ps lists, but for kernel threads, zombies, and who was gone when the second of its files was read. */
static void check_ps(const struct recorded *r, const struct view *v)
{
	unsigned nr_wanted = 0, nr_kernel = 0, nr_zombies = 0, nr_ended = 0;
	unsigned long long rss, vsz;
	int pid, ppid, len;
	char state[16], *text = recorded_read(r, "expect/ps", NULL);

	assert_non_null(text);
	for (const char *s = text; sscanf(s, "%d %d %llu %llu %15s%n", &pid, &ppid, &rss, &vsz, state, &len) == 5;
	     s += len) {
		const struct sp_ps *ps = by_pid(v, pid);

		nr_zombies += state[0] == 'Z';
		nr_ended += !has_file(r, pid, "statm");
		if (!vsz) {
			nr_kernel += state[0] != 'Z' && has_file(r, pid, "statm");
			assert_null(ps);
			continue;
		}
		nr_wanted++;
		assert_non_null(ps);
		assert_int_equal(ps->ppid, ppid);
		if (pid == sp_procfs_self(&r->t.fs))
			continue; /* what recorded them ran on from file to file */
		assert_int_equal(ps->rss_bytes, rss * 1024);
		assert_int_equal(ps->virtual_bytes, vsz * 1024);
	}
	assert_int_equal(sp_ps_nr(v->table), nr_wanted);
	assert_true(nr_wanted >= 6 && nr_zombies && nr_ended);
	assert_true(nr_kernel || !by_name(v, "boxed")); /* a container shows none */
	free(text);
}

static void processes_are_those_of_ps_in(struct recorded *r, const struct machine *m)
{
	struct view v = view_of(r);

	(void)m;
	check_ps(r, &v);
	assert_non_null(by_name(&v, "app"));
	assert_null(by_name(&v, "newborn"));
	recorded_look(r);
	scan(&v, r);
	check_ps(r, &v);
	assert_non_null(by_name(&v, "newborn"));
	view_done(&v);
}

static void processes_are_those_of_ps(void **state)
{
	(void)state;
	for_each_machine(processes_are_those_of_ps_in);
}

/* Each is found by the name that it has, also as a target. */
static void odd_names_are_names_in(struct recorded *r, const struct machine *m)
{
	static const char *const names[] = {"a) R 1 (b", "two\nlines", "\377\376 \001", "shares", "app"};
	struct view v = view_of(r);

	(void)m;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		const struct sp_ps *ps = by_name(&v, names[i]);
		struct sp_why why = {0};
		pid_t pid = 0;

		assert_non_null(ps);
		assert_int_equal(sp_proc_find(&r->t.fs, names[i], &pid, &why), 0);
		assert_int_equal(pid, ps->pid);
	}
	assert_in_range(by_name(&v, "shares")->shmem_bytes, 16 * MIB, 18 * MIB); /* its libraries may be on a tmpfs */
	assert_in_range(by_name(&v, "app")->anon_bytes, 39 * MIB,
			41 * MIB); /* statm lags behind, by 64 pages a thread */
	view_done(&v);
}

static void odd_names_are_names(void **state)
{
	(void)state;
	for_each_machine(odd_names_are_names_in);
}

/* ---- limits, swap ---- */

static void a_limit_is_that_of_the_tightest_cgroup_in(struct recorded *r, const struct machine *m)
{
	struct view v = view_of(r);
	const struct sp_ps *ps = by_name(&v, m->is_container ? "app" : "boxed");
	struct sp_cgroup_limit limit;

	assert_non_null(ps);
	assert_true(sp_cgroup_limit_read(v.cgroups, ps->cgroup, &limit));
	assert_int_equal(limit.limit_bytes, m->is_container ? 256 * MIB : 32 * MIB);
	assert_true(limit.used_bytes <= limit.limit_bytes);
	assert_true(limit.used_bytes > (m->is_container ? 40 * MIB : 24 * MIB));
	assert_int_equal(limit.oom_kills, 0);
	if (!m->is_container) {
		assert_string_equal(sp_cgroup_path(v.cgroups, ps->cgroup), "/outer/box");
		/* 44 MiB were touched where 32 MiB may be */
		assert_in_range(ps->anon_bytes + ps->swap_bytes, 43 * MIB, 45 * MIB);
		assert_true(ps->swap_bytes > 12 * MIB);
		assert_false(sp_cgroup_limit_read(v.cgroups, by_name(&v, "app")->cgroup, &limit));
	}
	view_done(&v);
}

static void a_limit_is_that_of_the_tightest_cgroup(void **state)
{
	(void)state;
	for_each_machine(a_limit_is_that_of_the_tightest_cgroup_in);
}

/* ---- mappings ---- */

static void sums_of_mappings_are_those_of_the_kernel_in(struct recorded *r, const struct machine *m)
{
	struct view v = view_of(r);
	struct sp_smaps s, rollup;
	struct sp_smap sum = {0};
	char name[64];
	size_t len = 0;

	(void)m;
	snprintf(name, sizeof(name), "proc/%d/smaps", by_name(&v, "app")->pid);
	char *text = recorded_read(r, name, &len);
	assert_non_null(text);
	assert_int_equal(sp_smaps_parse(text, len, &s), 0);
	free(text);
	snprintf(name, sizeof(name), "proc/%d/smaps_rollup", by_name(&v, "app")->pid);
	text = recorded_read(r, name, &len);
	assert_non_null(text);
	assert_int_equal(sp_smaps_parse(text, len, &rollup), 0);
	free(text);
	for (size_t i = 0; i < s.nr; i++) {
#define ADD(field, key) sum.field += s.list[i].field;
		SP_SMAP(ADD)
#undef ADD
	}
	assert_true(s.nr > 10 && rollup.nr == 1);
	assert_int_equal(sum.resident, rollup.list[0].resident);
	assert_int_equal(sum.anonymous, rollup.list[0].anonymous);
	assert_int_equal(sum.private_dirty, rollup.list[0].private_dirty);
	assert_int_equal(sum.swapped, rollup.list[0].swapped);
	assert_true(sum.anonymous >= 40 * MIB);
	sp_smaps_done(&s);
	sp_smaps_done(&rollup);
	view_done(&v);
}

static void sums_of_mappings_are_those_of_the_kernel(void **state)
{
	(void)state;
	for_each_machine(sums_of_mappings_are_those_of_the_kernel_in);
}

/* ---- the verdict ---- */

static void look(struct sp_triage *t, const struct view *v, const struct recorded *r, uint64_t now_ns)
{
	struct sp_meminfo m = memory_of(r);
	struct sp_machine machine = sp_machine_of(&m);

	sp_triage_begin(t, now_ns, &machine);
	for (size_t i = 0; i < sp_ps_nr(v->table); i++)
		assert_int_equal(sp_triage_process(t, sp_ps_at(v->table, i)), 0);
	sp_triage_end(t);
}

static void check_verdict(const struct sp_triage *t, pid_t app)
{
	const struct sp_diagnosis_more more = {0};
	struct sp_diagnosis d;
	char sentence[1024], wanted[64];

	assert_int_equal(sp_triage_judge(t, &d), 0);
	assert_int_equal(d.cause, SP_CAUSE_PROCESS);
	assert_int_equal(d.who.ps.pid, app);
	snprintf(wanted, sizeof(wanted), "is anonymous memory of app[%d]", app);
	sp_triage_sentence(&d, &more, sentence, sizeof(sentence));
	if (!strstr(sentence, wanted))
		fail_msg("%s", sentence);
}

/* Around a container is a machine whose memory went elsewhere meanwhile: there only who grew most is known. */
static void who_grew_is_named_in(struct recorded *r, const struct machine *m)
{
	const uint64_t half_minute = 30000000000u;
	struct view v = view_of(r);
	struct sp_vec suspects;
	struct sp_triage *t;

	sp_vec_init(&suspects, sizeof(struct sp_suspect), SP_PS_MAX);
	assert_int_equal(sp_triage_new(SP_PS_MAX, &t), 0);
	look(t, &v, r, half_minute);
	recorded_look(r);
	scan(&v, r);
	look(t, &v, r, 2 * half_minute);
	assert_int_equal(sp_triage_suspects(t, SP_SUSPECT_GROWTH, &suspects), 0);
	const struct sp_suspect *first = sp_vec_at(&suspects, struct sp_suspect, 0);
	assert_string_equal(first->ps.comm, "app");
	assert_in_range(first->growth_bytes, 29 * MIB, 31 * MIB);
	if (!m->is_container)
		check_verdict(t, first->ps.pid);
	sp_vec_done(&suspects);
	sp_triage_free(t);
	view_done(&v);
}

static void who_grew_is_named(void **state)
{
	(void)state;
	for_each_machine(who_grew_is_named_in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(free_says_the_same),
	    cmocka_unit_test(vmstat_says_the_same),
	    cmocka_unit_test(processes_are_those_of_ps),
	    cmocka_unit_test(odd_names_are_names),
	    cmocka_unit_test(a_limit_is_that_of_the_tightest_cgroup),
	    cmocka_unit_test(sums_of_mappings_are_those_of_the_kernel),
	    cmocka_unit_test(who_grew_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
