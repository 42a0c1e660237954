// SPDX-License-Identifier: Apache-2.0
/* engines/replay and the list of engines: what recordings become, and what broken ones are answered. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "engines/engines.h"
#include "failing_alloc.h"
#include "ledger_fixture.h"

/* ---- helpers ---- */

static struct sp_engine *start_file(const char *file)
{
	struct sp_engine_config c = {.replay_file = file};
	struct sp_engine *e = NULL;
	struct sp_why why = {0};

	if (sp_engine_replay.start(&c, &e, &why))
		print_error("%s\n", why.what);
	assert_non_null(e);
	return e;
}

static struct sp_engine *start_data(const char *name)
{
	char file[512];

	snprintf(file, sizeof(file), SP_TEST_DATA "/%s.seepreplay", name);
	return start_file(file);
}

static void read_ok(struct sp_engine *e, struct sp_ledger *l)
{
	struct sp_why why = {0};

	if (e->ops->read(e, l, &why))
		fail_msg("%s", why.what);
}

/* A recording in memory; the name lives until the next call. */
static const char *file_of(const char *text, size_t len)
{
	static char name[64];
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = memfd_create("recording", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return name;
}

static void assert_frame(struct sp_symbolizer *s, uint64_t address, const char *function, uint64_t offset,
			 const char *module)
{
	struct sp_frame f[4];

	assert_int_equal(sp_symbolize(s, address, true, f, 4), 1);
	assert_string_equal(f[0].function, function);
	assert_int_equal(f[0].offset, offset);
	assert_string_equal(f[0].module, module);
}

/* ---- the recordings ---- */

static void the_classic_case(void **state)
{
	static const uint64_t addrs[] = {0x7f8f7085b1e0, 0x7f8f7085d1f0, 0x7f8f7085f200, 0x7f8f70861210,
					 0x7f8f70863220};
	struct sp_engine *e = start_data("classic");
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_engine_stats stats;
	struct sp_path_sum *sums;
	struct sp_block *blocks;
	const uint64_t *pcs;
	unsigned nr_pcs = 0;
	size_t nr = 0;

	(void)state;
	e->ops->stats(e, &stats);
	assert_int_equal(stats.pid, 12512);
	assert_string_equal(stats.comm, "app");
	assert_int_equal(stats.scale, 1);
	assert_int_equal(e->ops->fd(e), -1);
	assert_int_equal(e->ops->poll(e, l), SP_NEWS_NONE);
	read_ok(e, l);
	assert_int_equal(e->ops->now_ns(e), 1005 * SECOND);
	assert_int_equal(e->ops->poll(e, l), SP_NEWS_END);
	sums = ask_paths(l, NULL, SP_SORT_BYTES, &nr);
	assert_int_equal(nr, 1);
	assert_int_equal(sums[0].bytes, 40960);
	assert_int_equal(sums[0].blocks, 5);
	pcs = sp_ledger_path_pcs(l, sums[0].path, &nr_pcs);
	assert_int_equal(nr_pcs, 3);
	assert_frame(e->ops->symbolizer(e), pcs[0], "fibonacci", 0x1f, "app");
	assert_frame(e->ops->symbolizer(e), pcs[1], "child", 0x4f, "app");
	assert_frame(e->ops->symbolizer(e), pcs[2], "start_thread", 0xdb, "libpthread-2.27.so");
	blocks = ask_blocks(l, true, 0, &(struct sp_ledger_filter){.min_age_ns = SECOND / 2}, &nr);
	assert_int_equal(nr, 5);
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(blocks[i].addr, addrs[i]);
		assert_int_equal(blocks[i].size, 8192);
		assert_int_equal(blocks[i].fn, SP_FN_MALLOC);
	}
	free(blocks);
	free(sums);
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void the_growing_one_grows_in_one_path_only(void **state)
{
	struct sp_engine *e = start_data("growing");
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_path_sum sum;
	struct sp_frame f[4];

	(void)state;
	for (int s = 0; s < 6; s++) {
		size_t nr = 0;
		struct sp_path_sum *sums;

		assert_int_equal(e->ops->poll(e, l), SP_NEWS_NONE);
		read_ok(e, l);
		sums = ask_paths(l, NULL, SP_SORT_GROWTH, &nr);
		assert_int_equal(nr, 6);
		assert_int_equal(sums[0].growth_bytes, s ? 40960 : 0);
		assert_int_equal(sums[1].growth_bytes, 0);
		free(sums);
	}
	assert_int_equal(e->ops->poll(e, l), SP_NEWS_END);
	sum = ask_path(l, NULL, 0);
	assert_int_equal(sum.bytes, 245760);
	assert_int_equal(sum.total_growth_bytes, 204800);
	assert_int_equal(sum.old_seen, 50);
	assert_int_equal(sum.old_freed, 0);
	sum = ask_path(l, NULL, 1);
	assert_int_equal(sum.bytes, 5000);
	assert_int_equal(sum.old_seen, 0);
	sum = ask_path(l, NULL, 3);
	assert_int_equal(sum.old_seen, 7);
	assert_int_equal(sum.old_freed, 4);
	assert_int_equal(sum.growth_bytes, -64);
	assert_int_equal(sp_symbolize(e->ops->symbolizer(e), 0x55a1c0de3010, true, f, 4), 2);
	assert_string_equal(f[0].function, "std::vector<int, std::allocator<int> >::reserve(unsigned long)");
	assert_true(f[0].inlined);
	assert_false(f[1].inlined);
	assert_string_equal(f[1].file, "/src/server/pool.cc");
	assert_int_equal(f[1].line, 15);
	assert_string_equal(f[1].module_path, "/usr/bin/server");
	assert_int_equal(f[1].module_offset, 0x3010);
	assert_string_equal(f[1].build_id, "0123456789abcdef0123456789abcdef01234567");
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void a_cache_fills_and_stays(void **state)
{
	struct sp_engine *e = start_data("cache");
	struct sp_ledger *l = ledger_new(0, 0);

	(void)state;
	for (int s = 0; s < 8; s++) {
		read_ok(e, l);
		assert_int_equal(ask_path(l, NULL, 0).growth_bytes, s >= 1 && s <= 3 ? 12800 : 0);
	}
	assert_int_equal(ask_path(l, NULL, 0).bytes, 51200);
	assert_int_equal(ask_path(l, NULL, 0).old_seen, 100);
	assert_int_equal(ask_path(l, NULL, 0).old_freed, 0);
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void exec_is_news_and_starts_over(void **state)
{
	struct sp_engine *e = start_data("exec");
	struct sp_ledger *l = ledger_new(0, 0);

	(void)state;
	for (int s = 0; s < 4; s++) {
		assert_int_equal(e->ops->poll(e, l), s == 2 ? SP_NEWS_EXEC : SP_NEWS_NONE);
		assert_int_equal(e->ops->poll(e, l), SP_NEWS_NONE);
		assert_int_equal(sp_ledger_nr_snapshots(l), s % 2);
		read_ok(e, l);
	}
	assert_int_equal(ask_path(l, NULL, 0).bytes, 0);
	assert_int_equal(ask_path(l, NULL, 1).bytes, 8192);
	assert_int_equal(ask_path(l, NULL, 1).old_seen, 2);
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void exec_is_told_later_when_nobody_polled(void **state)
{
	struct sp_engine *e = start_data("exec");
	struct sp_ledger *l = ledger_new(0, 0);

	(void)state;
	for (int s = 0; s < 3; s++)
		read_ok(e, l);
	assert_int_equal(sp_ledger_nr_snapshots(l), 1);
	assert_int_equal(e->ops->poll(e, l), SP_NEWS_EXEC);
	assert_int_equal(sp_ledger_nr_snapshots(l), 1);
	assert_int_equal(e->ops->poll(e, l), SP_NEWS_NONE);
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void after_the_end_the_last_snapshot_stays(void **state)
{
	struct sp_engine *e = start_data("empty");
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_why why = {0};

	(void)state;
	read_ok(e, l);
	read_ok(e, l);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(e->ops->poll(e, l), SP_NEWS_END);
		assert_int_equal(e->ops->read(e, l, &why), -ESRCH);
		assert_string_equal(why.what, "the recording has ended");
		assert_int_equal(sp_ledger_nr_snapshots(l), 2);
		assert_int_equal(e->ops->now_ns(e), 1010 * SECOND);
	}
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void losses_sampling_and_the_kernel_come_through(void **state)
{
	struct sp_engine *e = start_data("losses");
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_engine_stats stats;

	(void)state;
	read_ok(e, l);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_BLOCKS_FULL), 3);
	read_ok(e, l);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_BLOCKS_FULL), 7);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_STACK_CUT), 2);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_MISSED), 1);
	e->ops->stop(e);
	e = start_data("sampled");
	e->ops->stats(e, &stats);
	assert_int_equal(stats.scale, 10);
	e->ops->stop(e);
	e = start_data("kernel");
	e->ops->stats(e, &stats);
	assert_int_equal(stats.pid, 0);
	assert_string_equal(stats.comm, "");
	e->ops->stop(e);
	sp_engine_replay.stop(NULL);
	sp_ledger_free(l);
}

static void the_size_range_and_full_tables_leave_blocks_out(void **state)
{
	static const char text[] = "seep-replay 1\npath 5 0x1\npath 6 0x2\nsnapshot 9\nblock 0x10 1 9 5 malloc\n"
				   "block 0x20 10 9 6 mmap\nblock 0x30 100 9 - -\nend";
	struct sp_engine_config c = {.replay_file = file_of(text, sizeof(text) - 1), .min_size = 2, .max_size = 10};
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_engine *e = NULL;

	(void)state;
	assert_int_equal(sp_engine_replay.start(&c, &e, NULL), 0);
	read_ok(e, l);
	assert_int_equal(ask_path(l, NULL, 0).blocks, 0);
	assert_int_equal(ask_path(l, NULL, 1).blocks, 1);
	assert_int_equal(ask_path(l, NULL, SP_NO_PATH).blocks, 0);
	e->ops->stop(e);
	sp_ledger_free(l);

	l = ledger_new(2, 1);
	e = start_file(c.replay_file);
	read_ok(e, l);
	assert_int_equal(ask_path(l, NULL, 0).bytes, 1);
	assert_int_equal(ask_path(l, NULL, SP_NO_PATH).bytes, 10);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_PATHS_FULL), 1);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_BLOCKS_FULL), 1);
	e->ops->stop(e);
	sp_ledger_free(l);
}

/* ---- broken recordings ---- */

/* Plays a recording to its end or its fault. */
static int play(const char *file, struct sp_ledger *l, struct sp_why *why)
{
	struct sp_engine_config c = {.replay_file = file};
	struct sp_engine *e = NULL;
	int err = sp_engine_replay.start(&c, &e, why);

	if (err)
		return err;
	do {
		e->ops->poll(e, l);
		err = e->ops->read(e, l, why);
	} while (!err);
	if (err != -ESRCH)
		assert_int_equal(e->ops->poll(e, l), SP_NEWS_END);
	e->ops->stop(e);
	return err == -ESRCH ? 0 : err;
}

/* After "seep-replay 1\n", unless it begins with '!'. */
static const struct {
	const char *text, *what;
} broken[] = {
    {"!", "1: not a recording: the first line is not `seep-replay 1`"},
    {"!\nseep-replay 1\nend\n", "2: not a recording: the first line is not `seep-replay 1`"},
    {"!seep-replay 4\n", "1: version 4 of the format is not known here"},
    {"!seep-replay 0\n", "1: version 0 of the format is not known here"},
    {"!\x7f"
     "ELF\x02\x01",
     "1: not a recording: the first line is not `seep-replay 1`"},
    {"", "2: the recording is cut off: no `end`"},
    {"snapshot 5\n", "3: the recording is cut off: no `end`"},
    {"\n# x\nfoo\n", "4: unknown record foo"},
    {"target 1\n", "2: wrong number of words for target"},
    {"target -1 x\n", "2: PID is not a number up to 2147483647"},
    {"target 1 x\ntarget 1 x\n", "3: a second target"},
    {"sample 0\n", "2: N is 0"},
    {"sample 1\nsample 1\n", "3: a second sample"},
    {"path 1\nsample 2\n", "3: sample may not stand here"},
    {"module - /x 0 -\n", "2: a module needs a name"},
    {"module x /x 0x -\n", "2: BIAS is not a number up to 18446744073709551615"},
    {"frame 0x1 f 0x1 m file\n", "2: frame takes ADDRESS FUNCTION OFFSET MODULE [FILE LINE [inlined]]"},
    {"frame 0x1 f 0x1 m file 1 outlined\n", "2: frame takes ADDRESS FUNCTION OFFSET MODULE [FILE LINE [inlined]]"},
    {"frame 0x1 f 0x1 m file x\n", "2: LINE is not a number up to 4294967295"},
    {"frame 1 f 0x1 m\n", "2: ADDRESS is not a hexadecimal number with 0x, below 2^64"},
    {"frame 0x11111111111111111 f 0 m\n", "2: ADDRESS is not a hexadecimal number with 0x, below 2^64"},
    {"frame 0x1 \\x 0x1 m\n", "2: a backslash without three octal digits of a byte behind it"},
    {"frame 0x1 \\000 0x1 m\n", "2: a backslash without three octal digits of a byte behind it"},
    {"frame 0x1 \\777 0x1 m\n", "2: a backslash without three octal digits of a byte behind it"},
    {"path x\n", "2: ID is not a number up to 4294967295"},
    {"path 1 0x1\npath 1 0x2\n", "3: path 1 was there before"},
    {"path 1 0x1 zz\n", "2: ADDRESS is not a hexadecimal number with 0x, below 2^64"},
    {"block 0x1 1 1 - malloc\n", "2: block may not stand here"},
    {"lost missed 1\n", "2: lost may not stand here"},
    {"snapshot 0\n", "2: TIME is 0"},
    {"snapshot 18446744073709551616\n", "2: TIME is not a number up to 18446744073709551615"},
    {"snapshot 5\nsnapshot 5\n", "3: TIME is not after the snapshot before"},
    {"snapshot 5\nexec\nsnapshot 4\n", "4: TIME is not after the snapshot before"},
    {"snapshot 5\nblock 0x1 1 6 - malloc\n", "3: BIRTH is after the snapshot"},
    {"snapshot 5\nblock 0x1 1 1 7 malloc\n", "3: no path 7"},
    {"snapshot 5\nblock 0x1 1 1 x malloc\n", "3: PATH is not a number up to 4294967295"},
    {"snapshot 5\nblock 0x1 1 1 - free\n", "3: free is no function that allocates"},
    {"snapshot 5\nblock 0x1 1 1 - abc\n", "3: abc is no function that allocates"},
    {"snapshot 5\nblock 0x1 1 1 -\n", "3: wrong number of words for block"},
    {"snapshot 5\nlost nothing 1\n", "3: nothing is not a kind of loss"},
    {"snapshot 5\nlost missed -\n", "3: N is not a number up to 18446744073709551615"},
    {"group 1 - 8 1 1 malloc\n", "2: group may not stand here"},
    {"snapshot 5\ngroup x - 8 1 1 malloc\n", "3: ID is not a number up to 4294967295"},
    {"snapshot 5\ngroup 1 7 8 1 1 malloc\n", "3: no path 7"},
    {"snapshot 5\ngroup 1 - 8 0 1 malloc\n", "3: a group of no block"},
    {"snapshot 5\ngroup 1 - 8 268435457 1 malloc\n", "3: COUNT is not a number up to 268435456"},
    {"snapshot 5\ngroup 1 - 8 1 6 malloc\n", "3: BIRTH is after the snapshot"},
    {"snapshot 5\ngroup 1 - 8 1 1 free\n", "3: free is no function that allocates"},
    {"snapshot 5\ngroup 1 - 8 1 1 malloc 32\n", "3: SAMPLED is not a number up to 31"},
    {"snapshot 5\ngroup 1 - 8 1 1 malloc\ngroup 1 - 9 1 1 malloc\n", "4: group 1 is there already"},
    {"snapshot 5\nleft 1 0\n", "3: no group 1"},
    {"snapshot 5\ngroup 1 - 8 2 1 malloc\nleft 1 3\n", "4: group 1 has fewer blocks than 3"},
    {"snapshot 5\ngroup 1 - 8 2 1 malloc\nsnapshot 6\nleft 1 1\n", "5: no group 1"},
    {"snapshot 5\ngroup 1 - 8 2 1 malloc\nblock 0x1 1 1 - malloc\n", "4: block and group in one recording"},
    {"snapshot 5\nblock 0x1 1 1 - malloc\ngroup 1 - 8 2 1 malloc\n", "4: block and group in one recording"},
    {"!seep-replay 3\nsnapshot 5\nleft 1\n", "3: wrong number of words for left"},
    {"!seep-replay 3\nsnapshot 5\nblock 0x1 1 1 - free\n", "3: free is no function that allocates"},
    {"end\nend\n", "3: something behind the end"},
    {"end x\n", "2: wrong number of words for end"},
};

static void a_broken_line_is_named_by_number_and_its_snapshot_is_not_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(broken); i++) {
		struct sp_ledger *l = ledger_new(0, 0);
		struct sp_why why = {0};
		char text[300], what[300];
		const char *file;

		snprintf(text, sizeof(text), "%s%s", broken[i].text[0] == '!' ? "" : "seep-replay 1\n",
			 broken[i].text + (broken[i].text[0] == '!'));
		file = file_of(text, strlen(text));
		snprintf(what, sizeof(what), "%s:%s", file, broken[i].what);
		assert_int_equal(play(file, l, &why), -EINVAL);
		assert_string_equal(why.what, what);
		assert_int_equal(why.fault, SP_FAULT_TARGET);
		sp_ledger_free(l);
	}
}

static void hear(const char *text, void *arg)
{
	snprintf(arg, 200, "%s", text);
}

static void what_only_a_newer_seep_knows_is_passed_over_and_said(void **state)
{
	static const char text[] = "seep-replay 3\ntarget 7 app of-its-own\nweather fine\nsnapshot 5\n"
				   "group 1 - 8 3 1 newer_malloc 0 blue\nmood good\nlost patience 3\nend\n";
	char said[200] = "";
	struct sp_engine_config c = {.replay_file = file_of(text, sizeof(text) - 1), .say = hear, .say_arg = said};
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_engine *e = NULL;

	(void)state;
	assert_int_equal(sp_engine_replay.start(&c, &e, NULL), 0);
	read_ok(e, l);
	assert_int_equal(ask_path(l, NULL, SP_NO_PATH).bytes, 24);
	assert_int_equal(e->ops->poll(e, l), SP_NEWS_END);
	assert_string_equal(said, "the recording says things that this version of seep does not know, 6 times");
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void a_short_line_cannot_make_a_ledger_grow(void **state)
{
	static const char text[] = "seep-replay 3\nsnapshot 5\ngroup 1 - 8 268435000 1 malloc\n"
				   "group 2 - 8 400 1 malloc\nend\n";
	struct sp_engine *e = start_file(file_of(text, sizeof(text) - 1));
	struct sp_ledger *l = ledger_new(1000, 0);

	(void)state;
	read_ok(e, l);
	assert_int_equal(ask_path(l, NULL, SP_NO_PATH).blocks, 1000);
	assert_int_equal(sp_ledger_lost(l, SP_LOST_BLOCKS_FULL), 268435400 - 1000);
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void a_fault_takes_only_its_own_snapshot(void **state)
{
	static const char text[] =
	    "seep-replay 1\nsnapshot 5\nblock 0x1 7 1 - -\nsnapshot 6\nblock 0x1 8 1 - -\nblock\n";
	struct sp_engine *e = start_file(file_of(text, sizeof(text) - 1));
	struct sp_ledger *l = ledger_new(0, 0);

	(void)state;
	read_ok(e, l);
	for (int i = 0; i < 2; i++) {
		struct sp_why why = {0};

		assert_int_equal(e->ops->read(e, l, &why), -EINVAL);
		assert_non_null(strstr(why.what, ":6: wrong number of words for block"));
		assert_int_equal(e->ops->read(e, l, NULL), -EINVAL);
		assert_int_equal(ask_path(l, NULL, SP_NO_PATH).bytes, 7);
		assert_int_equal(e->ops->poll(e, l), SP_NEWS_END);
	}
	e->ops->stop(e);
	sp_ledger_free(l);
}

/* A comment line of so many bytes in an otherwise good recording. */
static int play_long_line(size_t len, struct sp_ledger *l, struct sp_why *why)
{
	static char text[20000];
	int head = snprintf(text, sizeof(text), "seep-replay 1\n");

	memset(text + head, '#', len);
	snprintf(text + head + len, sizeof(text) - (size_t)head - len, "\nend\n");
	return play(file_of(text, strlen(text)), l, why);
}

static void lines_words_and_bytes_are_bounded(void **state)
{
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_why why = {0};
	char text[1000];
	int len = snprintf(text, sizeof(text), "seep-replay 1\npath 0");

	(void)state;
	assert_int_equal(play_long_line(8191, l, NULL), 0);
	assert_int_equal(play_long_line(8192, l, &why), -EINVAL);
	assert_non_null(strstr(why.what, ":2: longer than 8191 bytes"));

	for (int i = 0; i < 128; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " 0x1");
	why = (struct sp_why){0};
	assert_int_equal(play(file_of(text, (size_t)len), l, &why), -EINVAL);
	assert_non_null(strstr(why.what, ":2: more than 129 words"));

	why = (struct sp_why){0};
	assert_int_equal(play(file_of("seep-replay 1\nen\0d\n", 19), l, &why), -EINVAL);
	assert_non_null(strstr(why.what, ":2: a NUL byte"));
	sp_ledger_free(l);
}

static void names_cannot_steer_a_terminal(void **state)
{
	static const char text[] =
	    "seep-replay 1\ntarget 7 a\\033[2J\nframe 0x1 \xe2\x80\xaex\\012 0 m\x1b\nsnapshot 1\nend\n";
	struct sp_engine *e = start_file(file_of(text, sizeof(text) - 1));
	struct sp_ledger *l = ledger_new(0, 0);
	struct sp_engine_stats stats;

	(void)state;
	read_ok(e, l);
	e->ops->stats(e, &stats);
	assert_string_equal(stats.comm, "a?[2J");
	assert_frame(e->ops->symbolizer(e), 1, "?x?", 0, "m?");
	e->ops->stop(e);
	sp_ledger_free(l);
}

static void every_failing_allocation_is_an_error_and_leaks_nothing(void **state)
{
	bool failed = true;
	unsigned errors = 0;

	(void)state;
	for (long n = 0; failed; n++) {
		struct sp_ledger *l = ledger_new(0, 0);
		struct sp_why why = {0};
		int err;

		alloc_arm(n);
		err = play(SP_TEST_DATA "/exec.seepreplay", l, &why);
		failed = alloc_disarm();
		/* A few are not needed: memory that could not be given back stays in use. */
		errors += err != 0;
		assert_true(!err || (failed && err == -ENOMEM && why.fault == SP_FAULT_OURS));
		sp_ledger_free(l);
	}
	assert_true(errors > 15);
}

/* ---- the list ---- */

static void what_is_no_file_is_refused(void **state)
{
	static const struct {
		const char *file;
		int err;
		enum sp_fault fault;
	} rows[] = {
	    {NULL, EINVAL, SP_FAULT_USAGE},
	    {"/nonexistent/x", ENOENT, SP_FAULT_TARGET},
	    {"/", EISDIR, SP_FAULT_TARGET},
	};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++) {
		struct sp_engine_config c = {.replay_file = rows[i].file};
		struct sp_engine *e = NULL;
		struct sp_why why = {0};

		assert_int_equal(sp_engine_replay.probe(&c, &why), -rows[i].err);
		assert_int_equal(why.fault, rows[i].fault);
		assert_int_equal(sp_engine_replay.start(&c, &e, &why), -rows[i].err);
		assert_null(e);
	}
}

static void engines_are_found_by_name_and_replay_is_never_chosen(void **state)
{
	struct sp_engine_config c = {.replay_file = SP_TEST_DATA "/classic.seepreplay"};
	const struct sp_engine_ops *ops = NULL;
	struct sp_why why = {0};

	(void)state;
	assert_ptr_equal(sp_engine_find("replay"), &sp_engine_replay);
	assert_null(sp_engine_find("no such engine"));
	for (size_t i = 0; sp_engines[i]; i++)
		assert_ptr_equal(sp_engine_find(sp_engines[i]->name), sp_engines[i]);
	if (sp_engine_choose(&c, NULL, &ops, &why) == 0)
		assert_ptr_not_equal(ops, &sp_engine_replay);
	else
		assert_true(sp_why_is_set(&why) && !ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_classic_case),
	    cmocka_unit_test(the_growing_one_grows_in_one_path_only),
	    cmocka_unit_test(a_cache_fills_and_stays),
	    cmocka_unit_test(exec_is_news_and_starts_over),
	    cmocka_unit_test(exec_is_told_later_when_nobody_polled),
	    cmocka_unit_test(after_the_end_the_last_snapshot_stays),
	    cmocka_unit_test(losses_sampling_and_the_kernel_come_through),
	    cmocka_unit_test(the_size_range_and_full_tables_leave_blocks_out),
	    cmocka_unit_test(a_broken_line_is_named_by_number_and_its_snapshot_is_not_shown),
	    cmocka_unit_test(what_only_a_newer_seep_knows_is_passed_over_and_said),
	    cmocka_unit_test(a_short_line_cannot_make_a_ledger_grow),
	    cmocka_unit_test(a_fault_takes_only_its_own_snapshot),
	    cmocka_unit_test(lines_words_and_bytes_are_bounded),
	    cmocka_unit_test(names_cannot_steer_a_terminal),
	    cmocka_unit_test(every_failing_allocation_is_an_error_and_leaks_nothing),
	    cmocka_unit_test(what_is_no_file_is_refused),
	    cmocka_unit_test(engines_are_found_by_name_and_replay_is_never_chosen),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
