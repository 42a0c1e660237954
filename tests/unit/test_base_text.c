// SPDX-License-Identifier: Apache-2.0
/* base/text.h: numbers, sizes, durations, printable text, command lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "failing_alloc.h"

static void a_number_is_the_whole_text_and_in_range(void **state)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		int err;
		uint64_t value;
	} rows[] = {
	    {"0", 0, 10, 0, 0},
	    {"007", 0, 10, 0, 7},
	    {"10", 0, 10, 0, 10},
	    {"11", 0, 10, -ERANGE, 0},
	    {"1", 2, 10, -ERANGE, 0},
	    {"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0},
	    {"", 0, 10, -EINVAL, 0},
	    {"-1", 0, 10, -EINVAL, 0},
	    {"+1", 0, 10, -EINVAL, 0},
	    {" 1", 0, 10, -EINVAL, 0},
	    {"1 ", 0, 10, -EINVAL, 0},
	    {"0x1", 0, 10, -EINVAL, 0},
	    {"1.5", 0, 10, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++) {
		uint64_t value = 4711;

		assert_int_equal(sp_text_to_u64(rows[i].text, rows[i].min, rows[i].max, &value), rows[i].err);
		assert_int_equal(value, rows[i].err ? 4711 : rows[i].value);
	}
}

static void a_size_may_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} rows[] = {
	    {"512", 0, 512},           {"512B", 0, 512},
	    {"4K", 0, 4096},           {"4k", 0, 4096},
	    {"4KB", 0, 4096},          {"4KiB", 0, 4096},
	    {"3M", 0, 3 << 20},        {"1G", 0, 1 << 30},
	    {"2TiB", 0, 2ull << 40},   {"16777215T", 0, 16777215ull << 40},
	    {"16777216T", -ERANGE, 0}, {"18446744073709551616K", -ERANGE, 0},
	    {"4iB", -EINVAL, 0},       {"4KK", -EINVAL, 0},
	    {"4KBs", -EINVAL, 0},      {"K", -EINVAL, 0},
	    {"", -EINVAL, 0},          {"1P", -EINVAL, 0},
	    {"1 K", -EINVAL, 0},
	};
	uint64_t value = 4711;

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++) {
		value = 4711;
		assert_int_equal(sp_text_to_bytes(rows[i].text, 0, UINT64_MAX, &value), rows[i].err);
		assert_int_equal(value, rows[i].err ? 4711 : rows[i].value);
	}
	assert_int_equal(sp_text_to_bytes("1K", 0, 1023, &value), -ERANGE);
}

static void sizes_are_shown_in_the_nearest_unit(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
	    {0, "0 B"},
	    {1023, "1023 B"},
	    {1024, "1.0 KiB"},
	    {40960, "40.0 KiB"},
	    {1048575, "1.0 MiB"},
	    {1048576 / 100 * 123, "1.2 MiB"},
	    {1023ull << 40, "1023.0 TiB"},
	    {(1ull << 50) - 1, "1.0 PiB"},
	    {UINT64_MAX, "16.0 EiB"},
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		assert_string_equal(sp_text_bytes(buf, sizeof(buf), rows[i].bytes), rows[i].text);
	assert_string_equal(sp_text_bytes(buf, 4, 40960), "40.");
}

static void durations_are_short(void **state)
{
	const uint64_t s = 1000000000;
	const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
	    {0, "0ms"},
	    {350000000, "350ms"},
	    {999999999, "999ms"},
	    {12 * s, "12s"},
	    {250 * s, "4m10s"},
	    {7500 * s, "2h05m"},
	    {(3 * 86400 + 4 * 3600) * s, "3d04h"},
	    {UINT64_MAX, "213503d23h"},
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		assert_string_equal(sp_text_duration(buf, sizeof(buf), rows[i].ns), rows[i].text);
}

static void what_could_steer_a_terminal_becomes_a_question_mark(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"plain text", "plain text"},
	    {"\x1b[31mred\x7f\n\t", "?[31mred???"},
	    {"h\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80", "h\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"},
	    {"\xc2\x80\xc2\x9b\xc2\x9f|\xc2\xa0", "???|\xc2\xa0"},                    /* C1 */
	    {"\xc0\xaf|\xc1\xbf|\xe0\x80\xaf|\xf0\x80\x80\xaf", "??|??|???|????"},    /* not the shortest */
	    {"\xed\xa0\x80|\xf4\x90\x80\x80|\xf8\x88\x80\x80\x80", "???|????|?????"}, /* surrogate, too high */
	    {"\x80|\xff|\xc3|\xe4\xb8|\xf0\x9f\x98", "?|?|?|??|???"},                 /* cut, stray */
	    {"\xc3(\xe4\xb8x", "?(??x"},                                              /* cut by another */
	    {"\xe2\x80\xae"
	     "gpj.exe|\xe2\x81\xa6|\xe2\x80\x8f|\xd8\x9c",
	     "?gpj.exe|?|?|?"},                                                     /* bidi */
	    {"\xe2\x80\xa8|\xef\xbb\xbf|\xe2\x80\x8b|\xf3\xa0\x81\x81", "?|?|?|?"}, /* line, BOM, hidden */
	    {"", ""},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		assert_string_equal(sp_text_printable(buf, sizeof(buf), rows[i].in), rows[i].out);
}

static void text_is_made_printable_in_its_own_place(void **state)
{
	/* What comes out is shorter than what went in, so a long character is copied over a part of itself. */
	char text[] = "a\xe2\x80\xae\xf0\x9f\x98\x80z";

	(void)state;
	assert_ptr_equal(sp_text_printable(text, sizeof(text), text), text);
	assert_string_equal(text, "a?\xf0\x9f\x98\x80z");
}

static void printable_text_is_cut_between_characters(void **state)
{
	char buf[8];

	(void)state;
	assert_string_equal(sp_text_printable(buf, 4, "ab\xc3\xa9"), "ab");
	assert_string_equal(sp_text_printable(buf, 5, "ab\xc3\xa9"), "ab\xc3\xa9");
	assert_string_equal(sp_text_printable(buf, 1, "ab"), "");
	buf[0] = 'x';
	sp_text_printable(buf, 0, "ab");
	assert_int_equal(buf[0], 'x');
}

/* Words joined by '|'. */
static const char *split(const char *line)
{
	static char joined[256];
	char **argv = NULL;
	size_t argc = 0;

	if (sp_text_split(line, &argv, &argc))
		return NULL;
	assert_null(argv[argc]);
	joined[0] = '\0';
	for (size_t i = 0, at = 0; i < argc; i++)
		at += (size_t)snprintf(joined + at, sizeof(joined) - at, "%s|", argv[i]);
	free(argv);
	return joined;
}

static void a_command_line_is_split_as_a_shell_does(void **state)
{
	static const struct {
		const char *line, *words;
	} rows[] = {
	    {"", ""},
	    {"  \t\n ", ""},
	    {"a b  c", "a|b|c|"},
	    {" a ", "a|"},
	    {"'a b' \"c d\"", "a b|c d|"},
	    {"a'b'\"c\"d", "abcd|"},
	    {"'' \"\" x", "||x|"},
	    {"a\\ b", "a b|"},
	    {"'a\\b' \"a\\b\" \"a\\\"b\\\\\\$\\`\"", "a\\b|a\\b|a\"b\\$`|"},
	    {"a\\\nb c\\\n d", "ab|c|d|"},
	    {"a \\\n b", "a|b|"},
	    {"\"a\\\nb\"", "ab|"},
	    {"$HOME *.c ; | &", "$HOME|*.c|;|||&|"},
	    {"a#b # c", "a#b|#|c|"},
	    {"a\\", "a\\|"},
	};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		assert_string_equal(split(rows[i].line), rows[i].words);
}

static void an_open_quote_and_no_memory_are_refused(void **state)
{
	char **argv = NULL;
	size_t argc = 4711;

	(void)state;
	assert_int_equal(sp_text_split("a 'b", &argv, &argc), -EINVAL);
	assert_int_equal(sp_text_split("\"b\\\"", &argv, &argc), -EINVAL);
	alloc_arm(0);
	assert_int_equal(sp_text_split("a", &argv, &argc), -ENOMEM);
	assert_true(alloc_disarm());
	assert_null(argv);
	assert_int_equal(argc, 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_number_is_the_whole_text_and_in_range),
	    cmocka_unit_test(a_size_may_have_a_unit),
	    cmocka_unit_test(sizes_are_shown_in_the_nearest_unit),
	    cmocka_unit_test(durations_are_short),
	    cmocka_unit_test(what_could_steer_a_terminal_becomes_a_question_mark),
	    cmocka_unit_test(text_is_made_printable_in_its_own_place),
	    cmocka_unit_test(printable_text_is_cut_between_characters),
	    cmocka_unit_test(a_command_line_is_split_as_a_shell_does),
	    cmocka_unit_test(an_open_quote_and_no_memory_are_refused),
	};

	return cmocka_run_group_tests_name("base: text", tests, NULL, NULL);
}
