// SPDX-License-Identifier: Apache-2.0
/* seep trace: what a running (or launched, or recorded) program holds, by call path. */
#include <errno.h>
#include <sys/wait.h>

#include "cli/live.h"
#include "cli/run.h"

static int init_gate(struct sp_run *run, const struct sp_args *args, struct sp_why *why)
{
	if (!args->argv || args->count) {
		int err =
		    sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--fail-on-leak judges what a program leaves at its end");
		sp_why_hint(why, "say --fail-on-leak -- CMD, without COUNT");
		return err;
	}
	run->only_last = true;
	run->suppress_runtime = true;
	run->session.filter.min_age_ns = 0; /* at the end every block counts */
	return 0;
}

static int init(struct sp_run *run, const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	int err;

	if (!args->target && !args->argv && !args->replay) {
		err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "which program? (see '%s --help')", cli->called);
		sp_why_hint(why, "give its PID, its name, or -- and a command to start");
		return err;
	}
	err = sp_run_init(run, cli, args, why);
	if (err)
		return err;
	if (!args->interval_ns)
		run->session.interval_ns = (sp_live_is_wanted(args) ? 2 : 5) * 1000000000ull;
	sp_run_set_format(run, args->json ? SP_REPORT_json : (enum sp_report_format)args->format->value);
	if (args->list)
		run->session.list = run->write == sp_report_memleak ? SP_LIST_ALL : SP_LIST_PATH;
	return args->fail_on_leak ? init_gate(run, args, why) : 0;
}

/* The verdict of --fail-on-leak. A command that failed by itself keeps its status: 128 + N for signal N, as a shell. */
static int judge(const struct sp_run *run)
{
	int child = run->end.child_status;
	struct sp_why why = {0};

	if (!run->end.target_ended) {
		(void)sp_why_set(&why, SP_FAULT_TARGET, EINTR,
				 "--fail-on-leak: the program has not ended, nothing is judged");
		return sp_cli_complain(run->cli, &why);
	}
	if (child != -1 && WIFSIGNALED(child))
		return 128 + WTERMSIG(child);
	if (child != -1 && WEXITSTATUS(child))
		return WEXITSTATUS(child);
	return run->end.blocks ? SP_EXIT_LEAK : SP_EXIT_DONE;
}

static int run_trace(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_why why = {0};
	struct sp_run run;

	if (init(&run, cli, args, &why) < 0)
		return sp_cli_complain(cli, &why);
	if (args->argv && !args->plain && run.write == sp_report_trace && !args->fail_on_leak && !args->count)
		sp_live_say_none(cli, "the program has this terminal; for a screen start it by itself: seep trace PID");
	int status = sp_live_is_wanted(args) ? sp_live_run(&run, args) : sp_run_session(&run);
	return args->fail_on_leak && status == SP_EXIT_DONE ? judge(&run) : status;
}

static const struct sp_example examples[] = {
    {"redis-server",
     "on a terminal a screen, the fastest growing call paths first; in a pipe a report every 5 seconds"},
    {"1234 10 6", "process 1234, every 10 seconds, six reports"},
    {"--list --older 0 --sort size app", "with the address, size and age of each block, new ones too, largest first"},
    {"--json 1234 1 1 | jq .paths[0]", "for programs: one JSON object a report"},
    {"--format folded 1234 30 1 | flamegraph.pl", "a flame graph of what 30 seconds have left outstanding"},
    {"--format pprof 1234 30 1 | go tool pprof -top /dev/stdin", "the same for pprof and its kin"},
    {"--growth --resident 1234", "what makes process 1234 itself larger, and how much of it is in memory"},
    {"1 -- ./app --port 80", "start ./app and watch it from its first instruction, a report every second"},
    {"--fail-on-leak -- ./unit-tests", "status 1 when the tests leave something unfreed"},
    {NULL, NULL},
};

const struct sp_command sp_command_trace = {
    .name = "trace",
    .id = SP_FOR_TRACE,
    .summary = "what a program has allocated and not freed, by call path",
    .usage = "[options] PID|NAME [INTERVAL [COUNT]]\n[options] [INTERVAL [COUNT]] -- CMD ARG...\n"
	     "[options] --replay FILE",
    .about = "Shows what a running program has allocated and not freed since the watch began, by call path: how much, "
	     "how fast it grows, how old, and whether such blocks are ever freed.",
    .examples = examples,
    .run = run_trace,
};
