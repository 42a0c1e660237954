// SPDX-License-Identifier: Apache-2.0
/* seep check: the whole diagnosis in one go. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/run.h"
#include "report/check.h"
#include "report/scan.h"

struct checking {
	struct sp_run run;
	const struct sp_args *args;
	struct sp_scan_options scan;
	struct sp_checker *checker;
	char pid[16];
	int status;
};

static int status_of(const struct sp_check *c)
{
	if (sp_check_has_leak(c))
		return SP_EXIT_LEAK;
	return sp_check_is_blind(c) ? SP_EXIT_TARGET : SP_EXIT_DONE;
}

static void say_progress(const struct checking *c, const struct sp_view *v)
{
	if (isatty(STDERR_FILENO) && !v->is_last)
		fprintf(stderr, "%s: look %u of %d: %s in %" PRIu64 " blocks outstanding\n", c->run.cli->program,
			v->nr_report, SP_CHECK_LOOKS, SP_BYTES(v->total_bytes), v->total_blocks);
}

static int take(const struct sp_view *v, void *arg, struct sp_why *why)
{
	static int (*const writers[])(FILE *, const struct sp_check *, const struct sp_report_options *) = {
#define ROW(name) sp_report_check_##name,
	    SP_SCAN_FORMATS(ROW)
#undef ROW
	};
	struct checking *c = arg;
	struct sp_check check;

	say_progress(c, v);
	int rc = sp_check_view(c->checker, v, c->run.session.count, c->run.suppress, &check, why);
	if (rc <= 0)
		return rc;
	c->status = status_of(&check);
	rc = c->args->json ? sp_report_check_json(stdout, &check, &c->run.report)
			   : writers[c->args->format->value](stdout, &check, &c->run.report);
	c->run.write_err = rc;
	return rc;
}

static int init(struct checking *c, const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	if (!args->target) {
		int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "which program? (see '%s --help')", cli->called);
		sp_why_hint(why, "give its PID or its name");
		return err;
	}
	int err = sp_run_init(&c->run, cli, args, why);
	if (err)
		return err;
	c->args = args;
	c->scan = (struct sp_scan_options){.target = args->target,
					   .resident = args->resident,
					   .no_snapshot = args->no_snapshot,
					   .max_bytes = args->max_memory,
					   .max_pause_ns = args->max_pause_ns};
	c->run.take = take;
	c->run.take_arg = c;
	c->run.suppressions = args->suppressions;
	c->run.take_suppresses = true;
	c->run.session.engine_config.sample_rate = 1;
	c->run.session.engine_config.max_memory = 0; /* --max-memory is of the scans */
	c->run.session.list = SP_LIST_ALL;
	c->run.session.top = 0;
	c->run.session.sort = SP_SORT_BYTES;
	c->run.session.verdicts = true;
	c->run.session.count = SP_CHECK_LOOKS;
	c->run.session.interval_ns = args->for_ns / SP_CHECK_LOOKS;
	return 0;
}

static int run_check(const struct sp_cli *cli, const struct sp_args *args)
{
	struct checking c = {.status = SP_EXIT_TARGET};
	struct sp_why why = {0};
	struct sp_cli talker = *cli;

	if (init(&c, cli, args, &why) < 0 || sp_check_new(&c.scan, sp_cli_say, &talker, &c.checker, &why) < 0)
		return sp_cli_complain(cli, &why);
	/* A name is resolved once: scans and watch are of one process. */
	snprintf(c.pid, sizeof(c.pid), "%d", (int)sp_check_pid(c.checker));
	c.run.session.target = c.pid;
	int status = sp_run_session(&c.run);
	sp_check_free(c.checker);
	return status == SP_EXIT_DONE ? c.status : status;
}

static const struct sp_example examples[] = {
    {"redis-server", "half a minute, then one sentence and its evidence"},
    {"--for 10m 1234", "for a slow leak"},
    {"--json 1234 | jq -r .sentence", "for programs"},
    {"--suppressions known.supp --format lsan 1234", "as LeakSanitizer says it, without what is known already"},
    {NULL, NULL},
};

const struct sp_command sp_command_check = {
    .name = "check",
    .id = SP_FOR_CHECK,
    .summary = "does it leak, what, how fast, and where",
    .usage = "[options] PID|NAME",
    .about =
	"The whole diagnosis in one go: looks for blocks that nothing points to, watches the program for a while, "
	"looks "
	"again, and says one sentence, then the evidence: call paths whose blocks are lost or only ever grow, with "
	"source lines, and what had been lost before. Exit status: 0 no leak, 1 leak, 3 cannot tell.",
    .examples = examples,
    .run = run_check,
};
