// SPDX-License-Identifier: Apache-2.0
/* What a client asks for, and whether it may. Pure functions over what HTTP brings: no state, no I/O. */
#ifndef SEEP_SERVE_REQUEST_H
#define SEEP_SERVE_REQUEST_H

#include <sys/socket.h>

#include "base/base.h"

/* What can be asked for: path, whether everybody may (a probe has no token), what it is. */
#define SP_SERVE_PAGES(X)                                                                                              \
	X(METRICS, "/metrics", false)                                                                                  \
	X(HEALTH, "/healthz", true)                                                                                    \
	X(PROFILE, "/profile", false)                                                                                  \
	X(HOME, "/", false)

enum sp_serve_page {
#define SP_SERVE_ENUM(id, path, open) SP_SERVE_##id,
	SP_SERVE_PAGES(SP_SERVE_ENUM)
#undef SP_SERVE_ENUM
};

/* As a client says it; NULL: it did not. */
struct sp_serve_words {
	const char *method, *path, *host, *authorization, *pid, *accept;
	bool has_body;
};

struct sp_serve_request {
	enum sp_serve_page page;
	pid_t pid;           /* 0: not said */
	bool is_openmetrics; /* else Prometheus' older text */
};

enum { SP_SERVE_TOKEN_MIN = 16, SP_SERVE_TOKEN_MAX = 512 };

struct sp_serve_gate {
	char token[SP_SERVE_TOKEN_MAX + 1]; /* "": none is asked for */
	bool is_loopback;                   /* we are to be reached from this machine only, and under its names */
};

/* 200 and *ret, or the status of the refusal and *ret_why, one line. */
unsigned sp_serve_decide(const struct sp_serve_gate *gate, const struct sp_serve_words *w, struct sp_serve_request *ret,
			 const char **ret_why);

struct sp_serve_address {
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	};
	socklen_t len;
	bool is_loopback;
};

/* "127.0.0.1:9745", "[::1]:9745", "localhost:9745". -EINVAL with a reason. */
sp_must_check int sp_serve_address_parse(const char *text, struct sp_serve_address *ret, struct sp_why *why);

/* The same the other way round; returns buf. 64 bytes are enough. */
const char *sp_serve_address_text(const struct sp_serve_address *a, char *buf, size_t size);

/*
 * The first line of a file that nobody but its owner may write, and not everybody read. -errno with a reason, also when
 * it is too short to be a secret.
 */
sp_must_check int sp_serve_token_read(const char *path, char ret[SP_SERVE_TOKEN_MAX + 1], struct sp_why *why);

#endif
