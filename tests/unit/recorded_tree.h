// SPDX-License-Identifier: Apache-2.0
/* For tests on recorded machines: the files of trees/NAME.tree, look after look, as a /proc tree on disk. */
#ifndef SEEP_TESTS_RECORDED_TREE_H
#define SEEP_TESTS_RECORDED_TREE_H

#include "proc_fixture.h"

struct recorded {
	struct tree t; /* holds proc/, sys/ and expect/: what procps says of the same files */
	char root[80];
	FILE *text;
	char *line;
	size_t size;
	ssize_t len; /* of `line`, which is not taken yet; -1: the text has ended */
};

static inline void recorded_next(struct recorded *r)
{
	r->len = getline(&r->line, &r->size, r->text);
	if (r->len > 0 && r->line[r->len - 1] == '\n')
		r->line[--r->len] = '\0';
}

/* Undoes what trees/record has escaped, in place. Returns the length; *ret_is_cut: no newline follows. */
static inline size_t recorded_unescape(char *s, bool *ret_is_cut)
{
	char *from = s, *to = s;

	*ret_is_cut = false;
	while (*from) {
		unsigned byte;

		if (*from != '\\') {
			*to++ = *from++;
			continue;
		}
		if (from[1] == 'c') {
			*ret_is_cut = true;
			break;
		}
		assert_int_equal(sscanf(from + 1, "%3o", &byte), 1);
		*to++ = (char)byte;
		from += 4;
	}
	*to = '\0';
	return (size_t)(to - s);
}

/* "@ PATH" and its lines. */
static inline void recorded_take_file(struct recorded *r)
{
	char path[PATH_MAX];
	FILE *f = fopen(tree_path(&r->t, r->line + 2, path), "w");

	assert_non_null(f);
	for (recorded_next(r); r->len >= 0 && r->line[0] == ' '; recorded_next(r)) {
		bool is_cut;
		size_t len = recorded_unescape(r->line + 1, &is_cut);

		assert_int_equal(fwrite(r->line + 1, 1, len, f), len);
		if (!is_cut)
			assert_int_equal(fputc('\n', f), '\n');
	}
	assert_int_equal(fclose(f), 0);
}

/* "> PATH TARGET" */
static inline void recorded_take_link(struct recorded *r)
{
	char path[PATH_MAX], *target = strchr(r->line + 2, ' ');
	bool is_cut;

	assert_non_null(target);
	*target++ = '\0';
	recorded_unescape(target, &is_cut);
	(void)unlink(tree_path(&r->t, r->line + 2, path));
	assert_int_equal(symlink(target, path), 0);
	recorded_next(r);
}

/* "- PATH" */
static inline void recorded_remove(struct recorded *r)
{
	char path[PATH_MAX];

	assert_int_equal(nftw(tree_path(&r->t, r->line + 2, path), tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	recorded_next(r);
}

/* Brings the tree to its next look. */
static inline void recorded_look(struct recorded *r)
{
	assert_true(r->len >= 0 && r->line[0] == '=');
	recorded_next(r);
	while (r->len >= 0 && r->line[0] != '=') {
		if (r->line[0] == '@')
			recorded_take_file(r);
		else if (r->line[0] == '>')
			recorded_take_link(r);
		else if (r->line[0] == '-')
			recorded_remove(r);
		else
			fail_msg("no line of a recorded tree: %s", r->line);
	}
}

/* The machine of that name at its first look. */
static inline void recorded_init(struct recorded *r, const char *name)
{
	char path[PATH_MAX];

	*r = (struct recorded){0};
	snprintf(path, sizeof(path), "%s/%s.tree", SP_TEST_TREES, name);
	r->text = fopen(path, "r");
	if (!r->text)
		fail_msg("cannot open %s", path);
	tree_init(&r->t);
	snprintf(r->root, sizeof(r->root), "%s/proc", r->t.dir);
	r->t.fs.root = r->root;
	r->t.fs.prefix = r->t.dir;
	do
		recorded_next(r);
	while (r->len >= 0 && r->line[0] == '#');
	recorded_look(r);
}

static inline void recorded_done(struct recorded *r)
{
	fclose(r->text);
	free(r->line);
	tree_done(&r->t);
}

/* A file of it; NULL: it is not there. The caller's to free. */
static inline char *recorded_read(const struct recorded *r, const char *name, size_t *ret_len)
{
	char path[PATH_MAX], *text = NULL;
	size_t size = 0;

	snprintf(path, sizeof(path), "%s/%s", r->t.dir, name);
	FILE *f = fopen(path, "r");
	if (!f)
		return NULL;
	ssize_t len = getdelim(&text, &size, EOF, f);
	fclose(f);
	assert_true(len >= 0);
	if (ret_len)
		*ret_len = (size_t)len;
	return text;
}

#endif
