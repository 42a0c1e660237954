// SPDX-License-Identifier: Apache-2.0
/* Memory that is no process' own: page cache, slab, shared memory; limits; meminfo's kinds and vmstat's line. */
#include "triage_fixture.h"

/* ---- the other kinds ---- */

static void page_cache_is_no_leak(void **state)
{
	struct world *w = *state;

	look(w);
	take(w, SP_MEM_CACHE, 300 * MIB);
	looks(w, 3);
	assert_said(w, "free fell 300.0 MiB in 3s: no leak: the page cache grew 300.0 MiB; the kernel gives it back",
		    "");
}

static void slab_names_its_cache(void **state)
{
	struct world *w = *state;

	look(w);
	take(w, SP_MEM_SLAB, 100 * MIB);
	looks(w, 3);
	w->more.slab = "kmalloc-1k";
	w->more.slab_bytes = 90 * (int64_t)MIB;
	assert_said(
	    w,
	    "free fell 100.0 MiB in 3s: 100.0 MiB is slab of the kernel that it cannot give back; kmalloc-1k alone "
	    "grew 90.0 MiB; page cache did not change",
	    "seep kernel");
	take(w, SP_MEM_SLAB_GIVES, 200 * MIB);
	look(w);
	assert_cause(w, SP_CAUSE_SLAB_GIVES);
	assert_non_null(strstr(w->sentence, "which it gives back"));
}

static void shared_memory_that_nobody_maps(void **state)
{
	struct world *w = *state;

	add(w, 10, "app", MIB);
	look(w);
	take(w, SP_MEM_SHMEM, 300 * MIB);
	looks(w, 2);
	assert_said(
	    w,
	    "free fell 300.0 MiB in 2s: 300.0 MiB is shared memory that no process maps (a SysV segment, a file on "
	    "a tmpfs, a memfd); page cache did not change",
	    "seep shm");
}

static void shared_memory_that_somebody_maps(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 10, "app", MIB);

	add(w, 11, "other", MIB)->shmem_bytes = 600 * MIB; /* mapped it before */
	look(w);
	take(w, SP_MEM_SHMEM, 300 * MIB);
	app->shmem_bytes = 300 * MIB;
	looks(w, 2);
	assert_said(
	    w, "free fell 300.0 MiB in 2s: 300.0 MiB is shared memory that app[10] maps; page cache did not change",
	    "seep map 10");
}

static void every_other_kind_has_its_words(void **state)
{
	static const struct {
		enum sp_mem kind;
		enum sp_cause cause;
		const char *words;
	} rows[] = {
	    {SP_MEM_BUFFERS, SP_CAUSE_CACHE, "no leak: the page cache grew"},
	    {SP_MEM_TABLES, SP_CAUSE_TABLES, "page tables"},
	    {SP_MEM_STACKS, SP_CAUSE_STACKS, "many threads"},
	    {SP_MEM_PERCPU, SP_CAUSE_PERCPU, "per-cpu memory"},
	    {SP_MEM_HUGE, SP_CAUSE_HUGE, "huge pages"},
	    {SP_MEM_OTHER, SP_CAUSE_OTHER, "in no counter"},
	};
	uint64_t amount = 20 * MIB;
	struct world *w = *state;

	look(w);
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++, amount *= 2) {
		take(w, rows[i].kind, (int64_t)amount);
		look(w);
		assert_cause(w, rows[i].cause);
		assert_non_null(strstr(w->sentence, rows[i].words));
	}
}

static void a_big_malloc_that_is_not_touched_takes_nothing(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 10, "app", MIB);

	look(w);
	app->data_bytes += 16384 * MIB;
	w->m.committed += 16384 * MIB;
	looks(w, 3);
	assert_said(
	    w,
	    "free did not change in 3s, but app[10] reserved 16.0 GiB of address space and touched next to nothing "
	    "of it: no memory is gone until it does; page cache did not change",
	    "seep map 10");
}

static void a_sanitizers_shadow_is_not_worth_a_word(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 10, "app", MIB);

	look(w);
	app->data_bytes += (uint64_t)14 << 40;
	w->m.committed += 100 * MIB;
	looks(w, 3);
	assert_cause(w, SP_CAUSE_NOTHING);
	assert_false(w->d.has_reserved);
}

/* Seen on an idle machine: 40 MiB within seconds, both ways. */
static void free_pages_on_the_cpus_lists_are_free(void **state)
{
	struct world *w = *state;

	look(w);
	take(w, SP_MEM_LISTS, 40 * MIB);
	looks(w, 2);
	assert_said(w, "free did not change in 2s, and no process grows steadily: no leak to be seen", "");
}

static void nothing_is_nothing(void **state)
{
	struct world *w = *state;

	add(w, 10, "app", MIB);
	looks(w, 10);
	assert_said(w, "free did not change in 9s, and no process grows steadily: no leak to be seen", "");
}

static void memory_that_comes_back_is_no_leak(void **state)
{
	struct world *w = *state;

	look(w);
	take(w, SP_MEM_CACHE, -300 * (int64_t)MIB);
	looks(w, 2);
	assert_said(w, "free rose 300.0 MiB in 2s, and no process grows steadily: no leak to be seen", "");
}

static void one_look_says_nothing(void **state)
{
	struct world *w = *state;

	look(w);
	assert_said(w, "one look cannot tell what changes: ask for two or more", "seep top 3 10");
}

static void a_machine_that_shrinks_is_said(void **state)
{
	struct world *w = *state;

	look(w);
	w->m.total -= 2048 * MIB;
	w->m.free -= 2048 * MIB;
	look(w);
	judge(w);
	assert_non_null(strstr(w->sentence, "the machine itself became 2.0 GiB smaller"));
}

/* ---- limits ---- */

static void a_cgroup_near_its_limit_tells_when(void **state)
{
	struct world *w = *state;
	struct sp_ps *app = add(w, 10, "app", 40 * MIB);

	look(w);
	for (int i = 0; i < 10; i++)
		grow(w, app, MIB), look(w);
	w->more.cgroup = "docker:0123456789ab";
	w->more.limit = (struct sp_cgroup_limit){
	    .limit_bytes = 64 * MIB, .used_bytes = 60 * MIB, .reclaimable_bytes = 8 * MIB, .oom_kills = 2};
	judge(w);
	assert_non_null(strstr(w->sentence,
			       "; its cgroup docker:0123456789ab has 12.0 MiB left of 64.0 MiB (2 killed so "
			       "far): full in 12s at this rate"));
	assert_null(strstr(w->sentence, "the machine is full"));
}

static void a_full_cgroup_is_said_though_nothing_grows(void **state)
{
	struct world *w = *state;

	looks(w, 3);
	w->more.full_cgroup = "db.service";
	w->more.full = (struct sp_cgroup_limit){.limit_bytes = 64 * MIB, .used_bytes = 63 * MIB};
	w->more.waited_percent = 12;
	judge(w);
	assert_non_null(strstr(w->sentence,
			       "; cgroup db.service is nearly full: 1.0 MiB left of 64.0 MiB; tasks waited "
			       "for memory 12 % of the time"));
}

/* ---- meminfo's kinds, vmstat's line ---- */

static void kinds_and_free_are_the_total(void **state)
{
	const struct sp_meminfo m = {.total = 1000,
				     .free = 100,
				     .buffers = 10,
				     .cached = 300,
				     .shmem = 50,
				     .anon = 200,
				     .slab_reclaimable = 40,
				     .slab_unreclaimable = 30,
				     .kernel_stack = 5,
				     .page_tables = 6,
				     .sec_page_tables = 1,
				     .percpu = 8,
				     .hugetlb = 64};
	struct sp_machine r = sp_machine_of(&m);
	uint64_t sum = r.free;

	(void)state;
	for (unsigned i = 0; i < SP_NR_MEM; i++)
		sum += r.mem[i];
	assert_int_equal(sum, r.total);
	assert_int_equal(r.mem[SP_MEM_CACHE], 250);
	assert_int_equal(r.mem[SP_MEM_OTHER], 236);
}

static void vmstat_rounds_as_procps_does(void **state)
{
	const struct sp_activity a = {.user = 100, .idle = 1000, .uptime_ms = 10000};
	const struct sp_activity b = {.user = 130,
				      .nice = 3,
				      .sys = 10,
				      .idle = 990, /* ran backwards, for a moment */
				      .iowait = 5,
				      .steal = 2,
				      .interrupts = 301,
				      .switches = 299,
				      .running = 4,
				      .blocked = 1,
				      .paged_in_kb = 7,
				      .swapped_out_pages = 6,
				      .uptime_ms = 12000};
	const struct sp_meminfo m = {.free = 5 * 1024 + 1023,
				     .buffers = 2048,
				     .cached = 3 * 1024,
				     .slab_reclaimable = 1024,
				     .swap_total = 4096,
				     .swap_free = 1024};
	struct sp_vmstat_line l = sp_vmstat_line_of(&a, &b, 2 * S, &m, 4096);

	(void)state;
	assert_int_equal(l.v[SP_VMSTAT_r], 4);
	assert_int_equal(l.v[SP_VMSTAT_b], 1);
	assert_int_equal(l.v[SP_VMSTAT_swpd], 3);
	assert_int_equal(l.v[SP_VMSTAT_free], 5);
	assert_int_equal(l.v[SP_VMSTAT_buff], 2);
	assert_int_equal(l.v[SP_VMSTAT_cache], 4);
	assert_int_equal(l.v[SP_VMSTAT_so], 12);
	assert_int_equal(l.v[SP_VMSTAT_bi], 4); /* 3.5 */
	assert_int_equal(l.v[SP_VMSTAT_in], 151);
	assert_int_equal(l.v[SP_VMSTAT_cs], 150);
	assert_int_equal(l.v[SP_VMSTAT_us], 66); /* 33 of 50 */
	assert_int_equal(l.v[SP_VMSTAT_sy], 20);
	assert_int_equal(l.v[SP_VMSTAT_id], 0);
	assert_int_equal(l.v[SP_VMSTAT_wa], 10);
	assert_int_equal(l.v[SP_VMSTAT_st], 4);
	l = sp_vmstat_line_of(NULL, &a, 0, &m, 4096);
	assert_int_equal(l.v[SP_VMSTAT_us], 9);
	assert_int_equal(l.v[SP_VMSTAT_id], 91);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(page_cache_is_no_leak),
	    TEST(slab_names_its_cache),
	    TEST(shared_memory_that_nobody_maps),
	    TEST(shared_memory_that_somebody_maps),
	    TEST(every_other_kind_has_its_words),
	    TEST(a_big_malloc_that_is_not_touched_takes_nothing),
	    TEST(a_sanitizers_shadow_is_not_worth_a_word),
	    TEST(free_pages_on_the_cpus_lists_are_free),
	    TEST(nothing_is_nothing),
	    TEST(memory_that_comes_back_is_no_leak),
	    TEST(one_look_says_nothing),
	    TEST(a_machine_that_shrinks_is_said),
	    TEST(a_cgroup_near_its_limit_tells_when),
	    TEST(a_full_cgroup_is_said_though_nothing_grows),
	    TEST(kinds_and_free_are_the_total),
	    TEST(vmstat_rounds_as_procps_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
