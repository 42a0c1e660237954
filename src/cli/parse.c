// SPDX-License-Identifier: Apache-2.0
/* Walks the user's words with getopt_long, driven by the table of options. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/options.h"

#define MAX_ROWS 64 /* options of one command */

/* What getopt_long returns for row i; above every letter. */
#define LONG_BASE 0x100

struct parser {
	unsigned command;
	const char *called;
	struct sp_args *args;
	struct sp_why *why;
	const struct sp_opt *rows[MAX_ROWS];
	size_t nr_rows;
	struct option longs[MAX_ROWS + 1];
	char shorts[2 * MAX_ROWS + 4];
	const char *words[SP_MAX_WORDS];
	size_t nr_words;
};

/* The table in getopt_long's terms; the rows' defaults go to their fields. */
static int prepare(struct parser *p)
{
	size_t len = 0;

	/* '-': words come in their order, so that "--" can be told; '+': stop at the first; ':': we do the talking. */
	p->shorts[len++] = p->command == SP_FOR_SEEP ? '+' : '-';
	p->shorts[len++] = ':';
	for (const struct sp_opt *o = sp_opt_first(p->command); o; o = sp_opt_next(o, p->command)) {
		bool is_default = o->def && o->type != SP_OPT_MAYBE;
		int err = is_default ? sp_opt_store(o, o->def, p->args, p->why) : 0;

		if (err)
			return err;
		if (o->how & SP_OPT_POSITIONAL)
			continue;
		if (p->nr_rows == MAX_ROWS)
			return sp_why_set(p->why, SP_FAULT_OURS, ENOSPC, "too many options in the table");
		p->longs[p->nr_rows] = (struct option){.name = o->name,
						       .has_arg = o->type == SP_OPT_FLAG    ? no_argument
								  : o->type == SP_OPT_MAYBE ? optional_argument
											    : required_argument,
						       .val = LONG_BASE + (int)p->nr_rows};
		if (o->letter)
			p->shorts[len++] = o->letter;
		if (o->letter && o->type != SP_OPT_FLAG)
			p->shorts[len++] = ':';
		p->rows[p->nr_rows++] = o;
	}
	p->shorts[len] = '\0';
	return 0;
}

static const struct sp_opt *row_of(const struct parser *p, int key)
{
	if (key >= LONG_BASE && (size_t)(key - LONG_BASE) < p->nr_rows)
		return p->rows[key - LONG_BASE];
	for (size_t i = 0; i < p->nr_rows; i++)
		if (p->rows[i]->letter && p->rows[i]->letter == key)
			return p->rows[i];
	return NULL;
}

/* "--so" when --sort and --sooner exist: names the candidates. */
static int refuse_unknown_long(struct parser *p, const char *word)
{
	int len = (int)strcspn(word, "=");
	char list[256] = "";

	for (size_t i = 0; i < p->nr_rows && len > 2; i++) {
		size_t at = strlen(list);

		if (!(p->rows[i]->how & SP_OPT_HIDDEN) && !strncmp(p->rows[i]->name, word + 2, (size_t)len - 2))
			snprintf(list + at, sizeof(list) - at, "%s--%s", at ? ", " : "", p->rows[i]->name);
	}
	if (*list)
		return sp_why_set(p->why, SP_FAULT_USAGE, EINVAL, "'%.*s' could be one of %s (see '%s --help')", len,
				  word, list, p->called);
	return sp_why_set(p->why, SP_FAULT_USAGE, EINVAL, "unknown option '%.*s' (see '%s --help')", len, word,
			  p->called);
}

/* getopt_long returned '?' or ':'. `word`: the element it was looking at. */
static int refuse(struct parser *p, int key, const char *word)
{
	const struct sp_opt *o = row_of(p, optopt);

	if (o && key == ':')
		return sp_why_set(p->why, SP_FAULT_USAGE, EINVAL, "--%s needs a value: %s (see '%s --help')", o->name,
				  o->arg, p->called);
	if (o)
		return sp_why_set(p->why, SP_FAULT_USAGE, EINVAL, "--%s takes no value (see '%s --help')", o->name,
				  p->called);
	if (!strncmp(word, "--", 2))
		return refuse_unknown_long(p, word);
	return sp_why_set(p->why, SP_FAULT_USAGE, EINVAL, "unknown option '-%c' (see '%s --help')", optopt, p->called);
}

static int refuse_word(struct parser *p, const char *word)
{
	return sp_why_set(p->why, SP_FAULT_USAGE, EINVAL, "'%s' is one word too many (see '%s --help')", word,
			  p->called);
}

/* One step of getopt_long; 1: at the end. */
static int step(struct parser *p, int argc, char **argv)
{
	int at = optind ? optind : 1;
	int key = getopt_long(argc, argv, p->shorts, p->longs, NULL);

	if (key == -1)
		return 1;
	if (key == '?' || key == ':')
		return refuse(p, key, at < argc ? argv[at] : "");
	if (key == 1) {
		if (p->nr_words == SP_MAX_WORDS)
			return refuse_word(p, optarg);
		p->words[p->nr_words++] = optarg;
		return 0;
	}
	const struct sp_opt *o = row_of(p, key);
	return sp_opt_store(o, optarg ? optarg : o->type == SP_OPT_MAYBE ? o->def : "", p->args, p->why);
}

/* What follows "--": the program to launch, for commands that have a row for it; words for the others. */
static int take_rest(struct parser *p, int nr, char **rest)
{
	for (const struct sp_opt *o = sp_opt_first(p->command); o && nr; o = sp_opt_next(o, p->command)) {
		if (o->type != SP_OPT_ARGV)
			continue;
		*(char *const **)((char *)p->args + o->field) = rest;
		return 0;
	}
	for (int i = 0; i < nr; i++) {
		if (p->nr_words == SP_MAX_WORDS)
			return refuse_word(p, rest[i]);
		p->words[p->nr_words++] = rest[i];
	}
	return 0;
}

/* Gives the words their places. */
static int place_words(struct parser *p)
{
	bool attach = !p->args->argv && !p->args->replay;
	size_t i = 0;

	for (const struct sp_opt *o = sp_opt_first(p->command); o && i < p->nr_words; o = sp_opt_next(o, p->command)) {
		int err;

		if (!(o->how & SP_OPT_POSITIONAL) || o->type == SP_OPT_ARGV || (o->how & SP_OPT_ONLY_ATTACH && !attach))
			continue;
		do
			err = sp_opt_store(o, p->words[i++], p->args, p->why);
		while (!err && o->type == SP_OPT_WORDS && i < p->nr_words);
		if (err)
			return err;
	}
	return i < p->nr_words ? refuse_word(p, p->words[i]) : 0;
}

static int walk(struct parser *p, int argc, char **argv, int *ret_used)
{
	int err = prepare(p);

	opterr = 0;
	optind = 0; /* glibc: start over, also inside a group of letters */
	while (!err)
		err = step(p, argc, argv);
	if (err < 0)
		return err;
	*ret_used = optind;
	if (p->command == SP_FOR_SEEP)
		return 0;
	err = take_rest(p, argc - optind, &argv[optind]);
	*ret_used = argc;
	return err || p->args->help || p->args->version ? err : place_words(p);
}

int sp_options_parse(unsigned command, const char *called, int argc, char **argv, struct sp_args *ret, int *ret_used,
		     struct sp_why *why)
{
	struct sp_args args = {0};
	struct parser p = {.command = command, .called = called, .args = &args, .why = why};
	int used = 0;
	int err = argc > 0 ? walk(&p, argc, argv, &used) : 0;

	if (err)
		return err;
	*ret = args;
	*ret_used = used;
	return 0;
}
