// SPDX-License-Identifier: Apache-2.0
/* Which processes the user's words mean, now. */
#ifndef SEEP_SERVE_DISCOVER_H
#define SEEP_SERVE_DISCOVER_H

#include "serve/serve.h"

struct sp_discover; /* NULL where there is nothing to be followed: only pids */

sp_must_check int sp_discover_new(const struct sp_serve_options *o, struct sp_discover **ret, struct sp_why *why);
void sp_discover_free(struct sp_discover *d); /* NULL is fine */

struct sp_found {
	pid_t pid;
	uint64_t start_time;
};

/* Calls `found` for each; a process may come twice. What cannot be read is not there. */
void sp_discover_look(struct sp_discover *d, void (*found)(const struct sp_found *f, void *arg), void *arg);

/* A word that is a number. */
bool sp_discover_is_pid(const char *word, pid_t *ret);

#endif
