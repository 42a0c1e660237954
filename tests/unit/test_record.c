// SPDX-License-Identifier: Apache-2.0
/* record/ and the engine replay: what is written comes back, also when the end of the file is missing. */
#include "view_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/engines.h"
#include "record/record.h"

#define LOOKS 5

static char path[64], cut_path[64];

static int make_names(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/seep-record-%d", (int)getpid());
	snprintf(cut_path, sizeof(cut_path), "/tmp/seep-record-%d-cut", (int)getpid());
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(path);
	unlink(cut_path);
	return 0;
}

/* Look number n of a program that leaks a block a second and frees one of two. */
static void look_at(struct fixture *f, struct sp_block *list, unsigned n)
{
	fixture_init(f);
	f->view.now_ns = FIXTURE_NOW_NS + n * 1000000000u;
	f->view.nr_list = 0;
	for (unsigned i = 0; i <= n; i++)
		if (i % 2 || i == n)
			list[f->view.nr_list++] = (struct sp_block){
			    0x1000 + i * 0x100, 100 + i, FIXTURE_NOW_NS + i, i % 3 ? 1 : SP_NO_PATH, SP_FN_MALLOC, 0};
	f->view.list = list;
	f->view.lost[SP_LOST_STACK_CUT] = n;
}

static struct sp_recorder *open_recorder(uint64_t max_bytes)
{
	const struct sp_recorder_options o = {.path = path, .max_bytes = max_bytes};
	struct sp_recorder *r = NULL;

	unlink(path);
	assert_int_equal(sp_recorder_open(&o, &r, NULL), 0);
	return r;
}

static void record_looks(unsigned nr)
{
	struct sp_recorder *r = open_recorder(0);
	struct sp_block list[64];
	struct fixture f;

	for (unsigned n = 0; n < nr; n++) {
		look_at(&f, list, n);
		assert_int_equal(sp_recorder_add(r, &f.view, NULL), 0);
	}
	assert_int_equal(sp_recorder_finish(r, NULL), 0);
	sp_recorder_free(r);
}

static void hear(const char *text, void *arg)
{
	snprintf(arg, 200, "%s", text);
}

static void assert_blocks(const struct sp_ledger *l, unsigned n)
{
	struct sp_block list[64];
	struct sp_vec blocks;
	struct fixture f;

	look_at(&f, list, n);
	sp_vec_init(&blocks, sizeof(struct sp_block), 1000);
	assert_int_equal(sp_ledger_blocks(l, true, 0, NULL, &blocks), 0);
	assert_int_equal(blocks.nr, f.view.nr_list);
	for (size_t i = 0; i < blocks.nr; i++) {
		const struct sp_block *b = sp_vec_at(&blocks, struct sp_block, i);
		unsigned nr_pcs = 0;
		assert_int_equal(b->addr, list[i].addr);
		assert_int_equal(b->size, list[i].size);
		assert_int_equal(b->birth_ns, list[i].birth_ns);
		assert_int_equal(b->path == SP_NO_PATH, list[i].path == SP_NO_PATH);
		if (b->path != SP_NO_PATH)
			assert_int_equal(sp_ledger_path_pcs(l, b->path, &nr_pcs)[0], 0x55d000001170);
	}
	assert_int_equal(sp_ledger_lost(l, SP_LOST_STACK_CUT), n);
	sp_vec_done(&blocks);
}

/* Plays a file; returns how many looks it has, each of which must be right. */
static unsigned play(const char *file, char *said)
{
	const struct sp_engine_config c = {.replay_file = file, .say = hear, .say_arg = said};
	struct sp_engine *e = NULL;
	struct sp_ledger *l = NULL;
	unsigned n = 0;

	said[0] = '\0';
	assert_int_equal(sp_ledger_new(NULL, &l), 0);
	if (sp_engine_replay.start(&c, &e, NULL)) {
		sp_ledger_free(l);
		return 0;
	}
	while (e->ops->poll(e, l) != SP_NEWS_END) {
		assert_int_equal(e->ops->read(e, l, NULL), 0);
		assert_blocks(l, n++);
	}
	e->ops->stop(e);
	sp_ledger_free(l);
	return n;
}

static void what_is_recorded_comes_back_look_by_look(void **state)
{
	char said[200];

	(void)state;
	record_looks(LOOKS);
	assert_int_equal(play(path, said), LOOKS);
	assert_string_equal(said, "");
}

static void a_file_cut_anywhere_shows_its_whole_looks(void **state)
{
	static char bytes[1 << 16];
	char said[200];
	unsigned most = 0;

	(void)state;
	record_looks(LOOKS);
	int fd = open(path, O_RDONLY);
	ssize_t len = read(fd, bytes, sizeof(bytes));
	close(fd);
	for (ssize_t cut = 0; cut < len; cut++) {
		fd = open(cut_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(write(fd, bytes, (size_t)cut), cut);
		close(fd);
		unsigned nr = play(cut_path, said);
		assert_in_range(nr, most, most + 1);
		most = nr;
		if (nr)
			assert_non_null(strstr(said, "cut off"));
	}
	assert_int_equal(most, LOOKS);
}

static void a_damaged_byte_never_shows_a_wrong_look(void **state)
{
	static char bytes[1 << 16];
	char said[200];

	(void)state;
	record_looks(LOOKS);
	int fd = open(path, O_RDONLY);
	ssize_t len = read(fd, bytes, sizeof(bytes));
	close(fd);
	for (ssize_t at = 4; at < len; at += 3) { /* behind the magic number */
		bytes[at] ^= 0x10;
		fd = open(cut_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(write(fd, bytes, (size_t)len), len);
		close(fd);
		assert_in_range(play(cut_path, said), 0, LOOKS);
		bytes[at] ^= 0x10;
	}
}

static void a_file_that_is_there_is_not_touched(void **state)
{
	const struct sp_recorder_options o = {.path = path};
	struct sp_recorder *r = NULL;
	struct sp_why why = {0};
	struct stat before, after;

	(void)state;
	record_looks(1);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(sp_recorder_open(&o, &r, &why), -EEXIST);
	assert_int_equal(why.fault, SP_FAULT_USAGE);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void a_file_near_its_maximum_holds_fewer_looks_and_never_grows_over_it(void **state)
{
	struct sp_recorder *r = open_recorder(SP_RECORDER_MIN_BYTES);
	static struct sp_block list[200];
	struct sp_recorder_stats s;
	uint64_t seed = 1;
	struct fixture f;
	int err = 0;

	(void)state;
	for (unsigned n = 0; n < 3000 && !err; n++) {
		fixture_init(&f);
		f.view.now_ns = FIXTURE_NOW_NS + n * 1000000000ull;
		for (unsigned i = 0; i < 200; i++) {
			seed = seed * 6364136223846793005u + 1;
			list[i] = (struct sp_block){0x1000 + i * 0x1000, seed >> 40, f.view.now_ns, 1, SP_FN_MALLOC, 0};
		}
		f.view.list = list;
		f.view.nr_list = 200;
		err = sp_recorder_add(r, &f.view, NULL);
	}
	assert_true(err == 0 || err == -EFBIG);
	sp_recorder_stats(r, &s);
	assert_true(s.bytes <= SP_RECORDER_MIN_BYTES);
	assert_true(s.nr_skipped > s.nr_views);
	assert_int_equal(sp_recorder_finish(r, NULL), 0);
	sp_recorder_free(r);
}

static void a_full_disk_is_said(void **state)
{
	const struct sp_recorder_options o = {.path = "-"};
	struct sp_recorder *r = NULL;
	struct sp_why why = {0};
	struct sp_block list[64];
	struct fixture f;
	int out = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);

	(void)state;
	if (full < 0)
		skip();
	dup2(full, STDOUT_FILENO);
	int err = sp_recorder_open(&o, &r, NULL);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(full);
	assert_int_equal(err, 0);
	look_at(&f, list, 0);
	assert_int_equal(sp_recorder_add(r, &f.view, &why), -ENOSPC);
	assert_non_null(strstr(why.what, "No space left"));
	sp_recorder_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_recorded_comes_back_look_by_look),
	    cmocka_unit_test(a_file_cut_anywhere_shows_its_whole_looks),
	    cmocka_unit_test(a_damaged_byte_never_shows_a_wrong_look),
	    cmocka_unit_test(a_file_that_is_there_is_not_touched),
	    cmocka_unit_test(a_file_near_its_maximum_holds_fewer_looks_and_never_grows_over_it),
	    cmocka_unit_test(a_full_disk_is_said),
	};

	return cmocka_run_group_tests_name("record", tests, make_names, remove_files);
}
