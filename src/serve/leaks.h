// SPDX-License-Identifier: Apache-2.0
/* Now and then, between the looks of a watch: which blocks does nothing point to? */
#ifndef SEEP_SERVE_LEAKS_H
#define SEEP_SERVE_LEAKS_H

#include "serve/sample.h"
#include "session/scan.h"

struct sp_leaks;

/* `pid` must live as long. NULL: no memory. */
struct sp_leaks *sp_leaks_new(const char *pid, uint64_t every_ns, sp_scan_notice_fn say, void *arg);
void sp_leaks_free(struct sp_leaks *l); /* NULL is fine */

/*
 * One look, which lists all blocks. When it is time a scan follows it, and another one the next look: what both call
 * leaked was there at that look, so it has its record, or is older than the watch.
 */
void sp_leaks_look(struct sp_leaks *l, const struct sp_view *v);

/* What the last scan said: of a target, of its call paths. */
void sp_leaks_fill(const struct sp_leaks *l, struct sp_sample *s);
const struct sp_sample_leaks *sp_leaks_by_path(const struct sp_leaks *l);

#endif
