// SPDX-License-Identifier: Apache-2.0
/* A command line into words, by the shell's quoting rules (POSIX.1-2017 XCU 2.2) and nothing else of the shell. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct splitter {
	const char *in;
	char *out; /* never ahead of `in`: a word is at most as long as its text */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static void put(struct splitter *s, char c)
{
	*s->out++ = c;
}

/* Behind an opening '. False: no closing one. */
static bool single_quoted(struct splitter *s)
{
	while (*s->in && *s->in != '\'')
		put(s, *s->in++);
	return *s->in && s->in++;
}

/* A backslash; `escapable`: what it takes effect on, NULL: everything. At the end of the text it is itself. */
static void backslash(struct splitter *s, const char *escapable)
{
	char next = *++s->in;

	if (!next || (escapable && !strchr(escapable, next))) {
		put(s, '\\');
		return;
	}
	s->in++;
	if (next != '\n')
		put(s, next);
}

/* Behind an opening ". False: no closing one. */
static bool double_quoted(struct splitter *s)
{
	while (*s->in && *s->in != '"') {
		if (*s->in == '\\')
			backslash(s, "$`\"\\\n");
		else
			put(s, *s->in++);
	}
	return *s->in && s->in++;
}

static bool word(struct splitter *s)
{
	bool closed = true;

	while (closed && *s->in && !is_blank(*s->in)) {
		if (*s->in == '\\')
			backslash(s, NULL);
		else if (*s->in == '\'')
			s->in++, closed = single_quoted(s);
		else if (*s->in == '"')
			s->in++, closed = double_quoted(s);
		else
			put(s, *s->in++);
	}
	put(s, '\0');
	return closed;
}

static void skip_blanks(struct splitter *s)
{
	for (;; s->in++) {
		if (s->in[0] == '\\' && s->in[1] == '\n')
			s->in++;
		else if (!is_blank(*s->in))
			return;
	}
}

int sp_text_split(const char *line, char ***ret_argv, size_t *ret_argc)
{
	size_t len = strlen(line), most = len / 2 + 2, nr = 0; /* a word takes a character and a blank */
	char **argv = malloc(most * sizeof(*argv) + len + 1);
	struct splitter s = {.in = line, .out = (char *)(argv + most)};

	if (!argv)
		return -ENOMEM;
	for (skip_blanks(&s); *s.in; skip_blanks(&s)) {
		argv[nr++] = s.out;
		if (!word(&s)) {
			free(argv);
			return -EINVAL;
		}
	}
	argv[nr] = NULL;
	*ret_argv = argv;
	*ret_argc = nr;
	return 0;
}
