// SPDX-License-Identifier: Apache-2.0
/* seep map: the segments of a process, what is in memory of them, and which of them can leak. */
#include <errno.h>
#include <string.h>

#include "cli/run.h"
#include "report/map.h"

struct map {
	struct sp_report_map_options report;
	int (*write)(FILE *out, const struct sp_map_view *v, const struct sp_report_map_options *o);
};

static int on_report(const struct sp_map_view *v, void *arg)
{
	const struct map *m = arg;

	return m->write(stdout, v, &m->report);
}

static int run_map(const struct sp_cli *cli, const struct sp_args *args)
{
	const struct sp_report_options look = sp_run_report_options(args);
	struct map m = {.report = {.list = args->list, .colour = look.colour, .width = look.width},
			.write = args->json ? sp_report_map_json : sp_report_map};
	struct sp_cli talker = *cli;
	const struct sp_map_options o = {.target = args->target,
					 .interval_ns = args->interval_ns,
					 .count = args->count,
					 .no_heap = args->no_heap,
					 .notice = sp_cli_say,
					 .notice_arg = &talker};
	struct sp_why why = {0};
	bool has_ended = false;
	int err;

	if (!args->target) {
		(void)sp_why_set(&why, SP_FAULT_USAGE, EINVAL, "which process? (see '%s --help')", cli->called);
		sp_why_hint(&why, "give its PID or its name");
		return sp_cli_complain(cli, &why);
	}
	err = sp_map_run(&o, on_report, &m, &has_ended, &why);
	if (!err && has_ended)
		fprintf(stderr, "%s: the process has ended\n", cli->program);
	return sp_run_finish(cli, err, &why);
}

static const struct sp_example examples[] = {
    {"redis-server", "where its memory is, what of it can leak, how much of its heap is in use"},
    {"1234 10", "the same every 10 seconds, with what has grown meanwhile"},
    {"-v 1234", "with each mapping"},
    {"--json 1234 | jq '.heaps[] | .held_bytes - .used_held_bytes'", "what malloc keeps in memory for nobody"},
    {NULL, NULL},
};

const struct sp_command sp_command_map = {
    .name = "map",
    .id = SP_FOR_MAP,
    .summary = "where a process' memory is, and which of it can leak",
    .usage = "[options] PID|NAME [INTERVAL [COUNT]]",
    .about =
	"Sorts the mappings of a process into stack, heap, data, files, anonymous and shared memory: how large, how "
	"much in memory, dirty and swapped, how it grew since the last look; whether memory of that kind can leak "
	"and who frees it; and how much of its heap is in use, for a heap that never shrinks is often fragmentation "
	"and no leak. The process is not stopped.",
    .examples = examples,
    .run = run_map,
};
