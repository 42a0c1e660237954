// SPDX-License-Identifier: Apache-2.0
/* Man pages' parts that come from the tables. */
#include <ctype.h>
#include <string.h>

#include "cli/docgen.h"

#define WIDTH 78 /* source lines: what mandoc -Tlint wants */

/* What stands for a character that roff would take for itself; NULL: it stands for itself. Source: groff_char(7). */
static const char *escape(char c)
{
	switch (c) {
	case '-':
		return "\\-";
	case '\\':
		return "\\e";
	case '\'':
		return "\\(aq";
	default:
		return NULL;
	}
}

/* Returns the columns written. */
static size_t put_char(FILE *out, char c)
{
	const char *escaped = escape(c);

	if (escaped)
		fputs(escaped, out);
	else
		fputc(c, out);
	return escaped ? strlen(escaped) : 1;
}

static size_t width_of(const char *text, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len; i++)
		width += escape(text[i]) ? strlen(escape(text[i])) : 1;
	return width;
}

/* Capitals are what the user replaces, words behind dashes are typed as they are. */
static void put_word(FILE *out, const char *word, size_t len)
{
	size_t i = 0;

	if (len && word[0] == '-') {
		fputs("\\fB", out);
		for (; i < len; i++)
			put_char(out, word[i]);
		fputs("\\fR", out);
		return;
	}
	while (i < len) {
		size_t capitals = 0;

		while (i + capitals < len && isupper((unsigned char)word[i + capitals]))
			capitals++;
		if (capitals) {
			fprintf(out, "\\fI%.*s\\fR", (int)capitals, word + i);
			i += capitals;
		} else {
			put_char(out, word[i++]);
		}
	}
}

/* Words as in a synopsis: "[options] PID|NAME -- CMD". */
static void put_words(FILE *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		put_word(out, text, len);
		text += len;
		if (*text)
			fputc(*text++, out);
	}
}

/* A sentence, broken into source lines; "\\&" guards a line that begins like a request. */
static void put_text(FILE *out, const char *text)
{
	size_t at = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (at && at + 1 + width_of(text, len) > WIDTH) {
			fputc('\n', out);
			at = 0;
		} else if (at) {
			fputc(' ', out);
		}
		if (!at && *text == '.')
			fputs("\\&", out);
		for (size_t i = 0; i < len; i++)
			at += put_char(out, text[i]);
		at++;
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

static const char *called(const struct sp_command *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s", c == &sp_command_seep || c == &sp_command_memleak ? "" : "seep ", c->name);
	return buf;
}

static void fill_synopsis(FILE *out, const struct sp_command *c)
{
	const char *line = c->usage;
	char name[32];

	for (;;) {
		size_t len = strcspn(line, "\n");
		char words[256];

		snprintf(words, sizeof(words), "%.*s", (int)len, line);
		fprintf(out, ".B %s\n", called(c, name, sizeof(name)));
		put_words(out, words);
		fputc('\n', out);
		if (!line[len])
			break;
		fputs(".br\n", out);
		line += len + 1;
	}
}

static void fill_rows(FILE *out, const struct sp_command *c, unsigned positional)
{
	char shown[64], text[512];

	for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
		if (o->how & SP_OPT_HIDDEN || (o->how & SP_OPT_POSITIONAL) != positional)
			continue;
		fputs(".TP\n", out);
		put_words(out, sp_opt_shown(o, shown, sizeof(shown)));
		fputc('\n', out);
		put_text(out, sp_opt_text(o, text, sizeof(text)));
	}
}

static void fill_arguments(FILE *out, const struct sp_command *c)
{
	fill_rows(out, c, SP_OPT_POSITIONAL);
}

static void fill_options(FILE *out, const struct sp_command *c)
{
	fill_rows(out, c, 0);
}

static void fill_examples(FILE *out, const struct sp_command *c)
{
	char name[32];

	for (const struct sp_example *e = c->examples; e && e->words; e++) {
		fprintf(out, ".TP\n.B %s ", called(c, name, sizeof(name)));
		for (const char *p = e->words; *p; p++)
			put_char(out, *p);
		fputc('\n', out);
		put_text(out, e->text);
	}
}

static void fill_about(FILE *out, const struct sp_command *c)
{
	put_text(out, c->about);
}

static void fill_commands(FILE *out, const struct sp_command *c)
{
	(void)c;
	for (size_t i = 0; sp_commands[i]; i++) {
		fprintf(out, ".TP\n.B %s\n", sp_commands[i]->name);
		put_text(out, sp_commands[i]->summary);
	}
}

const struct sp_docgen_mark sp_docgen_man[] = {
    {"man-synopsis", fill_synopsis, true},
    {"man-about", fill_about, true},
    {"man-arguments", fill_arguments, true},
    {"man-options", fill_options, true},
    {"man-examples", fill_examples, true},
    {"man-commands", fill_commands, false},
    {NULL, NULL, false},
};
