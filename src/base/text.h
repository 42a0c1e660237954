// SPDX-License-Identifier: Apache-2.0
/* Numbers and sizes, to and from text; splitting of command lines. */
#ifndef SEEP_BASE_TEXT_H
#define SEEP_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/why.h"

/* Whole text must be a decimal number in [min, max]. -EINVAL (not a number), -ERANGE. */
sp_must_check int sp_text_to_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* As above with an optional suffix K, M, G, T (1024s; an optional trailing B or iB). */
sp_must_check int sp_text_to_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* "512 B", "40.0 KiB", "1.2 MiB"; always terminated; returns buf. 16 bytes are enough. */
const char *sp_text_bytes(char *buf, size_t size, uint64_t bytes);

/* "350ms", "12s", "4m10s", "2h05m", "3d04h"; returns buf. 16 bytes are enough. */
const char *sp_text_duration(char *buf, size_t size, uint64_t ns);

/*
 * Decodes one UTF-8 sequence (RFC 3629: shortest form, no surrogates, up to U+10FFFF). Returns its length in bytes, 0
 * when it is not valid. Never reads past a NUL.
 */
size_t sp_text_decode(const unsigned char *s, uint32_t *ret_cp);

/*
 * Copies src to dst replacing what could steer a terminal (control bytes, invalid UTF-8) by '?'; always
 * terminated, cut at size. For every text that comes from the target. dst may be src. Returns dst.
 */
const char *sp_text_printable(char *dst, size_t size, const char *src);

/* Text that is put together in a buffer of fixed size; what does not fit is cut off. {buf, size, 0} begins one. */
struct sp_words {
	char *buf;
	size_t size, len;
};
void sp_words_add(struct sp_words *w, const char *fmt, ...) sp_printf(2, 3);

/* sp_text_bytes() in a buffer that lives as long as the statement's block. */
#define SP_BYTES(bytes) sp_text_bytes((char[16]){""}, 16, bytes)

/* A command of a table with a number for its "%d", which need not be there. Returns buf. */
const char *sp_text_command(char *buf, size_t size, const char *pattern, int number);

/*
 * Splits a command line as a shell would (quotes, backslashes; no expansion of any kind).
 * *ret_argv is NULL-terminated and one allocation: free() it. -EINVAL: an open quote; -ENOMEM.
 */
sp_must_check int sp_text_split(const char *line, char ***ret_argv, size_t *ret_argc);

#endif
