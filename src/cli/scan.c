// SPDX-License-Identifier: Apache-2.0
/* seep scan: which blocks of a running program nothing points to. */
#include <errno.h>
#include <string.h>

#include "cli/run.h"
#include "report/scan.h"
#include "session/scan.h"

static int check(const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	if (args->target)
		return 0;
	int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "which program? (see '%s --help')", cli->called);
	sp_why_hint(why, "give its PID or its name");
	return err;
}

static int write_scan(const struct sp_args *args, const struct sp_scan *scan)
{
	static int (*const writers[])(FILE *, const struct sp_scan *, const struct sp_report_options *) = {
#define ROW(name) sp_report_scan_##name,
	    SP_SCAN_FORMATS(ROW)
#undef ROW
	};
	struct sp_report_options o = sp_run_report_options(args);

	return args->json ? sp_report_scan_json(stdout, scan, &o) : writers[args->format->value](stdout, scan, &o);
}

static int status_of(const struct sp_scan *scan)
{
	if (sp_scan_has_leak(scan))
		return SP_EXIT_LEAK;
	return sp_scan_is_blind(scan) ? SP_EXIT_TARGET : SP_EXIT_DONE;
}

static int run_scan(const struct sp_cli *cli, const struct sp_args *args)
{
	const struct sp_scan_options o = {.target = args->target,
					  .once = args->once,
					  .no_snapshot = args->no_snapshot,
					  .list = args->list,
					  .resident = args->resident,
					  .max_bytes = args->max_memory,
					  .max_pause_ns = args->max_pause_ns};
	struct sp_why why = {0};
	struct sp_scan_store *store = NULL;
	struct sp_scan scan;
	struct sp_cli talker = *cli;
	int status;

	if (check(cli, args, &why) < 0 || sp_scan_run(&o, sp_cli_say, &talker, &store, &scan, &why) < 0)
		return sp_cli_complain(cli, &why);
	int err = write_scan(args, &scan);
	status = status_of(&scan);
	sp_scan_free(store);
	return sp_cli_written(cli, err, status);
}

static const struct sp_example examples[] = {
    {"redis-server", "stop it for milliseconds, and say which of its blocks nothing points to any more"},
    {"--list 1234", "with the address of each of them"},
    {"--json 1234 | jq .groups[0]", "for programs"},
    {"--format lsan 1234", "for what reads LeakSanitizer's reports"},
    {NULL, NULL},
};

const struct sp_command sp_command_scan = {
    .name = "scan",
    .id = SP_FOR_SCAN,
    .summary = "which blocks of a running program nothing points to any more",
    .usage = "[options] PID|NAME",
    .about = "Finds the blocks of a running program that nothing points to any more, also those that were lost before "
	     "seep came. The program stops for milliseconds while a copy-on-write snapshot of it is taken; two scans "
	     "must agree. Exit status: 0 nothing leaked, 1 leaked, 3 cannot tell.",
    .examples = examples,
    .run = run_scan,
};
