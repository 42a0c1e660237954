// SPDX-License-Identifier: Apache-2.0
/* Shared memory as text and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/shm.h"

static const struct sp_shm_holder holders[] = {
    {.pid = 7, .comm = "one", .nr_maps = 1, .mapped = 4096},
    {.pid = 8, .comm = "two", .nr_open = 2},
    {.pid = 9, .comm = "three", .nr_open = 1},
    {.pid = 10, .comm = "four", .nr_open = 1},
};

static struct sp_shm_object file(enum sp_shm_state state, enum sp_shm_kind kind, const char *name)
{
	return (struct sp_shm_object){.state = state,
				      .kind = kind,
				      .name = name,
				      .size = 8192,
				      .resident = 4096,
				      .uid = 4000000000u,
				      .created_s = 940,
				      .used_s = -1};
}

static struct sp_shm view(struct sp_shm_object *list, size_t nr)
{
	struct sp_shm s = {.list = list, .nr = nr, .now_s = 1000};

	for (size_t i = 0; i < nr; i++) {
		s.total_bytes += list[i].resident;
		s.nr_leaked += list[i].state == SP_SHM_IS_LEAKED;
		s.leaked_bytes += list[i].state == SP_SHM_IS_LEAKED ? list[i].resident : 0;
	}
	return s;
}

static char *text_of(const struct sp_shm *s, bool all)
{
	const struct sp_report_shm_options o = {.all = all, .min_bytes = 1 << 20};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(sp_report_shm(f, s, &o), 0);
	fclose(f);
	return text;
}

static void check_text(const struct sp_shm *s, bool all, const char *wanted)
{
	char *text = text_of(s, all);

	assert_string_equal(text, wanted);
	free(text);
}

static void nothing_is_one_line(void **state)
{
	struct sp_shm s = view(NULL, 0);

	(void)state;
	check_text(&s, false, "no shared memory; nothing leaked\n");
}

static void what_leaked_comes_with_its_remedy(void **state)
{
	struct sp_shm_object list[] = {
	    file(SP_SHM_IS_LEAKED, SP_SHM_POSIX, "/dev/shm/it's"),
	    file(SP_SHM_IS_LEAKED, SP_SHM_SYSV, NULL),
	    file(SP_SHM_IS_LEAKED, SP_SHM_POSIX, "/dev/shm/\033[2J"),
	    file(SP_SHM_IS_MAPPED, SP_SHM_MEMFD, "/memfd:x"),
	};
	struct sp_shm s;

	(void)state;
	list[1].id = 5;
	list[1].key = 0xab;
	list[1].creator = 77;
	list[1].swapped = 4096;
	list[1].member = 12;
	list[3].holders = holders;
	list[3].nr_holders = 4;
	list[3].deleted = true;
	s = view(list, 4);
	s.nr_hidden_processes = 1;
	check_text(&s, false,
		   "16.0 KiB of shared memory in 4 objects; leaked: 12.0 KiB in 3\n\n"
		   "state   kind          size  in memory     age  owner     what\n"
		   "leaked  posix      8.0 KiB    4.0 KiB   1m00s  4000000000  /dev/shm/it's\n"
		   "leaked  sysv       8.0 KiB    4.0 KiB   1m00s  4000000000  id 5, key 0x000000ab, creator 77 is "
		   "gone, never "
		   "attached, 4.0 KiB swapped (namespace of 12)\n"
		   "leaked  posix      8.0 KiB    4.0 KiB   1m00s  4000000000  /dev/shm/?[2J\n"
		   "mapped  memfd      8.0 KiB    4.0 KiB   1m00s  4000000000  /memfd:x, held by one[7] two[8](fd) "
		   "three[9](fd) "
		   "and 1 more\n\n"
		   "to remove what is leaked, if nobody will want its contents again:\n"
		   "  rm -- '/dev/shm/it'\\''s'\n"
		   "  nsenter --target 12 --ipc ipcrm -m 5\n"
		   "not seen: what 1 process holds (not permitted)\n");
}

static void small_ordinary_files_are_only_counted(void **state)
{
	struct sp_shm_object list[] = {file(SP_SHM_IS_IDLE, SP_SHM_TMPFS, "/run/pid")};
	struct sp_shm s = view(list, 1);
	char *text = text_of(&s, true);

	(void)state;
	check_text(&s, false,
		   "4.0 KiB of shared memory in 1 object; nothing leaked\n\n"
		   "1 ordinary file in memory under 1.0 MiB not shown (--all shows it)\n");
	assert_non_null(strstr(text, "idle    tmpfs"));
	free(text);
}

static void json_is_one_object_on_one_line(void **state)
{
	struct sp_shm_object list[] = {file(SP_SHM_IS_OPEN, SP_SHM_MEMFD, "/memfd:\"\xff")};
	struct sp_shm s;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	list[0].holders = &holders[1];
	list[0].nr_holders = 1;
	s = view(list, 1);
	assert_int_equal(sp_report_shm_json(f, &s), 0);
	fclose(f);
	assert_string_equal(
	    text,
	    "{\"schema\":\"seep/1\",\"kind\":\"shared_memory\",\"time\":\"1970-01-01T00:16:40.000Z\",\"totals\":{"
	    "\"objects\":1,\"bytes\":4096,\"leaked_objects\":0,\"leaked_bytes\":0},\"objects\":[{\"state\":\"open\","
	    "\"type\":\"memfd\",\"name\":\"/memfd:\\\"\\ufffd\",\"size\":8192,\"resident\":4096,\"swapped\":null,"
	    "\"uid\":4000000000,\"deleted\":false,\"created_at\":\"1970-01-01T00:15:40.000Z\",\"used_at\":null,"
	    "\"namespace_of\":null,\"device\":0,\"inode\":0,\"holders\":[{\"pid\":8,\"comm\":\"two\",\"mappings\":0,"
	    "\"mapped_bytes\":0,\"descriptors\":2}]}],\"unseen\":{\"processes\":0,\"namespaces\":0,\"skipped\":0,"
	    "\"other_containers\":false}}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_one_line),
	    cmocka_unit_test(what_leaked_comes_with_its_remedy),
	    cmocka_unit_test(small_ordinary_files_are_only_counted),
	    cmocka_unit_test(json_is_one_object_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
