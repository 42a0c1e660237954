// SPDX-License-Identifier: Apache-2.0
/* What keys do to seep top's screen. No terminal here: bytes in, a changed state out. */
#ifndef SEEP_CLI_TOP_KEYS_H
#define SEEP_CLI_TOP_KEYS_H

#include "report/report.h"

enum { SP_TOP_FILTER_SIZE = 64 };

struct sp_top_keys {
	struct sp_top_show show; /* show.filter points to `filter` */
	char filter[SP_TOP_FILTER_SIZE];
	pid_t selected; /* 0: the first row */
	bool is_typing;
};

enum sp_top_wish { SP_TOP_WISH_DRAW, SP_TOP_WISH_TRACE, SP_TOP_WISH_QUIT };

/*
 * Takes what one read() of the terminal gave. `pids`: of the rows on the screen, in order, so that one can move among
 * them. What comes behind a wish to trace or to quit is dropped.
 */
enum sp_top_wish sp_top_keys_take(struct sp_top_keys *k, const char *bytes, size_t nr, const pid_t *pids,
				  size_t nr_pids);

#endif
