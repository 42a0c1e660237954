// SPDX-License-Identifier: Apache-2.0
/* The kernel's types, cut down: what is left says the same as the whole, of made ones and of this kernel's. */
#include <bpf/btf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engines/bpf/impl.h"

/* What the programs name. */
static struct btf *names_of(const char *const *names, size_t nr)
{
	struct btf *b = btf__new_empty();

	for (size_t i = 0; i < nr; i++)
		assert_true(btf__add_struct(b, names[i], 8) > 0);
	return b;
}

static const struct btf_type *resolved(const struct btf *b, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(b, id);

	while (btf_is_mod(t) || btf_is_typedef(t))
		t = btf__type_by_id(b, t->type);
	return t;
}

/* The same members at the same places, of the same kinds and sizes. */
static void check_same(const struct btf *few, const struct btf_type *f, const struct btf *all, const struct btf_type *a)
{
	assert_int_equal(btf_kind(f), btf_kind(a));
	assert_int_equal(f->size, a->size);
	assert_int_equal(btf_vlen(f), btf_vlen(a));
	for (unsigned i = 0; i < btf_vlen(a); i++) {
		const struct btf_member *fm = btf_members(f) + i, *am = btf_members(a) + i;
		const struct btf_type *ft = resolved(few, fm->type), *at = resolved(all, am->type);

		assert_string_equal(btf__name_by_offset(few, fm->name_off), btf__name_by_offset(all, am->name_off));
		assert_int_equal(btf_member_bit_offset(f, i), btf_member_bit_offset(a, i));
		assert_int_equal(btf_member_bitfield_size(f, i), btf_member_bitfield_size(a, i));
		if (!btf_is_any_enum(at))
			assert_int_equal(btf_kind(ft), btf_kind(at));
		assert_int_equal(btf__resolve_size(few, fm->type), btf__resolve_size(all, am->type));
		if (btf_is_composite(at) && !at->name_off)
			check_same(few, ft, all, at);
	}
}

static const struct btf_type *find(const struct btf *b, const char *name, uint32_t kind)
{
	int id = btf__find_by_name_kind(b, name, kind);

	return id > 0 ? btf__type_by_id(b, (uint32_t)id) : NULL;
}

/*
 * struct other { int a; };
 * struct wanted { volatile word n; struct other *p; unsigned bits : 3; union { int u; double f; }; struct other o;
 *                 struct inner i[4]; enum color c; };
 */
static struct btf *made(void)
{
	struct btf *b = btf__new_empty();
	int of_int = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	int word = btf__add_volatile(b, btf__add_typedef(b, "word", of_int));
	int other = btf__add_struct(b, "other", 4);
	assert_int_equal(btf__add_field(b, "a", of_int, 0, 0), 0);
	int inner = btf__add_struct(b, "inner", 4);
	assert_int_equal(btf__add_field(b, "x", word, 0, 0), 0);
	int of_float = btf__add_float(b, "double", 8);
	int either = btf__add_union(b, "", 8);
	assert_int_equal(btf__add_field(b, "u", of_int, 0, 0), 0);
	assert_int_equal(btf__add_field(b, "f", of_float, 0, 0), 0);
	int pointer = btf__add_ptr(b, other);
	int array = btf__add_array(b, of_int, inner, 4);
	int color = btf__add_enum(b, "color", 4);
	assert_int_equal(btf__add_enum_value(b, "RED", 1), 0);
	assert_true(btf__add_func_proto(b, of_int) > 0);
	assert_true(btf__add_struct(b, "wanted", 56) > 0);
	assert_int_equal(btf__add_field(b, "n", word, 0, 0), 0);
	assert_int_equal(btf__add_field(b, "p", pointer, 64, 0), 0);
	assert_int_equal(btf__add_field(b, "bits", of_int, 128, 3), 0);
	assert_int_equal(btf__add_field(b, "", either, 192, 0), 0);
	assert_int_equal(btf__add_field(b, "o", other, 256, 0), 0);
	assert_int_equal(btf__add_field(b, "i", array, 288, 0), 0);
	assert_int_equal(btf__add_field(b, "c", color, 416, 0), 0);
	return b;
}

static void members_are_as_they_were(void **state)
{
	static const char *const names[] = {"wanted", "inner", "nowhere"};
	struct btf *all = made(), *ours = names_of(names, 3), *few = NULL;
	uint32_t size;
	const void *data = btf__raw_data(all, &size);

	(void)state;
	assert_int_equal(sp_bpf_types_cut(data, size, ours, &few), 0);
	check_same(few, find(few, "wanted", BTF_KIND_STRUCT), all, find(all, "wanted", BTF_KIND_STRUCT));
	check_same(few, find(few, "inner", BTF_KIND_STRUCT), all, find(all, "inner", BTF_KIND_STRUCT));
	assert_int_equal(find(few, "other", BTF_KIND_STRUCT)->size, 4);
	assert_int_equal(btf_vlen(find(few, "other", BTF_KIND_STRUCT)), 0);
	btf__free(few);
	btf__free(ours);
	btf__free(all);
}

/* Every truncation and every changed byte of it: refused or cut, and nothing else. */
static void nonsense_is_refused(void **state)
{
	static const char *const names[] = {"wanted"};
	struct btf *all = made(), *ours = names_of(names, 1), *few;
	uint32_t size;
	const void *data = btf__raw_data(all, &size);
	sp_autofree uint8_t *copy = malloc(size);

	(void)state;
	for (uint32_t len = 0; len < size; len++) {
		sp_autofree uint8_t *part = malloc(len + 1U);
		memcpy(part, data, len);
		assert_true(sp_bpf_types_cut(part, len, ours, &few) < 0);
		assert_null(few);
	}
	for (uint32_t i = 0; i < size; i++) {
		for (unsigned value = 1; value < 256; value = value * 2 + 1) {
			memcpy(copy, data, size);
			copy[i] ^= (uint8_t)value;
			(void)!sp_bpf_types_cut(copy, size, ours, &few);
			btf__free(few);
		}
	}
	btf__free(ours);
	btf__free(all);
}

static void a_struct_in_itself_is_refused(void **state)
{
	static const char *const names[] = {"wanted"};
	struct btf *all = btf__new_empty(), *ours = names_of(names, 1), *few;
	uint32_t size;

	(void)state;
	assert_int_equal(btf__add_struct(all, "wanted", 8), 1);
	assert_int_equal(btf__add_field(all, "again", 1, 0, 0), 0);
	const void *data = btf__raw_data(all, &size);
	assert_int_equal(sp_bpf_types_cut(data, size, ours, &few), -EINVAL);
	btf__free(ours);
	btf__free(all);
}

static void this_kernels_types_are_as_libbpf_reads_them(void **state)
{
	static const char *const names[] = {"task_struct", "mm_struct",      "uprobe_task", "uprobes_state",
					    "xol_area",    "vm_area_struct", "pt_regs",     "return_instance"};
	struct btf *all = btf__load_vmlinux_btf(), *ours = names_of(names, SP_ARRAY_SIZE(names)), *few = NULL;
	uint32_t size, few_size;

	(void)state;
	if (!all) {
		btf__free(ours);
		print_message("this kernel does not describe its types\n");
		skip();
	}
	const void *data = btf__raw_data(all, &size);
	assert_int_equal(sp_bpf_types_cut(data, size, ours, &few), 0);
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		const struct btf_type *a = find(all, names[i], BTF_KIND_STRUCT);
		if (a)
			check_same(few, find(few, names[i], BTF_KIND_STRUCT), all, a);
	}
	assert_non_null(btf__raw_data(few, &few_size));
	assert_true(few_size < size / 10);
	btf__free(few);
	btf__free(ours);
	btf__free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_are_as_they_were),
	    cmocka_unit_test(nonsense_is_refused),
	    cmocka_unit_test(a_struct_in_itself_is_refused),
	    cmocka_unit_test(this_kernels_types_are_as_libbpf_reads_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
