// SPDX-License-Identifier: Apache-2.0
/* The screen of seep trace on a terminal. */
#ifndef SEEP_CLI_LIVE_H
#define SEEP_CLI_LIVE_H

#include "cli/run.h"

/* Do these words, and what we stand on, call for the screen? */
bool sp_live_is_wanted(const struct sp_args *args);

/* Where a person at a terminal might expect a screen: says why there is text instead. */
void sp_live_say_none(const struct sp_cli *cli, const char *why);

/* Runs the session on the screen; what it showed at its end stays behind as text. Returns the exit status. */
int sp_live_run(struct sp_run *run, const struct sp_args *args);

#endif
