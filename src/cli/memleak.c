// SPDX-License-Identifier: Apache-2.0
/*
 * memleak: bcc's tool in its options and its words, so that scripts and habits go on working.
 * Source of both: bcc tools/memleak.py. What differs is said in memleak(8), DIFFERENCES.
 */
#include <errno.h>
#include <string.h>

#include "cli/events.h"
#include "cli/run.h"

/*
 * What stands on stdout before the first report; flushed, because the reader may wait for it. Which engine watches is
 * said on stderr.
 */
static int talk(const struct sp_run *run, enum sp_notice n, pid_t pid, const char *text)
{
	const struct sp_args *args = run->talk_arg;

	if (n == SP_NOTICE_INFO || n == SP_NOTICE_ENDED || (n == SP_NOTICE_WATCHING && pid))
		return sp_run_talk_stderr(run, n, pid, text);
	if (n != SP_NOTICE_TARGET)
		return 0;
	if (args->command)
		printf("Executing '%s' and tracing the resulting process.\n", args->command);
	if (pid)
		printf("Attaching to pid %d, Ctrl+C to quit.\n", (int)pid);
	else
		printf("Attaching to kernel allocators, Ctrl+C to quit.\n");
	return sp_run_flush();
}

/* What the words cannot mean together. */
static int check(const struct sp_args *args, struct sp_why *why)
{
	int err;

	if (args->ebpf) {
		err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--ebpf does not apply");
		sp_why_hint(why, "the BPF programs were compiled when %s was built, there is no C text to print",
			    "seep");
		return err;
	}
	if (args->max_size && args->min_size > args->max_size)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "min_size (-z) can't be greater than max_size (-Z)");
	if (args->target && args->command)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "-p and -c exclude each other");
	if (args->resident && !args->target && !args->command)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--resident needs a program: give -p or -c");
	if (args->replay && (args->target || args->command))
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--replay shows a recording: -p and -c do not apply");
	if ((args->percpu || args->wa_missing_free) && (args->target || args->command))
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "%s watches the kernel: -p and -c do not apply",
				  args->percpu ? "--percpu" : "--wa-missing-free");
	return 0;
}

/* -c: *ret_argv is the caller's to free. */
static int split_command(const char *command, char ***ret_argv, struct sp_why *why)
{
	size_t argc = 0;
	int err = sp_text_split(command, ret_argv, &argc);

	if (err == -EINVAL)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "a quote in -c is not closed: %s", command);
	if (err)
		return sp_why_set(why, SP_FAULT_OURS, -err, "cannot split -c: %s", strerror(-err));
	if (!argc)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "-c names no program");
	return 0;
}

/* Where the drop-in means something else than seep's own commands. */
static void adapt(struct sp_run *run, const struct sp_args *args, char *const *argv)
{
	run->write = sp_report_memleak;
	run->talk = talk;
	run->talk_arg = args;
	run->session.argv = argv;
	run->session.kernel = !args->target && !argv && !args->replay;
	run->session.symbolize.no_lines = true; /* bcc's text has none */
	if (!strcmp(args->object, "c"))
		run->session.engine_config.object = NULL;
	if (args->combined_only)
		run->session.filter.min_age_ns = 0;
	else if (args->list)
		run->session.list = SP_LIST_ALL;
	if (args->trace_events) {
		run->session.no_reports = true;
		run->session.engine_config.on_event = sp_events_print;
		run->session.engine_config.on_event_arg = run;
	}
}

static int run_memleak(const struct sp_cli *cli, const struct sp_args *args)
{
	sp_autofree char **argv = NULL;
	struct sp_why why = {0};
	struct sp_run run;

	if (check(args, &why) < 0 || (args->command && split_command(args->command, &argv, &why) < 0) ||
	    sp_run_init(&run, cli, args, &why) < 0)
		return sp_cli_complain(cli, &why);
	adapt(&run, args, argv);
	return sp_run_session(&run);
}

static const struct sp_example examples[] = {
    {"-p $(pidof app)", "the 10 largest outstanding call paths of app, every 5 seconds"},
    {"-p $(pidof app) -a", "the same, with the address and size of each outstanding block"},
    {"-p app -t", "every malloc and free of app as it happens"},
    {"-a -p 1234 10", "every 10 seconds"},
    {"-c './app --port 80' 1 60", "start a program and watch it for a minute, a report every second"},
    {"-o 60000 -T 3", "the 3 largest call paths of the kernel, blocks older than a minute"},
    {"-p redis-server -O /usr/bin/redis-server --symbols-prefix je_", "an allocator linked in under another name"},
    {NULL, NULL},
};

const struct sp_command sp_command_memleak = {
    .name = "memleak",
    .id = SP_FOR_MEMLEAK,
    .summary = "bcc's memleak: its options and its text",
    .usage = "[options] [INTERVAL [COUNT]]",
    .about =
	"Traces outstanding memory allocations that were not freed, of a process or of the kernel, and prints them "
	"by call path, the largest last.",
    .examples = examples,
    .run = run_memleak,
};
