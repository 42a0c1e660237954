// SPDX-License-Identifier: Apache-2.0
/* symbolize/: names, demangling, perf maps, kallsyms, tables; also when memory is short. */
#include "proc_fixture.h"

#include "failing_alloc.h"
#include "symbolize/demangle.h"
#include "symbolize/names.h"
#include "symbolize/object.h"
#include "symbolize/perfmap.h"
#include "symbolize/symbolizer.h"

/* ---- names ---- */

static void equal_texts_are_one_string(void **state)
{
	struct sp_names *n = malloc(sizeof(*n));

	(void)state;
	sp_names_init(n, 1 << 20);
	const char *a = sp_names_add(n, "operator new(unsigned long)");
	const char *b = sp_names_add(n, "operator new(unsigned long)");
	assert_ptr_equal(a, b);
	assert_string_equal(sp_names_add(n, "evil\033[2Jname"), "evil?[2Jname");
	assert_null(sp_names_add(n, NULL));
	assert_int_equal(n->nr_refused, 0);
	sp_names_done(n);
	free(n);
}

static void names_over_the_maximum_are_refused_and_counted(void **state)
{
	struct sp_names *n = malloc(sizeof(*n));
	char text[1024];
	size_t nr = 0;

	(void)state;
	sp_names_init(n, 128 << 10); /* two chunks */
	memset(text, 'x', sizeof(text));
	for (; nr < 1000; nr++) {
		snprintf(text + 1000, 24, "%zu", nr);
		if (!sp_names_add(n, text))
			break;
	}
	assert_in_range(nr, 100, 130);
	assert_int_equal(n->nr_refused, 1);
	snprintf(text + 1000, 24, "0");
	assert_non_null(sp_names_add(n, text)); /* known ones go on working */
	sp_names_done(n);
	free(n);
}

static void a_name_longer_than_any_is_cut(void **state)
{
	struct sp_names *n = malloc(sizeof(*n));
	char *text = malloc(3 * SP_NAME_MAX_BYTES);

	(void)state;
	memset(text, 'y', 3 * SP_NAME_MAX_BYTES);
	text[3 * SP_NAME_MAX_BYTES - 1] = '\0';
	sp_names_init(n, 1 << 20);
	assert_int_equal(strlen(sp_names_add(n, text)), SP_NAME_MAX_BYTES - 1);
	sp_names_done(n);
	free(text);
	free(n);
}

/* ---- demangling ---- */

static void mangled_names_of_cxx_rust_and_d_become_readable(void **state)
{
	static const struct {
		const char *symbol, *want;
	} rows[] = {
	    {"_Znwm", "operator new(unsigned long)"},
	    {"_ZN3foo3barIiEEvT_", "void foo::bar<int>(int)"},
	    {"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const"},
	    {"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back(int const&)"},
	    {"_Z3foov.cold", "foo() [clone .cold]"},
	    {"_ZN5alloc3vec12Vec$LT$T$GT$4push17h0123456789abcdefE", "alloc::vec::Vec<T>::push"},
	    {"_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE",
	     "core::ptr::drop_in_place<alloc::string::String>"},
	    {"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
	    {"_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"},
	    {"_D8demangle4testFAiZv", "demangle.test(int[])"},
	    {"malloc", NULL},
	    {"__libc_start_main", NULL},
	    {"_ZN", NULL},
	    {"_", NULL},
	    {"", NULL},
	};
	char buf[4096];

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++) {
		const char *got = sp_demangle(rows[i].symbol, buf, sizeof(buf));

		if (rows[i].want) {
			assert_non_null(got);
			assert_string_equal(got, rows[i].want);
		} else {
			assert_null(got);
		}
	}
}

/* f(pair<int, int>, pair<1st, 1st>, pair<2nd, 2nd>...): each argument is twice as long as the one before. */
static void a_name_that_explodes_is_refused_soon(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char name[2048] = "_Z1fSt4pairIiiE", buf[16384];
	size_t at = strlen(name);

	(void)state;
	assert_string_equal(sp_demangle("_Z1fSt4pairIiiES_IS0_S0_E", buf, sizeof(buf)),
			    "f(std::pair<int, int>, std::pair<std::pair<int, int>, std::pair<int, int> >)");
	for (int i = 0; digits[i]; i++)
		at += (size_t)snprintf(name + at, sizeof(name) - at, "S_IS%c_S%c_E", digits[i], digits[i]);
	assert_null(sp_demangle(name, buf, sizeof(buf)));
	memset(name, 'x', sizeof(name) - 1);
	memcpy(name, "_D", 2);
	assert_null(sp_demangle(name, buf, sizeof(buf)));
}

/* ---- perf maps ---- */

static const char *name_at(const struct sp_perfmap *m, uint64_t addr)
{
	const char *name = NULL;

	return sp_perfmap_find(m, addr, &name) ? name : "";
}

static void append(struct sp_perfmap *m, const char *text)
{
	assert_int_equal(sp_perfmap_append(m, text, strlen(text)), 0);
}

static void perf_maps_are_read_in_any_portions(void **state)
{
	struct sp_perfmap m;

	(void)state;
	sp_perfmap_init(&m);
	append(&m, "1000 10 one\n20");
	assert_string_equal(name_at(&m, 0x1008), "one");
	assert_string_equal(name_at(&m, 0x2008), "");
	append(&m, "00 10 two ");
	append(&m, "words\n0x3000 0x8 three\r\n");
	assert_string_equal(name_at(&m, 0x2008), "two words");
	assert_string_equal(name_at(&m, 0x3007), "three\r");
	assert_string_equal(name_at(&m, 0x1010), "");
	assert_string_equal(name_at(&m, 0xfff), "");
	sp_perfmap_done(&m);
}

static void the_newest_function_at_an_address_wins(void **state)
{
	struct sp_perfmap m;

	(void)state;
	sp_perfmap_init(&m);
	append(&m, "1000 100 old\n1080 20 inner\n1000 40 new\n");
	assert_string_equal(name_at(&m, 0x1000), "new");
	assert_string_equal(name_at(&m, 0x1050), "old");
	assert_string_equal(name_at(&m, 0x1090), "inner");
	assert_string_equal(name_at(&m, 0x10ff), "old");
	sp_perfmap_done(&m);
}

static void bad_lines_of_a_perf_map_are_skipped(void **state)
{
	struct sp_perfmap m;

	(void)state;
	sp_perfmap_init(&m);
	append(&m, "\n \nroot:x:0:0\n1000\n1000 10\n1000 10 \n1000 0 zero\nffffffffffffffff 10 wraps\n"
		   "11111111111111111 10 toobig\n-1 10 minus\n5000 10 good\n");
	assert_int_equal(m.entries.nr, 1);
	assert_string_equal(name_at(&m, 0x5000), "good");
	sp_perfmap_done(&m);
}

static void a_perf_map_over_the_maximum_is_not_taken(void **state)
{
	struct sp_perfmap m;
	char *text = malloc(SP_PERFMAP_MAX_BYTES + 1);

	(void)state;
	memset(text, '\n', SP_PERFMAP_MAX_BYTES + 1);
	sp_perfmap_init(&m);
	assert_int_equal(sp_perfmap_append(&m, text, SP_PERFMAP_MAX_BYTES + 1), -EFBIG);
	append(&m, "1000 10 one\n");
	assert_string_equal(name_at(&m, 0x1000), "one");
	sp_perfmap_done(&m);
	free(text);
}

/* ---- the kernel ---- */

static const char kallsyms[] = "ffffffff81000000 T _text\n"
			       "ffffffff81000000 T startup_64\n"
			       "ffffffff81000100 t do_one\n"
			       "ffffffff81000200 T kmalloc_trace\n"
			       "ffffffff81000300 D jiffies\n"
			       "ffffffffc0000000 t ext4_alloc\t[ext4]\n"
			       "ffffffffc0000040 d ext4_data\t[ext4]\n"
			       "bad line\n"
			       "ffffffffc0001000 t bpf_prog_1\t[bpf]";

static void kernel_addresses_have_functions_and_modules(void **state)
{
	struct sp_symbolizer *s;
	struct tree t;
	struct sp_frame f;

	(void)state;
	tree_init(&t);
	tree_put(&t, "kallsyms", kallsyms);
	assert_int_equal(sp_symbolizer_open_kernel(&t.fs, &s, NULL), 0);
	assert_int_equal(sp_symbolize(s, 0xffffffff81000210, true, &f, 1), 1);
	assert_string_equal(f.function, "kmalloc_trace");
	assert_string_equal(f.module, "[kernel]");
	assert_int_equal(f.offset, 0x10);
	/* A return address behind the last instruction of a function belongs to that function. */
	sp_symbolize(s, 0xffffffff81000200, true, &f, 1);
	assert_string_equal(f.function, "do_one");
	assert_int_equal(f.offset, 0x100);
	sp_symbolize(s, 0xffffffff81000200, false, &f, 1);
	assert_string_equal(f.function, "kmalloc_trace");
	sp_symbolize(s, 0xffffffff81000001, true, &f, 1);
	assert_string_equal(f.function, "_text");
	sp_symbolize(s, 0xffffffffc0000010, true, &f, 1);
	assert_string_equal(f.function, "ext4_alloc");
	assert_string_equal(f.module, "[ext4]");
	sp_symbolizer_close(s);
	tree_done(&t);
}

static void kernel_data_and_gaps_have_no_function(void **state)
{
	static const uint64_t addresses[] = {0xffffffff81000310, 0xffffffffc0000050, 0x1000, 0xfffffffffffffff0, 0};
	struct sp_symbolizer *s;
	struct tree t;
	struct sp_frame f;

	(void)state;
	tree_init(&t);
	tree_put(&t, "kallsyms", kallsyms);
	assert_int_equal(sp_symbolizer_open_kernel(&t.fs, &s, NULL), 0);
	for (size_t i = 0; i < SP_ARRAY_SIZE(addresses); i++) {
		assert_int_equal(sp_symbolize(s, addresses[i], false, &f, 1), 1);
		assert_null(f.function);
	}
	sp_symbolizer_refresh(s, 0);
	sp_symbolizer_close(s);
	tree_done(&t);
}

static void hidden_kernel_addresses_are_explained(void **state)
{
	struct sp_symbolizer *s;
	struct sp_why why = {};
	struct tree t;

	(void)state;
	tree_init(&t);
	tree_put(&t, "kallsyms", "0000000000000000 T _text\n0000000000000000 t do_one\n");
	assert_int_equal(sp_symbolizer_open_kernel(&t.fs, &s, &why), -EPERM);
	assert_non_null(strstr(why.hint, "kernel.kptr_restrict"));
	assert_int_equal(why.fault, SP_FAULT_TARGET);
	tree_done(&t);
	why = (struct sp_why){};
	assert_int_equal(sp_symbolizer_open_kernel(&t.fs, &s, &why), -ENOENT);
	assert_true(sp_why_is_set(&why));
}

static void the_running_kernel_can_be_read(void **state)
{
	struct sp_symbolizer *s;
	struct sp_why why = {};
	int err = sp_symbolizer_open_kernel(NULL, &s, &why);

	(void)state;
	if (err) {
		print_message("skipped: %s\n", why.what);
		skip();
	}
	sp_symbolizer_close(s);
}

/* ---- tables ---- */

static void a_table_answers_what_was_added_innermost_first(void **state)
{
	struct sp_symbolizer *s;
	struct sp_frame f[4];
	char name[] = "inner";

	(void)state;
	assert_int_equal(sp_symbolizer_open_table(&s), 0);
	assert_int_equal(sp_symbolizer_add(s, &(struct sp_frame){.address = 16, .function = name, .inlined = true}), 0);
	name[0] = 'X';
	assert_int_equal(sp_symbolizer_add(s, &(struct sp_frame){.address = 32, .function = "other"}), 0);
	assert_int_equal(sp_symbolizer_add(s, &(struct sp_frame){.address = 16,
								 .function = "outer()",
								 .raw_function = "_Z5outerv",
								 .offset = 7,
								 .module = "app",
								 .file = "a.cc",
								 .line = 3}),
			 0);
	assert_int_equal(sp_symbolize(s, 16, true, f, 4), 2);
	assert_string_equal(f[0].function, "inner");
	assert_true(f[0].inlined);
	assert_string_equal(f[1].function, "outer()");
	assert_string_equal(f[1].raw_function, "_Z5outerv");
	assert_int_equal(f[1].offset, 7);
	assert_int_equal(sp_symbolize(s, 16, true, f, 1), 1);
	assert_int_equal(sp_symbolize(s, 64, true, f, 4), 1);
	assert_null(f[0].function);
	assert_int_equal(f[0].address, 64);
	sp_symbolizer_close(s);
}

static void only_tables_can_be_added_to(void **state)
{
	struct sp_symbolizer *s;
	struct tree t;

	(void)state;
	tree_init(&t);
	tree_put(&t, "kallsyms", kallsyms);
	assert_int_equal(sp_symbolizer_open_kernel(&t.fs, &s, NULL), 0);
	assert_int_equal(sp_symbolizer_add(s, &(struct sp_frame){.address = 1}), -EINVAL);
	sp_symbolizer_close(s);
	sp_symbolizer_close(NULL);
	tree_done(&t);
}

/* ---- the cache, memory ---- */

static void the_cache_of_answers_is_bounded_and_strings_survive_it(void **state)
{
	struct sp_symbolizer *s;
	struct tree t;
	struct sp_frame first, f;

	(void)state;
	tree_init(&t);
	tree_put(&t, "kallsyms", kallsyms);
	assert_int_equal(sp_symbolizer_open_kernel(&t.fs, &s, NULL), 0);
	sp_symbolize(s, 0xffffffff81000210, true, &first, 1);
	for (uint64_t a = 0; a < 150000; a++)
		sp_symbolize(s, a, true, &f, 1);
	assert_in_range(s->answers.list.nr, 1, 65536);
	assert_string_equal(first.function, "kmalloc_trace");
	sp_symbolize(s, 0xffffffff81000210, true, &f, 1);
	assert_ptr_equal(f.function, first.function);
	sp_symbolizer_close(s);
	tree_done(&t);
}

static void scenario(const struct sp_procfs *fs)
{
	struct sp_symbolizer *s;
	struct sp_frame f[2];

	if (sp_symbolizer_open_kernel(fs, &s, NULL) == 0) {
		for (uint64_t a = 0xffffffff81000000; a < 0xffffffff81000400; a += 0x80)
			assert_int_equal(sp_symbolize(s, a, false, f, 2), 1);
		sp_symbolizer_close(s);
	}
	if (sp_symbolizer_open_table(&s) == 0) {
		for (uint64_t a = 0; a < 64; a++) {
			int err = sp_symbolizer_add(s, &(struct sp_frame){.address = a / 2, .function = "f"});

			assert_true(err == 0 || err == -ENOMEM);
		}
		for (uint64_t a = 0; a < 32; a++)
			assert_in_range(sp_symbolize(s, a, false, f, 2), 1, 2);
		sp_symbolizer_close(s);
	}
	struct sp_perfmap m;
	sp_perfmap_init(&m);
	if (sp_perfmap_append(&m, "1000 10 one\n2000 10 two\n", 24) == 0)
		sp_perfmap_find(&m, 0x1000, &(const char *){NULL});
	sp_perfmap_done(&m);
}

static int nothing_in_target(void *ctx, const char *path)
{
	(void)ctx;
	(void)path;
	return -ENOENT;
}

static unsigned object_scenario(const char *name)
{
	const struct sp_debug_search search = {.open_in_target = nothing_in_target, .host_dir = "/nowhere"};
	uint64_t bytes_left = 1 << 20, start, vaddr;
	const struct sp_object_options opt = {.search = &search, .debug_bytes_left = &bytes_left};
	struct sp_object_frame f[4];
	char path[PATH_MAX];
	struct sp_object *o;
	unsigned nr_named = 0;

	snprintf(path, sizeof(path), "%s/../../fuzz/corpus/symbolize/%s", SP_TEST_DATA, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (sp_object_open(fd, "/usr/bin/app", &opt, &o) < 0)
		return 0;
	for (uint64_t off = 0; off < 4096; off += 8) {
		if (!sp_object_vaddr(o, off, &vaddr))
			continue;
		assert_in_range(sp_object_frames(o, vaddr, f, 4, &start), 1, 4);
		nr_named += f[0].name != NULL;
	}
	sp_object_close(o);
	return nr_named;
}

static void every_allocation_of_an_object_may_fail(void **state)
{
	static const char *const names[] = {"dwarf5", "dwarf4_compressed", "clang", "minidebug", "link"};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		long n = 0;
		unsigned nr_named;

		do {
			alloc_arm(n++);
			nr_named = object_scenario(names[i]);
		} while (alloc_disarm());
		assert_in_range(n, 3, 200);
		assert_true(nr_named > 0);
	}
}

static void every_allocation_may_fail(void **state)
{
	struct tree t;
	long n = 0;

	(void)state;
	tree_init(&t);
	tree_put(&t, "kallsyms", kallsyms);
	do {
		alloc_arm(n++);
		scenario(&t.fs);
	} while (alloc_disarm());
	assert_in_range(n, 10, 1000);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_texts_are_one_string),
	    cmocka_unit_test(names_over_the_maximum_are_refused_and_counted),
	    cmocka_unit_test(a_name_longer_than_any_is_cut),
	    cmocka_unit_test(mangled_names_of_cxx_rust_and_d_become_readable),
	    cmocka_unit_test(a_name_that_explodes_is_refused_soon),
	    cmocka_unit_test(perf_maps_are_read_in_any_portions),
	    cmocka_unit_test(the_newest_function_at_an_address_wins),
	    cmocka_unit_test(bad_lines_of_a_perf_map_are_skipped),
	    cmocka_unit_test(a_perf_map_over_the_maximum_is_not_taken),
	    cmocka_unit_test(kernel_addresses_have_functions_and_modules),
	    cmocka_unit_test(kernel_data_and_gaps_have_no_function),
	    cmocka_unit_test(hidden_kernel_addresses_are_explained),
	    cmocka_unit_test(the_running_kernel_can_be_read),
	    cmocka_unit_test(a_table_answers_what_was_added_innermost_first),
	    cmocka_unit_test(only_tables_can_be_added_to),
	    cmocka_unit_test(the_cache_of_answers_is_bounded_and_strings_survive_it),
	    cmocka_unit_test(every_allocation_may_fail),
	    cmocka_unit_test(every_allocation_of_an_object_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
