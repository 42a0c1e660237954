// SPDX-License-Identifier: Apache-2.0
/* What a session tells whoever draws on a terminal, or answers somebody else, while it runs; and what comes back. */
#ifndef SEEP_SESSION_SCREEN_H
#define SEEP_SESSION_SCREEN_H

enum sp_screen_event {
	SP_SCREEN_KEY,    /* something to read where keys come from */
	SP_SCREEN_RESIZE, /* its size has changed, or it was somebody else's meanwhile */
	SP_SCREEN_STOP,   /* we are asked to stop (SIGTSTP) */
	SP_SCREEN_LAST,   /* it is over: a last report may come, and a second signal may end us before that */
};

enum sp_screen_answer {
	SP_SCREEN_GO_ON,
	SP_SCREEN_REDRAW, /* make a view of the same look again: what is shown has changed, or the screen */
	SP_SCREEN_END,
};

#endif
