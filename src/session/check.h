// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    the whole diagnosis: scan, watch, scan twice more; joins what nothing points to with the call paths that
 * made it. Runs in: our process, main thread, between the looks of a session. May not: print; end the session. Owns:
 * the scans, until sp_check_free(). Fails by: -errno with a reason.
 */
#ifndef SEEP_SESSION_CHECK_H
#define SEEP_SESSION_CHECK_H

#include "session/holders.h"
#include "session/scan.h"
#include "session/session.h"

enum { SP_CHECK_LOOKS = 16 }; /* of a watch */

/* Of the blocks of a path: those whose shortest chains begin in one place. */
struct sp_check_holder {
	uint64_t blocks, bytes;
	struct sp_place place;
	bool is_many; /* several pointers in it; place.offset is of one of them */
};

/* A call path of the watch that is not simply steady. */
struct sp_check_path {
	enum sp_class class; /* LEAKED, INDIRECT, POSSIBLE or GROWING */
	/* Of that class as requested; with LEAKED what only its leaked blocks lead to as well; GROWING: all it holds.
	 */
	uint64_t bytes, blocks;
	uint64_t resident_bytes; /* of bytes, in physical memory; only with has_resident */
	uint64_t held_blocks;    /* others of it: something points to them, or one scan has seen them only */
	const struct sp_view_path *path;
	const struct sp_check_holder *holders; /* GROWING: who holds its blocks, the most first */
	unsigned nr_holders;
	uint64_t nr_asked; /* blocks that were looked for; 0: nobody looked */
};

struct sp_check {
	const struct sp_view *view; /* the last look */
	struct sp_scan scan;        /* groups: only blocks from before the watch (or without a record) */
	uint64_t watched_ns;
	bool has_resident;                 /* asked for, and it could be told */
	const struct sp_check_path *paths; /* worst class first, then by bytes, GROWING by slope */
	size_t nr_paths;
	struct sp_scan_sum sums[SP_NR_CLASSES]; /* of paths[], by class */
	struct sp_scan_sum suppressed;          /* of nr_suppressed call paths that would be in paths[] */
	uint64_t nr_suppressed;
	uint64_t nr_suppressed_leaked;  /* blocks of theirs that nothing points to; scan.sums has them */
	uint64_t nr_steady, nr_unknown; /* other call paths */
	char holders_why[512];          /* why nobody looked for holders; "": somebody did */
	uint64_t nr_racy;               /* recorded blocks that were gone before the last scan */
};

struct sp_checker;

/* Opens the target and takes the first look. `o` must live as long. */
sp_must_check int sp_check_new(const struct sp_scan_options *o, sp_scan_notice_fn notice, void *arg,
			       struct sp_checker **ret, struct sp_why *why);
void sp_check_free(struct sp_checker *c); /* NULL is fine */
pid_t sp_check_pid(const struct sp_checker *c);

/*
 * One look of the session, which lists all blocks (SP_LIST_ALL), all paths, of any age, with verdicts. 1: it was the
 * last and *ret is filled in, good as long as the view and the checker; 0: go on. Call paths that `suppress` takes
 * (NULL: none) are left out.
 */
sp_must_check int sp_check_view(struct sp_checker *c, const struct sp_view *v, uint64_t count,
				struct sp_suppress *suppress, struct sp_check *ret, struct sp_why *why);

/* True when something leaks or only grows: exit status 1. */
bool sp_check_has_leak(const struct sp_check *c);

#endif
