// SPDX-License-Identifier: Apache-2.0
/* A command: what help says of it and what runs it. Adding one is one file and one row in sp_commands[]. */
#ifndef SEEP_CLI_COMMAND_H
#define SEEP_CLI_COMMAND_H

#include <stdio.h>

#include "cli/options.h"

/* Exit statuses. */
enum { SP_EXIT_DONE = 0, SP_EXIT_LEAK = 1, SP_EXIT_USAGE = 2, SP_EXIT_TARGET = 3 };

/* How we were called. */
struct sp_cli {
	const char *program; /* stands before every message: "seep", "memleak" */
	const char *called;  /* "seep trace", "memleak" */
};

struct sp_example {
	const char *words; /* behind the command's name; NULL ends a list */
	const char *text;  /* what it does */
};

struct sp_command {
	const char *name;
	unsigned id;         /* SP_FOR_*: its rows in the table of options */
	const char *summary; /* one line, for the list of commands */
	const char *usage;   /* behind the name; a line each way of calling it */
	const char *about;   /* a paragraph */
	const struct sp_example *examples;
	int (*run)(const struct sp_cli *cli, const struct sp_args *args); /* returns the exit status */
};

extern const struct sp_command sp_command_trace, sp_command_top, sp_command_shm, sp_command_kernel, sp_command_memleak,
    sp_command_help, sp_command_scan, sp_command_check, sp_command_why, sp_command_map, sp_command_record,
    sp_command_report, sp_command_diff, sp_command_detach, sp_command_serve;

/* "seep" itself: options before the command, no run. */
extern const struct sp_command sp_command_seep;

/* All commands, in the order in which help shows them; NULL-terminated. */
extern const struct sp_command *const sp_commands[];

/* NULL: no such command. */
const struct sp_command *sp_command_find(const char *name);

/* The known command nearest to a mistyped one; NULL: none is near. */
const char *sp_command_guess(const char *name);

/* What `called` --help prints. Errors stay in the stream. */
void sp_command_help_text(FILE *out, const struct sp_command *c, const char *called);

/* What a person at a terminal should know meanwhile, a line on stderr; `cli` is a struct sp_cli. */
void sp_cli_say(const char *text, void *cli);

/* One line on stderr: "seep: what; hint". Returns the exit status of the fault. */
int sp_cli_complain(const struct sp_cli *cli, const struct sp_why *why);

/* After writing a report: `status` when it could be written or its reader has gone away (-EPIPE), else a complaint's.
 */
int sp_cli_written(const struct sp_cli *cli, int write_err, int status);

#endif
