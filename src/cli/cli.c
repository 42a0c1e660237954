// SPDX-License-Identifier: Apache-2.0
/* From argv to a command and its exit status; the one place that prints messages. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

void sp_cli_say(const char *text, void *cli)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s: %s\n", ((const struct sp_cli *)cli)->program, text);
}

int sp_cli_complain(const struct sp_cli *cli, const struct sp_why *why)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s%s%s\n", cli->program, why->what, why->hint[0] ? "; " : "", why->hint);
	return why->fault == SP_FAULT_USAGE ? SP_EXIT_USAGE : SP_EXIT_TARGET;
}

int sp_cli_written(const struct sp_cli *cli, int write_err, int status)
{
	struct sp_why why = {0};

	if (!write_err || write_err == -EPIPE)
		return status;
	(void)sp_why_set(&why, SP_FAULT_OURS, -write_err, "cannot write to standard output: %s", strerror(-write_err));
	return sp_cli_complain(cli, &why);
}

static int print_version(const struct sp_cli *cli)
{
	if (!strcmp(cli->program, "seep"))
		printf("seep %s\n", SEEP_VERSION);
	else
		printf("%s (seep %s)\n", cli->program, SEEP_VERSION);
	return SP_EXIT_DONE;
}

/* argv[0] is the command's own name. */
static int run_command(const struct sp_cli *cli, const struct sp_command *c, int argc, char **argv)
{
	struct sp_args args = {0};
	struct sp_why why = {0};
	int used = 0;

	if (sp_options_parse(c->id, cli->called, argc, argv, &args, &used, &why) < 0)
		return sp_cli_complain(cli, &why);
	if (args.help) {
		sp_command_help_text(stdout, c, cli->called);
		return SP_EXIT_DONE;
	}
	return args.version ? print_version(cli) : c->run(cli, &args);
}

static int refuse_command(const struct sp_cli *cli, const char *name)
{
	const char *guess = sp_command_guess(name);
	struct sp_why why = {0};

	if (guess)
		(void)sp_why_set(&why, SP_FAULT_USAGE, EINVAL, "'%s' is not a command; did you mean '%s'?", name,
				 guess);
	else
		(void)sp_why_set(&why, SP_FAULT_USAGE, EINVAL, "'%s' is not a command (see 'seep --help')", name);
	return sp_cli_complain(cli, &why);
}

static int run_seep(int argc, char **argv)
{
	struct sp_cli cli = {.program = "seep", .called = "seep"};
	const struct sp_command *c;
	struct sp_args args = {0};
	struct sp_why why = {0};
	char called[64];
	int used = 0;

	if (sp_options_parse(SP_FOR_SEEP, cli.called, argc, argv, &args, &used, &why) < 0)
		return sp_cli_complain(&cli, &why);
	if (args.version)
		return print_version(&cli);
	if (args.help) {
		sp_command_help_text(stdout, &sp_command_seep, cli.called);
		return SP_EXIT_DONE;
	}
	if (used >= argc) {
		(void)sp_why_set(&why, SP_FAULT_USAGE, EINVAL, "which command? (see 'seep --help')");
		return sp_cli_complain(&cli, &why);
	}
	c = sp_command_find(argv[used]);
	if (!c)
		return refuse_command(&cli, argv[used]);
	snprintf(called, sizeof(called), "seep %s", c->name);
	cli.called = called;
	return run_command(&cli, c, argc - used, argv + used);
}

/*
 * Descriptors 0, 1, 2 that were closed would be given to the next file we open, and reports would be written into it.
 * They become /dev/null, opened the wrong way round, so that using them still fails.
 */
static void fill_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static void do_nothing(int signal)
{
	(void)signal;
}

/*
 * A reader that goes away must end us through the ordinary path, which takes the probes away: write() is to say EPIPE.
 * A handler does that, and not SIG_IGN, because a program that we launch would inherit the latter.
 */
static void outlive_broken_pipes(void)
{
	struct sigaction act;

	if (sigaction(SIGPIPE, NULL, &act) < 0 || act.sa_handler != SIG_DFL)
		return;
	act = (struct sigaction){.sa_handler = do_nothing, .sa_flags = SA_RESTART};
	sigaction(SIGPIPE, &act, NULL);
}

/* What help or the last report left in the buffer. A reader that has gone away is not an error. */
static int flush_stdout(const struct sp_cli *cli, int status)
{
	int err = fflush(stdout) ? -errno : 0;

	return status == SP_EXIT_DONE ? sp_cli_written(cli, err, status) : status;
}

int sp_cli_main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "seep";
	bool is_memleak = !strcmp(name, sp_command_memleak.name);
	struct sp_cli cli = {.program = is_memleak ? "memleak" : "seep", .called = "memleak"};
	int status;

	fill_standard_fds();
	outlive_broken_pipes();
	if (is_memleak)
		status = run_command(&cli, &sp_command_memleak, argc, argv);
	else
		status = run_seep(argc, argv);
	return flush_stdout(&cli, status);
}
