// SPDX-License-Identifier: Apache-2.0
/* The rest of cli/: from argv to a session's options, to messages and to an exit status. The session is a fake. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/events.h"
#include "report/report.h"
#include "session/session.h"

/* What the fake session saw and what it is to do; the one global of this test. */
static struct {
	struct sp_session_options seen;
	char words[256]; /* of seen.argv */
	unsigned nr_sessions;
	int ret;
	struct sp_why why;
	pid_t pid;      /* told in SP_NOTICE_TARGET */
	int report_ret; /* what our callback answered */
	const char *writer;
	struct sp_report_options report;
	int write_err;
} fake;

int sp_session_run(const struct sp_session_options *o, const struct sp_session_callbacks *cb, int *ret_child_status,
		   struct sp_why *why)
{
	struct sp_view view = {.pid = fake.pid, .target_ended = o->argv != NULL};
	struct sp_event event = {
	    .time_ns = 1623910970000, .tid = 25266, .comm = "t", .kind = SP_EVENT_FREE, .addr = 0x5a, .size = 64};

	fake.seen = *o;
	fake.nr_sessions++;
	for (char *const *word = o->argv; word && *word; word++)
		snprintf(fake.words + strlen(fake.words), sizeof(fake.words) - strlen(fake.words), "[%s]", *word);
	*ret_child_status = -1;
	cb->notice(SP_NOTICE_TARGET, fake.pid, "target", cb->arg);
	cb->notice(SP_NOTICE_WATCHING, fake.pid, "engine", cb->arg);
	if (o->engine_config.on_event)
		o->engine_config.on_event(&event, o->engine_config.on_event_arg);
	if (!o->no_reports)
		fake.report_ret = cb->report(&view, cb->arg);
	cb->notice(SP_NOTICE_ENDED, fake.pid, "ended", cb->arg);
	*why = fake.why;
	return fake.ret;
}

static int write_fake(FILE *out, const struct sp_report_options *o, const char *writer)
{
	fake.writer = writer;
	fake.report = *o;
	fprintf(out, "report by %s\n", writer);
	return fake.write_err ? fake.write_err : fflush(out) ? -errno : 0;
}

int sp_report_memleak(FILE *out, const struct sp_view *v, const struct sp_report_options *o)
{
	(void)v;
	return write_fake(out, o, "memleak");
}

int sp_report_trace(FILE *out, const struct sp_view *v, const struct sp_report_options *o)
{
	(void)v;
	return write_fake(out, o, "trace");
}

int sp_report_json(FILE *out, const struct sp_view *v, const struct sp_report_options *o)
{
	(void)v;
	return write_fake(out, o, "json");
}

/* ---- running the whole program ---- */

#define MAX_WORDS 40

struct result {
	int status;
	char out[16384], err[16384];
};

static int redirect(int fd, int *ret_saved)
{
	int file = memfd_create("captured", MFD_CLOEXEC);

	assert_true(file >= 0);
	*ret_saved = dup(fd);
	assert_true(dup2(file, fd) == fd);
	return file;
}

static void restore(int fd, int saved, int file, char *text, size_t size)
{
	ssize_t n = pread(file, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	dup2(saved, fd);
	close(saved);
	close(file);
}

static struct result run_words(char **argv)
{
	struct result r;
	int argc = 0, saved_out, saved_err, out, err;

	while (argv[argc])
		argc++;
	fflush(stdout);
	out = redirect(STDOUT_FILENO, &saved_out);
	err = redirect(STDERR_FILENO, &saved_err);
	r.status = sp_cli_main(argc, argv);
	fflush(stdout);
	clearerr(stdout);
	restore(STDOUT_FILENO, saved_out, out, r.out, sizeof(r.out));
	restore(STDERR_FILENO, saved_err, err, r.err, sizeof(r.err));
	return r;
}

/* Words are separated by blanks; "~" stands for a blank inside a word. */
static struct result run(const char *words)
{
	static char line[512], *argv[MAX_WORDS + 1]; /* the options that the fake keeps point here */
	int argc = 0;

	snprintf(line, sizeof(line), "%s", words);
	for (char *save = NULL, *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < MAX_WORDS);
		for (char *p = word; *p; p++)
			*p = *p == '~' ? ' ' : *p;
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return run_words(argv);
}

static int forget(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.pid = 12512;
	return 0;
}

static void assert_fails(const char *words, int status, const char *message)
{
	struct result r = run(words);

	assert_string_equal(r.err, message);
	assert_int_equal(r.status, status);
	assert_string_equal(r.out, "");
}

/* ---- memleak ---- */

static void memleak_says_first_whom_it_attaches_to(void **state)
{
	struct result r = run("/usr/bin/memleak -p 12512 -a");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "Attaching to pid 12512, Ctrl+C to quit.\nreport by memleak\n");
	assert_string_equal(r.err, "memleak: watching pid 12512: engine\nmemleak: ended\n");
	assert_string_equal(fake.seen.target, "12512");
	assert_int_equal(fake.seen.list, SP_LIST_ALL);
	assert_true(fake.report.show_list);
	assert_false(fake.report.colour || fake.report.show_pc || fake.report.combined);
	assert_false(fake.seen.kernel);
	assert_null(fake.seen.engine_config.object);
	assert_int_equal(fake.seen.filter.min_age_ns, 500000000);
	assert_int_equal(fake.seen.top, 10);
	assert_int_equal(fake.seen.interval_ns, 5000000000);
	assert_int_equal(fake.seen.count, 0);
	assert_string_equal(fake.seen.engine, "auto");
	assert_int_equal(fake.seen.sort, SP_SORT_BYTES);
}

static void memleak_launches_a_quoted_command(void **state)
{
	struct result r = run("memleak -c ./leaker~'a~b'~30000 -T 1 1 2");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "Executing './leaker 'a b' 30000' and tracing the resulting process.\n"
				   "Attaching to pid 12512, Ctrl+C to quit.\nreport by memleak\n");
	assert_string_equal(fake.words, "[./leaker][a b][30000]");
	assert_int_equal(fake.seen.top, 1);
	assert_int_equal(fake.seen.interval_ns, 1000000000);
	assert_int_equal(fake.seen.count, 2);
	assert_false(fake.seen.kernel);
}

static void memleak_without_a_process_watches_the_kernel(void **state)
{
	struct result r;

	(void)state;
	fake.pid = 0;
	r = run("seep memleak --percpu --wa-missing-free -s 7 -z 16 -Z 4096 1 1");
	assert_string_equal(r.out, "Attaching to kernel allocators, Ctrl+C to quit.\nreport by memleak\n");
	assert_string_equal(r.err, "seep: ended\n");
	assert_true(fake.seen.kernel && fake.seen.engine_config.percpu && fake.seen.engine_config.wa_missing_free);
	assert_int_equal(fake.seen.engine_config.sample_rate, 7);
	assert_int_equal(fake.seen.engine_config.min_size, 16);
	assert_int_equal(fake.seen.engine_config.max_size, 4096);
	assert_int_equal(fake.seen.filter.max_size, 4096);
}

static void memleak_combined_has_no_age_and_no_blocks(void **state)
{
	(void)state;
	run("memleak -p 1 -a --combined-only --sort count --show-pc -O /usr/lib/libjemalloc.so.2");
	assert_int_equal(fake.seen.filter.min_age_ns, 0);
	assert_int_equal(fake.seen.list, SP_LIST_NONE);
	assert_int_equal(fake.seen.sort, SP_SORT_BLOCKS);
	assert_true(fake.report.combined && fake.report.show_pc);
	assert_string_equal(fake.seen.engine_config.object, "/usr/lib/libjemalloc.so.2");
}

static void memleak_prints_events_and_no_reports(void **state)
{
	struct result r = run("memleak -p 1 -t");

	(void)state;
	assert_true(fake.seen.no_reports);
	assert_string_equal(r.out,
			    "Attaching to pid 12512, Ctrl+C to quit.\n"
			    "(b't', 25266, 0, b'.....', 1623.91097, b'free entered, address = 5a, size = 64')\n");
}

static void memleak_refuses_what_cannot_be(void **state)
{
	(void)state;
	assert_fails("memleak -p 1 -z 10 -Z 5", 2, "memleak: min_size (-z) can't be greater than max_size (-Z)\n");
	assert_fails("memleak -p 1 -c ls", 2, "memleak: -p and -c exclude each other\n");
	assert_fails("memleak -c ls~'a", 2, "memleak: a quote in -c is not closed: ls 'a\n");
	assert_fails("memleak -c ~", 2, "memleak: -c names no program\n");
	assert_fails("memleak -p 1 --percpu", 2, "memleak: --percpu watches the kernel: -p and -c do not apply\n");
	assert_fails(
	    "memleak --ebpf", 2,
	    "memleak: --ebpf does not apply; the BPF programs were compiled when seep was built, there is no C "
	    "text to print\n");
	assert_fails("memleak --engine replay", 2, "memleak: --engine replay needs --replay FILE\n");
	assert_fails("memleak --foo", 2, "memleak: unknown option '--foo' (see 'memleak --help')\n");
	assert_fails("seep memleak -T x", 2, "seep: 'x' is not a number for --top\n");
	assert_int_equal(fake.nr_sessions, 0);
}

static void events_are_tuples_as_python_writes_them(void **state)
{
	static const struct {
		struct sp_event event;
		const char *text;
	} rows[] = {
	    {{.time_ns = 1623910970000, .tid = 7, .cpu = 1, .comm = "t", .kind = SP_EVENT_ENTER, .size = 121},
	     "(b't', 7, 1, b'.....', 1623.91097, b'alloc entered, size = 121')"},
	    {{.time_ns = 5000000999, .comm = "it's", .kind = SP_EVENT_ALLOC, .addr = 0x55ae780210b0, .size = 1},
	     "(b\"it's\", 0, 0, b'.....', 5.0, b'alloc exited, size = 1, result = 55ae780210b0')"},
	    {{.time_ns = 1, .comm = "a\"'\\\n\x01\xff", .kind = SP_EVENT_FREE, .addr = 0x10},
	     "(b'a\"\\'\\\\\\n\\x01\\xff', 0, 0, b'.....', 0.0, b'free entered, address = 10, size = 0')"},
	};
	struct sp_event worst = {.time_ns = UINT64_MAX,
				 .pid = UINT32_MAX,
				 .tid = UINT32_MAX,
				 .cpu = UINT32_MAX,
				 .kind = SP_EVENT_ALLOC,
				 .addr = UINT64_MAX,
				 .size = UINT64_MAX};
	char line[256];

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		assert_string_equal(sp_event_text(&rows[i].event, line, sizeof(line)), rows[i].text);
	memset(worst.comm, 0xfe, sizeof(worst.comm)); /* no end */
	sp_event_text(&worst, line, sizeof(line));
	assert_non_null(strstr(line, "result = ffffffffffffffff')"));
}

/* ---- trace and kernel ---- */

static void trace_ranks_by_growth_and_talks_on_stderr(void **state)
{
	struct result r = run("seep trace redis-server 2 3");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "report by trace\n");
	assert_string_equal(r.err, "seep: watching pid 12512: engine\nseep: ended\n");
	assert_string_equal(fake.seen.target, "redis-server");
	assert_int_equal(fake.seen.sort, SP_SORT_GROWTH);
	assert_int_equal(fake.seen.list, SP_LIST_NONE);
	assert_int_equal(fake.seen.filter.min_age_ns, 500000000);
	assert_int_equal(fake.seen.interval_ns, 2000000000);
	assert_int_equal(fake.seen.count, 3);
	assert_null(fake.seen.engine_config.object);
	assert_int_equal(fake.report.width, 0);
}

static void trace_passes_every_option_on(void **state)
{
	(void)state;
	run("seep trace 7 --json -a --older 0 --top 0 --sort age --sample-rate 4 --obj /lib/x --symbols-prefix je_ "
	    "--debuginfod --no-lines --max-blocks 5 --max-paths 6 --engine bpf --color always");
	assert_string_equal(fake.writer, "json");
	assert_int_equal(fake.seen.list, SP_LIST_PATH);
	assert_int_equal(fake.seen.filter.min_age_ns, 0);
	assert_int_equal(fake.seen.top, 0);
	assert_int_equal(fake.seen.sort, SP_SORT_AGE);
	assert_int_equal(fake.seen.engine_config.sample_rate, 4);
	assert_string_equal(fake.seen.engine_config.object, "/lib/x");
	assert_string_equal(fake.seen.engine_config.symbols_prefix, "je_");
	assert_int_equal(fake.seen.engine_config.max_blocks, 5);
	assert_int_equal(fake.seen.engine_config.max_paths, 6);
	assert_true(fake.seen.symbolize.debuginfod && fake.seen.symbolize.no_lines);
	assert_string_equal(fake.seen.engine, "bpf");
	assert_true(fake.report.colour);
}

static void trace_launches_and_replays(void **state)
{
	(void)state;
	run("seep trace 1 -- ./app a~b --json");
	assert_string_equal(fake.words, "[./app][a b][--json]");
	assert_null(fake.seen.target);
	run("seep trace --replay file");
	assert_string_equal(fake.seen.engine, "replay");
	assert_string_equal(fake.seen.engine_config.replay_file, "file");
}

static void kernel_watches_the_kernel(void **state)
{
	(void)state;
	run("seep kernel --percpu --wa-missing-free 1 1");
	assert_true(fake.seen.kernel && fake.seen.engine_config.percpu && fake.seen.engine_config.wa_missing_free);
	assert_string_equal(fake.writer, "trace");
	assert_int_equal(fake.seen.count, 1);
}

static void trace_refuses_what_cannot_be(void **state)
{
	(void)state;
	assert_fails(
	    "seep trace", 2,
	    "seep: which program? (see 'seep trace --help'); give its PID, its name, or -- and a command to start\n");
	assert_fails(
	    "seep trace --", 2,
	    "seep: which program? (see 'seep trace --help'); give its PID, its name, or -- and a command to start\n");
	assert_fails("seep trace 1 --min-size 2K --max-size 1K", 2,
		     "seep: --min-size 2048 is greater than --max-size 1024\n");
	assert_fails("seep trace --replay x --engine bpf", 2, "seep: --replay and --engine bpf exclude each other\n");
	assert_fails("seep trace --replay x -- ls", 2, "seep: --replay shows a recording: it cannot launch 'ls'\n");
	assert_fails("seep kernel 1 2 3", 2, "seep: '3' is one word too many (see 'seep kernel --help')\n");
	assert_int_equal(fake.nr_sessions, 0);
}

static void colours_follow_no_color_and_the_terminal(void **state)
{
	(void)state;
	run("seep trace 1"); /* stdout is a file here */
	assert_false(fake.report.colour);
	setenv("NO_COLOR", "1", 1);
	run("seep trace 1 --color always");
	assert_true(fake.report.colour);
	unsetenv("NO_COLOR");
	run("seep trace 1 --color never");
	assert_false(fake.report.colour);
}

/* ---- statuses and messages ---- */

static void a_target_that_cannot_be_watched_is_status_3_in_one_line(void **state)
{
	struct result r;

	(void)state;
	fake.ret = sp_why_set(&fake.why, SP_FAULT_TARGET, EPERM, "cannot attach to 12: not permitted");
	sp_why_hint(&fake.why, "run it as root");
	r = run("memleak -p 12");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.err, "memleak: cannot attach to 12: not permitted; run it as root\n"));
}

static void a_failure_without_a_reason_still_has_a_message(void **state)
{
	struct result r;

	(void)state;
	fake.ret = -ENOMEM;
	r = run("seep trace app");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.err, "seep: the session failed: Cannot allocate memory\n"));
}

static void a_reader_that_went_away_is_no_failure(void **state)
{
	struct result r;

	(void)state;
	fake.write_err = fake.ret = -EPIPE;
	r = run("seep trace app");
	assert_int_equal(r.status, 0);
	assert_int_equal(fake.report_ret, -EPIPE);
	assert_string_equal(r.err, "seep: watching pid 12512: engine\nseep: ended\n");
}

static void a_full_disk_is_said_and_is_status_3(void **state)
{
	struct result r;

	(void)state;
	fake.write_err = fake.ret = -ENOSPC;
	r = run("seep trace app");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.err, "seep: cannot write to standard output: No space left on device\n"));
}

static void unknown_commands_are_guessed(void **state)
{
	(void)state;
	assert_fails("seep trcae", 2, "seep: 'trcae' is not a command; did you mean 'trace'?\n");
	assert_fails("seep kernle", 2, "seep: 'kernle' is not a command; did you mean 'kernel'?\n");
	assert_fails("seep memlaek", 2, "seep: 'memlaek' is not a command; did you mean 'memleak'?\n");
	assert_fails("seep x", 2, "seep: 'x' is not a command (see 'seep --help')\n");
	assert_fails("seep 12345", 2, "seep: '12345' is not a command (see 'seep --help')\n");
	assert_fails("seep help x", 2, "seep: 'x' is not a command (see 'seep --help')\n");
	assert_fails("seep --fast", 2, "seep: unknown option '--fast' (see 'seep --help')\n");
}

static void seep_alone_asks_for_a_command(void **state)
{
	(void)state;
	assert_fails("seep", 2, "seep: which command? (see 'seep --help')\n");
}

static void the_version_is_printed_under_both_names(void **state)
{
	(void)state;
	assert_string_equal(run("seep --version").out, "seep " SEEP_VERSION "\n");
	assert_string_equal(run("./memleak --version").out, "memleak (seep " SEEP_VERSION ")\n");
	assert_string_equal(run("seep memleak --version").out, "seep " SEEP_VERSION "\n");
}

/* Longest line of a text. */
static size_t widest(const char *text)
{
	size_t max = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		max = len > max ? len : max;
		text += len + (text[len] == '\n');
	}
	return max;
}

static void help_shows_every_row_within_80_columns(void **state)
{
	(void)state;
	for (size_t i = 0; sp_commands[i]; i++) {
		const struct sp_command *c = sp_commands[i];
		struct result by_option, by_command;
		char words[64], shown[64];

		snprintf(words, sizeof(words), "seep %s --help", c->name);
		by_option = run(words);
		snprintf(words, sizeof(words), "seep help %s", c->name);
		by_command = run(words);
		assert_int_equal(by_option.status, 0);
		assert_string_equal(by_option.out, by_command.out);
		assert_true(widest(by_option.out) <= 80);
		for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
			const char *at = strstr(by_option.out, sp_opt_shown(o, shown, sizeof(shown)));

			assert_true((at != NULL) == !(o->how & SP_OPT_HIDDEN));
		}
	}
}

static void seep_help_lists_the_commands(void **state)
{
	struct result r = run("seep --help");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, run("seep help").out);
	assert_true(widest(r.out) <= 80);
	for (size_t i = 0; sp_commands[i]; i++)
		assert_non_null(strstr(r.out, sp_commands[i]->name));
}

/* "$(pidof app)" is one word for the shell: here it loses its blank. */
static void close_up(char *line)
{
	char *from = strstr(line, "$(");

	while (from && *from && *from != ')') {
		*from = *from == ' ' ? '.' : *from;
		from++;
	}
}

/* What goes through a session; other commands look at once, at the machine that the test runs on. */
static bool starts_a_session(const struct sp_command *c)
{
	return c->id & (SP_FOR_TRACE | SP_FOR_KERNEL | SP_FOR_MEMLEAK);
}

static void check_words(const struct sp_command *c, size_t argc, char **argv)
{
	struct sp_args args;
	struct sp_why why = {0};
	int used;

	assert_int_equal(sp_options_parse(c->id, c->name, (int)argc - 1, argv + 1, &args, &used, &why), 0);
}

static void every_example_of_the_help_is_understood(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t i = 0; sp_commands[i]; i++) {
		for (const struct sp_example *e = sp_commands[i]->examples; e && e->words; e++) {
			char line[256], **argv = NULL;
			size_t argc = 0;

			snprintf(line, sizeof(line), "seep %s %s", sp_commands[i]->name, e->words);
			line[strcspn(line, "|>")] = '\0';
			close_up(line);
			assert_int_equal(sp_text_split(line, &argv, &argc), 0);
			if (starts_a_session(sp_commands[i])) {
				assert_int_equal(run_words(argv).status, 0);
				assert_int_equal(fake.nr_sessions, ++nr);
			} else {
				check_words(sp_commands[i], argc, argv);
			}
			free(argv);
		}
	}
	assert_true(nr > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(memleak_says_first_whom_it_attaches_to, forget),
	    cmocka_unit_test_setup(memleak_launches_a_quoted_command, forget),
	    cmocka_unit_test_setup(memleak_without_a_process_watches_the_kernel, forget),
	    cmocka_unit_test_setup(memleak_combined_has_no_age_and_no_blocks, forget),
	    cmocka_unit_test_setup(memleak_prints_events_and_no_reports, forget),
	    cmocka_unit_test_setup(memleak_refuses_what_cannot_be, forget),
	    cmocka_unit_test(events_are_tuples_as_python_writes_them),
	    cmocka_unit_test_setup(trace_ranks_by_growth_and_talks_on_stderr, forget),
	    cmocka_unit_test_setup(trace_passes_every_option_on, forget),
	    cmocka_unit_test_setup(trace_launches_and_replays, forget),
	    cmocka_unit_test_setup(kernel_watches_the_kernel, forget),
	    cmocka_unit_test_setup(trace_refuses_what_cannot_be, forget),
	    cmocka_unit_test_setup(colours_follow_no_color_and_the_terminal, forget),
	    cmocka_unit_test_setup(a_target_that_cannot_be_watched_is_status_3_in_one_line, forget),
	    cmocka_unit_test_setup(a_failure_without_a_reason_still_has_a_message, forget),
	    cmocka_unit_test_setup(a_reader_that_went_away_is_no_failure, forget),
	    cmocka_unit_test_setup(a_full_disk_is_said_and_is_status_3, forget),
	    cmocka_unit_test_setup(unknown_commands_are_guessed, forget),
	    cmocka_unit_test_setup(seep_alone_asks_for_a_command, forget),
	    cmocka_unit_test_setup(the_version_is_printed_under_both_names, forget),
	    cmocka_unit_test_setup(help_shows_every_row_within_80_columns, forget),
	    cmocka_unit_test_setup(seep_help_lists_the_commands, forget),
	    cmocka_unit_test_setup(every_example_of_the_help_is_understood, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
