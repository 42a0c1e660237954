// SPDX-License-Identifier: Apache-2.0
/* The terminal as a screen: keys come one by one and unechoed, an alternate page is drawn on, and all of it goes back.
 */
#ifndef SEEP_CLI_TERMINAL_H
#define SEEP_CLI_TERMINAL_H

#include <stdbool.h>
#include <termios.h>

struct sp_terminal {
	struct termios before; /* as we found it */
	bool is_entered;
};

/* Is there one at both ends, that understands cursor movement? */
bool sp_terminal_is_there(void);

/* Switches to the screen and back; both may be called when it is there already. What fails is left as it is. */
void sp_terminal_enter(struct sp_terminal *t);
void sp_terminal_leave(struct sp_terminal *t);

/* Stops us as SIGTSTP would, with the terminal as we found it; comes back into the screen. */
void sp_terminal_stop(struct sp_terminal *t);

/* Its size; 24 and 80 when it does not say. */
void sp_terminal_size(unsigned *ret_rows, unsigned *ret_columns);

/*
 * Runs a program in our place, terminal and signals as we found them, and waits until it ends. Ctrl-C is for it alone.
 * `name` is ours, for the words that tell how to come back. *ret_is_over: we were asked to end meanwhile (SIGTERM,
 * SIGHUP); then it was, too. -errno: it could not be started. The signals that the caller waits for must be blocked.
 */
int sp_terminal_lend(struct sp_terminal *t, char *const argv[], const char *name, bool *ret_is_over);

#endif
