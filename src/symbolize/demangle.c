// SPDX-License-Identifier: Apache-2.0
/*
 * libiberty's demanglers with a fence around them. A mangled name of n bytes can stand for 2^n bytes of text (each
 * substitution may hold the one before twice), and libiberty offers no limit on its output. So the callback forms are
 * used, which write piece by piece and keep their working memory on the stack, and the first piece that does not fit
 * jumps out of them. (Rust's punycode buffer is the one heap block that such a jump loses: a few hundred bytes, once
 * for each hostile name of that kind.) D has no callback form: there the number of back references is limited, so that
 * the text stays below some 3^(32/3) pieces.
 */
#include "symbolize/demangle.h"

#include "symbolize/symbolize.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MANGLED_BYTES   4096
#define MAX_D_MANGLED_BYTES 1024
#define MAX_D_BACK_REFS     32
#define FLAGS               (DMGL_PARAMS | DMGL_ANSI) /* what addr2line -C uses */

struct sink {
	char *buf;
	size_t size, len;
	jmp_buf full;
};

static void take_piece(const char *piece, size_t len, void *ctx)
{
	struct sink *s = ctx;

	if (len >= s->size - s->len)
		longjmp(s->full, 1);
	memcpy(s->buf + s->len, piece, len);
	s->len += len;
}

typedef int demangler_fn(const char *, int, demangle_callbackref, void *);

static bool run(demangler_fn *fn, const char *symbol, char *buf, size_t size)
{
	struct sink s = {.buf = buf, .size = size};

	if (setjmp(s.full))
		return false;
	if (!fn(symbol, FLAGS, take_piece, &s) || !s.len)
		return false;
	buf[s.len] = '\0';
	return true;
}

static bool run_d(const char *symbol, char *buf, size_t size)
{
	size_t nr_refs = 0, len = strlen(symbol);
	char *text;
	bool fits;

	for (const char *c = symbol; *c; c++)
		nr_refs += *c == 'Q';
	if (len > MAX_D_MANGLED_BYTES || nr_refs > MAX_D_BACK_REFS)
		return false;
	text = dlang_demangle(symbol, FLAGS);
	if (!text)
		return false;
	len = strlen(text);
	fits = len < size;
	if (fits)
		memcpy(buf, text, len + 1);
	free(text);
	return fits;
}

const char *sp_demangle(const char *symbol, char *buf, size_t size)
{
	if (symbol[0] != '_' || strnlen(symbol, MAX_MANGLED_BYTES + 1) > MAX_MANGLED_BYTES)
		return NULL;
	if (symbol[1] == 'D')
		return run_d(symbol, buf, size) ? buf : NULL;
	if (symbol[1] != 'Z' && symbol[1] != 'R' && strncmp(symbol, "_GLOBAL_", 8))
		return NULL;
	if (run(rust_demangle_callback, symbol, buf, size))
		return buf;
	return run(cplus_demangle_v3_callback, symbol, buf, size) ? buf : NULL;
}

const char *sp_symbolize_type(const char *rtti_name, char *buf, size_t size)
{
	static const char before[] = "typeinfo for ";
	char symbol[MAX_MANGLED_BYTES];
	int len = snprintf(symbol, sizeof(symbol), "_ZTI%s", rtti_name);

	if (len < 0 || (size_t)len >= sizeof(symbol) || !sp_demangle(symbol, buf, size) ||
	    strncmp(buf, before, sizeof(before) - 1) != 0)
		return NULL;
	return buf + sizeof(before) - 1;
}
