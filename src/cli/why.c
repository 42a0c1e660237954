// SPDX-License-Identifier: Apache-2.0
/* seep why: who holds a block of a running program. */
#include <errno.h>
#include <string.h>

#include "cli/run.h"
#include "report/holders.h"

static int refuse(const struct sp_cli *cli, const char *what, const char *hint, struct sp_why *why)
{
	int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "%s (see '%s --help')", what, cli->called);

	sp_why_hint(why, "%s", hint);
	return err;
}

static int init(const struct sp_cli *cli, const struct sp_args *args, struct sp_holders_options *ret,
		struct sp_why *why)
{
	if (!args->target)
		return refuse(cli, "which program?", "give its PID or its name, and an address in it", why);
	if (!args->address)
		return refuse(cli, "which block?", "give an address in it, as seep scan --list prints them", why);
	*ret = (struct sp_holders_options){.scan = {.target = args->target,
						    .no_snapshot = args->no_snapshot,
						    .max_bytes = args->max_memory,
						    .max_pause_ns = args->max_pause_ns},
					   .address = args->address,
					   .top = (unsigned)args->top,
					   .symbolize = {.debuginfod = args->debuginfod, .no_lines = args->no_lines}};
	return 0;
}

static bool is_lost(const struct sp_holders *h)
{
	return h->block.block.class == SP_HEAP_LEAKED || h->block.block.class == SP_HEAP_INDIRECT;
}

static int run_why(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_holders_options o;
	struct sp_report_options report = sp_run_report_options(args);
	struct sp_why why = {0};
	struct sp_holders_store *store = NULL;
	struct sp_holders holders;
	struct sp_cli talker = *cli;

	if (init(cli, args, &o, &why) < 0 || sp_holders_run(&o, sp_cli_say, &talker, &store, &holders, &why) < 0)
		return sp_cli_complain(cli, &why);
	int err = args->json ? sp_report_holders_json(stdout, &holders, &report)
			     : sp_report_holders(stdout, &holders, &report);
	int status = is_lost(&holders) ? SP_EXIT_LEAK : SP_EXIT_DONE;
	sp_holders_free(store);
	return sp_cli_written(cli, err, status);
}

static const struct sp_example examples[] = {
    {"redis-server 0x7f3c2a40", "the shortest chains of pointers that lead to this block"},
    {"--json 1234 0x7f3c2a40 | jq -r .chains[].root.text", "for programs"},
    {NULL, NULL},
};

const struct sp_command sp_command_why = {
    .name = "why",
    .id = SP_FOR_WHY,
    .summary = "who holds a block of a running program",
    .usage = "[options] PID|NAME ADDRESS",
    .about =
	"Shows who holds the block of a running program that ADDRESS is in: the shortest chains of pointers from "
	"its variables, threads, stacks and registers to the block, with names, or that nothing or only leaked "
	"blocks lead to it. The program stops for milliseconds while a copy-on-write snapshot of it is taken. Exit "
	"status: 0 held, 1 leaked, 3 cannot tell.",
    .examples = examples,
    .run = run_why,
};
