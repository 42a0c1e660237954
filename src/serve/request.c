// SPDX-License-Identifier: Apache-2.0
/*
 * Who may ask for what. Everything here comes from the network.
 *
 * Without a token the server answers this machine only, and then only under names of this machine: a browser may be led
 * to 127.0.0.1 by a foreign name (DNS rebinding), and its page would read the answer.
 */
#include "serve/request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const struct row {
	const char *path;
	enum sp_serve_page page;
	bool is_open;
} rows[] = {
#define ROW(id, path, open) {path, SP_SERVE_##id, open},
    SP_SERVE_PAGES(ROW)
#undef ROW
};

static const struct row *find(const char *path)
{
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		if (!strcmp(path, rows[i].path))
			return &rows[i];
	return NULL;
}

/* ---- names of this machine ---- */

/* 127.0.0.0/8, as four numbers. */
static bool is_loopback_v4(const char *name, size_t len)
{
	unsigned dots = 0;

	if (len < 9 || len > 15 || strncmp(name, "127.", 4) != 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] != '.' && (name[i] < '0' || name[i] > '9'))
			return false;
		dots += name[i] == '.';
	}
	return dots == 3;
}

/* A Host header: a name and perhaps a port. HTTP/1.0 may leave it out, which no browser does. */
static bool is_own_host(const char *host)
{
	static const char *const names[] = {"localhost", "[::1]"};
	size_t len;

	if (!host)
		return true;
	len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (len > strlen(host) || (host[len] != ':' && host[len] != '\0'))
		return false;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++)
		if (len == strlen(names[i]) && !strncasecmp(host, names[i], len))
			return true;
	return is_loopback_v4(host, len);
}

/* ---- the token ---- */

/* Takes as long whatever of it is right. */
static bool is_equal(const char *a, size_t len_a, const char *b)
{
	size_t len_b = strlen(b);
	unsigned char differs = len_a != len_b;

	for (size_t i = 0; i < len_a; i++)
		differs |= (unsigned char)a[i] ^ (unsigned char)b[i % (len_b ? len_b : 1)];
	return !differs;
}

static int digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Base64 (RFC 4648) up to its end or padding; returns the bytes, 0 where it is none or does not fit. */
static size_t decode64(const char *text, char *buf, size_t size)
{
	uint32_t bits = 0;
	unsigned nr_bits = 0;
	size_t len = 0;

	for (; *text && *text != '='; text++) {
		int digit = digit_of(*text);
		if (digit < 0 || len == size)
			return 0;
		bits = bits << 6 | (uint32_t)digit;
		nr_bits += 6;
		if (nr_bits < 8)
			continue;
		nr_bits -= 8;
		buf[len++] = (char)(bits >> nr_bits);
		bits &= (1u << nr_bits) - 1;
	}
	return len;
}

/* "Bearer TOKEN" for programs; "Basic" with the token as password (any user) for browsers, which can ask for that. */
static bool has_token(const char *token, const char *authorization)
{
	char pair[SP_SERVE_TOKEN_MAX + 128];
	size_t len;
	const char *colon;

	if (authorization && !strncasecmp(authorization, "Bearer ", 7))
		return is_equal(authorization + 7, strlen(authorization + 7), token);
	if (!authorization || strncasecmp(authorization, "Basic ", 6) != 0)
		return false;
	len = decode64(authorization + 6, pair, sizeof(pair));
	colon = len ? memchr(pair, ':', len) : NULL;
	return colon && is_equal(colon + 1, len - (size_t)(colon + 1 - pair), token);
}

/* ---- the decision ---- */

static unsigned refuse(unsigned status, const char *why, const char **ret_why)
{
	*ret_why = why;
	return status;
}

unsigned sp_serve_decide(const struct sp_serve_gate *gate, const struct sp_serve_words *w, struct sp_serve_request *ret,
			 const char **ret_why)
{
	const struct row *row = find(w->path);
	uint64_t pid = 0;

	if (strcmp(w->method, "GET") != 0 && strcmp(w->method, "HEAD") != 0)
		return refuse(405, "only GET and HEAD are answered", ret_why);
	if (w->has_body)
		return refuse(413, "a request here has no body", ret_why);
	if (gate->is_loopback && !gate->token[0] && !is_own_host(w->host))
		return refuse(403, "asked for under a name that is not this machine's; call it localhost or 127.0.0.1",
			      ret_why);
	if (gate->token[0] && !(row && row->is_open) && !has_token(gate->token, w->authorization))
		return refuse(401, "the token is missing or wrong", ret_why);
	if (!row)
		return refuse(404, "there is /, /metrics, /profile and /healthz", ret_why);
	if (w->pid && sp_text_to_u64(w->pid, 1, INT32_MAX, &pid) < 0)
		return refuse(400, "pid is not a process' number", ret_why);
	*ret =
	    (struct sp_serve_request){.page = row->page,
				      .pid = (pid_t)pid,
				      .is_openmetrics = w->accept && strstr(w->accept, "application/openmetrics-text")};
	return 200;
}
