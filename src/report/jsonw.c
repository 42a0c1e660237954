// SPDX-License-Identifier: Apache-2.0
/* A streaming JSON writer. */
#include "report/jsonw.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What comes before any value: a comma behind a sibling, or the key that was just written. */
static void begin_value(struct sp_jsonw *w)
{
	bool in_object = w->depth && w->open[w->depth - 1] == '}';

	assert(in_object == w->has_key);
	if (w->comma && !w->has_key)
		sp_out_write(w->out, ",", 1);
	w->has_key = false;
	w->comma = true;
}

static void begin(struct sp_jsonw *w, const char *opening, char closing)
{
	begin_value(w);
	assert(w->depth < SP_JSONW_DEPTH);
	w->open[w->depth++] = closing;
	w->comma = false;
	sp_out_write(w->out, opening, 1);
}

void sp_jsonw_object(struct sp_jsonw *w)
{
	begin(w, "{", '}');
}

void sp_jsonw_array(struct sp_jsonw *w)
{
	begin(w, "[", ']');
}

void sp_jsonw_end(struct sp_jsonw *w)
{
	assert(w->depth && !w->has_key);
	sp_out_write(w->out, &w->open[--w->depth], 1);
	w->comma = true;
}

void sp_jsonw_key(struct sp_jsonw *w, const char *key)
{
	assert(w->depth && w->open[w->depth - 1] == '}' && !w->has_key);
	sp_out_printf(w->out, "%s\"%s\":", w->comma ? "," : "", key);
	w->has_key = true;
}

/* What must not stand in a string as it is: RFC 8259 section 7, and DEL and C1, which steer terminals. */
static bool must_escape(uint32_t cp)
{
	return cp < 0x20 || cp == '"' || cp == '\\' || (cp >= 0x7f && cp <= 0x9f);
}

static void escape(struct sp_jsonw *w, uint32_t cp)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *at = cp < 0x80 && cp ? strchr(plain, (int)cp) : NULL;

	if (at)
		sp_out_printf(w->out, "\\%c", letters[at - plain]);
	else
		sp_out_printf(w->out, "\\u%04x", (unsigned)cp);
}

void sp_jsonw_string(struct sp_jsonw *w, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	const char *run = text; /* what can be written as it is */

	if (!text) {
		sp_jsonw_null(w);
		return;
	}
	begin_value(w);
	sp_out_write(w->out, "\"", 1);
	while (*s) {
		uint32_t cp = 0;
		size_t len = sp_text_decode(s, &cp);

		if (len && !must_escape(cp)) {
			s += len;
			continue;
		}
		sp_out_write(w->out, run, (size_t)((const char *)s - run));
		escape(w, len ? cp : 0xfffd);
		s += len ? len : 1;
		run = (const char *)s;
	}
	sp_out_write(w->out, run, (size_t)((const char *)s - run));
	sp_out_write(w->out, "\"", 1);
}

void sp_jsonw_u64(struct sp_jsonw *w, uint64_t n)
{
	begin_value(w);
	sp_out_printf(w->out, "%" PRIu64, n);
}

void sp_jsonw_i64(struct sp_jsonw *w, int64_t n)
{
	begin_value(w);
	sp_out_printf(w->out, "%" PRId64, n);
}

void sp_jsonw_bool(struct sp_jsonw *w, bool b)
{
	begin_value(w);
	sp_out_puts(w->out, b ? "true" : "false");
}

void sp_jsonw_null(struct sp_jsonw *w)
{
	begin_value(w);
	sp_out_write(w->out, "null", 4);
}

void sp_jsonw_fixed(struct sp_jsonw *w, double n, unsigned digits)
{
	begin_value(w);
	if (isfinite(n))
		sp_out_printf(w->out, "%.*f", (int)digits, n);
	else
		sp_out_write(w->out, "null", 4);
}

void sp_jsonw_hex(struct sp_jsonw *w, uint64_t n)
{
	begin_value(w);
	sp_out_printf(w->out, "\"0x%" PRIx64 "\"", n);
}

void sp_jsonw_put_known_u64(struct sp_jsonw *w, const char *key, bool known, uint64_t n)
{
	sp_jsonw_key(w, key);
	if (known)
		sp_jsonw_u64(w, n);
	else
		sp_jsonw_null(w);
}

void sp_jsonw_put_known_hex(struct sp_jsonw *w, const char *key, bool known, uint64_t n)
{
	sp_jsonw_key(w, key);
	if (known)
		sp_jsonw_hex(w, n);
	else
		sp_jsonw_null(w);
}

void sp_jsonw_put_time(struct sp_jsonw *w, const char *key, const struct timespec *t)
{
	char seconds[48], text[64];
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	gmtime_r(&t->tv_sec, &tm);
	if (!strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm))
		seconds[0] = '\0';
	snprintf(text, sizeof(text), "%s.%03uZ", seconds, (unsigned)(t->tv_nsec / 1000000));
	sp_jsonw_put_string(w, key, text);
}

void sp_jsonw_put_kind(struct sp_jsonw *w, const char *kind)
{
	/* The number changes when a key goes away or changes its meaning; new keys do not change it. */
	sp_jsonw_put_string(w, "schema", "seep/1");
	sp_jsonw_put_string(w, "kind", kind);
}

void sp_jsonw_line(struct sp_jsonw *w)
{
	assert(!w->depth && !w->has_key);
	sp_out_write(w->out, "\n", 1);
	w->comma = false;
}
