// SPDX-License-Identifier: Apache-2.0
/* proc/: modules and their order, the dynamic linker's list, symbols in memory; also when the target lies. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "proc_fixture.h"

/* ---- memory that a test writes: one array at one address ---- */

enum { MEM_BASE = 0x10000, MEM_SIZE = 1 << 20 };

struct script {
	unsigned char bytes[MEM_SIZE];
	unsigned nr_reads;
};

static ssize_t script_read(void *arg, sp_raddr addr, void *buf, size_t len)
{
	struct script *s = arg;

	s->nr_reads++;
	if (addr.v < MEM_BASE || addr.v - MEM_BASE >= MEM_SIZE)
		return -EIO;
	size_t left = MEM_SIZE - (size_t)(addr.v - MEM_BASE);
	if (len > left)
		len = left;
	memcpy(buf, s->bytes + (addr.v - MEM_BASE), len);
	return (ssize_t)len;
}

static void poke(struct script *s, uint64_t addr, const void *bytes, size_t len)
{
	assert_true(addr >= MEM_BASE && addr + len <= MEM_BASE + MEM_SIZE);
	memcpy(s->bytes + (addr - MEM_BASE), bytes, len);
}

static void poke_u64(struct script *s, uint64_t addr, uint64_t v)
{
	poke(s, addr, &v, sizeof(v));
}

/* Program headers at MEM_BASE, the dynamic section at +0x1000 with DT_DEBUG to +0x2000, whose list begins at `head`. */
static struct sp_auxv script_program(struct script *s, uint64_t head)
{
	Elf64_Phdr ph[2] = {{.p_type = PT_PHDR, .p_vaddr = 0},
			    {.p_type = PT_DYNAMIC, .p_vaddr = 0x1000, .p_memsz = 32 * sizeof(Elf64_Dyn)}};
	Elf64_Dyn dyn[3] = {{.d_tag = DT_NEEDED}, {.d_tag = DT_DEBUG, .d_un.d_ptr = MEM_BASE + 0x2000}};

	memset(s, 0, sizeof(*s));
	poke(s, MEM_BASE, ph, sizeof(ph));
	poke(s, MEM_BASE + 0x1000, dyn, sizeof(dyn));
	poke_u64(s, MEM_BASE + 0x2000, 1);
	poke_u64(s, MEM_BASE + 0x2008, head);
	return (struct sp_auxv){.phdr = MEM_BASE, .phnum = 2, .phent = sizeof(Elf64_Phdr)};
}

/* A struct link_map: its dynamic section and the next one. */
static void script_object(struct script *s, uint64_t at, uint64_t dynamic, uint64_t next)
{
	poke_u64(s, at + 16, dynamic);
	poke_u64(s, at + 24, next);
}

struct seen {
	uint64_t list[SP_LINK_MAP_MAX + 1];
	unsigned nr;
};

static void see(uint64_t dynamic, void *arg)
{
	struct seen *seen = arg;

	assert_true(seen->nr < SP_ARRAY_SIZE(seen->list));
	seen->list[seen->nr++] = dynamic;
}

static struct script script;
static struct seen seen;
static const struct sp_rmem script_mem = {.read = script_read, .arg = &script};

static int walk(const struct sp_auxv *aux)
{
	seen.nr = 0;
	return sp_link_map_walk(&script_mem, aux, see, &seen);
}

static void the_list_is_walked_in_order(void **state)
{
	struct sp_auxv aux = script_program(&script, MEM_BASE + 0x3000);

	(void)state;
	script_object(&script, MEM_BASE + 0x3000, 111, MEM_BASE + 0x5000);
	script_object(&script, MEM_BASE + 0x5000, 222, MEM_BASE + 0x4000);
	script_object(&script, MEM_BASE + 0x4000, 333, 0);
	assert_int_equal(walk(&aux), 3);
	assert_int_equal(seen.list[0], 111);
	assert_int_equal(seen.list[1], 222);
	assert_int_equal(seen.list[2], 333);
}

static void a_loop_ends(void **state)
{
	struct sp_auxv aux = script_program(&script, MEM_BASE + 0x3000);

	(void)state;
	script_object(&script, MEM_BASE + 0x3000, 1, MEM_BASE + 0x3000);
	assert_true(walk(&aux) <= 4);
	for (unsigned i = 0; i < 100; i++) /* a tail of 50 into a ring of 50 */
		script_object(&script, MEM_BASE + 0x4000 + i * 64, i, MEM_BASE + 0x4000 + (i == 99 ? 50 : i + 1) * 64);
	poke_u64(&script, MEM_BASE + 0x2008, MEM_BASE + 0x4000);
	assert_true(walk(&aux) < 400);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(seen.list[i], i);
}

static void an_endless_list_ends(void **state)
{
	struct sp_auxv aux = script_program(&script, MEM_BASE + 0x3000);

	(void)state;
	for (unsigned i = 0; i < 12000; i++)
		script_object(&script, MEM_BASE + 0x3000 + i * 40, i, MEM_BASE + 0x3000 + (i + 1) * 40);
	assert_int_equal(walk(&aux), SP_LINK_MAP_MAX);
}

static void a_list_that_leads_nowhere_keeps_what_was_read(void **state)
{
	struct sp_auxv aux = script_program(&script, MEM_BASE + 0x3000);

	(void)state;
	script_object(&script, MEM_BASE + 0x3000, 7, 0xdead0000dead0000);
	assert_int_equal(walk(&aux), 1);
	assert_int_equal(seen.list[0], 7);
	poke_u64(&script, MEM_BASE + 0x2008, MEM_BASE + MEM_SIZE - 8); /* half of it is unreadable */
	assert_int_equal(walk(&aux), -ENOENT);
}

static void without_a_list_there_is_an_error(void **state)
{
	struct sp_auxv aux = script_program(&script, 0);

	(void)state;
	assert_int_equal(walk(&aux), -ENOENT); /* too early: r_debug is still empty */
	poke_u64(&script, MEM_BASE + 0x1018, 0);
	assert_int_equal(walk(&aux), -ENOENT); /* DT_DEBUG is not filled in */
	poke_u64(&script, MEM_BASE + 0x1018, 12);
	assert_int_equal(walk(&aux), -EIO);
	poke_u64(&script, MEM_BASE + 0x1010, DT_NULL);
	assert_int_equal(walk(&aux), -ENOENT);
	aux.phnum = 100000;
	assert_int_equal(walk(&aux), -EINVAL);
	aux.phnum = 0;
	assert_int_equal(walk(&aux), -EINVAL);
	aux.phnum = 2;
	aux.phent = 1;
	assert_int_equal(walk(&aux), -EINVAL);
	aux.phent = sizeof(Elf64_Phdr);
	aux.phdr = 0;
	assert_int_equal(walk(&aux), -EIO);
}

static void a_dynamic_section_without_end_is_left_after_its_size(void **state)
{
	struct sp_auxv aux = script_program(&script, 0);
	uint64_t huge = UINT64_MAX;

	(void)state;
	for (uint64_t at = MEM_BASE + 0x1000; at + 16 < MEM_BASE + MEM_SIZE; at += 16)
		poke_u64(&script, at, 1);
	poke(&script, MEM_BASE + sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, p_memsz), &huge, sizeof(huge));
	script.nr_reads = 0;
	assert_int_equal(walk(&aux), -ENOENT);
	assert_true(script.nr_reads < 2000);
}

static void a_vector_cut_short_is_read_as_far_as_it_goes(void **state)
{
	Elf64_auxv_t v[3] = {{AT_PHDR, {64}}, {AT_NULL, {0}}, {AT_BASE, {7}}};
	struct sp_auxv aux;

	(void)state;
	sp_auxv_parse(v, sizeof(v), &aux);
	assert_int_equal(aux.phdr, 64);
	assert_int_equal(aux.base, 0);
	sp_auxv_parse(v, sizeof(v[0]) - 1, &aux);
	assert_int_equal(aux.phdr, 0);
	sp_auxv_parse(v, 0, &aux);
	assert_int_equal(aux.phdr, 0);
}

/* ---- symbols of our own dynamic linker, read through a child ---- */

static void symbols_of_the_dynamic_linker_are_found_in_memory(void **state)
{
	struct sp_proc *p;
	struct sp_image img;
	uint64_t addr;
	uint64_t base = getauxval(AT_BASE);
	void *expected = dlsym(RTLD_DEFAULT, "__tls_get_addr");

	(void)state;
	if (!base || !expected) {
		print_message("skipped: this test is a static program\n");
		skip();
	}
	pid_t pid = victim_start();
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	struct sp_rmem mem = sp_proc_rmem(p);
	assert_int_equal(sp_image_from_header(&mem, base, &img), 0);
	assert_int_equal(sp_dynsym_find(&mem, &img, "__tls_get_addr", &addr), 0);
	if ((uintptr_t)expected > base && (uintptr_t)expected - base < 1 << 20) /* else a sanitizer's own */
		assert_int_equal(addr, (uintptr_t)expected);
	assert_int_equal(sp_dynsym_find(&mem, &img, "_dl_debug_state", &addr), 0);
	assert_int_equal(sp_dynsym_find(&mem, &img, "no_such_symbol", &addr), -ENOENT);
	assert_int_equal(sp_dynsym_find(&mem, &img, "", &addr), -ENOENT);
	assert_int_equal(sp_image_from_header(&mem, base + 8, &img), -ENOEXEC);
	assert_int_equal(sp_image_from_header(&mem, 8, &img), -EIO);
	sp_proc_close(p);
	victim_stop(pid);
}

/* An image at MEM_BASE with two symbols and only a System V hash table. */
static void script_sysv(struct script *s, uint32_t first_chain)
{
	Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
			 .e_phoff = 64,
			 .e_phnum = 2,
			 .e_phentsize = sizeof(Elf64_Phdr)};
	Elf64_Phdr ph[2] = {{.p_type = PT_LOAD},
			    {.p_type = PT_DYNAMIC, .p_vaddr = 0x1000, .p_memsz = 8 * sizeof(Elf64_Dyn)}};
	Elf64_Dyn dyn[] = {{DT_SYMTAB, {0x2000}}, {DT_STRTAB, {0x3000}}, {DT_STRSZ, {16}}, {DT_HASH, {0x4000}}, {0}};
	Elf64_Sym sym[3] = {
	    {0}, {.st_name = 1, .st_shndx = SHN_UNDEF}, {.st_name = 1, .st_shndx = 5, .st_value = 0x77}};
	uint32_t hash[] = {1, 3, 1, 0, 2, first_chain};

	memset(s, 0, sizeof(*s));
	poke(s, MEM_BASE, &eh, sizeof(eh));
	poke(s, MEM_BASE + 64, ph, sizeof(ph));
	poke(s, MEM_BASE + 0x1000, dyn, sizeof(dyn));
	poke(s, MEM_BASE + 0x2000, sym, sizeof(sym));
	poke(s, MEM_BASE + 0x3000, "\0state\0........", 16);
	poke(s, MEM_BASE + 0x4000, hash, sizeof(hash));
}

static void a_system_v_hash_table_serves_too_and_cannot_loop(void **state)
{
	struct sp_image img;
	uint64_t addr;

	(void)state;
	script_sysv(&script, 0);
	assert_int_equal(sp_image_from_header(&script_mem, MEM_BASE, &img), 0);
	assert_int_equal(sp_dynsym_find(&script_mem, &img, "state", &addr), 0);
	assert_int_equal(addr, MEM_BASE + 0x77);
	assert_int_equal(sp_dynsym_find(&script_mem, &img, "stat", &addr), -ENOENT);
	assert_int_equal(sp_dynsym_find(&script_mem, &img, "a-name-longer-than-the-string-table", &addr), -ENOENT);
	script_sysv(&script, 1); /* 1 -> 2 -> 1 ... */
	assert_int_equal(sp_dynsym_find(&script_mem, &img, "other", &addr), -ENOENT);
}

/* ---- modules ---- */

static void the_modules_of_a_child_come_in_search_order(void **state)
{
	struct sp_proc *p;
	struct sp_maps maps;
	struct sp_modules mods;
	size_t libc = 0, cmocka = 0;
	bool has_vdso = false;
	pid_t pid = victim_start();

	(void)state;
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	assert_int_equal(sp_proc_modules(p, &maps, &mods), 0);
	assert_true(mods.nr >= 4);
	for (size_t i = 0; i < mods.nr; i++) {
		const struct sp_module *m = &mods.list[i];

		assert_true(m->is_exe == (i == 0));
		assert_true(m->in_link_map || i == 0 || m->is_vdso);
		assert_true(m->start < m->end);
		assert_int_equal(maps.list[m->mapping].start, m->start);
		assert_true(m->is_vdso ? !m->inode : m->inode > 0);
		has_vdso |= m->is_vdso;
		if (strstr(m->path, "/libc.so") || strstr(m->path, "/libc-2"))
			libc = i;
		if (strstr(m->path, "libcmocka"))
			cmocka = i;
	}
	assert_non_null(strstr(mods.list[0].path, "test_proc_modules"));
	assert_true(mods.list[0].in_link_map);
	assert_true(libc > 0 && cmocka > 0 && cmocka < libc); /* named on our command line, libc comes last */
	assert_true(has_vdso || !getauxval(AT_SYSINFO_EHDR));
	sp_modules_done(&mods);
	sp_modules_done(&mods);
	sp_maps_done(&maps);
	sp_proc_close(p);
	victim_stop(pid);
}

/* The modules of a maps text in a fake tree, whose memory file is sparse with ELF magic at the given addresses. */
static void fake_modules(struct tree *t, const char *text, const uint64_t *elves, size_t nr, struct sp_maps *maps,
			 struct sp_modules *mods)
{
	struct sp_proc *p;
	char path[PATH_MAX];

	tree_put_process(t, 10, "app", 'S', 0, NULL);
	tree_put(t, "10/maps", text);
	tree_put(t, "10/mem", "");
	int fd = open(tree_path(t, "10/mem", path), O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(pwrite(fd, ELFMAG, SELFMAG, (off_t)elves[i]), SELFMAG);
	assert_int_equal(ftruncate(fd, 1 << 24), 0);
	close(fd);
	assert_int_equal(sp_proc_open(&t->fs, 10, &p, NULL), 0);
	assert_int_equal(sp_proc_maps(p, maps, NULL), 0);
	assert_int_equal(sp_proc_modules(p, maps, mods), 0);
	sp_proc_close(p);
}

static void expect_module(const struct sp_module *m, const char *path, uint64_t start, uint64_t end)
{
	assert_string_equal(m->path, path);
	assert_int_equal(m->start, start);
	assert_int_equal(m->end, end);
}

static void runs_of_mappings_become_modules(void **state)
{
	static const char text[] =
	    /* text and data share page 0 of a small old program */
	    "010000-011000 r-xp 00000000 08:01 1 /bin/app\n"
	    "012000-013000 rw-p 00000000 08:01 1 /bin/app\n"
	    "013000-020000 rw-p 00000000 00:00 0 [heap]\n"
	    /* a data file is no module; neither is code that is no ELF */
	    "020000-030000 r--p 00000000 08:01 2 /usr/lib/locale-archive\n"
	    "030000-031000 r-xp 00000000 08:01 3 /tmp/jit\n"
	    /* the same library, once read as a file and once loaded */
	    "040000-048000 r--p 00000000 08:01 4 /lib/b.so\n"
	    "048000-04a000 r--p 00000000 08:01 4 /lib/b.so\n"
	    "04a000-04c000 r-xp 00002000 08:01 4 /lib/b.so\n"
	    "04c000-14b000 ---p 00004000 08:01 4 /lib/b.so\n"
	    "14b000-14c000 r--p 00003000 08:01 4 /lib/b.so\n"
	    "14c000-14d000 rw-p 00004000 08:01 4 /lib/b.so\n"
	    "14d000-14e000 rw-p 00000000 00:00 0\n"
	    /* text moved to huge pages */
	    "200000-210000 r--p 00000000 08:01 5 /bin/node (deleted)\n"
	    "210000-400000 r-xp 00000000 00:00 0\n"
	    "400000-410000 rw-p 00200000 08:01 5 /bin/node (deleted)\n"
	    "500000-501000 r-xp 00000000 00:00 0 [vdso]\n"
	    "510000-511000 r-xp 00000000 08:01 6 /lib/last.so";
	static const uint64_t elves[] = {0x10000, 0x12000, 0x40000, 0x48000, 0x200000, 0x510000};
	struct tree t;
	struct sp_maps maps;
	struct sp_modules mods;

	(void)state;
	tree_init(&t);
	tree_link(&t, "10/exe", "/bin/node");
	fake_modules(&t, text, elves, SP_ARRAY_SIZE(elves), &maps, &mods);
	assert_int_equal(mods.nr, 5);
	expect_module(&mods.list[0], "/bin/node", 0x200000, 0x410000);
	assert_true(mods.list[0].is_exe && mods.list[0].deleted);
	expect_module(&mods.list[1], "/bin/app", 0x10000, 0x13000);
	expect_module(&mods.list[2], "/lib/b.so", 0x48000, 0x14d000);
	expect_module(&mods.list[3], "[vdso]", 0x500000, 0x501000);
	assert_true(mods.list[3].is_vdso);
	expect_module(&mods.list[4], "/lib/last.so", 0x510000, 0x511000);
	sp_modules_done(&mods);
	sp_maps_done(&maps);
	tree_done(&t);
}

static void a_module_that_begins_inside_its_file_is_known_by_the_file(void **state)
{
	struct tree t;
	struct sp_maps maps;
	struct sp_modules mods;
	char path[PATH_MAX], text[512];
	struct stat st;

	(void)state;
	tree_init(&t);
	tree_put(&t, "10/root/lib/odd.so",
		 "\x7f"
		 "ELF and more");
	assert_int_equal(stat(tree_path(&t, "10/root/lib/odd.so", path), &st), 0);
	snprintf(text, sizeof(text), "010000-011000 r-xp 00001000 %02x:%02x %llu /lib/odd.so\n", major(st.st_dev),
		 minor(st.st_dev), (unsigned long long)st.st_ino);
	fake_modules(&t, text, NULL, 0, &maps, &mods);
	assert_int_equal(mods.nr, 1);
	assert_int_equal(mods.list[0].file_offset, 0x1000);
	sp_modules_done(&mods);
	sp_maps_done(&maps);
	tree_done(&t);
}

static void a_million_lying_mappings_give_a_bounded_list(void **state)
{
	enum { NR = 20000 };
	struct tree t;
	struct sp_maps maps;
	struct sp_modules mods;
	size_t len = 0;
	char *text = malloc((size_t)NR * 64);

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < NR; i++)
		len += (size_t)sprintf(text + len, "8%07x000-8%07x000 r-xp 0 0:1 %u /x\n", 2 * i, 2 * i + 1, i + 1);
	tree_init(&t);
	fake_modules(&t, text, NULL, 0, &maps, &mods);
	assert_true(mods.nr <= 10000);
	sp_modules_done(&mods);
	sp_maps_done(&maps);
	tree_done(&t);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_list_is_walked_in_order),
	    cmocka_unit_test(a_loop_ends),
	    cmocka_unit_test(an_endless_list_ends),
	    cmocka_unit_test(a_list_that_leads_nowhere_keeps_what_was_read),
	    cmocka_unit_test(without_a_list_there_is_an_error),
	    cmocka_unit_test(a_dynamic_section_without_end_is_left_after_its_size),
	    cmocka_unit_test(a_vector_cut_short_is_read_as_far_as_it_goes),
	    cmocka_unit_test(symbols_of_the_dynamic_linker_are_found_in_memory),
	    cmocka_unit_test(a_system_v_hash_table_serves_too_and_cannot_loop),
	    cmocka_unit_test(the_modules_of_a_child_come_in_search_order),
	    cmocka_unit_test(runs_of_mappings_become_modules),
	    cmocka_unit_test(a_module_that_begins_inside_its_file_is_known_by_the_file),
	    cmocka_unit_test(a_million_lying_mappings_give_a_bounded_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
