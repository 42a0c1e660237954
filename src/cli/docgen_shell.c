// SPDX-License-Identifier: Apache-2.0
/* Shell completions' parts that come from the tables. */
#include <string.h>

#include "cli/docgen.h"

static bool is_shown(const struct sp_opt *o)
{
	return !(o->how & (SP_OPT_HIDDEN | SP_OPT_POSITIONAL));
}

/* What an argument is completed with; the templates know these words. */
static const char *kind_of(const struct sp_opt *o)
{
	if (!strcmp(o->arg, "FILE") || !strcmp(o->arg, "OBJ"))
		return "file";
	if (!strcmp(o->arg, "PID|NAME"))
		return "target";
	if (!strcmp(o->arg, "COMMAND") && o->how & SP_OPT_POSITIONAL)
		return "topic";
	return strcmp(o->arg, "COMMAND") != 0 ? "none" : "command";
}

static void put_choices(FILE *out, const struct sp_opt *o)
{
	const char *between = "";

	for (const struct sp_choice *c = o->choices; c && c->name; c++) {
		fprintf(out, "%s%s", between, c->name);
		between = " ";
	}
}

static void fill_commands(FILE *out, const struct sp_command *c)
{
	(void)c;
	fputs("\techo '", out);
	for (size_t i = 0; sp_commands[i]; i++)
		fprintf(out, "%s%s", i ? " " : "", sp_commands[i]->name);
	fputs("'\n", out);
}

/* A case arm: the option words of a command. */
static void fill_bash_options(FILE *out, const struct sp_command *c)
{
	fprintf(out, "\t%s) echo '", c->name);
	for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
		if (is_shown(o) && o->letter)
			fprintf(out, "-%c ", o->letter);
		if (is_shown(o))
			fprintf(out, "--%s ", o->name);
	}
	fputs("' ;;\n", out);
}

/* Case arms: what follows each option that has an argument. */
static void fill_bash_values(FILE *out, const struct sp_command *c)
{
	for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
		if (!is_shown(o) || !o->arg || o->type == SP_OPT_MAYBE)
			continue;
		fputc('\t', out);
		if (o->letter)
			fprintf(out, "%s,-%c | ", c->name, o->letter);
		fprintf(out, "%s,--%s) echo '", c->name, o->name);
		if (o->choices)
			put_choices(out, o);
		else
			fprintf(out, "@%s", kind_of(o));
		fputs("' ;;\n", out);
	}
}

/* A description inside '...[...]' of _arguments. */
static void put_zsh_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void put_zsh_action(FILE *out, const struct sp_opt *o)
{
	fputs(o->type == SP_OPT_MAYBE ? "::" : ":", out);
	put_zsh_text(out, o->arg);
	if (!o->choices) {
		fprintf(out, ":_seep_%s", kind_of(o));
		return;
	}
	fputs(":(", out);
	put_choices(out, o);
	fputc(')', out);
}

static void fill_zsh_options(FILE *out, const struct sp_command *c)
{
	const char *equals;

	for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
		if (!is_shown(o))
			continue;
		equals = o->type == SP_OPT_MAYBE ? "=-" : o->arg ? "=" : "";
		if (o->letter)
			fprintf(out, "\t\t'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter,
				o->arg ? "+" : "", o->name, equals);
		else
			fprintf(out, "\t\t'--%s%s[", o->name, equals);
		put_zsh_text(out, o->help);
		fputc(']', out);
		if (o->arg)
			put_zsh_action(out, o);
		fputs("'\n", out);
	}
}

/* The words in their places, by number. */
static void fill_zsh_words(FILE *out, const struct sp_command *c)
{
	unsigned place = 0;

	for (const struct sp_opt *o = sp_opt_first(c->id); o; o = sp_opt_next(o, c->id)) {
		if (!(o->how & SP_OPT_POSITIONAL) || o->type == SP_OPT_ARGV)
			continue;
		fprintf(out, "\t\t'%u:", ++place);
		put_zsh_action(out, o);
		fputs("'\n", out);
	}
}

static void fill_zsh_commands(FILE *out, const struct sp_command *c)
{
	(void)c;
	for (size_t i = 0; sp_commands[i]; i++) {
		fprintf(out, "\t\t'%s:", sp_commands[i]->name);
		put_zsh_text(out, sp_commands[i]->summary);
		fputs("'\n", out);
	}
}

const struct sp_docgen_mark sp_docgen_shell[] = {
    {"bash-commands", fill_commands, false},
    {"bash-options", fill_bash_options, true},
    {"bash-values", fill_bash_values, true},
    {"zsh-options", fill_zsh_options, true},
    {"zsh-words", fill_zsh_words, true},
    {"zsh-commands", fill_zsh_commands, false},
    {NULL, NULL, false},
};
