// SPDX-License-Identifier: Apache-2.0
/* Memory cgroups on recorded trees: version 1, version 2, both, namespaces; limits of ancestors; labels. */
#include "proc_fixture.h"

#include "proc/system.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- labels ---- */

static void assert_label(const char *path, const char *wanted)
{
	char label[48];

	assert_string_equal(sp_cgroup_label_of(path, label, sizeof(label)), wanted);
}

static void a_label_says_which_container_or_service(void **state)
{
	(void)state;
	assert_label("/docker/" ID, "docker:0123456789ab");
	assert_label("/system.slice/docker-" ID ".scope", "docker:0123456789ab");
	assert_label("/system.slice/docker-" ID ".scope/init", "docker:0123456789ab");
	assert_label("/machine.slice/libpod-" ID ".scope/container", "podman:0123456789ab");
	assert_label("/kubepods.slice/kubepods-podabc.slice/cri-containerd-" ID ".scope", "k8s:0123456789ab");
	assert_label("/kubepods/burstable/podabc/" ID, "k8s:0123456789ab");
	assert_label("/lxc.payload.web/init.scope", "lxc:web");
	assert_label("/lxc/web", "lxc:web");
	assert_label("/system.slice/nginx.service", "nginx.service");
	assert_label("/user.slice/user-0.slice/session-3.scope", "session-3.scope");
	assert_label("/my/own", "own");
	assert_label("/", "");
	assert_label("/a\033[2J", "a?[2J");
}

/* ---- trees ---- */

#define LINE_V1     "34 30 0:31 / /cg/memory rw,relatime - cgroup cgroup rw,memory\n"
#define LINE_V1_CPU "31 30 0:28 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
#define LINE_V2     "40 30 0:37 / /cg/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"

struct world {
	struct tree t;
	char prefix[80];
	struct sp_cgroups *c;
};

static void world_init(struct world *w, const char *mountinfo)
{
	*w = (struct world){0};
	tree_init(&w->t);
	snprintf(w->prefix, sizeof(w->prefix), "%s/host", w->t.dir);
	w->t.fs.prefix = w->prefix;
	tree_put(&w->t, "self/mountinfo", mountinfo);
}

static void world_open(struct world *w)
{
	struct sp_why why = {0};

	assert_int_equal(sp_cgroups_open(&w->t.fs, &w->c, &why), 0);
}

static void world_done(struct world *w)
{
	sp_cgroups_close(w->c);
	tree_done(&w->t);
}

static void version_1_is_read(void **state)
{
	struct sp_cgroup_limit l;
	struct world w;
	unsigned n;

	(void)state;
	world_init(&w, LINE_V1_CPU LINE_V2 LINE_V1);
	tree_put(&w.t, "host/cg/cpu/x", "");
	tree_put(&w.t, "host/cg/unified/cgroup.controllers", "cpu io\n"); /* hybrid: version 1 holds memory */
	tree_put(&w.t, "host/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
	tree_put(&w.t, "host/cg/memory/memory.usage_in_bytes", "5\n");
	tree_put(&w.t, "host/cg/memory/docker/" ID "/memory.limit_in_bytes", "67108864\n");
	tree_put(&w.t, "host/cg/memory/docker/" ID "/memory.usage_in_bytes", "60000000\n");
	tree_put(&w.t, "host/cg/memory/docker/" ID "/memory.stat",
		 "cache 9\ntotal_cache 9\ntotal_inactive_file 1000000\n");
	tree_put(&w.t, "host/cg/memory/docker/" ID "/memory.oom_control",
		 "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
	tree_put(&w.t, "12/cgroup", "8:pids:/other\n4:memory:/docker/" ID "\n0::/\n");
	tree_put(&w.t, "13/cgroup", "4:memory:/\n0::/\n");
	world_open(&w);
	n = sp_cgroup_of(w.c, 12);
	assert_int_equal(n, 1);
	assert_int_equal(sp_cgroup_of(w.c, 12), 1);
	assert_string_equal(sp_cgroup_path(w.c, n), "/docker/" ID);
	assert_string_equal(sp_cgroup_label(w.c, n), "docker:0123456789ab");
	assert_true(sp_cgroup_limit_read(w.c, n, &l));
	assert_true(l.limit_bytes == 67108864 && l.used_bytes == 60000000);
	assert_true(l.reclaimable_bytes == 1000000 && l.oom_kills == 3);
	assert_false(sp_cgroup_limit_read(w.c, sp_cgroup_of(w.c, 13), &l)); /* version 1's word for no limit */
	world_done(&w);
}

static void version_2_and_the_tightest_ancestor(void **state)
{
	struct sp_cgroup_limit l;
	struct world w;

	(void)state;
	world_init(&w, LINE_V2);
	tree_put(&w.t, "host/cg/unified/cgroup.controllers", "cpu memory io\n");
	tree_put(&w.t, "host/cg/unified/a/memory.max", "1000\n");
	tree_put(&w.t, "host/cg/unified/a/memory.current", "900\n");
	tree_put(&w.t, "host/cg/unified/a/memory.stat", "anon 500\nfile 300\ninactive_file 200\n");
	tree_put(&w.t, "host/cg/unified/a/memory.events", "low 0\nmax 8\noom 1\noom_kill 1\n");
	tree_put(&w.t, "host/cg/unified/a/b/memory.max", "5000\n");
	tree_put(&w.t, "host/cg/unified/a/b/memory.current", "100\n");
	tree_put(&w.t, "host/cg/unified/a/b/c/memory.max", "max\n");
	tree_put(&w.t, "host/cg/unified/a/b/c/memory.current", "50\n");
	tree_put(&w.t, "12/cgroup", "0::/a/b/c\n");
	world_open(&w);
	assert_true(sp_cgroup_limit_read(w.c, sp_cgroup_of(w.c, 12), &l));
	assert_true(l.limit_bytes == 1000 && l.used_bytes == 900 && l.reclaimable_bytes == 200 && l.oom_kills == 1);
	world_done(&w);
}

static void a_mount_of_a_part_of_the_tree(void **state)
{
	struct sp_cgroup_limit l;
	struct world w;

	(void)state;
	world_init(&w, "40 30 0:37 /pod /cg/unified rw - cgroup2 cgroup2 rw\n");
	tree_put(&w.t, "host/cg/unified/cgroup.controllers", "memory\n");
	tree_put(&w.t, "host/cg/unified/app/memory.max", "77\n");
	tree_put(&w.t, "host/cg/unified/app/memory.current", "7\n");
	tree_put(&w.t, "12/cgroup", "0::/pod/app\n");
	tree_put(&w.t, "13/cgroup", "0::/podium/app\n");
	tree_put(&w.t, "14/cgroup", "0::/../elsewhere\n");
	world_open(&w);
	assert_true(sp_cgroup_limit_read(w.c, sp_cgroup_of(w.c, 12), &l));
	assert_int_equal(l.limit_bytes, 77);
	assert_false(sp_cgroup_limit_read(w.c, sp_cgroup_of(w.c, 13), &l));
	assert_int_equal(sp_cgroup_of(w.c, 14), SP_CGROUP_NONE); /* outside our cgroup namespace */
	world_done(&w);
}

static void without_cgroups_nothing_is_known(void **state)
{
	struct sp_cgroup_limit l;
	struct world w;

	(void)state;
	world_init(&w, LINE_V1_CPU "garbage\n36 35 98:0 / /x\n");
	tree_put(&w.t, "12/cgroup", "4:memory:/a\n");
	world_open(&w);
	assert_int_equal(sp_cgroup_of(w.c, 12), SP_CGROUP_NONE);
	assert_int_equal(sp_cgroups_nr(w.c), 0);
	assert_false(sp_cgroup_limit_read(w.c, SP_CGROUP_NONE, &l));
	assert_string_equal(sp_cgroup_label(w.c, SP_CGROUP_NONE), "");
	world_done(&w);
}

static void odd_lines_of_a_process_are_no_cgroup(void **state)
{
	static const char *const texts[] = {
	    "", "\n", "4", "4:memory", "4:memory:", "4:memory:relative", "4:memoryx:/a", "::::\n", "0::/a"};
	struct world w;

	(void)state;
	world_init(&w, LINE_V1);
	tree_put(&w.t, "host/cg/memory/x", "");
	world_open(&w);
	for (size_t i = 0; i < SP_ARRAY_SIZE(texts); i++) {
		tree_put(&w.t, "12/cgroup", texts[i]);
		assert_int_equal(sp_cgroup_of(w.c, 12), SP_CGROUP_NONE);
	}
	assert_int_equal(sp_cgroup_of(w.c, 99), SP_CGROUP_NONE);
	world_done(&w);
}

static void the_table_of_cgroups_has_an_end(void **state)
{
	struct world w;
	char text[64];

	(void)state;
	world_init(&w, LINE_V1);
	tree_put(&w.t, "host/cg/memory/x", "");
	world_open(&w);
	for (unsigned i = 0; i < SP_CGROUPS_MAX + 5; i++) {
		snprintf(text, sizeof(text), "4:memory:/a%u\n", i);
		tree_put(&w.t, "12/cgroup", text);
		assert_int_equal(sp_cgroup_of(w.c, 12), i < SP_CGROUPS_MAX ? i + 1 : SP_CGROUP_NONE);
	}
	assert_int_equal(sp_cgroups_refused(w.c), 5);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_label_says_which_container_or_service),
	    cmocka_unit_test(version_1_is_read),
	    cmocka_unit_test(version_2_and_the_tightest_ancestor),
	    cmocka_unit_test(a_mount_of_a_part_of_the_tree),
	    cmocka_unit_test(without_cgroups_nothing_is_known),
	    cmocka_unit_test(odd_lines_of_a_process_are_no_cgroup),
	    cmocka_unit_test(the_table_of_cgroups_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
