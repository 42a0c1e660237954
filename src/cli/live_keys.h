// SPDX-License-Identifier: Apache-2.0
/* What keys do to the screen of seep trace. No terminal here: bytes in, a changed state and a wish out. */
#ifndef SEEP_CLI_LIVE_KEYS_H
#define SEEP_CLI_LIVE_KEYS_H

#include "report/live.h"

enum { SP_LIVE_FILTER_SIZE = 64 };

/* What the keys change. */
struct sp_live_keys {
	enum sp_live_page page;
	enum sp_sort sort;
	char filter[SP_LIVE_FILTER_SIZE];
	bool is_typing, paused, resident, has_baseline;
	bool has_selected;
	uint32_t selected; /* id of a call path; without has_selected: whichever comes first */
	size_t scroll;     /* lines, of the pages that are not the table */
	unsigned format;   /* with SP_LIVE_WISH_EXPORT: row of SP_REPORT_FORMATS */
};

/* What was on the screen when the key was pressed. */
struct sp_live_shown {
	const uint32_t *ids; /* of the call paths, in the order of the rows */
	size_t nr;
	size_t page_rows; /* how many of them there is room for */
};

enum sp_live_wish {
	SP_LIVE_WISH_DRAW,
	SP_LIVE_WISH_QUIT,
	SP_LIVE_WISH_BASELINE, /* has_baseline has changed */
	SP_LIVE_WISH_EXPORT,
	SP_LIVE_WISH_SCAN,
	SP_LIVE_WISH_WHY,
};

/* Takes what one read() of the terminal gave. What comes behind a wish other than to draw is dropped. */
enum sp_live_wish sp_live_keys_take(struct sp_live_keys *k, const char *bytes, size_t nr,
				    const struct sp_live_shown *shown);

/* Row of the selected path, 0 when it is not there. */
size_t sp_live_keys_row(const struct sp_live_keys *k, const uint32_t *ids, size_t nr);

/* The last line of the screen, and the page of help. Keys whose command seep does not have are not there. */
const char *sp_live_keys_foot(const struct sp_live_keys *k, char *buf, size_t size);
const char *sp_live_keys_help(char *buf, size_t size);

#endif
