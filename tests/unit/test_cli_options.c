// SPDX-License-Identifier: Apache-2.0
/* cli/options.c, cli/parse.c and cli/values.c: the table of options and what it makes of words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"

static const unsigned commands[] = {SP_FOR_SEEP, SP_FOR_TRACE, SP_FOR_KERNEL, SP_FOR_MEMLEAK, SP_FOR_HELP};

#define MAX_WORDS 48

/* Splits a line at blanks; "~" stands for an empty word. */
static int split(char *line, char **argv)
{
	int argc = 0;

	argv[argc++] = (char[]){"x"};
	for (char *save = NULL, *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < MAX_WORDS);
		argv[argc++] = strcmp(word, "~") != 0 ? word : word + 1;
	}
	argv[argc] = NULL;
	return argc;
}

/* The words must outlive *ret, so the test keeps them. */
static int parse(unsigned command, char *line, struct sp_args *ret, struct sp_why *why)
{
	static char *argv[MAX_WORDS + 1];
	int used = -1;

	memset(why, 0, sizeof(*why));
	return sp_options_parse(command, "seep it", split(line, argv), argv, ret, &used, why);
}

#define PARSE(command, words)                                                                                          \
	char line[] = words;                                                                                           \
	struct sp_args args;                                                                                           \
	struct sp_why why;                                                                                             \
	assert_int_equal(parse(command, line, &args, &why), 0)

static void assert_refused(unsigned command, const char *words, const char *sentence)
{
	struct sp_args args, untouched;
	struct sp_why why;
	char line[256];

	memset(&args, 0x5a, sizeof(args));
	untouched = args;
	snprintf(line, sizeof(line), "%s", words);
	assert_true(parse(command, line, &args, &why) < 0);
	assert_string_equal(why.what, sentence);
	assert_int_equal(why.fault, SP_FAULT_USAGE);
	assert_memory_equal(&args, &untouched, sizeof(args));
}

static void defaults_come_from_the_rows(void **state)
{
	PARSE(SP_FOR_MEMLEAK, "");
	(void)state;
	assert_int_equal(args.interval_ns, 5000000000);
	assert_int_equal(args.count, 0);
	assert_int_equal(args.older_ns, 500000000);
	assert_int_equal(args.top, 10);
	assert_int_equal(args.sample_rate, 1);
	assert_string_equal(args.object, "c");
	assert_string_equal(args.sort->name, "size");
	assert_string_equal(args.engine->name, "auto");
	assert_null(args.target);
	assert_null(args.argv);
	assert_false(args.list || args.help || args.percpu);
}

static void a_top_glued_to_other_words_is_read_as_bcc_reads_it(void **state)
{
	PARSE(SP_FOR_MEMLEAK, "-T 1 1 2");
	(void)state;
	assert_int_equal(args.top, 1);
	assert_int_equal(args.interval_ns, 1000000000);
	assert_int_equal(args.count, 2);
}

static void options_may_stand_behind_words(void **state)
{
	PARSE(SP_FOR_MEMLEAK, "3 -ap12 --older=0 7 -z4K -Z 1M");
	(void)state;
	assert_int_equal(args.interval_ns, 3000000000);
	assert_int_equal(args.count, 7);
	assert_true(args.list);
	assert_string_equal(args.target, "12");
	assert_int_equal(args.older_ns, 0);
	assert_int_equal(args.min_size, 4096);
	assert_int_equal(args.max_size, 1048576);
}

static void long_options_may_be_shortened_while_they_are_clear(void **state)
{
	PARSE(SP_FOR_MEMLEAK, "--show-a --comb --sym je_");
	(void)state;
	assert_true(args.list && args.combined_only);
	assert_string_equal(args.symbols_prefix, "je_");
}

static void the_last_of_a_repeated_option_counts(void **state)
{
	PARSE(SP_FOR_TRACE, "--top 3 app --sort age --top 4 --sort size");
	(void)state;
	assert_int_equal(args.top, 4);
	assert_string_equal(args.sort->name, "size");
}

static void trace_takes_a_target_and_then_its_times(void **state)
{
	PARSE(SP_FOR_TRACE, "redis-server 500ms 3");
	(void)state;
	assert_string_equal(args.target, "redis-server");
	assert_int_equal(args.interval_ns, 500000000);
	assert_int_equal(args.count, 3);
}

static void trace_launches_what_follows_two_dashes(void **state)
{
	PARSE(SP_FOR_TRACE, "1 -a 2 -- ./app -a --top 9 -- x");
	(void)state;
	assert_null(args.target);
	assert_int_equal(args.interval_ns, 1000000000);
	assert_int_equal(args.count, 2);
	assert_true(args.list);
	assert_int_equal(args.top, 10);
	assert_non_null(args.argv);
	assert_string_equal(args.argv[0], "./app");
	assert_string_equal(args.argv[1], "-a");
	assert_string_equal(args.argv[4], "--");
	assert_string_equal(args.argv[5], "x");
	assert_null(args.argv[6]);
}

static void a_recording_needs_no_target(void **state)
{
	PARSE(SP_FOR_TRACE, "--replay file 1 2");
	(void)state;
	assert_null(args.target);
	assert_int_equal(args.interval_ns, 1000000000);
	assert_int_equal(args.count, 2);
}

static void two_dashes_and_nothing_behind_launch_nothing(void **state)
{
	PARSE(SP_FOR_TRACE, "app --");
	(void)state;
	assert_string_equal(args.target, "app");
	assert_null(args.argv);
}

static void elsewhere_two_dashes_only_end_the_options(void **state)
{
	PARSE(SP_FOR_MEMLEAK, "-p 1 -- 2 3");
	(void)state;
	assert_null(args.argv);
	assert_int_equal(args.interval_ns, 2000000000);
	assert_int_equal(args.count, 3);
}

static void seep_itself_stops_at_the_command(void **state)
{
	char *argv[] = {(char[]){"seep"}, (char[]){"trace"}, (char[]){"--version"}, NULL};
	struct sp_args args;
	struct sp_why why = {0};
	int used = -1;

	(void)state;
	assert_int_equal(sp_options_parse(SP_FOR_SEEP, "seep", 3, argv, &args, &used, &why), 0);
	assert_int_equal(used, 1);
	assert_false(args.version);
}

static void help_wins_over_missing_and_wrong_words(void **state)
{
	PARSE(SP_FOR_TRACE, "app abc -h");
	(void)state;
	assert_true(args.help);
}

static void unknown_options_are_named(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app --foo", "unknown option '--foo' (see 'seep it --help')");
	assert_refused(SP_FOR_TRACE, "app --foo=3", "unknown option '--foo' (see 'seep it --help')");
	assert_refused(SP_FOR_TRACE, "app -ax", "unknown option '-x' (see 'seep it --help')");
	assert_refused(SP_FOR_TRACE, "-? app", "unknown option '-?' (see 'seep it --help')");
	assert_refused(SP_FOR_TRACE, "app --percpu", "unknown option '--percpu' (see 'seep it --help')");
	assert_refused(SP_FOR_SEEP, "--json", "unknown option '--json' (see 'seep it --help')");
}

static void ambiguous_options_list_what_they_could_be(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app --ma",
		       "'--ma' could be one of --max-size, --max-memory, --max-pause, --max-blocks, --max-paths (see "
		       "'seep it --help')");
	assert_refused(
	    SP_FOR_MEMLEAK, "--s=1",
	    "'--s' could be one of --symbols-prefix, --show-allocs, --sort, --show-pc, --sample-rate, --sample (see "
	    "'seep it --help')");
}

static void values_that_are_missing_or_too_many_are_named(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app --top", "--top needs a value: N (see 'seep it --help')");
	assert_refused(SP_FOR_MEMLEAK, "-aT", "--top needs a value: N (see 'seep it --help')");
	assert_refused(SP_FOR_TRACE, "app --json=yes", "--json takes no value (see 'seep it --help')");
	assert_refused(SP_FOR_MEMLEAK, "-O ~", "--obj must not be empty");
	assert_refused(SP_FOR_TRACE, "~", "PID|NAME must not be empty");
}

static void numbers_are_checked_to_the_last_letter(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app --top abc", "'abc' is not a number for --top");
	assert_refused(SP_FOR_TRACE, "app --top 3x", "'3x' is not a number for --top");
	assert_refused(SP_FOR_TRACE, "app --top=-1", "'-1' is not a number for --top");
	assert_refused(SP_FOR_TRACE, "app --top ~", "'' is not a number for --top");
	assert_refused(SP_FOR_MEMLEAK, "-s 0", "'0' is out of range for --sample-rate: 1 to 4294967295");
	assert_refused(SP_FOR_MEMLEAK, "-s 4294967296",
		       "'4294967296' is out of range for --sample-rate: 1 to 4294967295");
	assert_refused(SP_FOR_MEMLEAK, "5 0", "'0' is out of range for COUNT: 1 to 18446744073709551615");
	assert_refused(SP_FOR_MEMLEAK, "5 x", "'x' is not a number for COUNT");
	assert_refused(SP_FOR_MEMLEAK, "-z 10X", "'10X' is not a size (as 4096, 64K or 2M) for --min-size");
	assert_refused(SP_FOR_MEMLEAK, "-Z 0", "'0' is out of range for --max-size: 1 to 18446744073709551615");
}

static void lengths_of_time_are_checked(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app 0", "'0' is out of range for INTERVAL: 10ms to 365d");
	assert_refused(SP_FOR_TRACE, "app 366d", "'366d' is out of range for INTERVAL: 10ms to 365d");
	assert_refused(SP_FOR_TRACE, "app 1x", "'1x' is not a length of time (as 5, 500ms or 2m) for INTERVAL");
	assert_refused(SP_FOR_TRACE, "app --older 500",
		       "'500' is not a length of time with its unit (as 500ms, 30s or 2m) for --older");
	assert_refused(SP_FOR_MEMLEAK, "-o 366d", "'366d' is out of range for --older: 0 to 365d");
}

static void choices_are_listed(void **state)
{
	(void)state;
	assert_refused(SP_FOR_MEMLEAK, "--sort foo", "'foo' is not a choice for --sort: size, count");
	assert_refused(SP_FOR_KERNEL, "--color blue", "'blue' is not a choice for --color: auto, always, never");
	assert_refused(SP_FOR_TRACE, "app --sort count",
		       "'count' is not a choice for --sort: growth, size, blocks, age");
}

static void words_too_many_are_refused(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app 1 2 3", "'3' is one word too many (see 'seep it --help')");
	assert_refused(SP_FOR_MEMLEAK, "1 2 -- 3", "'3' is one word too many (see 'seep it --help')");
	assert_refused(SP_FOR_KERNEL, "1 2 3 4 5 6 7 8 9 10", "'3' is one word too many (see 'seep it --help')");
	assert_refused(SP_FOR_TRACE, "1 2 3 -- ls", "'3' is one word too many (see 'seep it --help')");
}

static void a_list_of_words_has_an_end(void **state)
{
	PARSE(SP_FOR_SERVE, "redis --top 3 12 -- 13");
	(void)state;
	assert_int_equal(args.words.nr, 3);
	assert_string_equal(args.words.list[0], "redis");
	assert_string_equal(args.words.list[2], "13");
	assert_refused(SP_FOR_SERVE, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 last",
		       "'last' is one word too many (see 'seep it --help')");
}

static void a_hostile_word_cannot_steer_the_terminal(void **state)
{
	(void)state;
	assert_refused(SP_FOR_TRACE, "app --\033[31m", "unknown option '--?[31m' (see 'seep it --help')");
}

static void durations_have_units_and_fractions(void **state)
{
	static const struct {
		const char *text;
		uint64_t unit, ns;
		int err;
	} rows[] = {
	    {"5", 1000000000, 5000000000, 0},
	    {"0", 0, 0, 0},
	    {"0.0", 0, 0, 0},
	    {"5", 0, 0, -EINVAL},
	    {"0.5", 1000000000, 500000000, 0},
	    {"1.5s", 0, 1500000000, 0},
	    {"0.1ms", 0, 100000, 0},
	    {"1.25m", 0, 75000000000, 0},
	    {"0.1d", 0, 8640000000000, 0},
	    {"0.999999999d", 0, 86399999913600, 0},
	    {"0.0000000009s", 0, 0, 0},
	    {"7us", 0, 7000, 0},
	    {"3ns", 0, 3, 0},
	    {"2h", 0, 7200000000000, 0},
	    {"", 1, 0, -EINVAL},
	    {".", 1, 0, -EINVAL},
	    {".5", 1000, 0, -EINVAL},
	    {"5.", 1000, 0, -EINVAL},
	    {"s", 1000, 0, -EINVAL},
	    {"-1s", 1000, 0, -EINVAL},
	    {"+1s", 1000, 0, -EINVAL},
	    {" 1s", 1000, 0, -EINVAL},
	    {"1s ", 1000, 0, -EINVAL},
	    {"1S", 1000, 0, -EINVAL},
	    {"1e3", 1000, 0, -EINVAL},
	    {"18446744073709551616", 1, 0, -ERANGE},
	    {"99999999999d", 1, 0, -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++) {
		uint64_t ns = 77;

		assert_int_equal(sp_text_to_duration(rows[i].text, rows[i].unit, 0, UINT64_MAX, &ns), rows[i].err);
		assert_int_equal(ns, rows[i].err ? 77 : rows[i].ns);
	}
}

/* A word that the row takes. */
static const char *good_word(const struct sp_opt *o, char *buf, size_t size)
{
	if (o->choices)
		return o->choices[0].name;
	if (o->type == SP_OPT_STRING)
		return "word";
	if (o->type == SP_OPT_DURATION)
		return "10m";
	snprintf(buf, size, "%llu", (unsigned long long)(o->min ? o->min : o->max));
	return buf;
}

/* The row's field in two sets of arguments differs. */
static bool field_differs(const struct sp_opt *o, const struct sp_args *a, const struct sp_args *b)
{
	size_t size = o->type == SP_OPT_FLAG ? sizeof(bool) : sizeof(uint64_t);

	return memcmp((const char *)a + o->field, (const char *)b + o->field, size) != 0;
}

static void every_row_parses_in_every_form(void **state)
{
	(void)state;
	for (size_t c = 0; c < SP_ARRAY_SIZE(commands); c++) {
		for (const struct sp_opt *o = sp_opt_first(commands[c]); o; o = sp_opt_next(o, commands[c])) {
			const char *word;
			char number[32], form[3][96];
			struct sp_args args, expected;
			struct sp_why why = {0};

			if (o->how & SP_OPT_POSITIONAL)
				continue;
			word = o->arg ? good_word(o, number, sizeof(number)) : "";
			snprintf(form[0], sizeof(form[0]), "--%s%s%s", o->name, o->type == SP_OPT_MAYBE ? "=" : " ",
				 word);
			snprintf(form[1], sizeof(form[1]), "--%s%s%s", o->name, o->arg ? "=" : "", word);
			snprintf(form[2], sizeof(form[2]), "-%c%s", o->letter, word);
			memset(&expected, 0, sizeof(expected));
			assert_int_equal(sp_opt_store(o, word, &expected, &why), 0);
			for (int f = 0; f < (o->letter ? 3 : 2); f++) {
				assert_int_equal(parse(commands[c], form[f], &args, &why), 0);
				if (o->type != SP_OPT_STRING)
					assert_false(field_differs(o, &args, &expected));
				else
					assert_string_equal(*(const char **)((char *)&args + o->field), "word");
			}
		}
	}
}

static void every_default_is_a_value_that_its_row_takes(void **state)
{
	(void)state;
	for (const struct sp_opt *o = sp_opts; o->name; o++) {
		struct sp_args args = {0};
		struct sp_why why = {0};

		if (o->def)
			assert_int_equal(sp_opt_store(o, o->def, &args, &why), 0);
	}
}

static void no_command_has_a_name_or_letter_twice(void **state)
{
	(void)state;
	for (size_t c = 0; c < SP_ARRAY_SIZE(commands); c++)
		for (const struct sp_opt *o = sp_opt_first(commands[c]); o; o = sp_opt_next(o, commands[c]))
			for (const struct sp_opt *p = sp_opt_next(o, commands[c]); p; p = sp_opt_next(p, commands[c])) {
				assert_string_not_equal(o->name, p->name);
				assert_false(o->letter && o->letter == p->letter);
			}
}

static void every_row_can_be_shown(void **state)
{
	(void)state;
	for (const struct sp_opt *o = sp_opts; o->name; o++) {
		char shown[64], text[512];

		assert_true(strlen(sp_opt_shown(o, shown, sizeof(shown))) < sizeof(shown) - 1);
		assert_true(strlen(sp_opt_text(o, text, sizeof(text))) < sizeof(text) - 1);
		assert_non_null(strstr(shown, o->name));
		assert_non_null(strstr(text, o->help));
		assert_true(o->commands != 0);
		assert_true((o->type == SP_OPT_FLAG) == !o->arg);
		assert_true((o->type == SP_OPT_CHOICE) == (o->choices != NULL));
	}
}

/* bcc tools/memleak.py: its parser's arguments. */
static void memleak_has_every_option_of_bcc(void **state)
{
	static const struct {
		char letter;
		const char *name;
	} bcc[] = {{'h', "help"},        {'p', "pid"},     {'t', "trace"},       {'a', "show-allocs"},
		   {'o', "older"},       {'c', "command"}, {0, "combined-only"}, {0, "wa-missing-free"},
		   {'s', "sample-rate"}, {'T', "top"},     {'z', "min-size"},    {'Z', "max-size"},
		   {'O', "obj"},         {0, "ebpf"},      {0, "percpu"},        {0, "sort"},
		   {0, "symbols-prefix"}};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(bcc); i++) {
		const struct sp_opt *o = sp_opt_first(SP_FOR_MEMLEAK);

		while (o && strcmp(o->name, bcc[i].name) != 0)
			o = sp_opt_next(o, SP_FOR_MEMLEAK);
		assert_non_null(o);
		assert_int_equal(o->letter, bcc[i].letter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_come_from_the_rows),
	    cmocka_unit_test(a_top_glued_to_other_words_is_read_as_bcc_reads_it),
	    cmocka_unit_test(options_may_stand_behind_words),
	    cmocka_unit_test(long_options_may_be_shortened_while_they_are_clear),
	    cmocka_unit_test(the_last_of_a_repeated_option_counts),
	    cmocka_unit_test(trace_takes_a_target_and_then_its_times),
	    cmocka_unit_test(trace_launches_what_follows_two_dashes),
	    cmocka_unit_test(a_recording_needs_no_target),
	    cmocka_unit_test(two_dashes_and_nothing_behind_launch_nothing),
	    cmocka_unit_test(elsewhere_two_dashes_only_end_the_options),
	    cmocka_unit_test(seep_itself_stops_at_the_command),
	    cmocka_unit_test(help_wins_over_missing_and_wrong_words),
	    cmocka_unit_test(unknown_options_are_named),
	    cmocka_unit_test(ambiguous_options_list_what_they_could_be),
	    cmocka_unit_test(values_that_are_missing_or_too_many_are_named),
	    cmocka_unit_test(numbers_are_checked_to_the_last_letter),
	    cmocka_unit_test(lengths_of_time_are_checked),
	    cmocka_unit_test(choices_are_listed),
	    cmocka_unit_test(words_too_many_are_refused),
	    cmocka_unit_test(a_list_of_words_has_an_end),
	    cmocka_unit_test(a_hostile_word_cannot_steer_the_terminal),
	    cmocka_unit_test(durations_have_units_and_fractions),
	    cmocka_unit_test(every_row_parses_in_every_form),
	    cmocka_unit_test(every_default_is_a_value_that_its_row_takes),
	    cmocka_unit_test(no_command_has_a_name_or_letter_twice),
	    cmocka_unit_test(every_row_can_be_shown),
	    cmocka_unit_test(memleak_has_every_option_of_bcc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
