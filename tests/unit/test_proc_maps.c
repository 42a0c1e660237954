// SPDX-License-Identifier: Apache-2.0
/* proc/: mappings, and the files behind them. */
#include <elf.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "failing_alloc.h"
#include "proc_fixture.h"

static struct sp_maps parse(const char *text)
{
	struct sp_maps m;

	assert_int_equal(sp_maps_parse(text, strlen(text), &m), 0);
	return m;
}

/* ---- the parser ---- */

static void a_line_is_taken_apart(void **state)
{
	struct sp_maps m = parse("55f0c0a00000-55f0c0a2b000 r-xp 00002000 fe:1f 1311      /usr/bin/cat\n"
				 "7ffd1c000000-7ffd1c021000 rw-s 00000000 00:00 0 \n"
				 "7ffd1c0f2000-7ffd1c0f4000 ---p 00000000 00:00 0                          [vdso]\n");

	(void)state;
	assert_int_equal(m.nr, 3);
	assert_int_equal(m.list[0].start, 0x55f0c0a00000);
	assert_int_equal(m.list[0].end, 0x55f0c0a2b000);
	assert_int_equal(m.list[0].offset, 0x2000);
	assert_int_equal(m.list[0].dev_major, 0xfe);
	assert_int_equal(m.list[0].dev_minor, 0x1f);
	assert_int_equal(m.list[0].inode, 1311);
	assert_int_equal(m.list[0].prot, SP_PROT_R | SP_PROT_X);
	assert_false(m.list[0].deleted);
	assert_string_equal(m.list[0].path, "/usr/bin/cat");
	assert_int_equal(m.list[1].prot, SP_PROT_R | SP_PROT_W | SP_PROT_SHARED);
	assert_string_equal(m.list[1].path, "");
	assert_int_equal(m.list[2].prot, 0);
	assert_string_equal(m.list[2].path, "[vdso]");
	sp_maps_done(&m);
	sp_maps_done(&m);
}

static void paths_keep_their_blanks_and_lose_their_escapes(void **state)
{
	struct sp_maps m = parse("1000-2000 r--p 00000000 00:01 1      /a b  c\n"
				 "2000-3000 r--p 00000000 00:01 1      /x\\012y\\040z\\134012\\011\n"
				 "3000-4000 r--p 00000000 00:01 1      /wine/C:\\windows\\1\\000\\777\\01\n"
				 "4000-5000 r--p 00000000 00:01 1      /end\\");

	(void)state;
	assert_int_equal(m.nr, 4);
	assert_string_equal(m.list[0].path, "/a b  c");
	assert_string_equal(m.list[1].path, "/x\ny z\\012\t");
	assert_string_equal(m.list[2].path, "/wine/C:\\windows\\1\\000\\777\\01");
	assert_string_equal(m.list[3].path, "/end\\");
	sp_maps_done(&m);
}

static void deleted_is_taken_off_file_names_only_and_once(void **state)
{
	struct sp_maps m = parse("1000-2000 r--p 00000000 00:01 1      /a (deleted)\n"
				 "2000-3000 r--p 00000000 00:01 1      /a (deleted) (deleted)\n"
				 "3000-4000 r--p 00000000 00:01 1      /a\\040(deleted)\n"
				 "4000-5000 rw-p 00000000 00:00 0      [anon:x (deleted)\n"
				 "5000-6000 r--p 00000000 00:01 1      / (deleted)x\n"
				 "6000-7000 rw-s 00000000 00:01 9      /memfd:a b (deleted)\n");

	(void)state;
	assert_int_equal(m.nr, 6);
	assert_true(m.list[0].deleted);
	assert_string_equal(m.list[0].path, "/a");
	assert_string_equal(m.list[1].path, "/a (deleted)");
	assert_false(m.list[2].deleted);
	assert_false(m.list[3].deleted);
	assert_false(m.list[4].deleted);
	assert_true(m.list[5].deleted);
	assert_string_equal(m.list[5].path, "/memfd:a b");
	sp_maps_done(&m);
}

static void bad_lines_are_skipped(void **state)
{
	struct sp_maps m = parse("\n\n"
				 "nonsense\n"
				 "2000-1000 r--p 00000000 00:01 1 /backwards\n"
				 "1000-1000 r--p 00000000 00:01 1 /empty\n"
				 "1000-2000 rwzp 00000000 00:01 1 /prot\n"
				 "1000-2000 r--p 00000000 00:01\n"
				 "1000-2000 r--p 00000000 0001 1 /dev\n"
				 "1000-2000 r--p 00000000 100000000:01 1 /dev\n"
				 "11112222333344445-11112222333344446 r--p 00000000 00:01 1 /big\n"
				 "1000-2000 r--p 00000000 00:01 99999999999999999999999 /inode\n"
				 "1000-2000 r--p 00000000 00:01 12x /inode\n"
				 "1000-2000 r--p -0000000 00:01 1 /sign\n"
				 " 1000-2000 r--p 00000000 00:01 1 /blank\n"
				 "5000-6000 r--p 00000000 00:01 1");

	(void)state;
	assert_int_equal(m.nr, 1);
	assert_int_equal(m.list[0].start, 0x5000);
	assert_string_equal(m.list[0].path, "");
	sp_maps_done(&m);
}

static void zero_bytes_end_a_line_and_nothing_more(void **state)
{
	static const char text[] = "1000-2000 r--p 00000000 00:01 1 /a\0b\n\0\n2000-3000 r--p 00000000 00:01 1 /c\n";
	struct sp_maps m;

	(void)state;
	assert_int_equal(sp_maps_parse(text, sizeof(text) - 1, &m), 0);
	assert_int_equal(m.nr, 2);
	assert_string_equal(m.list[0].path, "/a");
	assert_string_equal(m.list[1].path, "/c");
	sp_maps_done(&m);
}

static void an_unsorted_text_is_sorted_and_searched(void **state)
{
	struct sp_maps m = parse("5000-6000 r--p 00000000 00:01 1 /c\n"
				 "1000-2000 r--p 00000000 00:01 1 /a\n"
				 "2000-3000 r--p 00000000 00:01 1 /b\n"
				 "fffffffffffff000-ffffffffffffffff r--p 00000000 00:01 1 /d\n");

	(void)state;
	assert_null(sp_maps_find(&m, 0));
	assert_null(sp_maps_find(&m, 0xfff));
	assert_string_equal(sp_maps_find(&m, 0x1000)->path, "/a");
	assert_string_equal(sp_maps_find(&m, 0x1fff)->path, "/a");
	assert_string_equal(sp_maps_find(&m, 0x2000)->path, "/b");
	assert_null(sp_maps_find(&m, 0x3000));
	assert_string_equal(sp_maps_find(&m, 0x5fff)->path, "/c");
	assert_string_equal(sp_maps_find(&m, 0xfffffffffffff123)->path, "/d");
	assert_null(sp_maps_find(&m, UINT64_MAX));
	sp_maps_done(&m);
	assert_null(sp_maps_find(&m, 0x1000));
}

static void nothing_parses_to_nothing(void **state)
{
	struct sp_maps m = parse("");

	(void)state;
	assert_int_equal(m.nr, 0);
	sp_maps_done(&m);
}

static void a_very_long_path_is_kept_whole(void **state)
{
	enum { LEN = 100000 };
	static char text[LEN + 100];

	(void)state;
	int n = sprintf(text, "1000-2000 r--p 00000000 00:01 1 /");
	memset(text + n, 'x', LEN);
	strcpy(text + n + LEN, "\n2000-3000 r--p 00000000 00:01 1 /b\n");
	struct sp_maps m = parse(text);
	assert_int_equal(m.nr, 2);
	assert_int_equal(strlen(m.list[0].path), LEN + 1);
	sp_maps_done(&m);
}

static void no_more_than_a_million_mappings_are_kept(void **state)
{
	enum { NR = (1 << 20) + 100 };
	size_t len = 0;
	char *text = malloc((size_t)NR * 40);
	struct sp_maps m;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < NR; i++)
		len += (size_t)sprintf(text + len, "%x000-%x000 r--p 0 0:0 0\n", i, i + 1);
	assert_int_equal(sp_maps_parse(text, len, &m), 0);
	assert_int_equal(m.nr, 1 << 20);
	sp_maps_done(&m);
	free(text);
}

static void every_failing_allocation_of_the_parser_is_reported(void **state)
{
	static const char line[] = "1000-2000 r--p 00000000 00:01 1 /a\n";
	char text[sizeof(line) * 40] = "";
	bool failed = true;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		strcat(text, line);
	for (long n = 0; failed; n++) {
		struct sp_maps m = {};

		alloc_arm(n);
		int rc = sp_maps_parse(text, strlen(text), &m);
		failed = alloc_disarm();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		sp_maps_done(&m);
	}
}

/* ---- a real process ---- */

static int a_global;

static void a_childs_mappings_hold_our_addresses(void **state)
{
	struct sp_proc *p;
	struct sp_maps m, again;
	struct sp_why why = {};
	pid_t pid = victim_start();

	(void)state;
	kill(pid, SIGSTOP);
	wait_for_state(pid, 'T');
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	assert_int_equal(sp_proc_maps(p, &m, NULL), 0);
	assert_int_equal(sp_proc_maps(p, &again, NULL), 0);
	assert_true(m.hash == again.hash && m.nr == again.nr);
	sp_maps_done(&again);
	const struct sp_mapping *code = sp_maps_find(&m, (uint64_t)(uintptr_t)&a_childs_mappings_hold_our_addresses);
	assert_non_null(code);
	assert_true(code->prot == (SP_PROT_R | SP_PROT_X));
	assert_non_null(strstr(code->path, "test_proc_maps"));
	assert_true(sp_maps_find(&m, (uint64_t)(uintptr_t)&a_global)->prot & SP_PROT_W);
	sp_maps_done(&m);
	victim_stop(pid);
	assert_int_equal(sp_proc_maps(p, &m, &why), -ESRCH);
	assert_non_null(strstr(why.what, "has ended"));
	sp_proc_close(p);
}

/* ---- files ---- */

struct mapped {
	struct tree t;
	char path[PATH_MAX];
	pid_t pid;
	struct sp_proc *p;
	struct sp_maps maps;
	const struct sp_mapping *m;
};

/* A child with a file of ours mapped; its mappings are read by mapped_look(). */
static void mapped_init(struct mapped *x)
{
	tree_init(&x->t);
	tree_put(&x->t, "dir/file", "the true content\n");
	tree_path(&x->t, "dir/file", x->path);
	int fd = open(x->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(at != MAP_FAILED);
	close(fd);
	x->pid = victim_start();
	munmap(at, 4096);
	x->m = NULL;
	x->maps = (struct sp_maps){};
	assert_int_equal(sp_proc_open(NULL, x->pid, &x->p, NULL), 0);
}

static void mapped_look(struct mapped *x)
{
	assert_int_equal(sp_proc_maps(x->p, &x->maps, NULL), 0);
	for (size_t i = 0; i < x->maps.nr && !x->m; i++)
		if (strstr(x->maps.list[i].path, x->t.dir))
			x->m = &x->maps.list[i];
	assert_non_null(x->m);
}

static void mapped_done(struct mapped *x)
{
	sp_maps_done(&x->maps);
	sp_proc_close(x->p);
	victim_stop(x->pid);
	tree_done(&x->t);
}

/* Needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE, for one's own too. */
static void need_map_files(void)
{
	struct sp_maps m;
	char *text, name[96];
	size_t len;

	assert_int_equal(sp_proc_read_file(AT_FDCWD, "/proc/self/maps", 1 << 24, &text, &len), 0);
	assert_int_equal(sp_maps_parse_owned(text, len, &m), 0);
	const struct sp_mapping *code = sp_maps_find(&m, (uint64_t)(uintptr_t)&need_map_files);
	assert_non_null(code);
	snprintf(name, sizeof(name), "/proc/self/map_files/%llx-%llx", (unsigned long long)code->start,
		 (unsigned long long)code->end);
	sp_maps_done(&m);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		print_message("skipped: map_files is not permitted here\n");
		skip();
	}
	close(fd);
}

static void expect_content(int fd)
{
	char text[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "the true content\n");
	close(fd);
}

static void the_file_of_a_mapping_is_opened(void **state)
{
	struct mapped x;

	(void)state;
	mapped_init(&x);
	mapped_look(&x);
	expect_content(sp_proc_open_mapping(x.p, x.m, NULL));
	mapped_done(&x);
}

static void a_deleted_file_is_opened(void **state)
{
	struct mapped x;

	(void)state;
	need_map_files();
	mapped_init(&x);
	assert_int_equal(unlink(x.path), 0);
	mapped_look(&x);
	assert_true(x.m->deleted);
	assert_string_equal(x.m->path, x.path);
	expect_content(sp_proc_open_mapping(x.p, x.m, NULL));
	mapped_done(&x);
}

static void a_replaced_file_is_not_taken_for_the_mapped_one(void **state)
{
	struct mapped x;

	(void)state;
	need_map_files();
	mapped_init(&x);
	mapped_look(&x);
	tree_put(&x.t, "new", "another content\n");
	char path[PATH_MAX];
	assert_int_equal(rename(tree_path(&x.t, "new", path), x.path), 0);
	expect_content(sp_proc_open_mapping(x.p, x.m, NULL));
	mapped_done(&x);
}

static void a_fifo_in_the_place_of_the_file_is_never_opened(void **state)
{
	struct mapped x;
	struct sp_why why = {};

	(void)state;
	need_map_files();
	mapped_init(&x);
	mapped_look(&x);
	assert_int_equal(unlink(x.path), 0);
	assert_int_equal(mkfifo(x.path, 0644), 0);
	assert_int_equal(sp_proc_open_path(x.p, x.path, &why), -EINVAL);
	assert_non_null(strstr(why.what, "is not a regular file"));
	expect_content(sp_proc_open_mapping(x.p, x.m, NULL));
	mapped_done(&x);
}

static void a_changed_device_number_falls_back_to_the_bytes_or_map_files(void **state)
{
	struct mapped x;

	(void)state;
	mapped_init(&x);
	mapped_look(&x);
	struct sp_mapping overlaid = *x.m;
	overlaid.dev_minor += 1000;
	expect_content(sp_proc_open_mapping(x.p, &overlaid, NULL));
	overlaid.end += 4096; /* no such entry in map_files: only the bytes are left to compare */
	expect_content(sp_proc_open_mapping(x.p, &overlaid, NULL));
	tree_put(&x.t, "dir/file2", "the true content\n");
	overlaid.path = "/nonexistent";
	assert_int_equal(sp_proc_open_mapping(x.p, &overlaid, NULL), -ENOENT);
	mapped_done(&x);
}

static void anonymous_memory_has_no_file(void **state)
{
	struct mapped x;
	struct sp_mapping heap = {.start = 0x1000, .end = 0x2000, .path = "[heap]"}, anon = heap;
	struct sp_why why = {};

	(void)state;
	anon.path = "";
	mapped_init(&x);
	assert_int_equal(sp_proc_open_mapping(x.p, &heap, &why), -ENOENT);
	assert_string_equal(why.hint, "");
	assert_int_equal(sp_proc_open_mapping(x.p, &anon, NULL), -ENOENT);
	mapped_done(&x);
}

static void the_vdso_is_copied(void **state)
{
	struct mapped x;
	const struct sp_mapping *vdso = NULL;
	unsigned char ident[EI_NIDENT];

	(void)state;
	mapped_init(&x);
	mapped_look(&x);
	for (size_t i = 0; i < x.maps.nr; i++)
		if (!strcmp(x.maps.list[i].path, "[vdso]"))
			vdso = &x.maps.list[i];
	if (vdso) {
		int fd = sp_proc_open_mapping(x.p, vdso, NULL);
		assert_true(fd >= 0);
		assert_int_equal(pread(fd, ident, sizeof(ident), 0), sizeof(ident));
		assert_memory_equal(ident, ELFMAG, SELFMAG);
		assert_int_equal(lseek(fd, 0, SEEK_END), vdso->end - vdso->start);
		close(fd);
	}
	struct sp_mapping huge = {.start = 0, .end = 1ull << 40, .path = "[vdso]"};
	assert_int_equal(sp_proc_open_mapping(x.p, &huge, NULL), -EFBIG);
	struct sp_mapping gone = {.start = 0x1000, .end = 0x2000, .path = "[vdso]"};
	assert_int_equal(sp_proc_open_mapping(x.p, &gone, NULL), -EIO);
	mapped_done(&x);
}

static void no_link_leads_out_of_the_targets_root(void **state)
{
	struct tree t;
	struct sp_proc *p;
	char text[16] = "";

	(void)state;
	tree_init(&t);
	tree_put_process(&t, 10, "app", 'S', 0, NULL);
	tree_put(&t, "secret", "outside");
	tree_put(&t, "10/root/secret", "inside");
	tree_link(&t, "10/root/up", "../../secret");
	tree_link(&t, "10/root/absolute", "/secret");
	tree_link(&t, "10/root/dir", "../../../../../..");
	tree_link(&t, "10/root/magic", "/proc/self/exe");
	assert_int_equal(sp_proc_open(&t.fs, 10, &p, NULL), 0);
	static const char *const paths[] = {"/secret", "/up", "/absolute", "/dir/secret", "/../../secret", "secret"};
	for (size_t i = 0; i < SP_ARRAY_SIZE(paths); i++) {
		int fd = sp_proc_open_path(p, paths[i], NULL);
		assert_true(fd >= 0);
		assert_true(read(fd, text, sizeof(text) - 1) > 0);
		assert_string_equal(text, "inside");
		close(fd);
	}
	assert_int_equal(sp_proc_open_path(p, "/magic", NULL), -ENOENT);
	assert_int_equal(sp_proc_open_path(p, "/", NULL), -EINVAL);
	assert_int_equal(sp_proc_open_path(p, "/dev/null", NULL), -ENOENT);
	sp_proc_close(p);
	tree_done(&t);
}

static void the_executable_is_opened_through_exe_when_nothing_else_works(void **state)
{
	struct tree t;
	struct sp_proc *p;
	char path[PATH_MAX];
	struct stat st;

	(void)state;
	tree_init(&t);
	tree_put_process(&t, 10, "app", 'S', 0, NULL);
	tree_put(&t, "10/exe", "the true content\n");
	assert_int_equal(stat(tree_path(&t, "10/exe", path), &st), 0);
	assert_int_equal(sp_proc_open(&t.fs, 10, &p, NULL), 0);
	struct sp_mapping m = {.start = 0x1000,
			       .end = 0x2000,
			       .inode = st.st_ino,
			       .dev_major = major(st.st_dev),
			       .dev_minor = minor(st.st_dev),
			       .path = "/app",
			       .deleted = true};
	expect_content(sp_proc_open_mapping(p, &m, NULL));
	m.inode++;
	assert_int_equal(sp_proc_open_mapping(p, &m, NULL), -ENOENT);
	sp_proc_close(p);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_is_taken_apart),
	    cmocka_unit_test(paths_keep_their_blanks_and_lose_their_escapes),
	    cmocka_unit_test(deleted_is_taken_off_file_names_only_and_once),
	    cmocka_unit_test(bad_lines_are_skipped),
	    cmocka_unit_test(zero_bytes_end_a_line_and_nothing_more),
	    cmocka_unit_test(an_unsorted_text_is_sorted_and_searched),
	    cmocka_unit_test(nothing_parses_to_nothing),
	    cmocka_unit_test(a_very_long_path_is_kept_whole),
	    cmocka_unit_test(no_more_than_a_million_mappings_are_kept),
	    cmocka_unit_test(every_failing_allocation_of_the_parser_is_reported),
	    cmocka_unit_test(a_childs_mappings_hold_our_addresses),
	    cmocka_unit_test(the_file_of_a_mapping_is_opened),
	    cmocka_unit_test(a_deleted_file_is_opened),
	    cmocka_unit_test(a_replaced_file_is_not_taken_for_the_mapped_one),
	    cmocka_unit_test(a_fifo_in_the_place_of_the_file_is_never_opened),
	    cmocka_unit_test(a_changed_device_number_falls_back_to_the_bytes_or_map_files),
	    cmocka_unit_test(anonymous_memory_has_no_file),
	    cmocka_unit_test(the_vdso_is_copied),
	    cmocka_unit_test(no_link_leads_out_of_the_targets_root),
	    cmocka_unit_test(the_executable_is_opened_through_exe_when_nothing_else_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
