// SPDX-License-Identifier: Apache-2.0
/* Rules in LeakSanitizer's syntax: reads them, and compares them with the frames of call paths. */
#include "suppress/suppress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE  ((size_t)1 << 20)
#define MAX_RULES ((size_t)1 << 14)
#define TYPE      "leak:"

struct sp_suppress {
	struct sp_vec rules; /* struct sp_suppress_rule */
	char text[];         /* what the patterns point into */
};

/* ---- patterns ---- */

/*
 * Compares with '*' for any text, in at most strlen(p) * strlen(s) steps: only the last '*' is ever tried again, as
 * what lies before it fits at its earliest place. A pattern that may begin anywhere is one behind a '*'.
 */
static bool fits_glob(const char *p, const char *p_end, const char *s, bool from_the_start, bool to_the_end)
{
	const char *star = from_the_start ? NULL : p, *again = s;

	for (;;) {
		if (p == p_end && (!to_the_end || !*s))
			return true;
		if (p < p_end && *p == '*') {
			star = ++p;
			again = s;
		} else if (p < p_end && *s && *p == *s) {
			p++;
			s++;
		} else if (star && *again) {
			p = star;
			s = ++again;
		} else {
			return false;
		}
	}
}

static bool fits(const char *pattern, const char *name)
{
	const char *end = pattern + strlen(pattern);
	bool from_the_start = *pattern == '^';
	bool to_the_end = end > pattern && end[-1] == '$';

	if (!name || !*name)
		return false;
	return fits_glob(pattern + from_the_start, end - to_the_end, name, from_the_start, to_the_end);
}

static bool fits_frame(const char *pattern, const struct sp_frame *f)
{
	return fits(pattern, f->function) || fits(pattern, f->file) ||
	       fits(pattern, f->module_path ? f->module_path : f->module);
}

/* ---- the runtimes ---- */

static bool is_module(const struct sp_frame *f, const char *beginning)
{
	return f->module && !strncmp(f->module, beginning, strlen(beginning));
}

static bool is_linker(const struct sp_frame *f)
{
	return is_module(f, "ld-linux");
}

static bool is_runtime(const struct sp_frame *f)
{
	return is_linker(f) || is_module(f, "libc.so") || is_module(f, "libstdc++.so") || is_module(f, "libgcc_s.so");
}

static bool keeps_its_blocks(const struct sp_frame *f)
{
	static const char *const names[] = {"_IO_file_doallocate", "setlocale", "bindtextdomain", "textdomain"};

	for (size_t i = 0; f->function && f->module && is_runtime(f) && i < SP_ARRAY_SIZE(names); i++)
		if (!strcmp(f->function, names[i]))
			return true;
	return false;
}

/*
 * The linker's own blocks; those of functions that are known to keep them; those made before main() with nobody else
 * on the way. A path that is merely cut short inside libc does not begin in the linker, and is not taken.
 */
static bool is_runtimes_own(const struct sp_frame *frames, unsigned nr)
{
	bool all = nr && is_linker(&frames[nr - 1]);

	if (nr && is_linker(&frames[0]))
		return true;
	for (unsigned i = 0; i < nr; i++) {
		if (keeps_its_blocks(&frames[i]))
			return true;
		all = all && is_runtime(&frames[i]);
	}
	return all;
}

/* ---- rules ---- */

static bool rule_takes(const struct sp_suppress_rule *r, const struct sp_frame *frames, unsigned nr)
{
	if (r->is_runtime)
		return is_runtimes_own(frames, nr);
	for (unsigned i = 0; i < nr; i++)
		if (fits_frame(r->pattern, &frames[i]))
			return true;
	return false;
}

bool sp_suppress_take(struct sp_suppress *s, const struct sp_frame *frames, unsigned nr_frames, uint64_t bytes,
		      uint64_t blocks)
{
	for (size_t i = 0; s && i < s->rules.nr; i++) {
		struct sp_suppress_rule *r = sp_vec_at(&s->rules, struct sp_suppress_rule, i);
		if (!rule_takes(r, frames, nr_frames))
			continue;
		r->nr_paths++;
		r->blocks += blocks;
		r->bytes += bytes;
		return true;
	}
	return false;
}

void sp_suppress_reset(struct sp_suppress *s)
{
	for (size_t i = 0; s && i < s->rules.nr; i++) {
		struct sp_suppress_rule *r = sp_vec_at(&s->rules, struct sp_suppress_rule, i);
		*r = (struct sp_suppress_rule){.pattern = r->pattern, .is_runtime = r->is_runtime};
	}
}

const struct sp_suppress_rule *sp_suppress_rules(const struct sp_suppress *s, size_t *ret_nr)
{
	*ret_nr = s ? s->rules.nr : 0;
	return s ? s->rules.data : NULL;
}

void sp_suppress_free(struct sp_suppress *s)
{
	if (!s)
		return;
	sp_vec_done(&s->rules);
	free(s);
}

/* ---- the file ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Without blanks on either side; in place. */
static char *trim(char *line)
{
	size_t len;

	while (is_blank(*line))
		line++;
	for (len = strlen(line); len && is_blank(line[len - 1]);)
		line[--len] = '\0';
	return line;
}

static int refuse_line(const char *name, size_t number, const char *line, struct sp_why *why)
{
	char shown[64];

	int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "%s:%zu: '%s' is not a suppression", name, number,
			     sp_text_printable(shown, sizeof(shown), line));
	sp_why_hint(why, "a line is leak:PATTERN, empty, or a comment after #");
	return err;
}

static int add_rule(struct sp_suppress *s, const char *name, const struct sp_suppress_rule *r, struct sp_why *why)
{
	int err = sp_vec_push(&s->rules, r);

	if (err == -ENOSPC)
		return sp_why_set(why, SP_FAULT_USAGE, ENOSPC, "%s has more than %zu suppressions", name, MAX_RULES);
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "out of memory") : 0;
}

static int add_line(struct sp_suppress *s, const char *name, size_t number, char *line, struct sp_why *why)
{
	struct sp_suppress_rule r = {0};

	line = trim(line);
	if (!*line || *line == '#')
		return 0;
	r.pattern = line + strlen(TYPE);
	if (strncmp(line, TYPE, strlen(TYPE)) != 0 || !*r.pattern)
		return refuse_line(name, number, line, why);
	sp_text_printable((char *)(uintptr_t)r.pattern, strlen(r.pattern) + 1, r.pattern); /* as names are */
	return add_rule(s, name, &r, why);
}

/* A NUL byte ends its line, as text. */
static int add_lines(struct sp_suppress *s, const char *name, size_t len, struct sp_why *why)
{
	char *end = s->text + len, *next;
	size_t number = 0;
	int err = 0;

	for (char *line = s->text; line < end && !err; line = next) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		next = newline ? newline + 1 : end;
		if (newline)
			*newline = '\0';
		err = add_line(s, name, ++number, line, why);
	}
	return err;
}

int sp_suppress_parse(const char *name, const char *text, size_t len, struct sp_suppress **ret, struct sp_why *why)
{
	struct sp_suppress *s = calloc(1, sizeof(*s) + len + 1);

	if (!s)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	sp_vec_init(&s->rules, sizeof(struct sp_suppress_rule), MAX_RULES);
	if (len)
		memcpy(s->text, text, len);
	int err = add_lines(s, name, len, why);
	if (err)
		sp_suppress_free(s);
	else
		*ret = s;
	return err;
}

int sp_suppress_add_runtime(struct sp_suppress **s, struct sp_why *why)
{
	static const struct sp_suppress_rule rule = {.pattern = "what the C and C++ runtimes keep", .is_runtime = true};
	struct sp_suppress *made = NULL;
	int err = *s ? 0 : sp_suppress_parse("", NULL, 0, &made, why);

	if (!err)
		err = add_rule(*s ? *s : made, "the file", &rule, why);
	if (!err && made)
		*s = sp_take_ptr(made);
	sp_suppress_free(made);
	return err;
}

static int refuse_file(const char *path, int err, const char *text, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_USAGE, err, "cannot read the suppressions in %s: %s", path, text);
}

int sp_suppress_open(const char *path, struct sp_suppress **ret, struct sp_why *why)
{
	sp_autofclose FILE *f = fopen(path, "re");
	struct stat st;

	if (!f || fstat(fileno(f), &st))
		return refuse_file(path, errno, strerror(errno), why);
	if (S_ISDIR(st.st_mode))
		return refuse_file(path, EISDIR, strerror(EISDIR), why);
	sp_autofree char *text = malloc(MAX_FILE + 1);
	if (!text)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	size_t len = fread(text, 1, MAX_FILE + 1, f);
	if (ferror(f))
		return refuse_file(path, EIO, "it could not be read to its end", why);
	if (len > MAX_FILE)
		return refuse_file(path, EFBIG, "it is larger than 1 MiB", why);
	return sp_suppress_parse(path, text, len, ret, why);
}
