// SPDX-License-Identifier: Apache-2.0
/* What each key changes. */
#include "cli/top_keys.h"

#include "cli/keys.h"

#define PAGE_ROWS 10 /* nobody here knows how many rows there are room for */

static size_t selected_row(const struct sp_top_keys *k, const pid_t *pids, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (pids[i] == k->selected)
			return i;
	return 0;
}

/* The first row stays whatever comes first until somebody moves. */
static void move(struct sp_top_keys *k, int key, const pid_t *pids, size_t nr)
{
	if (nr && sp_key_moves(key))
		k->selected = pids[sp_keys_move(key, selected_row(k, pids, nr), nr, PAGE_ROWS)];
}

static void next_sort(struct sp_top_keys *k)
{
	k->show.sort = k->show.sort == SP_SUSPECT_PID ? SP_SUSPECT_GROWTH : k->show.sort + 1;
}

static enum sp_top_wish command(struct sp_top_keys *k, int key, const pid_t *pids, size_t nr)
{
	switch (key) {
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
	default:
		move(k, key, pids, nr);
	}
	return SP_TOP_WISH_DRAW;
}

enum sp_top_wish sp_top_keys_take(struct sp_top_keys *k, const char *bytes, size_t nr, const pid_t *pids,
				  size_t nr_pids)
{
	struct sp_keys in = {.at = bytes, .end = bytes + nr};
	enum sp_top_wish wish = SP_TOP_WISH_DRAW;
	int key;

	while (wish == SP_TOP_WISH_DRAW && (key = sp_keys_next(&in)) != SP_KEY_NONE) {
		if (k->is_typing && key < SP_KEY_NONE)
			k->is_typing = sp_keys_type(k->filter, sizeof(k->filter), key);
		else
			wish = command(k, key, pids, nr_pids);
	}
	k->show.filter = k->filter;
	return wish;
}
