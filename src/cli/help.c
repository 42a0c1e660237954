// SPDX-License-Identifier: Apache-2.0
/* --help: usage, arguments, options and examples, from the tables. */
#include <string.h>

#include "cli/command.h"

#define WIDTH       80
#define TEXT_COLUMN 28

/* Prints text from column `at`, wrapped at WIDTH, later lines indented to `indent`; ends the line. */
static void print_wrapped(FILE *out, const char *text, size_t at, size_t indent)
{
	bool first = true;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (!first && at + 1 + word > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
			first = true;
		}
		fprintf(out, "%s%.*s", first ? "" : " ", (int)word, text);
		at += word + !first;
		first = false;
		text += word + strspn(text + word, " ");
	}
	fputc('\n', out);
}

/* "  LEFT        text text" */
static void print_row(FILE *out, const char *left, const char *text)
{
	int at = fprintf(out, "  %s", left);

	if (at < 0 || at + 2 > TEXT_COLUMN) {
		fputc('\n', out);
		at = 0;
	}
	fprintf(out, "%*s", TEXT_COLUMN - at, "");
	print_wrapped(out, text, TEXT_COLUMN, TEXT_COLUMN);
}

static void print_usage(FILE *out, const struct sp_command *c, const char *called)
{
	const char *line = c->usage, *head = "Usage:";

	for (;;) {
		size_t len = strcspn(line, "\n");

		fprintf(out, "%-6s %s%s%.*s\n", head, called, len ? " " : "", (int)len, line);
		head = "";
		if (!line[len])
			break;
		line += len + 1;
	}
}

/* The rows of the table that are (or are not) words in their places. */
static void print_options(FILE *out, const struct sp_command *c, const char *title, unsigned positional)
{
	char shown[64], left[80], text[512];

	for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
		if (o->how & SP_OPT_HIDDEN || (o->how & SP_OPT_POSITIONAL) != positional)
			continue;
		if (title)
			fprintf(out, "\n%s:\n", title);
		title = NULL;
		sp_opt_shown(o, shown, sizeof(shown));
		/* Long forms stand below each other, with or without a letter. */
		snprintf(left, sizeof(left), "%s%s", o->letter || positional ? "" : "    ", shown);
		print_row(out, left, sp_opt_text(o, text, sizeof(text)));
	}
}

void sp_command_help_text(FILE *out, const struct sp_command *c, const char *called)
{
	print_usage(out, c, called);
	fputc('\n', out);
	print_wrapped(out, c->about, 0, 0);
	if (c == &sp_command_seep) {
		fprintf(out, "\nCommands:\n");
		for (size_t i = 0; sp_commands[i]; i++)
			print_row(out, sp_commands[i]->name, sp_commands[i]->summary);
	}
	print_options(out, c, "Arguments", SP_OPT_POSITIONAL);
	print_options(out, c, "Options", 0);
	if (c->examples)
		fprintf(out, "\nExamples:\n");
	for (const struct sp_example *e = c->examples; e && e->words; e++) {
		fprintf(out, "  %s %s\n      ", called, e->words);
		print_wrapped(out, e->text, 6, 6);
	}
}
