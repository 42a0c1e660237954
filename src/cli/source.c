// SPDX-License-Identifier: Apache-2.0
/* Source lines. The names of files come from the target's debug information: they are opened in its root, never ours.
 */
#include "cli/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINES 4096        /* remembered */
#define MAX_READ  (16u << 20) /* bytes of one file */
#define LINE_SIZE 160

struct line {
	const char
	    *file; /* the symbolizer's own string: equal names are not always one, which costs a second reading */
	unsigned nr;
	bool is_there;
	char text[LINE_SIZE];
};

struct sp_source {
	struct sp_proc *proc;
	struct sp_vec lines; /* struct line * */
};

int sp_source_open(pid_t pid, struct sp_source **ret, struct sp_why *why)
{
	sp_autofree struct sp_source *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory for source lines");
	err = sp_proc_open(NULL, pid, &s->proc, why);
	if (err)
		return err;
	sp_vec_init(&s->lines, sizeof(struct line *), MAX_LINES);
	*ret = sp_take_ptr(s);
	return 0;
}

void sp_source_close(struct sp_source *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->lines.nr; i++)
		free(*sp_vec_at(&s->lines, struct line *, i));
	sp_vec_done(&s->lines);
	sp_proc_close(s->proc);
	free(s);
}

/* Without the blanks in front; tabs would move what stands behind them by an unknown number of columns. */
static void take_text(struct line *l, char *text)
{
	text[strcspn(text, "\r\n")] = '\0';
	text += strspn(text, " \t");
	for (char *p = text; (p = strchr(p, '\t'));)
		*p = ' ';
	sp_text_printable(l->text, sizeof(l->text), text);
	l->is_there = true;
}

/* By bytes and not by getline(), which would take as much memory as a file of one line has. */
static void find_line(FILE *f, struct line *l)
{
	char buf[512];
	unsigned nr = 1;
	int c = 0;

	for (size_t i = 0; i < MAX_READ && nr < l->nr && c != EOF; i++) {
		c = getc_unlocked(f);
		nr += c == '\n';
	}
	if (nr == l->nr && fgets(buf, sizeof(buf), f))
		take_text(l, buf);
}

static void look_up(struct sp_source *s, struct line *l)
{
	struct sp_why unused = {0};
	int fd = sp_proc_open_path(s->proc, l->file, &unused);
	sp_autofclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (f)
		find_line(f, l);
	else if (fd >= 0)
		close(fd);
}

static struct line *find(const struct sp_source *s, const struct sp_frame *f)
{
	for (size_t i = 0; i < s->lines.nr; i++) {
		struct line *l = *sp_vec_at(&s->lines, struct line *, i);

		if (l->file == f->file && l->nr == f->line)
			return l;
	}
	return NULL;
}

const char *sp_source_line(struct sp_source *s, const struct sp_frame *f)
{
	struct line *l;

	if (!f->file || f->file[0] != '/' || !f->line)
		return NULL;
	l = find(s, f);
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l || sp_vec_push(&s->lines, &l)) {
			free(l);
			return NULL;
		}
		l->file = f->file;
		l->nr = f->line;
		look_up(s, l);
	}
	return l->is_there ? l->text : NULL;
}
