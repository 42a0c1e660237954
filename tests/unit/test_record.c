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
	f->view.now_ns = FIXTURE_NOW_NS + n * 1000000000ull;
	f->view.nr_list = 0;
	for (unsigned i = 0; i <= n; i++)
		if (i % 2 || i == n)
			list[f->view.nr_list++] = (struct sp_block){
			    0x1000 + i * 0x100, 100 + i, FIXTURE_NOW_NS + i, i % 3 ? 1 : SP_NO_PATH, SP_FN_MALLOC, 0};
	f->view.list = list;
	f->view.lost[SP_LOST_STACK_CUT] = n;
}

static struct sp_recorder *open_recorder(uint64_t max_bytes, bool lists)
{
	const struct sp_recorder_options o = {.path = path, .max_bytes = max_bytes, .lists = lists};
	struct sp_recorder *r = NULL;

	unlink(path);
	assert_int_equal(sp_recorder_open(&o, &r, NULL), 0);
	return r;
}

static void record_looks(unsigned nr)
{
	struct sp_recorder *r = open_recorder(0, true);
	struct sp_block list[64];
	struct fixture f;

	for (unsigned n = 0; n < nr; n++) {
		look_at(&f, list, n);
		assert_int_equal(sp_recorder_add(r, &f.view, NULL, NULL), 0);
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

/* ---- without addresses ---- */

#define MANY  2000
#define SPANS 40

/* Blocks of a few sizes on two paths; one in six is freed and comes anew at each look, the rest stay. */
static void churn(struct sp_block *list, unsigned nr, uint64_t now_ns, uint64_t *seed)
{
	for (unsigned i = 0; i < nr; i++) {
		*seed = *seed * 6364136223846793005u + 1;
		if (list[i].addr && *seed >> 33 & 7)
			continue;
		list[i] = (struct sp_block){.addr = 0x10000 + (uint64_t)i * 0x100,
					    .size = 8 << (*seed >> 40 & 3),
					    .birth_ns = now_ns - (*seed >> 50),
					    .path = *seed >> 45 & 1 ? SP_NO_PATH : 1,
					    .fn = SP_FN_CALLOC};
	}
}

/* The same life, recorded in one way or the other; returns the bytes of the file. */
static uint64_t record_churn(bool lists)
{
	struct sp_recorder *r = open_recorder(1 << 30, lists);
	struct sp_block *list = calloc(MANY, sizeof(*list));
	struct sp_recorder_stats stats;
	struct fixture f;
	uint64_t seed = 7;

	assert_non_null(list);
	for (unsigned n = 0; n < SPANS; n++) {
		fixture_init(&f);
		f.view.now_ns = FIXTURE_NOW_NS + n * 1000000000ull;
		f.view.nr_list = n == SPANS / 2 ? 0 : MANY / (1 + n % 3); /* they all go, and come back */
		churn(list, MANY, f.view.now_ns, &seed);
		f.view.list = list;
		assert_int_equal(sp_recorder_add(r, &f.view, NULL, NULL), 0);
	}
	assert_int_equal(sp_recorder_finish(r, NULL), 0);
	sp_recorder_stats(r, &stats);
	sp_recorder_free(r);
	free(list);
	return stats.bytes;
}

struct playing {
	struct sp_engine *engine;
	struct sp_ledger *ledger;
};

static void start_playing(struct playing *p, const char *file)
{
	const struct sp_engine_config c = {.replay_file = file};

	assert_int_equal(sp_ledger_new(NULL, &p->ledger), 0);
	assert_int_equal(sp_engine_replay.start(&c, &p->engine, NULL), 0);
}

static bool play_on(struct playing *p)
{
	if (p->engine->ops->poll(p->engine, p->ledger) == SP_NEWS_END)
		return false;
	struct sp_why why = {0};
	if (p->engine->ops->read(p->engine, p->ledger, &why))
		fail_msg("%s", why.what);
	return true;
}

static void stop_playing(struct playing *p)
{
	p->engine->ops->stop(p->engine);
	sp_ledger_free(p->ledger);
}

static void assert_same_sums(const struct sp_ledger *a, const struct sp_ledger *b)
{
	const struct sp_ledger_filter large = {.min_size = 20};
	struct sp_vec x, y;

	for (unsigned filtered = 0; filtered < 2; filtered++) {
		sp_vec_init(&x, sizeof(struct sp_path_sum), 100);
		sp_vec_init(&y, sizeof(struct sp_path_sum), 100);
		assert_int_equal(sp_ledger_paths(a, filtered ? &large : NULL, SP_SORT_BYTES, &x), 0);
		assert_int_equal(sp_ledger_paths(b, filtered ? &large : NULL, SP_SORT_BYTES, &y), 0);
		assert_int_equal(x.nr, y.nr);
		for (size_t i = 0; i < x.nr; i++) {
			const struct sp_path_sum *s = sp_vec_at(&x, struct sp_path_sum, i);
			const struct sp_path_sum *t = sp_vec_at(&y, struct sp_path_sum, i);
			assert_int_equal(s->path, t->path);
			assert_int_equal(s->bytes, t->bytes);
			assert_int_equal(s->blocks, t->blocks);
			assert_int_equal(s->growth_bytes, t->growth_bytes);
			assert_int_equal(s->total_growth_bytes, t->total_growth_bytes);
			assert_int_equal(s->old_seen, t->old_seen);
			assert_int_equal(s->old_freed, t->old_freed);
			assert_true(t->oldest_birth_ns <= s->oldest_birth_ns);
		}
		sp_vec_done(&x);
		sp_vec_done(&y);
	}
}

static void without_addresses_each_look_of_each_path_is_the_same_and_the_file_smaller(void **state)
{
	struct playing lists, groups;
	struct sp_engine_stats stats;
	unsigned n = 0;

	(void)state;
	uint64_t with = record_churn(true);
	assert_int_equal(rename(path, cut_path), 0);
	uint64_t without = record_churn(false);
	start_playing(&lists, cut_path);
	start_playing(&groups, path);
	while (play_on(&lists)) {
		assert_true(play_on(&groups));
		assert_same_sums(lists.ledger, groups.ledger);
		n++;
	}
	assert_false(play_on(&groups));
	assert_int_equal(n, SPANS);
	sp_engine_replay.stats(groups.engine, &stats);
	assert_true(stats.has_no_lists);
	sp_engine_replay.stats(lists.engine, &stats);
	assert_false(stats.has_no_lists);
	stop_playing(&lists);
	stop_playing(&groups);
	assert_true(without * 4 < with);
}

/* The engine reads blocks while the target goes on. */
static void a_block_that_came_while_the_look_was_made_can_be_read_back(void **state)
{
	(void)state;
	for (unsigned lists = 0; lists < 2; lists++) {
		struct sp_recorder *r = open_recorder(0, lists);
		struct sp_block list[1] = {{0x1000, 8, FIXTURE_NOW_NS + 5, 1, SP_FN_MALLOC, 0}};
		struct playing p;
		struct fixture f;

		fixture_init(&f);
		f.view.list = list;
		f.view.nr_list = 1;
		for (unsigned n = 0; n < 2; n++, f.view.now_ns += 3)
			assert_int_equal(sp_recorder_add(r, &f.view, NULL, NULL), 0);
		assert_int_equal(sp_recorder_finish(r, NULL), 0);
		sp_recorder_free(r);
		start_playing(&p, path);
		assert_true(play_on(&p));
		assert_true(play_on(&p));
		assert_false(play_on(&p));
		stop_playing(&p);
	}
}

static void what_a_scan_found_comes_back_with_its_look(void **state)
{
	struct sp_recorder *r = open_recorder(0, false);
	struct sp_leaks_found scan = {.sum = {.pause_ns = 7, .sums = {{300, 3}, {40, 2}, {5, 1}}}};
	const struct sp_found_all *found;
	struct sp_verdict verdict;
	struct sp_vec verdicts;
	struct sp_block list[64];
	struct playing p;
	struct fixture f;

	(void)state;
	sp_u64map_init(&scan.bytes, 8);
	sp_u64map_init(&scan.blocks, 8);
	for (unsigned n = 0; n < 3; n++) {
		look_at(&f, list, n + 4);
		uint64_t key = f.view.paths[0].sum.path + (uint64_t)1;
		assert_int_equal(sp_u64map_set(&scan.bytes, key, 120), 0);
		assert_int_equal(sp_u64map_set(&scan.blocks, key, 2), 0);
		assert_int_equal(sp_recorder_add(r, &f.view, n == 1 ? &scan : NULL, NULL), 0);
	}
	assert_int_equal(sp_recorder_finish(r, NULL), 0);
	sp_recorder_free(r);
	sp_u64map_done(&scan.bytes);
	sp_u64map_done(&scan.blocks);
	start_playing(&p, path);
	assert_true(play_on(&p));
	assert_null(sp_ledger_found(p.ledger));
	assert_true(play_on(&p) && play_on(&p));
	found = sp_ledger_found(p.ledger);
	assert_non_null(found);
	assert_int_equal(found->now_ns, FIXTURE_NOW_NS + 5 * 1000000000ull);
	assert_int_equal(found->pause_ns, 7);
	assert_memory_equal(found->sums, scan.sum.sums, sizeof(found->sums));
	sp_vec_init(&verdicts, sizeof(struct sp_verdict), 100);
	assert_int_equal(sp_ledger_verdicts(p.ledger, &verdicts), 0);
	unsigned nr_leaked = 0;
	for (size_t i = 0; i < verdicts.nr; i++) {
		verdict = *sp_vec_at(&verdicts, struct sp_verdict, i);
		nr_leaked +=
		    verdict.class == SP_CLASS_LEAKED && sp_ledger_unreached(p.ledger, verdict.path).bytes == 120;
	}
	assert_int_equal(nr_leaked, 1);
	sp_vec_done(&verdicts);
	stop_playing(&p);
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
	struct sp_recorder *r = open_recorder(SP_RECORDER_MIN_BYTES, true);
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
		err = sp_recorder_add(r, &f.view, NULL, NULL);
	}
	assert_true(err == 0 || err == -EFBIG);
	sp_recorder_stats(r, &s);
	assert_true(s.bytes <= SP_RECORDER_MIN_BYTES);
	assert_true(s.nr_skipped > s.nr_views);
	assert_int_equal(sp_recorder_finish(r, NULL), 0);
	sp_recorder_free(r);
}

/* Looks that are kept are ever further apart, each gap at least as long as the one before, until the file is full. */
static void the_nearer_a_file_comes_to_its_maximum_the_coarser_its_time_steps_are(void **state)
{
	struct sp_recorder *r = open_recorder(SP_RECORDER_MIN_BYTES, false);
	struct sp_block list[SPANS];
	struct sp_recorder_stats stats;
	uint64_t seed = 3, times[2000], nr = 0;
	struct playing p;
	struct fixture f;
	int err = 0;

	(void)state;
	for (unsigned n = 0; n < 20000 && !err; n++) {
		fixture_init(&f);
		f.view.now_ns = FIXTURE_NOW_NS + n * 1000000000ull;
		for (unsigned i = 0; i < SPANS; i++) {
			seed = seed * 6364136223846793005u + 1;
			list[i] = (struct sp_block){0x1000 + i * 0x1000, seed >> 40, f.view.now_ns, 1, SP_FN_MALLOC, 0};
		}
		f.view.list = list;
		f.view.nr_list = SPANS;
		err = sp_recorder_add(r, &f.view, NULL, NULL);
	}
	assert_int_equal(err, -EFBIG);
	assert_int_equal(sp_recorder_finish(r, NULL), 0);
	sp_recorder_stats(r, &stats);
	sp_recorder_free(r);
	start_playing(&p, path);
	while (play_on(&p) && nr < SP_ARRAY_SIZE(times))
		times[nr++] = sp_ledger_now_ns(p.ledger);
	stop_playing(&p);
	assert_int_equal(nr, stats.nr_views);
	for (uint64_t i = 2; i < nr; i++)
		assert_true(times[i] - times[i - 1] >= times[i - 1] - times[i - 2]);
	assert_int_equal(times[1] - times[0], 1000000000);
	assert_true(times[nr - 1] - times[nr - 2] >= 16 * 1000000000ull);
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
	assert_int_equal(sp_recorder_add(r, &f.view, NULL, &why), -ENOSPC);
	assert_non_null(strstr(why.what, "No space left"));
	sp_recorder_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_recorded_comes_back_look_by_look),
	    cmocka_unit_test(a_file_cut_anywhere_shows_its_whole_looks),
	    cmocka_unit_test(a_damaged_byte_never_shows_a_wrong_look),
	    cmocka_unit_test(without_addresses_each_look_of_each_path_is_the_same_and_the_file_smaller),
	    cmocka_unit_test(a_block_that_came_while_the_look_was_made_can_be_read_back),
	    cmocka_unit_test(what_a_scan_found_comes_back_with_its_look),
	    cmocka_unit_test(a_file_that_is_there_is_not_touched),
	    cmocka_unit_test(a_file_near_its_maximum_holds_fewer_looks_and_never_grows_over_it),
	    cmocka_unit_test(the_nearer_a_file_comes_to_its_maximum_the_coarser_its_time_steps_are),
	    cmocka_unit_test(a_full_disk_is_said),
	};

	return cmocka_run_group_tests_name("record", tests, make_names, remove_files);
}
