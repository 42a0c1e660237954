// SPDX-License-Identifier: Apache-2.0
/* What the machine shares, read from recorded texts and from a tree on disk. */
#include <sys/sysmacros.h>

#include "proc/shared.h"
#include "proc_fixture.h"

/* ---- System V ---- */

static const char headings[] = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid"
			       "  cgid      atime      dtime      ctime                   rss                  swap\n";

static void a_segment_is_read_with_all_its_columns(void **state)
{
	char text[1024];
	struct sp_vec list;

	(void)state;
	snprintf(text, sizeof(text), "%s%s", headings,
		 " 1904018274          7  1600              20971520   812   900      2   105   106     0     1"
		 " 1700000002 1700000001 1700000000               8192                  4096\n"
		 "-2023406815 2147483647   666                     1     0     0      0     0     0     0     0"
		 "          0          0 1700000000                  0                     0\n");
	sp_vec_init(&list, sizeof(struct sp_sysv_shm), 10);
	assert_int_equal(sp_sysv_shm_parse(text, &list), 0);
	assert_int_equal(list.nr, 2);
	const struct sp_sysv_shm *s = sp_vec_at(&list, struct sp_sysv_shm, 0);
	assert_int_equal(s->key, 1904018274);
	assert_int_equal(s->id, 7);
	assert_int_equal(s->mode, 01600);
	assert_int_equal(s->size, 20971520);
	assert_int_equal(s->creator, 812);
	assert_int_equal(s->last, 900);
	assert_int_equal(s->nr_attached, 2);
	assert_int_equal(s->uid, 105);
	assert_int_equal(s->cgid, 1);
	assert_int_equal(s->attached_s, 1700000002);
	assert_int_equal(s->detached_s, 1700000001);
	assert_int_equal(s->changed_s, 1700000000);
	assert_int_equal(s->resident, 8192);
	assert_int_equal(s->swapped, 4096);
	assert_int_equal(s[1].key, (uint32_t)-2023406815);
	assert_int_equal(s[1].creator, 0);
	sp_vec_done(&list);
}

/* As Linux 6.18 says it of a segment of huge pages, one of two touched; 6.6 said it right. Also a hostile size. */
static void huge_pages_that_the_kernel_counts_512_times_are_counted_once(void **state)
{
	static const char text[] = "0 1 600 4194304 7 7 0 0 0 0 0 0 0 0 1073741824 0\n"
				   "0 2 600 4194304 7 7 0 0 0 0 0 0 0 0 2097152 0\n"
				   "0 3 600 1073741824 7 7 0 0 0 0 0 0 0 0 281474976710656 0\n"
				   "0 4 600 18446744073709551615 7 7 0 0 0 0 0 0 0 0 4096 0\n";
	static const uint64_t wanted[] = {2 << 20, 2 << 20, 1 << 30, 4096};
	struct sp_vec list;

	(void)state;
	sp_vec_init(&list, sizeof(struct sp_sysv_shm), 10);
	assert_int_equal(sp_sysv_shm_parse(text, &list), 0);
	assert_int_equal(list.nr, SP_ARRAY_SIZE(wanted));
	for (size_t i = 0; i < list.nr; i++)
		assert_int_equal(sp_vec_at(&list, struct sp_sysv_shm, i)->resident, wanted[i]);
	sp_vec_done(&list);
}

static void bad_segments_are_left_out(void **state)
{
	static const char *const bad[] = {"",
					  "\n\n",
					  "1 2 3",
					  "x y z",
					  "1 -5 0 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
					  "99999999999999999999999999 99999999999"};
	struct sp_vec list;

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(bad); i++) {
		sp_vec_init(&list, sizeof(struct sp_sysv_shm), 10);
		assert_int_equal(sp_sysv_shm_parse(bad[i], &list), 0);
		assert_int_equal(list.nr, 0);
		sp_vec_done(&list);
	}
}

static void more_segments_than_room_are_counted(void **state)
{
	static const char one[] = "1 2 600 4096 1 1 0 0 0 0 0 0 0 0 0 0\n";
	char text[4 * sizeof(one)] = "";
	struct sp_vec list;

	(void)state;
	for (int i = 0; i < 4; i++)
		strcat(text, one);
	sp_vec_init(&list, sizeof(struct sp_sysv_shm), 3);
	assert_int_equal(sp_sysv_shm_parse(text, &list), 0);
	assert_int_equal(list.nr, 3);
	assert_int_equal(list.nr_refused, 1);
	sp_vec_done(&list);
}

static void a_kernel_without_segments_is_told_from_one_that_refuses(void **state)
{
	struct tree t;
	struct sp_vec list;

	(void)state;
	tree_init(&t);
	sp_vec_init(&list, sizeof(struct sp_sysv_shm), 3);
	assert_int_equal(sp_sysv_shm_read(&t.fs, NULL, &list), -ENOENT);
	tree_put(&t, "sysvipc/shm", headings);
	assert_int_equal(sp_sysv_shm_read(&t.fs, NULL, &list), 0);
	assert_int_equal(list.nr, 0);
	tree_done(&t);
}

/* ---- mounts ---- */

static void mounts_are_read_with_and_without_optional_fields(void **state)
{
	static const char text[] = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw\n"
				   "25 1 0:26 / /dev/shm rw - tmpfs tmpfs rw,size=1k\n"
				   "26 1 0:27 / /odd\\040place\\012two rw - tmpfs\n"
				   "27 1 0:28 / /x rw unfinished\n"
				   "garbage\n\n";
	struct sp_mounts m;

	(void)state;
	assert_int_equal(sp_mounts_parse(text, strlen(text), &m), 0);
	assert_int_equal(m.nr, 3);
	assert_int_equal(m.list[0].dev, makedev(98, 0));
	assert_string_equal(m.list[0].root, "/mnt1");
	assert_string_equal(m.list[0].point, "/mnt2");
	assert_string_equal(m.list[0].type, "ext3");
	assert_string_equal(m.list[1].point, "/dev/shm");
	assert_string_equal(m.list[2].point, "/odd place\ntwo");
	assert_string_equal(m.list[2].type, "tmpfs");
	sp_mounts_done(&m);
}

/* ---- files ---- */

struct seen {
	unsigned nr, nr_deleted;
	uint64_t size;
	char last[PATH_MAX];
};

static void see(const struct sp_open_file *f, void *arg)
{
	struct seen *s = arg;

	s->nr++;
	s->nr_deleted += f->deleted;
	s->size += f->size;
	snprintf(s->last, sizeof(s->last), "%s", f->path);
}

static struct sp_process ourselves(void)
{
	struct sp_process p;

	assert_int_equal(sp_process_open(NULL, 0, &p), 0);
	return p;
}

static struct sp_mount mount_of(const char *dir)
{
	struct stat st;

	assert_int_equal(stat(dir, &st), 0);
	return (struct sp_mount){.dev = st.st_dev, .root = "/", .point = dir, .type = "tmpfs"};
}

static void only_regular_files_of_the_mount_are_seen(void **state)
{
	struct sp_process p = ourselves();
	struct seen s = {0};
	uint64_t skipped = 0;
	struct tree t;
	char path[PATH_MAX];

	(void)state;
	tree_init(&t);
	tree_put(&t, "a", "12345");
	tree_put(&t, "deep/er/b", "123");
	tree_link(&t, "loop", ".");
	tree_link(&t, "out", "/proc");
	assert_int_equal(mkfifo(tree_path(&t, "fifo", path), 0600), 0);
	struct sp_mount m = mount_of(t.dir);
	assert_int_equal(sp_mount_for_each_file(&p, &m, see, &s, &skipped), 0);
	assert_int_equal(s.nr, 2);
	assert_int_equal(s.size, 8);
	assert_int_equal(skipped, 0);
	close(p.dirfd);
	tree_done(&t);
}

static void folders_too_deep_are_counted(void **state)
{
	struct sp_process p = ourselves();
	struct seen s = {0};
	uint64_t skipped = 0;
	char name[256] = "";
	struct tree t;

	(void)state;
	tree_init(&t);
	for (int i = 0; i < 40; i++)
		strcat(name, "d/");
	strcat(name, "f");
	tree_put(&t, name, "x");
	struct sp_mount m = mount_of(t.dir);
	assert_int_equal(sp_mount_for_each_file(&p, &m, see, &s, &skipped), 0);
	assert_int_equal(s.nr, 0);
	assert_int_equal(skipped, 1);
	m.dev++;
	assert_int_equal(sp_mount_for_each_file(&p, &m, see, &s, &skipped), -ESTALE);
	m.point = "/nowhere-at-all";
	assert_int_equal(sp_mount_for_each_file(&p, &m, see, &s, &skipped), -ENOENT);
	close(p.dirfd);
	tree_done(&t);
}

static void descriptors_are_seen_also_of_deleted_files(void **state)
{
	struct sp_process p = ourselves();
	struct seen before = {0}, s = {0};
	struct tree t;
	char path[PATH_MAX];

	(void)state;
	tree_init(&t);
	assert_int_equal(sp_process_for_each_file(&p, see, &before), 0);
	int fd = open(tree_path(&t, "gone soon", path), O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "1234567", 7), 7);
	unlink(path);
	assert_int_equal(sp_process_for_each_file(&p, see, &s), 0);
	assert_int_equal(s.nr, before.nr + 1);
	assert_int_equal(s.nr_deleted, before.nr_deleted + 1);
	assert_int_equal(s.size, before.size + 7);
	close(fd);
	close(p.dirfd);
	tree_done(&t);
}

static void the_kernel_tells_whether_a_file_has_writers(void **state)
{
	struct sp_process p = ourselves();
	struct tree t;
	struct stat st;
	char path[PATH_MAX];

	(void)state;
	tree_init(&t);
	int fd = open(tree_path(&t, "file", path), O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(sp_process_file_has_writers(&p, path, st.st_dev, st.st_ino), 1);
	close(fd);
	assert_int_equal(sp_process_file_has_writers(&p, path, st.st_dev, st.st_ino), 0);
	assert_int_equal(sp_process_file_has_writers(&p, path, st.st_dev, st.st_ino + 1), -ESTALE);
	unlink(path);
	assert_int_equal(sp_process_file_has_writers(&p, path, st.st_dev, st.st_ino), -ENOENT);
	close(p.dirfd);
	tree_done(&t);
}

/* ---- processes ---- */

static int count(const struct sp_process *p, void *arg)
{
	unsigned *nr = arg;

	(*nr)++;
	return p->pid == 30 ? 77 : 0;
}

static void kernel_threads_and_the_dead_are_passed_over(void **state)
{
	struct tree t;
	unsigned nr = 0;

	(void)state;
	tree_init(&t);
	tree_put_process(&t, 10, "app", 'S', 0, "app");
	tree_put_process(&t, 11, ") R 1 (", 'S', 0, "odd");
	tree_put_process(&t, 12, "zombie", 'Z', 0, "");
	tree_put_process(&t, 13, "kworker", 'I', 0x00200000, NULL);
	tree_put(&t, "14/nothing", "");
	tree_put(&t, "not a pid/stat", "");
	assert_int_equal(sp_process_for_each(&t.fs, count, &nr), 0);
	assert_int_equal(nr, 2);
	tree_put_process(&t, 30, "stop", 'S', 0, "stop");
	assert_int_equal(sp_process_for_each(&t.fs, count, &nr), 77);
	tree_done(&t);
}

static void a_start_is_told_in_the_calendar_s_seconds(void **state)
{
	struct sp_process p = {.dirfd = -1};
	struct tree t;

	(void)state;
	tree_init(&t);
	tree_put_process(&t, 10, "app", 'S', 0, "app");
	assert_int_equal(sp_process_open(&t.fs, 10, &p), 0);
	assert_int_equal(sp_process_started_s(&t.fs, &p), -1);
	tree_put(&t, "stat", "cpu 1 2\nbtime 1700000000\nprocesses 5\n");
	assert_int_equal(sp_process_started_s(&t.fs, &p), 1700000000 + 4242 / sysconf(_SC_CLK_TCK));
	close(p.dirfd);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_segment_is_read_with_all_its_columns),
	    cmocka_unit_test(huge_pages_that_the_kernel_counts_512_times_are_counted_once),
	    cmocka_unit_test(bad_segments_are_left_out),
	    cmocka_unit_test(more_segments_than_room_are_counted),
	    cmocka_unit_test(a_kernel_without_segments_is_told_from_one_that_refuses),
	    cmocka_unit_test(mounts_are_read_with_and_without_optional_fields),
	    cmocka_unit_test(only_regular_files_of_the_mount_are_seen),
	    cmocka_unit_test(folders_too_deep_are_counted),
	    cmocka_unit_test(descriptors_are_seen_also_of_deleted_files),
	    cmocka_unit_test(the_kernel_tells_whether_a_file_has_writers),
	    cmocka_unit_test(kernel_threads_and_the_dead_are_passed_over),
	    cmocka_unit_test(a_start_is_told_in_the_calendar_s_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
