// SPDX-License-Identifier: Apache-2.0
/* The tables of a real process (this one): every executable mapping has its range, every function its row. */
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "elf/elf.h"
#include "unwind/unwind.h"

/* A child that is like us and sleeps: a process cannot open itself. */
static pid_t child;

static int start_child(void **state)
{
	(void)state;
	child = fork();
	if (!child)
		for (;;)
			pause();
	return child < 0;
}

static int end_child(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	return waitpid(child, NULL, 0) != child;
}

static const struct sp_row_range *range_at(const struct sp_unwind *u, uint64_t addr)
{
	size_t nr;
	const struct sp_row_range *r = sp_unwind_ranges(u, &nr);

	for (size_t i = 0; i < nr; i++)
		if (r[i].start <= addr && addr < r[i].end)
			return &r[i];
	return NULL;
}

static const struct sp_row *row_at(const struct sp_unwind *u, uint64_t addr)
{
	const struct sp_row_range *r = range_at(u, addr);
	const struct sp_row *found = NULL;
	size_t nr;
	const struct sp_row *rows = sp_unwind_rows(u, &nr);

	if (!r)
		return NULL;
	assert_true(r->row0 + (size_t)r->nr_rows <= nr);
	for (size_t i = r->row0; i < r->row0 + (size_t)r->nr_rows && rows[i].pc <= addr - r->base; i++)
		found = &rows[i];
	return found;
}

static struct sp_unwind *tables(struct sp_proc **ret_proc)
{
	struct sp_unwind *u;
	struct sp_maps maps;

	assert_int_equal(sp_proc_open(NULL, child, ret_proc, NULL), 0);
	assert_int_equal(sp_unwind_new(1 << 24, &u), 0);
	assert_int_equal(sp_proc_maps(*ret_proc, &maps, NULL), 0);
	assert_int_equal(sp_unwind_update(u, *ret_proc, &maps), 0);
	sp_maps_done(&maps);
	return u;
}

static void at_entry_the_cfa_is_8_above_rsp(void **state)
{
	/* cmocka and libc, both at addresses that the child shares with us */
	const uintptr_t entries[] = {(uintptr_t)dlsym(RTLD_DEFAULT, "malloc"), (uintptr_t)dlsym(RTLD_DEFAULT, "qsort"),
				     (uintptr_t)at_entry_the_cfa_is_8_above_rsp, (uintptr_t)tables};
	struct sp_proc *p;
	struct sp_unwind *u = tables(&p);
	(void)state;

	for (size_t i = 0; i < SP_ARRAY_SIZE(entries); i++) {
		const struct sp_row *row = row_at(u, entries[i]);
		assert_non_null(row);
		assert_int_equal(row->kind, SP_ROW_RSP);
		assert_int_equal(row->cfa_off, 8);
		assert_int_equal(row->rbp_off, SP_ROW_RBP_SAME);
	}
	sp_unwind_free(u);
	sp_proc_close(p);
}

static void an_update_without_change_adds_no_rows(void **state)
{
	struct sp_proc *p;
	struct sp_unwind *u = tables(&p);
	struct sp_maps maps;
	size_t before, after;
	(void)state;

	sp_unwind_rows(u, &before);
	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	assert_int_equal(sp_unwind_update(u, p, &maps), 0);
	sp_maps_done(&maps);
	sp_unwind_rows(u, &after);
	assert_int_equal(before, after);
	assert_true(before > 1000);
	assert_true(sp_unwind_nr_files(u) >= 3);
	sp_unwind_free(u);
	sp_proc_close(p);
}

static void a_full_pool_leaves_files_without_rows(void **state)
{
	struct sp_proc *p;
	struct sp_unwind *u;
	struct sp_maps maps;
	size_t nr;
	(void)state;

	assert_int_equal(sp_proc_open(NULL, child, &p, NULL), 0);
	assert_int_equal(sp_unwind_new(100, &u), 0);
	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	assert_int_equal(sp_unwind_update(u, p, &maps), 0);
	sp_unwind_rows(u, &nr);
	assert_true(nr <= 100);
	assert_non_null(range_at(u, (uintptr_t)dlsym(RTLD_DEFAULT, "malloc")));
	sp_maps_done(&maps);
	sp_unwind_free(u);
	sp_proc_close(p);
}

static void copy_file(const char *from, int to)
{
	static char bytes[1 << 22];
	int fd = open(from, O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	assert_true(fd >= 0 && n > 0);
	close(fd);
	assert_int_equal(ftruncate(to, 0), 0);
	assert_int_equal(pwrite(to, bytes, (size_t)n, 0), n);
}

static uint64_t exec_offset(int fd)
{
	uint64_t offset = 0, vaddr;
	struct sp_elf *e;

	assert_int_equal(sp_elf_open(dup(fd), "a copy", &e, NULL), 0);
	while (sp_elf_exec_page_to_vaddr(e, offset, &vaddr))
		offset += 0x1000;
	sp_elf_close(e);
	return offset;
}

/* As when a compiler writes one plugin after the other: the inode number says nothing. */
static void another_file_with_the_same_inode_number_gets_its_own_rows(void **state)
{
	char path[] = "/tmp/seep-unwind-XXXXXX";
	int fd = mkstemp(path);
	struct stat st;
	struct sp_proc *p;
	struct sp_unwind *u;
	size_t first, second, third;
	(void)state;

	copy_file("/lib64/ld-linux-x86-64.so.2", fd);
	assert_int_equal(fstat(fd, &st), 0);
	struct sp_mapping m = {.start = 0x10000000,
			       .end = 0x10100000,
			       .inode = st.st_ino,
			       .dev_major = major(st.st_dev),
			       .dev_minor = minor(st.st_dev),
			       .prot = SP_PROT_R | SP_PROT_X,
			       .path = path};
	struct sp_maps maps = {.list = &m, .nr = 1};
	assert_int_equal(sp_proc_open(NULL, child, &p, NULL), 0);
	assert_int_equal(sp_unwind_new(1 << 24, &u), 0);
	m.offset = 0x2000; /* any page of text will do: rows are the whole file's */
	assert_int_equal(sp_unwind_update(u, p, &maps), 0);
	sp_unwind_rows(u, &first);
	assert_true(first > 100);
	assert_int_equal(sp_unwind_update(u, p, &maps), 0);
	sp_unwind_rows(u, &second);
	assert_int_equal(first, second);
	copy_file("/proc/self/exe", fd);
	m.offset = exec_offset(fd);
	assert_int_equal(sp_unwind_update(u, p, &maps), 0);
	sp_unwind_rows(u, &third);
	assert_true(third > second);
	sp_unwind_free(u);
	sp_proc_close(p);
	close(fd);
	unlink(path);
}

#define STACK_BYTES 65536
#define MAX_PCS     64

/* A stack and what the C library's own unwinder says of it. */
struct snapshot {
	struct sp_walk walk;
	uint8_t bytes[STACK_BYTES];
	struct sp_stack_copy copy;
	void *expected[MAX_PCS];
	int nr_expected;
};

/* The stack from here outwards. Its own pc differs from backtrace()'s: the comparison begins with the caller. */
static __attribute__((noinline)) int take_snapshot(struct snapshot *s)
{
	__asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
			 : "=r"(s->walk.pc), "=r"(s->walk.sp), "=r"(s->walk.bp));
	s->walk.is_exact = true;
	s->nr_expected = backtrace(s->expected, MAX_PCS);
	s->copy = (struct sp_stack_copy){.addr = s->walk.sp, .bytes = s->bytes};
	struct iovec to = {s->bytes, STACK_BYTES}; /* the stack may end before: what is there is read */
	struct iovec from = {(void *)s->walk.sp, to.iov_len};
	ssize_t nr = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	s->copy.len = nr > 0 ? (size_t)nr : 0;
	return s->nr_expected;
}

static __attribute__((noinline)) int in_a_big_frame(struct snapshot *s)
{
	volatile char room[5000];

	room[0] = 1;
	return take_snapshot(s) + room[0];
}

static int compare_by_snapshot(const void *a, const void *b, void *arg)
{
	struct snapshot *s = arg;

	if (!s->nr_expected)
		in_a_big_frame(s);
	return *(const int *)a - *(const int *)b;
}

static void a_walk_over_a_copy_equals_backtrace(void **state)
{
	static struct snapshot s;
	uint64_t pcs[MAX_PCS];
	unsigned nr;
	int numbers[] = {2, 1};
	struct sp_proc *p;
	struct sp_unwind *u = tables(&p);
	(void)state;

	qsort_r(numbers, 2, sizeof(numbers[0]), compare_by_snapshot, &s); /* through the C library and back */
	enum sp_walk_end end = sp_unwind_walk(u, &s.walk, &s.copy, pcs, MAX_PCS, &nr);
	assert_int_equal(end, SP_WALK_WHOLE);
	/* From the outermost inwards: a sanitizer's backtrace() has one frame more at its end. */
	assert_in_range((unsigned)s.nr_expected, nr, nr + 1);
	for (unsigned i = 1; i < nr; i++)
		assert_int_equal(pcs[nr - i], (uintptr_t)s.expected[s.nr_expected - (int)i]);
	sp_unwind_free(u);
	sp_proc_close(p);
}

static void a_walk_ends_where_the_copy_ends(void **state)
{
	static struct snapshot s;
	uint64_t pcs[MAX_PCS];
	unsigned nr;
	struct sp_proc *p;
	struct sp_unwind *u = tables(&p);
	(void)state;

	in_a_big_frame(&s);
	s.copy.len = 1024; /* less than the big frame */
	struct sp_walk again = s.walk;
	assert_int_equal(sp_unwind_walk(u, &s.walk, &s.copy, pcs, MAX_PCS, &nr), SP_WALK_BROKEN);
	assert_true(nr >= 1 && nr <= 2);
	s.walk = again;
	assert_int_equal(sp_unwind_walk(u, &s.walk, &s.copy, pcs, 1, &nr), SP_WALK_CUT);
	assert_int_equal(nr, 1);
	sp_unwind_free(u);
	sp_proc_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(at_entry_the_cfa_is_8_above_rsp),
	    cmocka_unit_test(an_update_without_change_adds_no_rows),
	    cmocka_unit_test(a_walk_over_a_copy_equals_backtrace),
	    cmocka_unit_test(a_walk_ends_where_the_copy_ends),
	    cmocka_unit_test(a_full_pool_leaves_files_without_rows),
	    cmocka_unit_test(another_file_with_the_same_inode_number_gets_its_own_rows),
	};

	return cmocka_run_group_tests(tests, start_child, end_child);
}
