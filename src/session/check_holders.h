// SPDX-License-Identifier: Apache-2.0
/* Who holds the blocks of the call paths that only grow, in sums. */
#ifndef SEEP_SESSION_CHECK_HOLDERS_H
#define SEEP_SESSION_CHECK_HOLDERS_H

#include "session/check.h"
#include "session/places.h"

struct sp_check_holders;

/*
 * For every path of the view whose verdict is GROWING; the view lists all blocks, and the source of the scan's last
 * look is there. *ret is NULL when no path grows. -ENOMEM; -ENOSPC: it would take more memory than the scan may use.
 */
sp_must_check int sp_check_holders_find(struct sp_scan_store *scan, const struct sp_view *v,
					struct sp_check_holders **ret, struct sp_why *why);
void sp_check_holders_free(struct sp_check_holders *h); /* NULL is fine */

/* Names them: the snapshot may be gone, what the source has read must not. */
sp_must_check int sp_check_holders_name(struct sp_check_holders *h, struct sp_scan_store *scan, struct sp_why *why);

/* Fills in the holders of a path: the most blocks first; good as long as h. */
void sp_check_holders_of(const struct sp_check_holders *h, struct sp_check_path *path);

#endif
