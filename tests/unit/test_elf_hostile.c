// SPDX-License-Identifier: Apache-2.0
/* Files that are cut short, changed, stripped of headers, or truncated under us; and no memory left. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "elf/elf.h"
#include "failing_alloc.h"

#define MAX_ROWS (1 << 20)

struct image {
	uint8_t *data;
	size_t size;
};

static const char *input(const char *name)
{
	static char path[4096];
	const char *dir = getenv("SEEP_ELF_INPUTS");

	assert_non_null(dir);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct image load(const char *path)
{
	sp_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image im;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	im.size = (size_t)st.st_size;
	im.data = malloc(im.size);
	assert_int_equal(pread(fd, im.data, im.size, 0), im.size);
	return im;
}

static int memfd(const struct image *im, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, im->data, size, 0), size);
	return fd;
}

/* Whatever the file says, rows are in order and of known kinds. */
static void assert_sound(const struct sp_vec *rows)
{
	for (size_t i = 0; i < rows->nr; i++) {
		const struct sp_row *r = sp_vec_at(rows, struct sp_row, i);

		assert_true(r->kind <= SP_ROW_RBP_DEREF);
		assert_true(i == 0 || r[-1].pc < r->pc);
	}
}

/* The whole API. -ENOMEM when that was the outcome of any part, else 0: other failures are an answer. */
static int use_all(int fd, size_t *ret_nr_rows)
{
	static const char *const names[] = {"main", "malloc", "frame", "picked"};
	struct sp_elf_symbol symbols[SP_ARRAY_SIZE(names)];
	struct sp_why why = {0};
	struct sp_elf *e = NULL;
	struct sp_vec rows;
	uint8_t id[SP_BUILD_ID_MAX];
	uint64_t unused;
	size_t nr_bad;
	int err = sp_elf_open(fd, "hostile", &e, &why);
	int nr_found;

	*ret_nr_rows = 0;
	if (err) {
		assert_true(sp_why_is_set(&why));
		return err == -ENOMEM ? err : 0;
	}
	assert_true(sp_elf_build_id(e, id) <= sizeof(id));
	if (sp_elf_vaddr_to_offset(e, sp_elf_base_vaddr(e), &unused) == 0)
		assert_true(sp_elf_offset_to_vaddr(e, unused, &unused) == 0);
	nr_found = sp_elf_find_symbols(e, names, SP_ARRAY_SIZE(names), symbols);
	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	err = sp_elf_rows(e, &rows, &nr_bad);
	if (!err)
		assert_sound(&rows);
	*ret_nr_rows = rows.nr;
	sp_vec_done(&rows);
	sp_elf_close(e);
	return err == -ENOMEM || nr_found == -ENOMEM ? -ENOMEM : 0;
}

static const char *const all_inputs[] = {"plain", "realign", "libcfi_ops.so", "libversions.so", "debug_frame_packed"};

static void a_file_cut_anywhere_gives_an_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(all_inputs); i++) {
		struct image im = load(input(all_inputs[i]));
		size_t nr_rows, size = 0;

		while (size < im.size) {
			assert_int_equal(use_all(memfd(&im, size), &nr_rows), 0);
			size += size < 1024 ? 1 : 1 + im.size / 128;
		}
		free(im.data);
	}
}

static void a_file_truncated_while_open_gives_an_answer(void **state)
{
	struct image im = load(input("plain"));
	static const char *const name = "main";

	(void)state;
	for (size_t size = 0; size < im.size; size += 512) {
		int fd = memfd(&im, im.size);
		struct sp_elf_symbol s;
		struct sp_elf *e;
		struct sp_vec rows;
		int found;

		assert_int_equal(sp_elf_open(fd, "shrinks", &e, NULL), 0);
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
		if (sp_elf_rows(e, &rows, NULL) == 0)
			assert_sound(&rows);
		found = sp_elf_find_symbols(e, &name, 1, &s);
		assert_true(found == 0 || found == 1);
		sp_vec_done(&rows);
		sp_elf_close(e);
	}
	free(im.data);
}

/* xorshift64*: the same bytes are changed in every run. */
static uint64_t next_random(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * 2685821657736338717ULL;
}

/* Where the section is; the whole file when there is none. */
static void find_section(const struct image *im, const char *name, size_t *ret_off, size_t *ret_size)
{
	Elf *elf = elf_memory((char *)im->data, im->size);
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr h;

	*ret_off = 0;
	*ret_size = im->size;
	assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &h)) {
		if (strcmp(elf_strptr(elf, names, h.sh_name), name) == 0) {
			*ret_off = h.sh_offset;
			*ret_size = h.sh_size;
		}
	}
	elf_end(elf);
}

static void mutate(const char *file, const char *section, int nr_rounds)
{
	static const uint8_t nasty[] = {0, 1, 0x7f, 0x80, 0xff};
	struct image im = load(input(file));
	struct image copy = {.data = malloc(im.size), .size = im.size};
	uint64_t x = 88172645463325252ULL;
	size_t off, size, nr_rows, nr_with_rows = 0;

	elf_version(EV_CURRENT);
	find_section(&im, section, &off, &size);
	for (int i = 0; i < nr_rounds; i++) {
		memcpy(copy.data, im.data, im.size);
		for (uint64_t n = next_random(&x) % 6 + 1; n; n--) {
			uint8_t *at = &copy.data[off + next_random(&x) % size];

			*at = next_random(&x) % 2 ? nasty[next_random(&x) % sizeof(nasty)] : (uint8_t)next_random(&x);
		}
		assert_int_equal(use_all(memfd(&copy, copy.size), &nr_rows), 0);
		nr_with_rows += nr_rows > 0;
	}
	assert_true(nr_with_rows > 0);
	free(im.data);
	free(copy.data);
}

static void changed_bytes_give_an_answer(void **state)
{
	(void)state;
	mutate("libcfi_ops.so", ".eh_frame", 3000);
	mutate("libcfi_ops.so", ".debug_frame", 1000);
	mutate("libversions.so", ".dynsym", 500);
	mutate("libversions.so", ".eh_frame_hdr", 300);
	mutate("debug_frame_packed", ".debug_frame", 500);
	mutate("realign", "none: anywhere", 1000);
	mutate("libversions.so", ".shstrtab", 200);
}

/* Header fields at the extremes, one at a time: section and program headers of a real file. */
static void extreme_header_fields_give_an_answer(void **state)
{
	static const uint64_t extremes[] = {
	    0, 1, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX, UINT64_MAX - 63, 1ULL << 40};
	struct image im = load(input("libversions.so"));
	Elf64_Ehdr h;
	size_t nr_rows;

	(void)state;
	memcpy(&h, im.data, sizeof(h));
	for (size_t i = 0; i < SP_ARRAY_SIZE(extremes); i++) {
		for (size_t at = 24; at < h.e_phoff + h.e_phnum * sizeof(Elf64_Phdr); at += 8) {
			uint64_t kept;

			memcpy(&kept, im.data + at, 8);
			memcpy(im.data + at, &extremes[i], 8);
			assert_int_equal(use_all(memfd(&im, im.size), &nr_rows), 0);
			memcpy(im.data + at, &kept, 8);
		}
		for (size_t at = h.e_shoff; at < h.e_shoff + h.e_shnum * sizeof(Elf64_Shdr); at += 8) {
			uint64_t kept;

			memcpy(&kept, im.data + at, 8);
			memcpy(im.data + at, &extremes[i], 8);
			assert_int_equal(use_all(memfd(&im, im.size), &nr_rows), 0);
			memcpy(im.data + at, &kept, 8);
		}
	}
	free(im.data);
}

static size_t read_rows(int fd, struct sp_vec *rows)
{
	struct sp_elf *e;
	size_t nr_bad;

	assert_int_equal(sp_elf_open(fd, "rows", &e, NULL), 0);
	sp_vec_init(rows, sizeof(struct sp_row), MAX_ROWS);
	assert_int_equal(sp_elf_rows(e, rows, &nr_bad), 0);
	sp_elf_close(e);
	return nr_bad;
}

/* sstrip and packers: the loader needs no section headers, and neither do rows. */
static void without_section_headers_the_rows_are_the_same(void **state)
{
	static const char *const names[] = {"plain", "realign", "libversions.so"};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		struct image im = load(input(names[i]));
		struct sp_vec with, without;
		Elf64_Ehdr h;

		read_rows(memfd(&im, im.size), &with);
		memcpy(&h, im.data, sizeof(h));
		h.e_shoff = h.e_shnum = h.e_shstrndx = 0;
		memcpy(im.data, &h, sizeof(h));
		assert_int_equal(read_rows(memfd(&im, im.size), &without), 0);
		assert_true(with.nr > 5);
		assert_int_equal(with.nr, without.nr);
		assert_memory_equal(with.data, without.data, with.nr * sizeof(struct sp_row));
		sp_vec_done(&with);
		sp_vec_done(&without);
		free(im.data);
	}
}

static void without_memory_every_call_says_so_and_keeps_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(all_inputs); i++) {
		struct image im = load(input(all_inputs[i]));
		bool has_failed = true;
		long n = 0;

		while (has_failed) {
			int fd = memfd(&im, im.size);
			size_t nr_rows;
			int err;

			alloc_arm(n++);
			err = use_all(fd, &nr_rows);
			has_failed = alloc_disarm();
			assert_int_equal(err, has_failed ? -ENOMEM : 0);
		}
		assert_true(n > 5);
		free(im.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_cut_anywhere_gives_an_answer),
	    cmocka_unit_test(a_file_truncated_while_open_gives_an_answer),
	    cmocka_unit_test(changed_bytes_give_an_answer),
	    cmocka_unit_test(extreme_header_fields_give_an_answer),
	    cmocka_unit_test(without_section_headers_the_rows_are_the_same),
	    cmocka_unit_test(without_memory_every_call_says_so_and_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
