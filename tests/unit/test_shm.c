// SPDX-License-Identifier: Apache-2.0
/*
 * Shared memory of a machine on disk: its processes are 10 (ourselves), 20 and 30; its tmpfs is a folder of the tree.
 * Which file is which is a matter of real devices and inodes, so the folder's own are written into the tree's texts.
 */
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "proc_fixture.h"
#include "shm/shm.h"

static const char headings[] = "key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n";

struct machine {
	struct tree t;
	char mounts[PATH_MAX];
};

static void machine_init(struct machine *m)
{
	char path[PATH_MAX];
	struct stat st;

	tree_init(&m->t);
	assert_int_equal(stat(m->t.dir, &st), 0);
	snprintf(m->mounts, sizeof(m->mounts),
		 "1 1 %u:%u /shm /dev/shm rw - tmpfs none rw\n2 1 %u:%u /run /run rw - tmpfs none rw\n",
		 major(st.st_dev), minor(st.st_dev), major(st.st_dev), minor(st.st_dev));
	tree_put(&m->t, "sysvipc/shm", headings);
	tree_put(&m->t, "stat", "cpu 0\nbtime 1700000000\n");
	tree_link(&m->t, "self", "10");
	tree_path(&m->t, "root/dev/shm/x", path);
	tree_path(&m->t, "root/run/x", path);
	for (int pid = 10; pid <= 30; pid += 10) {
		char name[32];

		tree_put_process(&m->t, pid, pid == 20 ? "twenty" : "other", 'S', 0, "x");
		snprintf(name, sizeof(name), "%d/root", pid);
		tree_link(&m->t, name, "../root");
		snprintf(name, sizeof(name), "%d/mountinfo", pid);
		tree_put(&m->t, name, m->mounts);
		snprintf(name, sizeof(name), "%d/maps", pid);
		tree_put(&m->t, name, "");
		snprintf(name, sizeof(name), "%d/fd/x", pid);
		tree_path(&m->t, name, path);
		snprintf(name, sizeof(name), "%d/ns/mnt", pid);
		tree_link(&m->t, name, "mnt:[5]");
		snprintf(name, sizeof(name), "%d/ns/ipc", pid);
		tree_link(&m->t, name, "ipc:[6]");
		snprintf(name, sizeof(name), "%d/ns/pid", pid);
		tree_link(&m->t, name, "pid:[4026531836]");
	}
}

/* A mapping of process 20 on a file of the machine, from `start` on. */
static void map_file(const struct machine *m, const char *name, const char *shown)
{
	char path[PATH_MAX], line[PATH_MAX];
	struct stat st;

	assert_int_equal(stat(tree_path(&m->t, name, path), &st), 0);
	snprintf(line, sizeof(line), "7f0000000000-7f0000004000 rw-s 00000000 %02x:%02x %llu %s\n", major(st.st_dev),
		 minor(st.st_dev), (unsigned long long)st.st_ino, shown);
	tree_put(&m->t, "20/maps", line);
}

static struct sp_shm look_by(const struct machine *m, uint64_t min_bytes, int64_t unused_s)
{
	const struct sp_shm_rule rule = {.min_bytes = min_bytes, .unused_s = unused_s};
	struct sp_why why = {0};
	struct sp_shm s;

	assert_int_equal(sp_shm_look(&m->t.fs, &rule, &s, &why), 0);
	return s;
}

static struct sp_shm look(const struct machine *m)
{
	return look_by(m, 1 << 20, 2 * 86400);
}

/* The state of what has this name (or, for a segment, this number). */
static const struct sp_shm_object *find(const struct sp_shm *s, const char *name, uint32_t id)
{
	for (size_t i = 0; i < s->nr; i++)
		if (name ? s->list[i].name && !strcmp(s->list[i].name, name)
			 : s->list[i].kind == SP_SHM_SYSV && s->list[i].id == id)
			return &s->list[i];
	return NULL;
}

static enum sp_shm_state state_of(const struct sp_shm *s, const char *name, uint32_t id)
{
	const struct sp_shm_object *o = find(s, name, id);

	assert_non_null(o);
	return o->state;
}

static void an_empty_machine_has_none(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m);
	struct sp_shm s = look(&m);
	assert_int_equal(s.nr, 0);
	assert_int_equal(s.nr_leaked, 0);
	assert_int_equal(s.nr_hidden_processes + s.nr_hidden_ns + s.nr_skipped, 0);
	assert_false(s.others_exist);
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void a_segment_leaks_when_nobody_is_attached_and_its_creator_is_gone(void **state)
{
	char text[1024];
	struct machine m;

	(void)state;
	machine_init(&m);
	/* nobody, creator gone; nobody, creator lives; somebody; creator outside; the pid is another process' by now */
	snprintf(text, sizeof(text), "%s%s", headings,
		 "1 1 600 8192 999 999 0 0 0 0 0 0 0 1700000000 4096 4096\n"
		 "1 2 600 8192 20 20 0 0 0 0 0 0 0 1700000100 4096 0\n"
		 "1 3 600 8192 999 999 1 0 0 0 0 0 0 1700000000 4096 0\n"
		 "1 4 600 8192 0 0 0 0 0 0 0 0 0 1700000000 4096 0\n"
		 "1 5 600 8192 20 20 0 0 0 0 0 0 0 1699999999 4096 0\n");
	tree_put(&m.t, "sysvipc/shm", text);
	struct sp_shm s = look(&m);
	assert_int_equal(s.nr, 5);
	assert_int_equal(state_of(&s, NULL, 1), SP_SHM_IS_LEAKED);
	assert_int_equal(state_of(&s, NULL, 2), SP_SHM_IS_IDLE);
	assert_int_equal(state_of(&s, NULL, 3), SP_SHM_IS_MAPPED);
	assert_int_equal(state_of(&s, NULL, 4), SP_SHM_IS_IDLE);
	assert_int_equal(state_of(&s, NULL, 5), SP_SHM_IS_LEAKED);
	assert_int_equal(s.nr_leaked, 2);
	assert_int_equal(s.leaked_bytes, 12288);
	assert_int_equal(s.list[0].id, 1); /* leaked ones first, the one that holds most before */
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void a_mapped_segment_names_its_holder(void **state)
{
	char text[512];
	struct machine m;

	(void)state;
	machine_init(&m);
	snprintf(text, sizeof(text), "%s%s", headings, "1 7 600 8192 999 999 1 0 0 0 0 0 0 1700000000 4096 0\n");
	tree_put(&m.t, "sysvipc/shm", text);
	tree_put(&m.t, "20/maps", "7f0000000000-7f0000002000 rw-s 00000000 00:01 7 /SYSV00000001 (deleted)\n");
	struct sp_shm s = look(&m);
	const struct sp_shm_object *o = find(&s, NULL, 7);
	assert_int_equal(o->nr_holders, 1);
	assert_int_equal(o->holders[0].pid, 20);
	assert_string_equal(o->holders[0].comm, "twenty");
	assert_int_equal(o->holders[0].mapped, 8192);
	assert_int_equal(o->holders[0].nr_maps, 1);
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void a_file_in_dev_shm_leaks_when_nobody_holds_it(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m);
	tree_put(&m.t, "root/dev/shm/left", "xxxxxxxx");
	tree_put(&m.t, "root/dev/shm/in use", "xxxxxxxx");
	tree_put(&m.t, "root/dev/shm/open", "xxxxxxxx");
	tree_put(&m.t, "root/run/pid", "17");
	map_file(&m, "root/dev/shm/in use", "/dev/shm/in use");
	tree_link(&m.t, "30/fd/5", "../../root/dev/shm/open");
	struct sp_shm s = look(&m);
	assert_int_equal(s.nr, 4);
	assert_int_equal(state_of(&s, "/dev/shm/left", 0), SP_SHM_IS_LEAKED);
	assert_int_equal(find(&s, "/dev/shm/left", 0)->kind, SP_SHM_POSIX);
	assert_int_equal(state_of(&s, "/dev/shm/in use", 0), SP_SHM_IS_MAPPED);
	assert_int_equal(state_of(&s, "/run/pid", 0), SP_SHM_IS_IDLE);
	assert_int_equal(find(&s, "/run/pid", 0)->kind, SP_SHM_TMPFS);
	assert_int_equal(s.nr_leaked, 2); /* a relative link is no file's: `open` is not held by it */
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void an_ordinary_file_leaks_when_it_is_large_and_long_unused(void **state)
{
	const struct timespec hour_ago[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};
	char path[PATH_MAX];
	struct machine m;
	struct sp_shm s;

	(void)state;
	machine_init(&m);
	tree_put(&m.t, "root/run/old", "xxxxxxxx");
	tree_put(&m.t, "root/run/mapped", "xxxxxxxx");
	map_file(&m, "root/run/mapped", "/run/mapped");
	assert_int_equal(utimensat(AT_FDCWD, tree_path(&m.t, "root/run/old", path), hour_ago, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, tree_path(&m.t, "root/run/mapped", path), hour_ago, 0), 0);
	tree_put(&m.t, "root/run/new", "xxxxxxxx");
	s = look_by(&m, 1, 3000);
	assert_int_equal(state_of(&s, "/run/old", 0), SP_SHM_IS_LEAKED);
	assert_int_equal(state_of(&s, "/run/new", 0), SP_SHM_IS_IDLE);
	assert_int_equal(state_of(&s, "/run/mapped", 0), SP_SHM_IS_MAPPED);
	assert_int_equal(s.nr_leaked, 1);
	sp_shm_done(&s);
	s = look_by(&m, 1 << 20, 3000);
	assert_int_equal(state_of(&s, "/run/old", 0), SP_SHM_IS_IDLE);
	sp_shm_done(&s);
	s = look_by(&m, 0, 7200);
	assert_int_equal(state_of(&s, "/run/old", 0), SP_SHM_IS_IDLE);
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void a_descriptor_holds_a_file(void **state)
{
	char path[PATH_MAX];
	struct machine m;

	(void)state;
	machine_init(&m);
	tree_put(&m.t, "root/dev/shm/open", "xxxxxxxx");
	tree_link(&m.t, "30/fd/5", tree_path(&m.t, "root/dev/shm/open", path));
	tree_link(&m.t, "30/fd/6", path);
	struct sp_shm s = look(&m);
	const struct sp_shm_object *o = find(&s, "/dev/shm/open", 0);
	assert_int_equal(o->state, SP_SHM_IS_OPEN);
	assert_int_equal(o->nr_holders, 1);
	assert_int_equal(o->holders[0].nr_open, 2);
	assert_int_equal(o->holders[0].nr_maps, 0);
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void a_mapping_of_what_has_lost_its_name_is_found(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m);
	tree_put(&m.t, "root/x",
		 "xxxxxxxx"); /* stands for the deleted file: same device, an inode that no folder shows */
	map_file(&m, "root/x", "/dev/shm/was here (deleted)");
	tree_put(&m.t, "30/maps",
		 "7f0000000000-7f0000002000 rw-s 00000000 00:01 99 /memfd:buffer (deleted)\n"
		 "7f0000002000-7f0000004000 rw-s 00000000 00:01 98 /dev/zero (deleted)\n"
		 "7f0000004000-7f0000006000 rw-s 00000000 fe:01 97 /home/memfd:fake (deleted)\n"
		 "7f0000006000-7f0000008000 rw-s 00000000 fe:01 96 /memfd:fake (deleted)\n");
	struct sp_shm s = look(&m);
	assert_int_equal(s.nr, 2);
	assert_int_equal(find(&s, "/dev/shm/was here", 0)->kind, SP_SHM_DELETED);
	assert_int_equal(find(&s, "/memfd:buffer", 0)->kind, SP_SHM_MEMFD);
	assert_int_equal(state_of(&s, "/memfd:buffer", 0), SP_SHM_IS_MAPPED);
	assert_int_equal(find(&s, "/memfd:buffer", 0)->size, 8192);
	sp_shm_done(&s);
	tree_done(&m.t);
}

static void in_a_container_the_kernel_is_asked_about_writers(void **state)
{
	char path[PATH_MAX];
	struct machine m;

	(void)state;
	machine_init(&m);
	assert_int_equal(unlink(tree_path(&m.t, "10/ns/pid", path)), 0);
	tree_link(&m.t, "10/ns/pid", "pid:[4026532999]");
	tree_put(&m.t, "root/dev/shm/left", "xxxxxxxx");
	tree_put(&m.t, "root/dev/shm/held outside", "xxxxxxxx");
	int fd = open(tree_path(&m.t, "root/dev/shm/held outside", path), O_RDWR);
	assert_true(fd >= 0);
	struct sp_shm s = look(&m);
	assert_true(s.others_exist);
	assert_int_equal(state_of(&s, "/dev/shm/left", 0), SP_SHM_IS_LEAKED);
	assert_int_equal(state_of(&s, "/dev/shm/held outside", 0), SP_SHM_IS_OPEN);
	close(fd);
	sp_shm_done(&s);
	tree_done(&m.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_machine_has_none),
	    cmocka_unit_test(a_segment_leaks_when_nobody_is_attached_and_its_creator_is_gone),
	    cmocka_unit_test(a_mapped_segment_names_its_holder),
	    cmocka_unit_test(a_file_in_dev_shm_leaks_when_nobody_holds_it),
	    cmocka_unit_test(an_ordinary_file_leaks_when_it_is_large_and_long_unused),
	    cmocka_unit_test(a_descriptor_holds_a_file),
	    cmocka_unit_test(a_mapping_of_what_has_lost_its_name_is_found),
	    cmocka_unit_test(in_a_container_the_kernel_is_asked_about_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
