// SPDX-License-Identifier: Apache-2.0
/* Runs a session for a command: views to the writer, notices to the user, failures to an exit status. */
#include "cli/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

static int check(const struct sp_args *args, struct sp_why *why)
{
	bool replay_engine = !strcmp(args->engine->name, "replay");

	if (args->max_size && args->min_size > args->max_size)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--min-size %llu is greater than --max-size %llu",
				  (unsigned long long)args->min_size, (unsigned long long)args->max_size);
	if (args->sample_bytes && args->sample_rate > 1)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--sample and --sample-rate exclude each other");
	if (replay_engine && !args->replay)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--engine replay needs --replay FILE");
	if (args->replay && !replay_engine && strcmp(args->engine->name, "auto") != 0)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--replay and --engine %s exclude each other",
				  args->engine->name);
	if (args->replay && args->resident)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL,
				  "--resident needs a running program: a recording has no memory");
	if (args->growth && args->replay)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL,
				  "--growth watches a running program: it cannot show a recording");
	if (args->growth && strcmp(args->engine->name, "auto") != 0 && strcmp(args->engine->name, "bpf") != 0)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--growth needs engine bpf, not %s", args->engine->name);
	if (args->replay && args->argv)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--replay shows a recording: it cannot launch '%s'",
				  args->argv[0]);
	return 0;
}

/* 0: no limit, for pipes and files. */
static unsigned terminal_width(void)
{
	struct winsize size;

	return !isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ? 0 : size.ws_col;
}

/* https://no-color.org: set and not empty. */
static bool wants_colour(const struct sp_choice *when)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (!when || !strcmp(when->name, "never"))
		return false;
	if (!strcmp(when->name, "always"))
		return true;
	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
}

static struct sp_engine_config engine_config(const struct sp_args *args)
{
	return (struct sp_engine_config){
	    .object = args->object,
	    .symbols_prefix = args->symbols_prefix,
	    .min_size = args->min_size,
	    .max_size = args->max_size,
	    .sample_rate = (uint32_t)args->sample_rate,
	    .sample_bytes = args->sample_bytes,
	    .max_memory = args->max_memory,
	    .max_pause_ns = args->max_pause_ns,
	    .table = args->table ? (enum sp_engine_table)args->table->value : SP_TABLE_AUTO,
	    .max_blocks = (uint32_t)args->max_blocks,
	    .max_paths = (uint32_t)args->max_paths,
	    .growth = args->growth,
	    .percpu = args->percpu,
	    .wa_missing_free = args->wa_missing_free,
	    .replay_file = args->replay,
	};
}

struct sp_report_options sp_run_report_options(const struct sp_args *args)
{
	return (struct sp_report_options){.colour = wants_colour(args->color),
					  .show_pc = args->show_pc,
					  .combined = args->combined_only,
					  .show_list = args->list,
					  .top = (unsigned)args->top,
					  .width = terminal_width()};
}

int sp_run_init(struct sp_run *run, const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	int err = check(args, why);

	if (err)
		return err;
	*run = (struct sp_run){
	    .cli = cli,
	    .session = {.target = args->target,
			.argv = args->argv,
			.engine = args->replay   ? "replay"
				  : args->growth ? "bpf"
						 : args->engine->name,
			.engine_config = engine_config(args),
			.filter = {.min_age_ns = args->older_ns,
				   .min_size = args->min_size,
				   .max_size = args->max_size},
			.sort = args->sort ? (enum sp_sort)args->sort->value : SP_SORT_GROWTH,
			.top = (unsigned)args->top,
			.interval_ns = args->interval_ns,
			.count = args->count,
			.resident = args->resident,
			.symbolize = {.debuginfod = args->debuginfod, .no_lines = args->no_lines}},
	    .suppressions = args->suppressions,
	    .report = sp_run_report_options(args),
	    .talk = sp_run_talk_stderr,
	};
	return 0;
}

void sp_run_set_format(struct sp_run *run, enum sp_report_format f)
{
	const struct sp_report_writer *w = sp_report_writer(f);

	run->write = w->write;
	run->only_last = w->once;
	run->session.verdicts = w->judged;
	if (w->once)
		run->session.top = 0;
}

int sp_run_talk_stderr(const struct sp_run *run, enum sp_notice n, pid_t pid, const char *text)
{
	bool is_recording = run->session.engine_config.replay_file != NULL;
	/* Attaching may take a second or two: a person wants to know for whom. */
	bool is_told = n == SP_NOTICE_TARGET ? isatty(STDERR_FILENO) : n == SP_NOTICE_WATCHING;
	const char *doing = n == SP_NOTICE_TARGET ? "attaching to" : "watching";

	if (n == SP_NOTICE_INFO || n == SP_NOTICE_ENDED)
		fprintf(stderr, "%s: %s\n", run->cli->program, text);
	else if (is_told && !is_recording && pid)
		fprintf(stderr, "%s: %s pid %d: %s\n", run->cli->program, doing, (int)pid, text);
	else if (is_told && !is_recording)
		fprintf(stderr, "%s: %s the kernel: %s\n", run->cli->program, doing, text);
	return 0;
}

static int on_report(const struct sp_view *v, void *arg)
{
	struct sp_run *run = arg;

	run->end.bytes = v->total_bytes;
	run->end.blocks = v->total_blocks;
	run->end.target_ended = v->target_ended;
	if (run->take)
		return run->take(v, run->take_arg, &run->take_why);
	if (run->only_last && !v->is_last)
		return 0;
	if (!run->write_err)
		run->write_err = run->write(stdout, v, &run->report);
	return run->write_err;
}

static void on_notice(enum sp_notice n, pid_t pid, const char *text, void *arg)
{
	struct sp_run *run = arg;
	int err = run->talk(run, n, pid, text);

	if (err)
		sp_run_stdout_failed(run, err);
}

int sp_run_flush(void)
{
	int err = fflush(stdout) ? errno : 0;

	if (!err && ferror(stdout))
		err = EIO;
	return -err;
}

static void do_nothing(int signal)
{
	(void)signal;
}

/*
 * The session waits for SIGTERM while it runs and then ends by its ordinary path. Should it have ended already, the
 * handler keeps the signal from ending us before the reason is printed.
 */
void sp_run_stdout_failed(struct sp_run *run, int err)
{
	struct sigaction act = {.sa_handler = do_nothing};

	if (run->write_err)
		return;
	run->write_err = err;
	sigaction(SIGTERM, &act, NULL);
	kill(getpid(), SIGTERM);
}

static int open_suppressions(const struct sp_run *run, struct sp_suppress **ret, struct sp_why *why)
{
	int err = 0;

	if (run->suppressions)
		err = sp_suppress_open(run->suppressions, ret, why);
	if (!err && run->suppress_runtime)
		err = sp_suppress_add_runtime(ret, why);
	return err;
}

/* What was left out by which rule: one that takes nothing any more should go. */
static void say_suppressed(const struct sp_run *run)
{
	size_t nr;
	const struct sp_suppress_rule *r = sp_suppress_rules(run->suppress, &nr);
	char bytes[16];

	for (size_t i = 0; i < nr; i++)
		if (r[i].nr_paths)
			fprintf(stderr, "%s: suppressed %s in %" PRIu64 " block%s: %s%s\n", run->cli->program,
				sp_text_bytes(bytes, sizeof(bytes), r[i].bytes), r[i].blocks,
				r[i].blocks == 1 ? "" : "s", r[i].is_runtime ? "" : "leak:", r[i].pattern);
}

static enum sp_screen_answer on_event(enum sp_screen_event e, void *arg)
{
	struct sp_run *run = arg;

	return run->event(e, run->take_arg);
}

static int run_session(struct sp_run *run, struct sp_why *why)
{
	struct sp_session_callbacks cb = {.report = on_report,
					  .notice = on_notice,
					  .event = run->event ? on_event : NULL,
					  .key_fd = run->key_fd,
					  .arg = run};
	int err = open_suppressions(run, &run->suppress, why);

	run->end = (struct sp_run_end){.child_status = -1};
	run->session.suppress = run->take_suppresses ? NULL : run->suppress;
	if (!err)
		err = sp_session_run(&run->session, &cb, &run->end.child_status, why);
	say_suppressed(run);
	run->session.suppress = NULL;
	sp_suppress_free(run->suppress);
	run->suppress = NULL;
	return err;
}

int sp_run_session(struct sp_run *run)
{
	struct sp_why why = {0};
	int err = run_session(run, &why);

	if (run->write_err)
		return sp_cli_written(run->cli, run->write_err, SP_EXIT_DONE);
	if (sp_why_is_set(&run->take_why))
		return sp_cli_complain(run->cli, &run->take_why);
	return sp_run_finish(run->cli, err, &why);
}

int sp_run_finish(const struct sp_cli *cli, int err, struct sp_why *why)
{
	if (err == 0 || err == -EPIPE)
		return SP_EXIT_DONE;
	if (!sp_why_is_set(why))
		(void)sp_why_set(why, SP_FAULT_OURS, -err, "the session failed: %s", strerror(-err));
	return sp_cli_complain(cli, why);
}
