// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    words of the user -> options; one file per command; the one place that prints messages.
 * Runs in: our process, main thread.
 * May not: hold logic that a report or the session needs.
 * Owns:    nothing after it returns.
 * Fails by: exit status: 0 done; 1 leak found (later commands); 2 wrong usage; 3 the target cannot be observed.
 */
#ifndef SEEP_CLI_CLI_H
#define SEEP_CLI_CLI_H

/* What the program was called decides: "memleak" is the drop-in, anything else takes a command. */
int sp_cli_main(int argc, char **argv);

#endif
