// SPDX-License-Identifier: Apache-2.0
/* symbolize/: running programs in many debug dresses, and what addr2line says of them. */
#include "symbolize_judge.h"

static struct inputs inputs; /* cmocka's group state */

static int set_up(void **state)
{
	*state = &inputs;
	return inputs_init(&inputs);
}

static int tear_down(void **state)
{
	(void)state;
	tree_done(&inputs.tree);
	return 0;
}

static const char *path_to(const char *name)
{
	static char path[PATH_MAX / 2];

	snprintf(path, sizeof(path), "%s/%s", inputs.tree.dir, name);
	return path;
}

/* ---- every call in every program ---- */

static void compare_program(const char *name, const char *reference)
{
	char line[8192], path[PATH_MAX], list[PATH_MAX];
	uint64_t calls[1024];
	unsigned nr = 0, nr_inlined = 0;
	struct running r;
	struct sp_symbolizer *s;

	snprintf(path, sizeof(path), "%s", path_to(name));
	size_t nr_calls = list_calls(path_to(reference), calls, SP_ARRAY_SIZE(calls));
	snprintf(list, sizeof(list), "%s", path_to("addresses"));
	FILE *f = fopen(list, "w");
	assert_non_null(f);
	for (size_t i = 0; i < nr_calls; i++)
		fprintf(f, "0x%llx\n", (unsigned long long)calls[i] - 1);
	fclose(f);

	start(&r, NULL, path, true);
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	f = run("%s -a -f -i -e %s <%s", judge_of(name), path_to(reference), list);
	assert_non_null(fgets(line, sizeof(line), f)); /* the first address */
	for (size_t i = 0; i < nr_calls; i++)
		nr += compare_address(s, is_judged_raw(name), bias_of(&r, path), calls[i], f, line, sizeof(line),
				      &nr_inlined);
	pclose(f);
	sp_symbolizer_close(s);
	end(&r);
	print_message("%-16s %3zu calls, %3u frames as addr2line's, %3u of them inlined\n", name, nr_calls, nr,
		      nr_inlined);
	assert_true(nr > 10);
	assert_true(nr_inlined > 0 || strstr(name, "_o0"));
}

static void every_dress_has_the_names_and_lines_of_addr2line(void **state)
{
	(void)state;
	for (size_t i = 0; i < inputs.nr; i++)
		compare_program(inputs.dresses[i].name, inputs.dresses[i].reference);
}

/* ---- one address in one program ---- */

/* The innermost frame one byte into the function. Fills *f; strings are good until s is closed. */
static struct sp_symbolizer *look(struct running *r, const char *name, uint64_t vaddr, struct sp_frame *f,
				  const struct sp_symbolize_options *opt)
{
	struct sp_symbolizer *s;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", path_to(name));
	start(r, NULL, path, true);
	assert_int_equal(sp_symbolizer_open(r->proc, opt, &s, NULL), 0);
	assert_true(sp_symbolize(s, bias_of(r, path) + vaddr + 1, true, f, 1) == 1);
	return s;
}

static void a_stripped_file_does_not_give_far_addresses_the_nearest_exported_name(void **state)
{
	struct running r;
	struct sp_frame f;

	(void)state;
	struct sp_symbolizer *s = look(&r, "c_none", symbol_in(path_to("c_plain"), "chain"), &f, NULL);
	assert_null(f.function);
	assert_string_equal(f.module, "c_none");
	assert_non_null(f.build_id);
	assert_int_equal(f.module_offset, symbol_in(path_to("c_plain"), "chain") + 1);
	sp_symbolizer_close(s);
	end(&r);
}

static void a_debug_file_of_another_program_is_not_used(void **state)
{
	struct running r;
	struct sp_frame f;

	(void)state;
	struct sp_symbolizer *s = look(&r, "c_wrong", symbol_in(path_to("c_plain"), "chain"), &f, NULL);
	assert_null(f.function);
	assert_null(f.file);
	sp_symbolizer_close(s);
	end(&r);
}

static void minidebuginfo_names_functions_that_strip_took_away(void **state)
{
	struct running r;
	struct sp_frame f;

	(void)state;
	if (!inputs_have(&inputs, "c_mini")) {
		print_message("skipped: its input was not built: no xz\n");
		skip();
	}
	struct sp_symbolizer *s = look(&r, "c_mini", symbol_in(path_to("c_plain"), "chain"), &f, NULL);
	assert_string_equal(f.function, "chain");
	assert_null(f.file);
	assert_int_equal(f.offset, 1);
	sp_symbolizer_close(s);
	end(&r);
}

static void without_lines_only_the_physical_function_is_named(void **state)
{
	const struct sp_symbolize_options opt = {.no_lines = true};
	struct running r;
	struct sp_frame f;

	(void)state;
	struct sp_symbolizer *s = look(&r, "c_plain", symbol_in(path_to("c_plain"), "chain"), &f, &opt);
	assert_string_equal(f.function, "chain");
	assert_string_equal(f.raw_function, "chain");
	assert_null(f.file);
	assert_false(f.inlined);
	sp_symbolizer_close(s);
	end(&r);
}

static void a_deleted_program_keeps_its_names(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char path[PATH_MAX];

	(void)state;
	uint64_t chain = symbol_in(path_to("c_plain"), "chain");
	snprintf(path, sizeof(path), "%s", path_to("c_deleted"));
	assert_int_equal(pclose(run("cp %s %s", path_to("c_plain"), path)), 0);
	start(&r, NULL, path, true);
	uint64_t bias = bias_of(&r, path);
	assert_int_equal(unlink(path), 0);
	if (sp_symbolizer_open(r.proc, NULL, &s, NULL) == 0) {
		assert_int_equal(sp_symbolize(s, bias + chain + 1, true, &f, 1), 1);
		if (geteuid() == 0)
			assert_string_equal(f.function, "chain");
		assert_string_equal(f.module, "c_deleted");
		assert_non_null(f.file);
		sp_symbolizer_close(s);
	}
	end(&r);
}

static void names_survive_the_end_of_the_process(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char path[PATH_MAX];
	int status;

	(void)state;
	uint64_t chain = symbol_in(path_to("c_plain"), "chain");
	snprintf(path, sizeof(path), "%s", path_to("c_plain"));
	start(&r, NULL, path, true);
	uint64_t bias = bias_of(&r, path);
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	kill(r.pid, SIGKILL);
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	sp_symbolizer_refresh(s, 0);
	assert_int_equal(sp_symbolize(s, bias + chain + 1, true, &f, 1), 1);
	assert_string_equal(f.function, "chain");
	assert_non_null(f.file);
	sp_symbolizer_close(s);
	sp_proc_close(r.proc);
	fclose(r.in);
	fclose(r.out);
}

static void cached_answers_are_the_same_strings(void **state)
{
	struct running r;
	struct sp_frame f, again;

	(void)state;
	uint64_t chain = symbol_in(path_to("c_plain"), "chain");
	struct sp_symbolizer *s = look(&r, "c_plain", chain, &f, NULL);
	assert_int_equal(sp_symbolize(s, f.address, true, &again, 1), 1);
	assert_ptr_equal(f.function, again.function);
	assert_memory_equal(&f, &again, sizeof(f));
	/* The same address as a pc is another question. */
	assert_int_equal(sp_symbolize(s, f.address, false, &again, 1), 1);
	assert_string_equal(again.function, "chain");
	assert_int_equal(sp_symbolize(s, f.address, true, &again, 0), 0);
	assert_int_equal(sp_symbolizer_nr_unnamed(s), 0);
	sp_symbolizer_close(s);
	end(&r);
}

/* ---- other roots ---- */

/* A root with the program in it, and its debug file in /usr/lib/debug/.build-id of that root. */
static bool make_root(char *root, size_t size)
{
	char id[256] = "", line[512];
	FILE *f = run("readelf -n %s", path_to("c_static"));

	while (fgets(line, sizeof(line), f))
		sscanf(line, " Build ID: %255s", id);
	pclose(f);
	snprintf(root, size, "%s/root", inputs.tree.dir);
	if (strlen(id) < 4)
		return false;
	return pclose(run("set -e; d=%s/usr/lib/debug/.build-id/%.2s; mkdir -p $d %s/only/here;"
			  "cp %s/c_static %s/only/here/app; cd %s/only/here;"
			  "objcopy --only-keep-debug app $d/%s.debug; strip app",
			  root, id, root, inputs.tree.dir, root, root, id + 2)) == 0;
}

static void files_come_from_the_targets_own_root(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char root[PATH_MAX / 2];

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: chroot needs root\n");
		skip();
	}
	assert_true(make_root(root, sizeof(root)));
	start(&r, root, "/only/here/app", true);
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	assert_int_equal(sp_symbolize(s, symbol_in(path_to("c_static"), "chain") + 1, true, &f, 1), 1);
	assert_string_equal(f.function, "chain");
	assert_non_null(strstr(f.file, "chain.c"));
	assert_string_equal(f.module, "app");
	sp_symbolizer_close(s);
	end(&r);
}

/* ---- what changes while we look ---- */

static void an_unloaded_library_explains_its_addresses_until_another_one_is_there(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char lib[PATH_MAX], loader[PATH_MAX];

	(void)state;
	snprintf(lib, sizeof(lib), "%s", path_to("libplug.so"));
	snprintf(loader, sizeof(loader), "%s", path_to("loader"));
	start(&r, NULL, loader, false);
	tell(&r, "hello");
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	uint64_t plugged = tell(&r, "load %s", lib);
	assert_int_not_equal(plugged, 0);
	sp_symbolize(s, plugged + 1, true, &f, 1);
	assert_null(f.function);
	sp_symbolizer_refresh(s, 0);
	sp_symbolize(s, plugged + 1, true, &f, 1);
	assert_string_equal(f.function, "plugged");
	assert_string_equal(f.module, "libplug.so");
	assert_string_equal(f.module_path, lib);
	tell(&r, "unload");
	sp_symbolizer_refresh(s, 0);
	sp_symbolize(s, plugged + 1, true, &f, 1);
	assert_string_equal(f.function, "plugged");
	sp_symbolizer_close(s);
	end(&r);
}

/* Which library an address of a call path of that time is named by. */
static const char *module_then(struct sp_symbolizer *s, uint64_t address, uint64_t when_ns)
{
	uint64_t pcs[] = {address};
	struct sp_frame f;

	assert_true(sp_symbolizer_bind(s, pcs, 1, when_ns));
	assert_int_equal(sp_symbolize(s, pcs[0], true, &f, 1), 1);
	assert_true(f.address == address);
	assert_string_equal(f.function, "plugged");
	return f.module;
}

static void a_library_in_the_place_of_another_has_its_own_names(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	char plug[PATH_MAX], other[PATH_MAX], loader[PATH_MAX];

	(void)state;
	snprintf(plug, sizeof(plug), "%s", path_to("libplug.so"));
	snprintf(other, sizeof(other), "%s", path_to("libother.so"));
	snprintf(loader, sizeof(loader), "%s", path_to("loader"));
	start(&r, NULL, loader, false);
	tell(&r, "hello");
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	uint64_t place = tell(&r, "load %s", plug) + 1, plain = place;
	sp_symbolizer_refresh(s, 100);
	assert_false(sp_symbolizer_bind(s, &plain, 1, 150));
	uint64_t before = sp_symbolizer_epoch(s, UINT64_MAX);
	tell(&r, "unload");
	assert_true(tell(&r, "load %s", other) + 1 == place);
	sp_symbolizer_refresh(s, 200);
	assert_true(sp_symbolizer_epoch(s, UINT64_MAX) > before);
	assert_true(sp_symbolizer_epoch(s, 150) < sp_symbolizer_epoch(s, 250));
	assert_string_equal(module_then(s, place, 150), "libplug.so");
	assert_string_equal(module_then(s, place, 250), "libother.so");
	tell(&r, "unload");
	sp_symbolizer_refresh(s, 300);
	assert_true(tell(&r, "load %s", plug) + 1 == place);
	sp_symbolizer_refresh(s, 400);
	assert_string_equal(module_then(s, place, 150), "libplug.so");
	assert_string_equal(module_then(s, place, 250), "libother.so");
	assert_string_equal(module_then(s, place, 450), "libplug.so");
	assert_false(sp_symbolizer_bind(s, &plain, 0, 450));
	assert_true(plain == place);
	sp_symbolizer_close(s);
	end(&r);
}

/* Where the code of that file begins. */
static uint64_t code_of(struct sp_proc *p, const char *path)
{
	struct sp_maps maps = {0};
	uint64_t start = 0;

	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	for (size_t i = 0; i < maps.nr && !start; i++)
		if (maps.list[i].prot & SP_PROT_X && !strcmp(maps.list[i].path, path))
			start = maps.list[i].start;
	sp_maps_done(&maps);
	assert_int_not_equal(start, 0);
	return start;
}

static const char *name_then(struct sp_symbolizer *s, uint64_t address, uint64_t when_ns)
{
	uint64_t pcs[] = {address};
	struct sp_frame f;

	(void)sp_symbolizer_bind(s, pcs, 1, when_ns);
	assert_int_equal(sp_symbolize(s, pcs[0], true, &f, 1), 1);
	assert_true(f.address == address);
	return f.module;
}

static void who_may_have_come_and_gone_unseen_is_not_named_by_its_successor(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	char plug[PATH_MAX], other[PATH_MAX], loader[PATH_MAX];

	(void)state;
	snprintf(plug, sizeof(plug), "%s", path_to("libplug.so"));
	snprintf(other, sizeof(other), "%s", path_to("libother.so"));
	snprintf(loader, sizeof(loader), "%s", path_to("loader"));
	start(&r, NULL, loader, false);
	tell(&r, "hello");
	uint64_t own = code_of(r.proc, loader) + 1;
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	uint64_t place = tell(&r, "load %s", plug) + 1;
	tell(&r, "unload");
	sp_symbolizer_unsure(s, 100, 150); /* a look that saw nothing of it */
	assert_true(tell(&r, "load %s", other) + 1 == place);
	sp_symbolizer_refresh(s, 200);
	assert_null(name_then(s, place, 120));
	assert_string_equal(name_then(s, place, 220), "libother.so");
	assert_string_equal(name_then(s, own, 120), "loader");
	assert_int_equal(sp_symbolizer_nr_unseen(s), 1);
	assert_null(name_then(s, place, 130));
	assert_int_equal(sp_symbolizer_nr_unseen(s), 1);
	tell(&r, "unload"); /* and others until 350, which may have been there; at the end it is plug */
	sp_symbolizer_unsure(s, 300, 350);
	assert_true(tell(&r, "load %s", plug) + 1 == place);
	sp_symbolizer_refresh(s, 300);
	assert_string_equal(name_then(s, place, 299), "libother.so");
	assert_null(name_then(s, place, 320));
	assert_string_equal(name_then(s, place, 350), "libplug.so");
	assert_true(sp_symbolizer_epoch(s, 320) != sp_symbolizer_epoch(s, 350));
	sp_symbolizer_close(s);
	end(&r);
}

static void put_perf_map(pid_t pid, const char *how, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)pid);
	FILE *f = fopen(path, how);
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_perf_map_names_jit_code_and_is_read_on_when_it_grows(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char loader[PATH_MAX], text[256];

	(void)state;
	snprintf(loader, sizeof(loader), "%s", path_to("loader"));
	start(&r, NULL, loader, false);
	uint64_t code = tell(&r, "jit");
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	sp_symbolize(s, code + 0x11, true, &f, 1);
	assert_string_equal(f.module, "[jit]");
	assert_null(f.function);
	snprintf(text, sizeof(text), "%lx 20 LazyCompile:~one /app/\033x.js:3\n", (unsigned long)code);
	put_perf_map(r.pid, "w", text);
	sp_symbolize(s, code + 0x11, true, &f, 1);
	assert_string_equal(f.function, "LazyCompile:~one /app/?x.js:3");
	assert_int_equal(f.offset, 0x11);
	snprintf(text, sizeof(text), "%lx 20 two\n", (unsigned long)code + 0x20);
	put_perf_map(r.pid, "a", text);
	sp_symbolize(s, code + 0x21, true, &f, 1);
	assert_string_equal(f.function, "two");
	snprintf(text, sizeof(text), "/tmp/perf-%d.map", (int)r.pid);
	unlink(text);
	sp_symbolizer_close(s);
	end(&r);
}

static void a_perf_map_of_somebody_else_is_not_believed(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char loader[PATH_MAX], text[256];

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: giving a file away needs root\n");
		skip();
	}
	snprintf(loader, sizeof(loader), "%s", path_to("loader"));
	start(&r, NULL, loader, false);
	uint64_t code = tell(&r, "jit");
	snprintf(text, sizeof(text), "%lx 20 planted\n", (unsigned long)code);
	put_perf_map(r.pid, "w", text);
	snprintf(text, sizeof(text), "/tmp/perf-%d.map", (int)r.pid);
	assert_int_equal(chown(text, 12345, 12345), 0);
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	sp_symbolize(s, code + 0x11, true, &f, 1);
	assert_null(f.function);
	unlink(text);
	sp_symbolizer_close(s);
	end(&r);
}

static void code_mapped_from_a_file_that_is_not_elf_has_the_files_name(void **state)
{
	struct running r;
	struct sp_symbolizer *s;
	struct sp_frame f;
	char loader[PATH_MAX];

	(void)state;
	tree_put(&inputs.tree, "blob", "this is no ELF file");
	snprintf(loader, sizeof(loader), "%s", path_to("loader"));
	start(&r, NULL, loader, false);
	uint64_t code = tell(&r, "map %s", path_to("blob"));
	assert_int_equal(sp_symbolizer_open(r.proc, NULL, &s, NULL), 0);
	sp_symbolize(s, code + 1, true, &f, 1);
	assert_string_equal(f.module, "blob");
	assert_null(f.function);
	sp_symbolizer_close(s);
	end(&r);
}

static void the_vdso_has_names(void **state)
{
	struct sp_maps maps;
	struct running r;
	struct sp_frame f = {};
	bool is_named = false;

	(void)state;
	struct sp_symbolizer *s = look(&r, "c_plain", symbol_in(path_to("c_plain"), "chain"), &f, NULL);
	assert_int_equal(sp_proc_maps(r.proc, &maps, NULL), 0);
	for (size_t i = 0; i < maps.nr; i++) {
		if (strcmp(maps.list[i].path, "[vdso]") != 0)
			continue;
		for (uint64_t a = maps.list[i].start; !is_named && a < maps.list[i].end; a += 16) {
			sp_symbolize(s, a, false, &f, 1);
			assert_string_equal(f.module, "[vdso]");
			is_named = f.function && strstr(f.function, "gettime");
		}
	}
	assert_true(is_named);
	sp_maps_done(&maps);
	sp_symbolizer_close(s);
	end(&r);
}

static void an_address_that_nothing_explains_is_an_empty_frame(void **state)
{
	struct running r;
	struct sp_frame f;

	(void)state;
	struct sp_symbolizer *s = look(&r, "c_plain", symbol_in(path_to("c_plain"), "chain"), &f, NULL);
	assert_int_equal(sp_symbolize(s, 0x10, true, &f, 1), 1);
	assert_int_equal(f.address, 0x10);
	assert_null(f.function);
	assert_null(f.module);
	assert_int_equal(sp_symbolize(s, 0, true, &f, 1), 1);
	assert_int_equal(sp_symbolize(s, UINT64_MAX, true, &f, 1), 1);
	assert_null(f.module);
	sp_symbolizer_close(s);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_dress_has_the_names_and_lines_of_addr2line),
	    cmocka_unit_test(a_stripped_file_does_not_give_far_addresses_the_nearest_exported_name),
	    cmocka_unit_test(a_debug_file_of_another_program_is_not_used),
	    cmocka_unit_test(minidebuginfo_names_functions_that_strip_took_away),
	    cmocka_unit_test(without_lines_only_the_physical_function_is_named),
	    cmocka_unit_test(a_deleted_program_keeps_its_names),
	    cmocka_unit_test(names_survive_the_end_of_the_process),
	    cmocka_unit_test(cached_answers_are_the_same_strings),
	    cmocka_unit_test(files_come_from_the_targets_own_root),
	    cmocka_unit_test(an_unloaded_library_explains_its_addresses_until_another_one_is_there),
	    cmocka_unit_test(a_library_in_the_place_of_another_has_its_own_names),
	    cmocka_unit_test(who_may_have_come_and_gone_unseen_is_not_named_by_its_successor),
	    cmocka_unit_test(a_perf_map_names_jit_code_and_is_read_on_when_it_grows),
	    cmocka_unit_test(a_perf_map_of_somebody_else_is_not_believed),
	    cmocka_unit_test(code_mapped_from_a_file_that_is_not_elf_has_the_files_name),
	    cmocka_unit_test(the_vdso_has_names),
	    cmocka_unit_test(an_address_that_nothing_explains_is_an_empty_frame),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
