// SPDX-License-Identifier: Apache-2.0
/* seep serve: processes watched for as long as it runs, over HTTP. */
#include "serve/serve.h"

#include <errno.h>
#include <string.h>

#include "cli/run.h"

static void say(const char *text, void *arg)
{
	const struct sp_cli *cli = arg;

	fprintf(stderr, "%s: %s\n", cli->program, text);
}

/* The words, and --name behind them. */
static int take_words(struct sp_word_list *words, const struct sp_cli *cli, const struct sp_args *args,
		      struct sp_why *why)
{
	*words = args->words;
	if (args->name && words->nr == SP_MAX_WORDS)
		return sp_why_set(why, SP_FAULT_USAGE, ENOSPC, "--name '%s' is one word too many", args->name);
	if (args->name)
		words->list[words->nr++] = args->name;
	if (words->nr || args->cgroup)
		return 0;
	int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "which programs? (see '%s --help')", cli->called);
	sp_why_hint(why, "give PIDs, names of programs, or --cgroup PATH");
	return err;
}

static int serve(const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	struct sp_suppress *suppress = NULL;
	struct sp_word_list words;
	struct sp_run run;
	int err = take_words(&words, cli, args, why);

	if (!err)
		err = sp_run_init(&run, cli, args, why);
	if (!err && args->suppressions)
		err = sp_suppress_open(args->suppressions, &suppress, why);
	if (err)
		return err;
	run.session.suppress = suppress;
	const struct sp_serve_options o = {.session = run.session,
					   .words = words.list,
					   .nr_words = words.nr,
					   .cgroup = args->cgroup,
					   .listen = args->listen,
					   .token_file = args->token_file,
					   .top = (unsigned)args->top,
					   .max_targets = (unsigned)args->max_targets,
					   .scan_every_ns = args->scan_ns};
	struct sp_cli talker = *cli;
	err = sp_serve_run(&o, say, &talker, why);
	sp_suppress_free(suppress);
	return err;
}

static int run_serve(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_why why = {0};
	int err = serve(cli, args, &why);

	return err ? sp_cli_complain(cli, &why) : SP_EXIT_DONE;
}

static const struct sp_example examples[] = {
    {"redis-server nginx", "follow the processes of two programs; http://127.0.0.1:9745/ shows them"},
    {"--cgroup /system.slice/app.service --scan 10m", "a service, and what it has lost for good, every ten minutes"},
    {"--listen 0.0.0.0:9745 --token-file /etc/seep/token app", "for a Prometheus elsewhere, which knows the token"},
    {NULL, NULL},
};

const struct sp_command sp_command_serve = {
    .name = "serve",
    .id = SP_FOR_SERVE,
    .summary = "watch programs all the time, and answer Prometheus and browsers",
    .usage = "[options] PID|NAME...\n[options] --cgroup PATH",
    .about = "Watches processes for as long as it runs, and serves over HTTP what they hold: /metrics for Prometheus "
	     "(OpenMetrics), /profile (pprof), / (a page for a browser), /healthz. Processes of a program or a cgroup "
	     "are followed as they come and go.",
    .examples = examples,
    .run = run_serve,
};
