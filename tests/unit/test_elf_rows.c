// SPDX-License-Identifier: Apache-2.0
/*
 * Unwind rows of real and of made-up files. The oracle is libdw: its own CFI parser and interpreter give, for every
 * pc at which a row begins and for the last pc that it covers, the CFA, the caller's rbp and the return address; what
 * a row can say of these is worked out here from DWARF operations, apart from src/elf/.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "elf/elf.h"

#define MAX_ROWS     (1 << 24)
#define MAX_COMPARED 50000 /* rows per file; of more, every 2nd, 3rd... */

struct oracle {
	int fd;
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_CFI *eh_frame;
	Dwarf_CFI *debug_frame;
};

static void oracle_open(struct oracle *o, const char *path)
{
	assert_int_not_equal(elf_version(EV_CURRENT), EV_NONE);
	*o = (struct oracle){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	assert_true(o->fd >= 0);
	o->elf = elf_begin(o->fd, ELF_C_READ_MMAP, NULL);
	assert_non_null(o->elf);
	o->eh_frame = dwarf_getcfi_elf(o->elf);
	o->dwarf = dwarf_begin_elf(o->elf, DWARF_C_READ, NULL);
	o->debug_frame = o->dwarf ? dwarf_getcfi(o->dwarf) : NULL;
}

static void oracle_close(struct oracle *o)
{
	dwarf_cfi_end(o->eh_frame);
	dwarf_end(o->dwarf);
	elf_end(o->elf);
	close(o->fd);
}

static bool is_op(const Dwarf_Op *op, unsigned atom, uint64_t number)
{
	return op->atom == atom && op->number == number;
}

/* The expression reg + off in one operation, as libdw gives it. */
static bool is_reg_off(const Dwarf_Op *ops, size_t nr, unsigned reg, int64_t *ret_off)
{
	if (nr != 1)
		return false;
	if (ops[0].atom == DW_OP_bregx && ops[0].number == reg) {
		*ret_off = (int64_t)ops[0].number2;
		return true;
	}
	*ret_off = (int64_t)ops[0].number;
	return ops[0].atom == DW_OP_breg0 + reg;
}

/* The same in a register's rule: libdw puts the CFA before it, for expressions that begin with it on the stack. */
static bool is_reg_off_rule(const Dwarf_Op *ops, size_t nr, unsigned reg, int64_t *ret_off)
{
	return nr == 2 && ops[0].atom == DW_OP_call_frame_cfa && is_reg_off(ops + 1, 1, reg, ret_off);
}

/* Saved at CFA + off. */
static bool is_cfa_off(const Dwarf_Op *ops, size_t nr, int64_t *ret_off)
{
	if (nr < 1 || nr > 2 || ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	*ret_off = nr == 2 ? (int64_t)ops[1].number : 0;
	return nr == 1 || ops[1].atom == DW_OP_plus_uconst;
}

static bool is_plt(const Dwarf_Op *op, size_t nr, int64_t *ret_push_done)
{
	if (nr != 9 || op[4].atom < DW_OP_lit0 || op[4].atom > DW_OP_lit15)
		return false;
	*ret_push_done = op[4].atom - DW_OP_lit0;
	return is_op(&op[0], DW_OP_breg7, 8) && is_op(&op[1], DW_OP_breg16, 0) && op[2].atom == DW_OP_lit15 &&
	       op[3].atom == DW_OP_and && op[5].atom == DW_OP_ge && op[6].atom == DW_OP_lit3 &&
	       op[7].atom == DW_OP_shl && op[8].atom == DW_OP_plus;
}

struct rule {
	Dwarf_Op mem[3];
	Dwarf_Op *ops;
	size_t nr;
};

static struct sp_row row_with_rbp(unsigned kind, int64_t cfa_off, const struct rule *rbp)
{
	struct sp_row bad = {.kind = SP_ROW_BAD};
	struct sp_row row = {.kind = (unsigned char)kind, .cfa_off = (short)cfa_off};
	int64_t off;

	if (row.cfa_off != cfa_off)
		return bad;
	if (rbp->nr == 0)
		return rbp->ops ? bad : row;
	if (!is_cfa_off(rbp->ops, rbp->nr, &off) || off % 8 || off == 0 || (signed char)(off / 8) != off / 8)
		return bad;
	row.rbp_off = (signed char)(off / 8);
	return row;
}

static struct sp_row row_of_frame(Dwarf_Frame *frame)
{
	struct sp_row bad = {.kind = SP_ROW_BAD};
	struct rule rbp, ra;
	Dwarf_Op *cfa;
	size_t nr;
	int64_t off;

	if (dwarf_frame_register(frame, 6, rbp.mem, &rbp.ops, &rbp.nr) < 0 ||
	    dwarf_frame_register(frame, 16, ra.mem, &ra.ops, &ra.nr) < 0)
		return bad;
	if (ra.nr == 0 && ra.ops == ra.mem)
		return (struct sp_row){.kind = SP_ROW_END};
	if (dwarf_frame_cfa(frame, &cfa, &nr) < 0)
		return bad;
	if (nr == 2 && is_op(&cfa[0], DW_OP_breg7, 160) && cfa[1].atom == DW_OP_deref)
		return is_reg_off_rule(rbp.ops, rbp.nr, 7, &off) && off == 120 &&
			       is_reg_off_rule(ra.ops, ra.nr, 7, &off) && off == 168
			   ? (struct sp_row){.kind = SP_ROW_SIG}
			   : bad;
	if (!is_cfa_off(ra.ops, ra.nr, &off) || off != -8)
		return bad;
	if (is_reg_off(cfa, nr, 7, &off))
		return row_with_rbp(SP_ROW_RSP, off, &rbp);
	if (is_reg_off(cfa, nr, 6, &off))
		return row_with_rbp(SP_ROW_RBP, off, &rbp);
	if (is_plt(cfa, nr, &off))
		return row_with_rbp(SP_ROW_PLT, off, &rbp);
	if (nr == 2 && cfa[0].atom == DW_OP_breg6 && cfa[1].atom == DW_OP_deref) {
		struct rule same = {0};
		struct sp_row row = row_with_rbp(SP_ROW_RBP_DEREF, (int64_t)cfa[0].number, &same);

		return is_reg_off_rule(rbp.ops, rbp.nr, 6, &off) && off == 0 ? row : bad;
	}
	return bad;
}

static bool is_code(Elf *elf, uint64_t vaddr)
{
	size_t nr;
	GElf_Phdr p;

	assert_int_equal(elf_getphdrnum(elf, &nr), 0);
	for (size_t i = 0; i < nr; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_flags & PF_X &&
		    vaddr - p.p_vaddr < p.p_memsz)
			return true;
	return false;
}

/* What a row should say at this address of the file. */
static struct sp_row oracle_row(struct oracle *o, uint64_t vaddr)
{
	Dwarf_CFI *cfis[] = {o->eh_frame, o->debug_frame};
	struct sp_row row = {.kind = SP_ROW_NONE};

	for (size_t i = 0; i < SP_ARRAY_SIZE(cfis) && is_code(o->elf, vaddr); i++) {
		Dwarf_Frame *frame = NULL;

		if (!cfis[i])
			continue;
		if (dwarf_cfi_addrframe(cfis[i], vaddr, &frame) == 0) {
			row = row_of_frame(frame);
			free(frame);
			return row;
		}
		if (strcmp(dwarf_errmsg(-1), "no matching address range") != 0)
			row.kind = SP_ROW_BAD; /* there is an FDE, and libdw cannot run it */
	}
	return row;
}

static bool is_same(const struct sp_row *a, const struct sp_row *b)
{
	return a->kind == b->kind && a->cfa_off == b->cfa_off && a->rbp_off == b->rbp_off;
}

/* 1 when the row differs from libdw's reading at vaddr. */
static size_t compare(struct oracle *o, const struct sp_row *row, uint64_t vaddr)
{
	struct sp_row want = oracle_row(o, vaddr);

	if (is_same(row, &want))
		return 0;
	print_error("at %#lx: kind %u cfa %d rbp %d, libdw says kind %u cfa %d rbp %d\n", vaddr, row->kind,
		    row->cfa_off, row->rbp_off, want.kind, want.cfa_off, want.rbp_off);
	return 1;
}

static void assert_well_formed(const struct sp_vec *rows)
{
	for (size_t i = 1; i < rows->nr; i++) {
		assert_true(sp_vec_at(rows, struct sp_row, i - 1)->pc < sp_vec_at(rows, struct sp_row, i)->pc);
		assert_false(is_same(sp_vec_at(rows, struct sp_row, i - 1), sp_vec_at(rows, struct sp_row, i)));
	}
	if (rows->nr) {
		assert_int_equal(sp_vec_at(rows, struct sp_row, rows->nr - 1)->kind, SP_ROW_NONE);
		assert_int_equal(sp_vec_at(rows, struct sp_row, 0)->pc, 0);
	}
}

static struct sp_elf *open_file(const char *path)
{
	struct sp_why why = {0};
	struct sp_elf *e = NULL;

	if (sp_elf_open(open(path, O_RDONLY | O_CLOEXEC), path, &e, &why) < 0)
		fail_msg("%s", why.what);
	return e;
}

static void compare_file(const char *path)
{
	struct sp_elf *e = open_file(path);
	struct sp_vec rows;
	struct oracle o;
	size_t nr_bad, stride, nr_wrong = 0;

	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	assert_int_equal(sp_elf_rows(e, &rows, &nr_bad), 0);
	assert_well_formed(&rows);
	oracle_open(&o, path);
	stride = rows.nr / MAX_COMPARED + 1;
	for (size_t i = 0; i + 1 < rows.nr && nr_wrong < 10; i += stride) {
		const struct sp_row *row = sp_vec_at(&rows, struct sp_row, i);

		nr_wrong += compare(&o, row, sp_elf_base_vaddr(e) + row[0].pc);
		nr_wrong += compare(&o, row, sp_elf_base_vaddr(e) + row[1].pc - 1);
	}
	print_message("%s: %zu rows, every %zuth compared, %zu FDEs skipped\n", path, rows.nr, stride, nr_bad);
	assert_int_equal(nr_wrong, 0);
	oracle_close(&o);
	sp_vec_done(&rows);
	sp_elf_close(e);
}

static void compare_if_there(const char *path)
{
	if (access(path, R_OK) == 0)
		compare_file(path);
	else
		print_message("%s: not here, not compared\n", path);
}

static const char *input(const char *name)
{
	static char path[4096];
	const char *dir = getenv("SEEP_ELF_INPUTS");

	assert_non_null(dir);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void rows_of_installed_files_equal_libdws_reading(void **state)
{
	(void)state;
	compare_file("/lib64/ld-linux-x86-64.so.2");
	compare_if_there("/lib/x86_64-linux-gnu/libc.so.6");
	compare_if_there("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
	compare_if_there("/usr/lib/x86_64-linux-gnu/libcrypto.so.3");
	compare_if_there("/usr/bin/python3");
	compare_if_there("/bin/bash");
}

static void rows_of_compiled_programs_equal_libdws_reading(void **state)
{
	(void)state;
	compare_file(input("plain"));
	compare_file(input("plain_static"));
	compare_file(input("realign"));
	compare_file(input("libcfi_ops.so"));
}

/* ---- What single functions of cfi_ops.S must give ---- */

struct expected {
	const char *function;
	unsigned off;
	struct sp_row row;
};

#define ROW(k, cfa, rbp)                                                                                               \
	{                                                                                                              \
		.kind = SP_ROW_##k, .cfa_off = cfa, .rbp_off = rbp                                                     \
	}

static const struct expected expected[] = {
    {"frame", 0, ROW(RSP, 8, 0)},
    {"frame", 1, ROW(RSP, 16, -2)},
    {"frame", 2, ROW(RBP, 16, -2)},
    {"frame", 3, ROW(RSP, 8, -2)}, /* behind leave */
    {"frame", 4, ROW(RBP, 16, -2)},
    {"frame", 5, ROW(RSP, 8, 0)},
    {"saved", 1, ROW(RSP, 16, 0)},
    {"saved", 2, ROW(RSP, 24, -3)},
    {"saved", 3, ROW(RSP, 24, -3)},
    {"saved", 4, ROW(RSP, 24, 0)},
    {"saved", 5, ROW(RSP, 24, -4)},
    {"saved", 6, ROW(RSP, 24, 0)},
    {"saved", 7, ROW(RSP, 24, -3)},
    {"saved", 8, ROW(RSP, 24, 126)},
    {"saved", 9, ROW(RSP, 32, 0)},
    {"saved", 10, ROW(RSP, 64, 0)},
    {"inexpressible", 0, ROW(RSP, 8, 0)},
    {"inexpressible", 1, ROW(BAD, 0, 0)}, /* CFA in r10 */
    {"inexpressible", 2, ROW(BAD, 0, 0)}, /* offset of 32768 */
    {"inexpressible", 3, ROW(RSP, 32760, 0)},
    {"inexpressible", 4, ROW(BAD, 0, 0)}, /* rbp at CFA + 0 */
    {"inexpressible", 5, ROW(BAD, 0, 0)}, /* rbp in rbx */
    {"inexpressible", 6, ROW(BAD, 0, 0)}, /* rbp undefined */
    {"inexpressible", 7, ROW(BAD, 0, 0)}, /* rbp at CFA - 1032 */
    {"inexpressible", 8, ROW(RSP, 24, -128)},
    {"inexpressible", 9, ROW(BAD, 0, 0)},
    {"inexpressible", 12, ROW(BAD, 0, 0)},
    {"inexpressible", 13, ROW(BAD, 0, 0)}, /* return address at CFA - 16 */
    {"inexpressible", 14, ROW(BAD, 0, 0)}, /* return address in rcx */
    {"inexpressible", 15, ROW(RSP, 24, 0)},
    {"inexpressible", 16, ROW(RSP, 8, 0)},
    {"inexpressible", 17, ROW(BAD, 0, 0)},
    {"realigned", 1, ROW(BAD, 0, 0)},
    {"realigned", 3, ROW(RBP_DEREF, -8, 0)},
    {"realigned", 4, ROW(BAD, 0, 0)},
    {"realigned", 5, ROW(RSP, 8, 0)},
    {"plt", 1, ROW(PLT, 11, 0)},
    {"plt", 2, ROW(PLT, 9, 0)},
    {"plt", 3, ROW(BAD, 0, 0)},
    {"signal_return", 0, ROW(SIG, 0, 0)},
    {"signal_return", 1, ROW(BAD, 0, 0)},
    {"outermost", 0, ROW(RSP, 8, 0)},
    {"outermost", 1, ROW(END, 0, 0)},
    {"far", 1, ROW(RSP, 16, 0)},
    {"far", 70000, ROW(RSP, 16, 0)},
    {"far", 70001, ROW(RSP, 24, 0)},
    {"far", 70301, ROW(RSP, 32, 0)},
    {"far", 70371, ROW(RSP, 40, 0)},
    {"hole", 0, ROW(NONE, 0, 0)},
    {"debug_only", 1, ROW(RSP, 8, 0)},
    {"debug_only", 2, ROW(RSP, 16, -2)},
    {"debug_only", 4, ROW(BAD, 0, 0)}, /* rbp at CFA - 20 */
    {"debug_only", 6, ROW(RSP, 16, -4)},
    {"debug_only", 7, ROW(NONE, 0, 0)},
    {"damaged", 0, ROW(RSP, 8, 0)},
    {"damaged", 1, ROW(RSP, 16, 0)},
    {"damaged", 2, ROW(BAD, 0, 0)},
};

static const struct sp_row *row_at(const struct sp_vec *rows, uint64_t pc)
{
	const struct sp_row *found = NULL;

	for (size_t i = 0; i < rows->nr && sp_vec_at(rows, struct sp_row, i)->pc <= pc; i++)
		found = sp_vec_at(rows, struct sp_row, i);
	return found;
}

static void assert_main_has_rows(const char *path)
{
	static const char *const name = "main";
	struct sp_elf *e = open_file(path);
	struct sp_elf_symbol s;
	struct sp_vec rows;

	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	assert_int_equal(sp_elf_rows(e, &rows, NULL), 0);
	assert_int_equal(sp_elf_find_symbols(e, &name, 1, &s), 1);
	assert_int_equal(row_at(&rows, s.vaddr - sp_elf_base_vaddr(e))->kind, SP_ROW_RSP);
	assert_int_equal(row_at(&rows, s.vaddr - sp_elf_base_vaddr(e))->cfa_off, 8);
	sp_vec_done(&rows);
	sp_elf_close(e);
}

static void rows_come_from_debug_frame_where_eh_frame_is_silent(void **state)
{
	(void)state;
	compare_file(input("debug_frame"));
	compare_file(input("debug_frame_packed"));
	assert_main_has_rows(input("debug_frame"));
	assert_main_has_rows(input("debug_frame_packed"));
}

static void every_instruction_gives_the_row_that_it_means(void **state)
{
	struct sp_elf *e = open_file(input("libcfi_ops.so"));
	struct sp_vec rows;
	size_t nr_bad;

	(void)state;
	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	assert_int_equal(sp_elf_rows(e, &rows, &nr_bad), 0);
	assert_int_equal(nr_bad, 1);
	for (size_t i = 0; i < SP_ARRAY_SIZE(expected); i++) {
		struct sp_elf_symbol s;
		const struct sp_row *row;

		assert_int_equal(sp_elf_find_symbols(e, &expected[i].function, 1, &s), 1);
		row = row_at(&rows, s.vaddr + expected[i].off - sp_elf_base_vaddr(e));
		if (!row || !is_same(row, &expected[i].row))
			fail_msg("%s+%u: kind %d cfa %d rbp %d", expected[i].function, expected[i].off,
				 row ? row->kind : -1, row ? row->cfa_off : 0, row ? row->rbp_off : 0);
	}
	sp_vec_done(&rows);
	sp_elf_close(e);
}

static size_t count_kind(const char *path, enum sp_row_kind kind)
{
	struct sp_elf *e = open_file(path);
	struct sp_vec rows;
	size_t nr = 0;

	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	assert_int_equal(sp_elf_rows(e, &rows, NULL), 0);
	for (size_t i = 0; i < rows.nr; i++)
		nr += sp_vec_at(&rows, struct sp_row, i)->kind == kind;
	sp_vec_done(&rows);
	sp_elf_close(e);
	return nr;
}

static void start_and_signal_return_are_known_for_what_they_are(void **state)
{
	(void)state;
	assert_true(count_kind(input("plain_static"), SP_ROW_SIG) == 1);
	assert_true(count_kind(input("plain_static"), SP_ROW_END) >= 1);
	assert_true(count_kind(input("plain"), SP_ROW_END) == 1);
}

static void compressed_debug_frame_can_be_read_twice(void **state)
{
	struct sp_elf *e = open_file(input("debug_frame_packed"));
	struct sp_vec rows;
	size_t nr = 0;

	(void)state;
	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sp_elf_rows(e, &rows, NULL), 0);
		assert_true(nr == 0 || nr == rows.nr);
		nr = rows.nr;
	}
	assert_true(nr > 20);
	sp_vec_done(&rows);
	sp_elf_close(e);
}

static void too_many_rows_are_refused_and_none_returned(void **state)
{
	struct sp_elf *e = open_file(input("plain"));
	struct sp_vec rows;

	(void)state;
	sp_vec_init(&rows, sizeof(struct sp_row), 3);
	assert_int_equal(sp_elf_rows(e, &rows, NULL), -ENOSPC);
	assert_int_equal(rows.nr, 0);
	sp_vec_done(&rows);
	sp_elf_close(e);
}

static void a_file_without_cfi_has_no_rows(void **state)
{
	struct sp_elf *e = open_file(input("libno_cfi.so"));
	struct sp_vec rows;
	size_t nr_bad = 7;

	(void)state;
	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	assert_int_equal(sp_elf_rows(e, &rows, &nr_bad), 0);
	assert_int_equal(rows.nr, 0);
	assert_int_equal(nr_bad, 0);
	sp_vec_done(&rows);
	sp_elf_close(e);
}

/* With arguments: compares these files instead (any ELF file of a machine can be looked at by hand). */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_of_compiled_programs_equal_libdws_reading),
	    cmocka_unit_test(rows_of_installed_files_equal_libdws_reading),
	    cmocka_unit_test(rows_come_from_debug_frame_where_eh_frame_is_silent),
	    cmocka_unit_test(every_instruction_gives_the_row_that_it_means),
	    cmocka_unit_test(start_and_signal_return_are_known_for_what_they_are),
	    cmocka_unit_test(compressed_debug_frame_can_be_read_twice),
	    cmocka_unit_test(too_many_rows_are_refused_and_none_returned),
	    cmocka_unit_test(a_file_without_cfi_has_no_rows),
	};

	for (int i = 1; i < argc; i++)
		compare_file(argv[i]);
	return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
