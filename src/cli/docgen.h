// SPDX-License-Identifier: Apache-2.0
/*
 * Build-time generator: fills the marks of a template (man page, shell completion) from the tables of commands and
 * options, so that no option is described twice. Not installed.
 *
 * A mark is a line of its own: "@man-options trace@". "@version@" may stand anywhere.
 */
#ifndef SEEP_CLI_DOCGEN_H
#define SEEP_CLI_DOCGEN_H

#include "cli/command.h"

struct sp_docgen_mark {
	const char *name;
	void (*fill)(FILE *out, const struct sp_command *c); /* c: named by the mark, NULL when it names none */
	bool needs_command;
};

/* Each list ends with a NULL name. */
extern const struct sp_docgen_mark sp_docgen_man[];   /* docgen_man.c: roff */
extern const struct sp_docgen_mark sp_docgen_shell[]; /* docgen_shell.c: bash and zsh */

#endif
