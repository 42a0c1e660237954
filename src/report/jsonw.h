// SPDX-License-Identifier: Apache-2.0
/*
 * A streaming JSON writer (RFC 8259). Our own, because a list of every block may have millions of elements: a library
 * that builds the document first (jansson, json-c) would need gigabytes for what this writes with none.
 *
 * It writes text as it is called, in one line. Misuse (a value without its key, an end too many) is a bug of the caller
 * and asserted. Whatever bytes a string holds, the result is valid JSON in valid UTF-8.
 */
#ifndef SEEP_REPORT_JSONW_H
#define SEEP_REPORT_JSONW_H

#include <time.h>

#include "report/out.h"

#define SP_JSONW_DEPTH 16

struct sp_jsonw {
	struct sp_out *out;
	unsigned depth;            /* open objects and arrays */
	char open[SP_JSONW_DEPTH]; /* what closes each of them: '}' or ']' */
	bool comma;                /* a value stands before the next one */
	bool has_key;              /* a key waits for its value */
};

static inline void sp_jsonw_init(struct sp_jsonw *w, struct sp_out *out)
{
	*w = (struct sp_jsonw){.out = out};
}

void sp_jsonw_object(struct sp_jsonw *w); /* { */
void sp_jsonw_array(struct sp_jsonw *w);  /* [ */
void sp_jsonw_end(struct sp_jsonw *w);    /* whichever of the two is open */

/* Keys are our own literals: plain ASCII, written as they are. */
void sp_jsonw_key(struct sp_jsonw *w, const char *key);

void sp_jsonw_string(struct sp_jsonw *w, const char *text); /* NULL: null; an invalid byte becomes U+FFFD */
void sp_jsonw_u64(struct sp_jsonw *w, uint64_t n);
void sp_jsonw_i64(struct sp_jsonw *w, int64_t n);
void sp_jsonw_bool(struct sp_jsonw *w, bool b);
void sp_jsonw_null(struct sp_jsonw *w);
void sp_jsonw_fixed(struct sp_jsonw *w, double n, unsigned digits); /* behind the point; what is no number: null */
void sp_jsonw_hex(struct sp_jsonw *w, uint64_t n); /* "0x7f8f70863220": doubles cannot hold every address */

/* ---- a key and its value ---- */

static inline void sp_jsonw_put_u64(struct sp_jsonw *w, const char *key, uint64_t n)
{
	sp_jsonw_key(w, key);
	sp_jsonw_u64(w, n);
}

static inline void sp_jsonw_put_i64(struct sp_jsonw *w, const char *key, int64_t n)
{
	sp_jsonw_key(w, key);
	sp_jsonw_i64(w, n);
}

static inline void sp_jsonw_put_bool(struct sp_jsonw *w, const char *key, bool b)
{
	sp_jsonw_key(w, key);
	sp_jsonw_bool(w, b);
}

static inline void sp_jsonw_put_string(struct sp_jsonw *w, const char *key, const char *text)
{
	sp_jsonw_key(w, key);
	sp_jsonw_string(w, text);
}

/* null unless known */
void sp_jsonw_put_known_u64(struct sp_jsonw *w, const char *key, bool known, uint64_t n);
void sp_jsonw_put_known_hex(struct sp_jsonw *w, const char *key, bool known, uint64_t n);

/* RFC 3339 in UTC, so that no reader has to know our time zone. */
void sp_jsonw_put_time(struct sp_jsonw *w, const char *key, const struct timespec *t);

/* "schema" and "kind": what every report begins with. Every key is described in doc/json.md. */
void sp_jsonw_put_kind(struct sp_jsonw *w, const char *kind);

/* Ends the line. Everything must have been closed. */
void sp_jsonw_line(struct sp_jsonw *w);

#endif
