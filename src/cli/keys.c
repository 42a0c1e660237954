// SPDX-License-Identifier: Apache-2.0
/* Keys: single bytes, and the sequences that terminals send for the others (xterm's ctlseqs, DEC VT220). */
#include "cli/keys.h"

#include <string.h>

#define BACKSPACE '\b'
#define DELETE    '\177'
#define CTRL_U    '\025'

/* What stands between "ESC [" and the letter says which key only before "~". */
static int key_of(char first, char last)
{
	switch (last) {
	case 'A':
		return SP_KEY_UP;
	case 'B':
		return SP_KEY_DOWN;
	case 'H':
		return SP_KEY_HOME;
	case 'F':
		return SP_KEY_END;
	case '~':
		return first == '1' || first == '7'   ? SP_KEY_HOME
		       : first == '4' || first == '8' ? SP_KEY_END
		       : first == '5'                 ? SP_KEY_PAGE_UP
		       : first == '6'                 ? SP_KEY_PAGE_DOWN
						      : SP_KEY_UNKNOWN;
	default:
		return SP_KEY_UNKNOWN;
	}
}

/* Behind ESC: "[ A", or "O A" in a terminal's application mode; else it was Esc itself. */
static int sequence(struct sp_keys *in)
{
	const char *p = in->at;
	char first;

	if (in->end - p < 2 || (p[0] != '[' && p[0] != 'O'))
		return SP_KEY_ESC;
	first = *++p;
	while (p < in->end && (*p < '@' || *p > '~'))
		p++;
	in->at = p < in->end ? p + 1 : p;
	return p < in->end ? key_of(first, *p) : SP_KEY_UNKNOWN;
}

int sp_keys_next(struct sp_keys *in)
{
	if (in->at >= in->end)
		return SP_KEY_NONE;
	if (*in->at == SP_KEY_ESC) {
		in->at++;
		return sequence(in);
	}
	return (unsigned char)*in->at++;
}

/* Takes a whole UTF-8 character off. */
static void rub_out(char *text)
{
	size_t len = strlen(text);

	while (len && ((unsigned char)text[--len] & 0xc0) == 0x80)
		;
	text[len] = '\0';
}

bool sp_keys_type(char *text, size_t size, int key)
{
	size_t len = strlen(text);

	if (key == SP_KEY_ESC || key == CTRL_U)
		text[0] = '\0';
	else if (key == DELETE || key == BACKSPACE)
		rub_out(text);
	else if (key >= ' ' && key < SP_KEY_NONE && len + 1 < size)
		memcpy(&text[len], (const char[]){(char)key, '\0'}, 2);
	return key != SP_KEY_ESC && !sp_key_is_enter(key);
}

bool sp_key_moves(int key)
{
	return key >= SP_KEY_UP || key == 'j' || key == 'k';
}

size_t sp_keys_move(int key, size_t at, size_t nr, size_t page)
{
	const size_t last = nr - 1;

	switch (key) {
	case SP_KEY_UP:
	case 'k':
		return at - (at > 0);
	case SP_KEY_DOWN:
	case 'j':
		return at + (at < last);
	case SP_KEY_PAGE_UP:
		return at > page ? at - page : 0;
	case SP_KEY_PAGE_DOWN:
		return last - at > page ? at + page : last;
	case SP_KEY_HOME:
		return 0;
	case SP_KEY_END:
		return last;
	default:
		return at;
	}
}
