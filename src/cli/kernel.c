// SPDX-License-Identifier: Apache-2.0
/* seep kernel: outstanding kernel allocations by call path. */
#include "cli/live.h"
#include "cli/run.h"

static int run_kernel(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_why why = {0};
	struct sp_run run;

	if (sp_run_init(&run, cli, args, &why) < 0)
		return sp_cli_complain(cli, &why);
	run.session.kernel = true;
	run.session.list = args->list ? SP_LIST_PATH : SP_LIST_NONE;
	if (!args->json && !args->count)
		sp_live_say_none(cli, "the screen shows processes (seep trace PID); Ctrl-C ends this");
	run.write = args->json ? sp_report_json : sp_report_trace;
	return sp_run_session(&run);
}

static const struct sp_example examples[] = {
    {"10 6", "every 10 seconds, six reports"},
    {"--percpu", "per-cpu allocations"},
    {"--sort size --min-size 1M", "large blocks only, the largest call paths first"},
    {NULL, NULL},
};

const struct sp_command sp_command_kernel = {
    .name = "kernel",
    .id = SP_FOR_KERNEL,
    .summary = "what the kernel has allocated and not freed, by call path",
    .usage = "[options] [INTERVAL [COUNT]]",
    .about = "Shows what the kernel has allocated and not freed since the watch began, by call path: slab objects and "
	     "pages, or per-cpu memory.",
    .examples = examples,
    .run = run_kernel,
};
