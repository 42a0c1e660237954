// SPDX-License-Identifier: Apache-2.0
/* seep report: one report, of a recording or of a process, in any format. */
#include <errno.h>
#include <sys/stat.h>

#include "cli/run.h"

/* A file, unless it is a number: a process. A name with no such file is a program's. */
static bool is_recording(const char *target)
{
	struct stat st;
	uint64_t pid;

	return sp_text_to_u64(target, 0, UINT64_MAX, &pid) && !stat(target, &st) && !S_ISDIR(st.st_mode);
}

#define JUDGED_LOOKS 30                    /* enough for a trend */
#define MIN_LOOK_NS  ((uint64_t)100000000) /* of those */

/* One look at the end, unless it is to be judged how bytes went. */
static void set_looks(struct sp_session_options *o, uint64_t for_ns)
{
	o->count = o->verdicts && for_ns > MIN_LOOK_NS ? for_ns / MIN_LOOK_NS : 1;
	if (o->count > JUDGED_LOOKS)
		o->count = JUDGED_LOOKS;
	o->interval_ns = for_ns / o->count;
}

static int init(struct sp_run *run, const struct sp_cli *cli, struct sp_args *args, struct sp_why *why)
{
	if (!args->target) {
		int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "of what? (see '%s --help')", cli->called);
		sp_why_hint(why, "give a recording, a PID or a program's name");
		return err;
	}
	if (is_recording(args->target)) {
		args->replay = args->target;
		args->target = NULL;
	}
	int err = sp_run_init(run, cli, args, why);
	if (err)
		return err;
	sp_run_set_format(run, args->json ? SP_REPORT_json : (enum sp_report_format)args->format->value);
	run->only_last = true;
	if (args->list)
		run->session.list = run->write == sp_report_memleak ? SP_LIST_ALL : SP_LIST_PATH;
	if (!args->replay)
		set_looks(&run->session, args->for_ns);
	return 0;
}

static int run_report(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_args mine = *args;
	struct sp_why why = {0};
	struct sp_run run;

	return init(&run, cli, &mine, &why) < 0 ? sp_cli_complain(cli, &why) : sp_run_session(&run);
}

static const struct sp_example examples[] = {
    {"app-1234.seep", "what was outstanding at the end of a recording"},
    {"--format folded app-1234.seep | flamegraph.pl", "the same as a flame graph"},
    {"--for 30s --format pprof 1234 | go tool pprof -top /dev/stdin", "what 30 seconds of process 1234 leave"},
    {"--format html --list app-1234.seep > app.html",
     "a page for a browser: flame graph, growth, table, blocks (of seep record --blocks)"},
    {NULL, NULL},
};

const struct sp_command sp_command_report = {
    .name = "report",
    .id = SP_FOR_REPORT,
    .summary = "one report, of a recording or of a process, in any format",
    .usage = "[options] FILE|PID",
    .about =
	"Shows what was outstanding at the end of a recording, or what a process has allocated and not freed while "
	"it was watched for some time, as text, JSON, memleak's text, folded stacks, a pprof profile, as LeakSanitizer "
	"or Valgrind print leaks, or a page for a "
	"browser.",
    .examples = examples,
    .run = run_report,
};
