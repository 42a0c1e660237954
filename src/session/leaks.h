// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    now and then, between the looks of a watch: which blocks does nothing point to?
 * Runs in: our process, main thread.
 * May not: print, end the session.
 * Owns:    what a scan consists of, and what the last one said.
 * Fails by: saying so to `say`; then nothing is known until the next scan.
 */
#ifndef SEEP_SESSION_LEAKS_H
#define SEEP_SESSION_LEAKS_H

#include "session/scan.h"
#include "session/session.h"

struct sp_leaks;

/* `pid` must live as long. NULL: no memory. */
struct sp_leaks *sp_leaks_new(const char *pid, uint64_t every_ns, sp_scan_notice_fn say, void *arg);
void sp_leaks_free(struct sp_leaks *l); /* NULL is fine */

/*
 * One look, which lists all blocks. When it is time a scan follows it, and another one the next look: what both call
 * leaked was there at that look, so it has its record, or is older than the watch. True: that was the second one.
 */
bool sp_leaks_look(struct sp_leaks *l, const struct sp_view *v);

/* The same at the last look of a target that lives: both scans follow it. */
bool sp_leaks_look_last(struct sp_leaks *l, const struct sp_view *v);

/* What a scan said. */
struct sp_leaks_found {
	struct sp_found_all sum;
	struct sp_u64map bytes, blocks; /* that it found lost (leaked, or only leaked ones lead to them), by path + 1 */
};

/* The last scan's; NULL: it has not said anything. */
const struct sp_leaks_found *sp_leaks_found(const struct sp_leaks *l);
uint64_t sp_leaks_nr_scans(const struct sp_leaks *l);

#endif
