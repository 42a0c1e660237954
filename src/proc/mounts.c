// SPDX-License-Identifier: Apache-2.0
/* Parses /proc/PID/mountinfo (proc_pid_mountinfo(5)). Folder names in it are anybody's. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "proc/priv.h"
#include "proc/shared.h"

enum { MAX_MOUNTS = 1 << 17 }; /* sysctl fs.mount-max is 100000 */

/* The next field, ended by a NUL instead of its blank; NULL: the line is over. */
static char *take_field(char **line)
{
	char *field = *line;

	if (!field || !*field)
		return NULL;
	char *blank = strchr(field, ' ');
	if (blank)
		*blank = '\0';
	*line = blank ? blank + 1 : NULL;
	return field;
}

/* "36 35 98:0 /root /point options [optional...] - type source options" */
static bool parse_line(char *line, struct sp_mount *ret)
{
	struct sp_mount m = {};
	unsigned maj, min;
	char *field;

	if (!take_field(&line) || !take_field(&line))
		return false;
	field = take_field(&line);
	if (!field || sscanf(field, "%u:%u", &maj, &min) != 2)
		return false;
	m.dev = makedev(maj, min);
	char *root = take_field(&line), *point = take_field(&line);
	if (!root || !point || !take_field(&line))
		return false;
	do /* optional fields, as many as there are */
		field = take_field(&line);
	while (field && strcmp(field, "-") != 0);
	m.type = field ? take_field(&line) : NULL;
	if (!m.type)
		return false;
	sp_proc_unescape(root);
	sp_proc_unescape(point);
	m.root = root;
	m.point = point;
	*ret = m;
	return true;
}

static int parse_owned(char *text, size_t len, struct sp_mounts *ret)
{
	struct sp_vec list;
	char *rest = text, *line;
	int r = 0;

	sp_vec_init(&list, sizeof(struct sp_mount), MAX_MOUNTS);
	while (!r && (line = sp_proc_take_line(&rest, text + len))) {
		struct sp_mount m;

		if (parse_line(line, &m))
			r = sp_vec_push(&list, &m);
	}
	if (r && r != -ENOSPC) {
		sp_vec_done(&list);
		free(text);
		return r;
	}
	*ret = (struct sp_mounts){.list = list.data, .nr = list.nr, .text = text};
	return 0;
}

int sp_mounts_parse(const char *text, size_t len, struct sp_mounts *ret)
{
	char *copy = sp_proc_copy_text(text, len);

	return copy ? parse_owned(copy, len, ret) : -ENOMEM;
}

int sp_process_mounts(const struct sp_process *p, struct sp_mounts *ret)
{
	char *text;
	size_t len;
	int r = sp_proc_read_file(p->dirfd, "mountinfo", 64 << 20, &text, &len);

	return r < 0 ? r : parse_owned(text, len, ret);
}

void sp_mounts_done(struct sp_mounts *m)
{
	free(m->list);
	free(m->text);
	*m = (struct sp_mounts){};
}
