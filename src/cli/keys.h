// SPDX-License-Identifier: Apache-2.0
/* What a terminal sends, as keys; and a line that is typed. No terminal here: bytes in. */
#ifndef SEEP_CLI_KEYS_H
#define SEEP_CLI_KEYS_H

#include <stdbool.h>
#include <stddef.h>

/* What one read() gave. */
struct sp_keys {
	const char *at, *end;
};

/* A byte is itself, as unsigned char; the rest lies above. */
enum {
	SP_KEY_ESC = 0x1b,
	SP_KEY_NONE = 256, /* there is no more */
	SP_KEY_UNKNOWN,    /* a sequence that we do not know */
	SP_KEY_UP,
	SP_KEY_DOWN,
	SP_KEY_PAGE_UP,
	SP_KEY_PAGE_DOWN,
	SP_KEY_HOME,
	SP_KEY_END,
};

int sp_keys_next(struct sp_keys *in);

static inline bool sp_key_is_enter(int key)
{
	return key == '\r' || key == '\n';
}

/*
 * A key while `text` is being typed: a character, backspace, Ctrl-U; Esc empties it and ends, Enter ends. Returns
 * whether typing goes on.
 */
bool sp_keys_type(char *text, size_t size, int key);

/* Is it one for moving: an arrow, j, k...? */
bool sp_key_moves(int key);

/* From row `at` of nr (not 0), a page of `page` rows: where such a key leads. */
size_t sp_keys_move(int key, size_t at, size_t nr, size_t page);

#endif
