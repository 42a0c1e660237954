// SPDX-License-Identifier: Apache-2.0
/* Reads a recording line by line, splits it into words, undoes octal escapes. */
#include "engines/replay/lines.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define NAME_IN_MESSAGE 160 /* the end of a long file name, so that the reason still fits */

void sp_replay_lines_init(struct sp_replay_lines *in, FILE *file, const char *name)
{
	*in = (struct sp_replay_lines){.file = file, .name = name};
}

void sp_replay_lines_done(struct sp_replay_lines *in)
{
	if (in->file)
		fclose(in->file);
	in->file = NULL;
}

int sp_replay_why(const struct sp_replay_lines *in, struct sp_why *why, enum sp_fault fault, int err, const char *fmt,
		  ...)
{
	size_t len = strlen(in->name);
	const char *name = in->name + (len > NAME_IN_MESSAGE ? len - NAME_IN_MESSAGE : 0);
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sp_why_set(why, fault, err, "%s:%lu: %s", name, in->nr, text);
}

/* One line without its newline into in->line. at_end: there was none. */
static int read_line(struct sp_replay_lines *in, struct sp_why *why)
{
	size_t len = 0;
	int c;

	in->nr++;
	while ((c = getc_unlocked(in->file)) != EOF && c != '\n') {
		if (!c)
			return sp_replay_bad(in, why, "a NUL byte");
		if (len == SP_REPLAY_MAX_LINE)
			return sp_replay_bad(in, why, "longer than %d bytes", SP_REPLAY_MAX_LINE);
		in->line[len++] = (char)c;
	}
	in->line[len] = '\0';
	if (c == EOF && ferror(in->file))
		return sp_replay_why(in, why, SP_FAULT_TARGET, EIO, "cannot be read");
	in->at_end = c == EOF && !len;
	return 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* In place: a word only gets shorter. */
static bool unescape(char *word)
{
	char *to = word;

	for (const char *p = word; *p; to++) {
		unsigned value;

		if (*p != '\\') {
			*to = *p++;
			continue;
		}
		if (!is_octal(p[1]) || !is_octal(p[2]) || !is_octal(p[3]))
			return false;
		value = (unsigned)(p[1] - '0') << 6 | (unsigned)(p[2] - '0') << 3 | (unsigned)(p[3] - '0');
		if (!value || value > 0xff)
			return false;
		*to = (char)value;
		p += 4;
	}
	*to = '\0';
	return true;
}

/* In place, for the same reason. */
static void make_printable(char *word)
{
	char text[SP_REPLAY_MAX_LINE + 1];

	sp_text_printable(text, sizeof(text), word);
	memcpy(word, text, strlen(text) + 1);
}

static int split_words(struct sp_replay_lines *in, struct sp_why *why)
{
	char *rest = in->line, *word;

	in->nr_words = 0;
	if (in->line[0] == '#')
		return 0;
	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		if (in->nr_words == SP_REPLAY_MAX_WORDS)
			return sp_replay_bad(in, why, "more than %d words", SP_REPLAY_MAX_WORDS);
		if (!unescape(word))
			return sp_replay_bad(in, why, "a backslash without three octal digits of a byte behind it");
		make_printable(word);
		in->words[in->nr_words++] = word;
	}
	return 0;
}

int sp_replay_lines_next(struct sp_replay_lines *in, struct sp_why *why)
{
	int err = 0;

	if (in->is_held) {
		in->is_held = false;
		return 0;
	}
	in->nr_words = 0;
	while (!err && !in->at_end && !in->nr_words) {
		err = read_line(in, why);
		if (!err)
			err = split_words(in, why);
	}
	return err;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool sp_replay_hex(const char *word, uint64_t *ret)
{
	size_t len = strlen(word);
	uint64_t value = 0;

	if (len < 3 || len > 18 || word[0] != '0' || word[1] != 'x')
		return false;
	for (const char *p = word + 2; *p; p++) {
		if (hex_digit(*p) < 0)
			return false;
		value = value << 4 | (unsigned)hex_digit(*p);
	}
	*ret = value;
	return true;
}
