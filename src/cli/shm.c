// SPDX-License-Identifier: Apache-2.0
/* seep shm: shared memory, who holds it, and what nobody holds any more. */
#include <errno.h>
#include <string.h>

#include "cli/command.h"
#include "report/shm.h"

static int run_shm(const struct sp_cli *cli, const struct sp_args *args)
{
	const struct sp_shm_rule rule = {.min_bytes = args->min_size,
					 .unused_s = (int64_t)(args->unused_ns / 1000000000u)};
	const struct sp_report_shm_options o = {.all = args->all, .min_bytes = args->min_size};
	struct sp_why why = {0};
	struct sp_shm shm;
	int err = sp_shm_look(NULL, &rule, &shm, &why);

	if (err)
		return sp_cli_complain(cli, &why);
	int status = shm.nr_leaked ? SP_EXIT_LEAK : SP_EXIT_DONE;
	err = args->json ? sp_report_shm_json(stdout, &shm) : sp_report_shm(stdout, &shm, &o);
	sp_shm_done(&shm);
	return sp_cli_written(cli, err, status);
}

static const struct sp_example examples[] = {
    {"--all", "with small ordinary files in memory, as those in /run"},
    {"--unused 0", "every large file in memory that nobody holds counts as leaked, also one that was written just now"},
    {"--json | jq '.objects[] | select(.state == \"leaked\")'", "for programs"},
    {NULL, NULL},
};

const struct sp_command sp_command_shm = {
    .name = "shm",
    .id = SP_FOR_SHM,
    .summary = "shared memory: who holds it, and what nobody holds any more",
    .usage = "[options]",
    .about =
	"Shows shared memory of every kind: System V segments, POSIX shared memory, other files in memory, huge pages, "
	"memfds; how big it is, how old, who made it and who holds it; and says which of it is leaked: nobody holds "
	"it, so no process that ends will free it.",
    .examples = examples,
    .run = run_shm,
};
