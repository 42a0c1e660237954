// SPDX-License-Identifier: Apache-2.0
/* Keys: single bytes, and the sequences that terminals send for the arrows. */
#include "cli/top_keys.h"

#include <string.h>

#define ESC       '\033'
#define BACKSPACE '\b'
#define DELETE    '\177'
#define CTRL_U    '\025'

struct input {
	const char *at, *end;
};

/* ---- moving ---- */

static void move(struct sp_top_keys *k, int by, const pid_t *pids, size_t nr)
{
	size_t at = 0;

	if (!nr)
		return;
	for (size_t i = 0; i < nr; i++)
		if (pids[i] == k->selected)
			at = i;
	if (by < 0)
		at -= at > 0;
	else
		at += at + 1 < nr;
	k->selected = pids[at];
}

/* ---- the filter ---- */

/* Takes a whole UTF-8 character off. */
static void rub_out(char *text)
{
	size_t len = strlen(text);

	while (len && ((unsigned char)text[--len] & 0xc0) == 0x80)
		;
	text[len] = '\0';
}

static void type(struct sp_top_keys *k, char c)
{
	size_t len = strlen(k->filter);

	if (c == '\r' || c == '\n')
		k->is_typing = false;
	else if (c == DELETE || c == BACKSPACE)
		rub_out(k->filter);
	else if (c == CTRL_U)
		k->filter[0] = '\0';
	else if ((unsigned char)c >= ' ' && len + 1 < sizeof(k->filter))
		memcpy(&k->filter[len], (const char[]){c, '\0'}, 2);
}

/* ---- all ---- */

/* "ESC [ A", or "ESC O A" in a terminal's application mode. 0: Esc itself, or a key that we do not know. */
static char arrow(struct input *in)
{
	const char *p = in->at;
	char last;

	if (in->end - p < 2 || (p[0] != '[' && p[0] != 'O'))
		return 0;
	for (p++; p < in->end && (*p < '@' || *p > '~'); p++)
		;
	last = p < in->end ? *p : 0;
	in->at = p < in->end ? p + 1 : p;
	return last == 'A' || last == 'B' ? last : '?';
}

static void escape(struct sp_top_keys *k, struct input *in, const pid_t *pids, size_t nr)
{
	char key = arrow(in);

	if (key == 'A' || key == 'B')
		move(k, key == 'A' ? -1 : 1, pids, nr);
	else if (!key && k->is_typing)
		k->filter[0] = '\0', k->is_typing = false;
}

static void next_sort(struct sp_top_keys *k)
{
	k->show.sort = k->show.sort == SP_SUSPECT_PID ? SP_SUSPECT_GROWTH : k->show.sort + 1;
}

static enum sp_top_wish command(struct sp_top_keys *k, char c, const pid_t *pids, size_t nr)
{
	switch (c) {
	case 'q':
		return SP_TOP_WISH_QUIT;
	case '\r':
	case '\n':
		if (nr && !k->selected)
			k->selected = pids[0];
		return nr ? SP_TOP_WISH_TRACE : SP_TOP_WISH_DRAW;
	case 'p':
	case ' ':
		k->show.paused = !k->show.paused;
		break;
	case 's':
		next_sort(k);
		break;
	case '/':
		k->is_typing = true;
		break;
	case 'j':
	case 'k':
		move(k, c == 'k' ? -1 : 1, pids, nr);
		break;
	default:
		break;
	}
	return SP_TOP_WISH_DRAW;
}

enum sp_top_wish sp_top_keys_take(struct sp_top_keys *k, const char *bytes, size_t nr, const pid_t *pids,
				  size_t nr_pids)
{
	struct input in = {.at = bytes, .end = bytes + nr};
	enum sp_top_wish wish = SP_TOP_WISH_DRAW;

	while (in.at < in.end && wish == SP_TOP_WISH_DRAW) {
		char c = *in.at++;

		if (c == ESC)
			escape(k, &in, pids, nr_pids);
		else if (k->is_typing)
			type(k, c);
		else
			wish = command(k, c, pids, nr_pids);
	}
	k->show.filter = k->filter;
	return wish;
}
