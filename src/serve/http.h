// SPDX-License-Identifier: Apache-2.0
/* The HTTP side: connections, limits, answers. libmicrohttpd does the protocol; nothing of it is seen outside http.c.
 */
#ifndef SEEP_SERVE_HTTP_H
#define SEEP_SERVE_HTTP_H

#include "serve/request.h"
#include "serve/targets.h"

struct sp_http;

/* Listens. *ret_address: where, with the port that was chosen for port 0. `gate` and `targets` must live as long. */
sp_must_check int sp_http_open(const struct sp_serve_address *where, const struct sp_serve_gate *gate,
			       struct sp_targets *targets, struct sp_http **ret, struct sp_serve_address *ret_address,
			       struct sp_why *why);
void sp_http_close(struct sp_http *h); /* NULL is fine */

int sp_http_fd(const struct sp_http *h); /* becomes readable when there is something to do */

/* Does what there is to do; also for who waits for a report, so it is to be called after every turn. */
void sp_http_turn(struct sp_http *h);

/* Until when sp_http_turn() must be called at the latest, in milliseconds, at most `ms`. */
int sp_http_timeout(struct sp_http *h, int ms);

#endif
