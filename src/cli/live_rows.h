// SPDX-License-Identifier: Apache-2.0
/* Which call paths of a view the screen shows, and how much each has grown since the user said "from now on". */
#ifndef SEEP_CLI_LIVE_ROWS_H
#define SEEP_CLI_LIVE_ROWS_H

#include "report/live.h"

/* What every call path held at one moment. */
struct sp_baseline {
	struct sp_vec paths; /* struct sp_baseline_path, by id */
	uint64_t now_ns;
};

void sp_baseline_init(struct sp_baseline *b);
void sp_baseline_done(struct sp_baseline *b);
/* From now on. -ENOMEM: it stays as it was. */
sp_must_check int sp_baseline_set(struct sp_baseline *b, const struct sp_view *v);

/*
 * The view's paths that the filter lets through, struct sp_live_row, into *ret, which is emptied first. With a baseline
 * (NULL: none) growth is since then, and an order by growth is by that. -ENOMEM.
 */
sp_must_check int sp_live_rows_make(const struct sp_view *v, const char *filter, const struct sp_baseline *b,
				    bool by_growth, struct sp_vec *ret);

#endif
