// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    watches processes for as long as it runs and answers HTTP: metrics for Prometheus, profiles, pages.
 * Runs in: our process, main thread; each target is watched by a child of ours.
 * May not: print (it calls back), trust a client or what a child says of a target.
 * Owns:    the socket, the children, what they have said last.
 * Fails by: -errno with a reason; what goes wrong with one target or one client is theirs alone.
 */
#ifndef SEEP_SERVE_SERVE_H
#define SEEP_SERVE_SERVE_H

#include "base/base.h"
#include "session/session.h"

enum { SP_SERVE_MAX_TARGETS = 256, SP_SERVE_MAX_PATHS = 1000 };

struct sp_serve_options {
	struct sp_session_options session; /* how each is watched; whom: below */
	const char *const *words;          /* pids, and names of programs, whose processes come and go */
	size_t nr_words;
	const char *cgroup;     /* its processes and those of cgroups below it; NULL: none */
	const char *listen;     /* ADDRESS:PORT; port 0: any */
	const char *token_file; /* who does not know what it holds gets nothing; NULL: everybody on this machine does */
	unsigned top;           /* call paths of each target that have series of their own */
	unsigned max_targets;
	uint64_t scan_every_ns; /* look for blocks that nothing points to; 0: never */
};

/* One line for the user, also from the children. */
typedef void (*sp_serve_say_fn)(const char *text, void *arg);

/*
 * Runs until SIGINT, SIGTERM or SIGHUP, or until all processes have ended when only pids were given. Every target is
 * left as by a session of its own.
 */
sp_must_check int sp_serve_run(const struct sp_serve_options *o, sp_serve_say_fn say, void *arg, struct sp_why *why);

#endif
