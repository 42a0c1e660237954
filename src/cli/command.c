// SPDX-License-Identifier: Apache-2.0
/* The table of commands, and the command `help`. */
#include <errno.h>
#include <string.h>

#include "cli/command.h"

const struct sp_command *const sp_commands[] = {
    &sp_command_top,     &sp_command_map,    &sp_command_trace, &sp_command_check,
    &sp_command_scan,    &sp_command_why,    &sp_command_shm,   &sp_command_record,
    &sp_command_report,  &sp_command_diff,   &sp_command_serve, &sp_command_kernel,
    &sp_command_memleak, &sp_command_detach, &sp_command_help,  NULL};

static const struct sp_example examples[] = {
    {"top", "where the machine's memory goes, and the command to type next"},
    {"map redis-server", "where redis-server's memory is, and what of it can leak"},
    {"trace redis-server", "what redis-server has allocated and not freed, by call path, every 5 seconds"},
    {"trace -a --older 0 1234 2 3", "the same for process 1234 with every block, three times, 2 seconds apart"},
    {"trace 1 -- ./app --port 80", "start ./app and watch it from its first instruction, every second"},
    {"memleak -p 1234 -a", "bcc's memleak, its options and its text"},
    {NULL, NULL},
};

const struct sp_command sp_command_seep = {
    .name = "seep",
    .id = SP_FOR_SEEP,
    .usage = "COMMAND [options]",
    .about = "Finds memory leaks in programs that are running now, without restarting them.",
    .examples = examples,
};

const struct sp_command *sp_command_find(const char *name)
{
	for (size_t i = 0; sp_commands[i]; i++)
		if (!strcmp(name, sp_commands[i]->name))
			return sp_commands[i];
	return NULL;
}

#define GUESS_MAX 16 /* longest name that is compared */

static size_t min3(size_t a, size_t b, size_t c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* Levenshtein's distance: insertions, deletions, replacements. */
static size_t distance(const char *a, const char *b)
{
	size_t row[GUESS_MAX + 1], len_b = strlen(b);

	if (strlen(a) > GUESS_MAX || len_b > GUESS_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			size_t up = row[j];

			row[j] = min3(up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = up;
		}
	}
	return row[len_b];
}

const char *sp_command_guess(const char *name)
{
	const char *best = NULL;
	size_t best_distance = 3; /* two slips are still a slip */

	for (size_t i = 0; sp_commands[i]; i++) {
		size_t d = distance(name, sp_commands[i]->name);

		if (d < best_distance && d < strlen(name)) {
			best_distance = d;
			best = sp_commands[i]->name;
		}
	}
	return best;
}

static int run_help(const struct sp_cli *cli, const struct sp_args *args)
{
	const struct sp_command *c = args->topic ? sp_command_find(args->topic) : &sp_command_seep;
	struct sp_why why = {0};
	char called[64];

	if (!c) {
		(void)sp_why_set(&why, SP_FAULT_USAGE, EINVAL, "'%s' is not a command (see 'seep --help')",
				 args->topic);
		return sp_cli_complain(cli, &why);
	}
	snprintf(called, sizeof(called), "seep%s%s", args->topic ? " " : "", args->topic ? args->topic : "");
	sp_command_help_text(stdout, c, called);
	return SP_EXIT_DONE;
}

const struct sp_command sp_command_help = {
    .name = "help",
    .id = SP_FOR_HELP,
    .summary = "explain a command",
    .usage = "[COMMAND]",
    .about = "Explains a command, as its --help does; without one, lists the commands.",
    .run = run_help,
};
