// SPDX-License-Identifier: Apache-2.0
/* Parses /proc/PID/maps. The paths in it are chosen by the target; the rest is the kernel's, or a test's. */
#include "proc/priv.h"

#include <errno.h>
#include <string.h>

enum {
	MAX_MAPPINGS = 1 << 20,
};

static const size_t MAX_TEXT = (size_t)256 << 20; /* bytes: a million lines with long paths */

/* FNV-1a, 64 bits. */
static uint64_t hash_text(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3;
	return h;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Reads a number and the one character that must follow it. */
static bool take_number(const char **s, unsigned base, char follow, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	for (; digit_of(*p) >= 0 && digit_of(*p) < (int)base; p++) {
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_of(*p), &v))
			return false;
	}
	if (p == *s || (follow && *p != follow))
		return false;
	*s = p + (follow != '\0');
	*ret = v;
	return true;
}

/* "r-xp " */
static bool take_prot(const char **s, uint8_t *ret)
{
	static const char set[] = "rwxs", clear[] = "---p";
	const char *p = *s;
	uint8_t prot = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (p[i] == set[i])
			prot |= (uint8_t)(1u << i);
		else if (p[i] != clear[i])
			return false;
	}
	if (p[4] != ' ')
		return false;
	*s = p + 5;
	*ret = prot;
	return true;
}

/*
 * The kernel writes a newline as \012 here and leaves backslashes alone (show_map_vma: seq_path(m, path, "\n")); other
 * files of /proc escape blanks, tabs and backslashes the same way. Only these four are undone. A file whose true name
 * holds such a sequence gets a wrong name here, and is still opened rightly: device and inode decide (files.c).
 */
static char unescape(const char *s)
{
	static const struct {
		char seq[5], is;
	} table[] = {{"\\012", '\n'}, {"\\040", ' '}, {"\\011", '\t'}, {"\\134", '\\'}};

	for (size_t i = 0; i < SP_ARRAY_SIZE(table); i++)
		if (!strncmp(s, table[i].seq, 4))
			return table[i].is;
	return '\0';
}

void sp_proc_unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		char c = *from == '\\' ? unescape(from) : '\0';
		*to = c ? c : *from;
		from += c ? 4 : 1;
	}
	*to = '\0';
}

/* Takes " (deleted)" off the end; only file names can have it. */
static bool strip_deleted(char *path)
{
	static const char gone[] = " (deleted)";
	size_t len = strlen(path);

	if (*path != '/' || len <= sizeof(gone) - 1 || strcmp(path + len - (sizeof(gone) - 1), gone) != 0)
		return false;
	path[len - (sizeof(gone) - 1)] = '\0';
	return true;
}

bool sp_maps_parse_line(char *line, struct sp_mapping *ret)
{
	struct sp_mapping m = {};
	const char *s = line;
	uint64_t major, minor;

	if (!take_number(&s, 16, '-', &m.start) || !take_number(&s, 16, ' ', &m.end) || m.start >= m.end ||
	    !take_prot(&s, &m.prot) || !take_number(&s, 16, ' ', &m.offset) || !take_number(&s, 16, ':', &major) ||
	    !take_number(&s, 16, ' ', &minor) || !take_number(&s, 10, '\0', &m.inode))
		return false;
	if (major > UINT32_MAX || minor > UINT32_MAX || (*s && *s != ' '))
		return false;
	m.dev_major = (uint32_t)major;
	m.dev_minor = (uint32_t)minor;

	char *path = line + (s - line);
	path += strspn(path, " ");
	m.deleted = strip_deleted(path); /* the kernel appends it after escaping, so this comes first */
	sp_proc_unescape(path);
	m.path = path;
	*ret = m;
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct sp_mapping *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static bool is_sorted(const struct sp_vec *list)
{
	for (size_t i = 1; i < list->nr; i++)
		if (sp_vec_at(list, struct sp_mapping, i)->start < sp_vec_at(list, struct sp_mapping, i - 1)->start)
			return false;
	return true;
}

static int parse_lines(char *text, size_t len, struct sp_vec *list)
{
	char *rest = text, *line;

	while ((line = sp_proc_take_line(&rest, text + len))) {
		struct sp_mapping m;

		if (sp_maps_parse_line(line, &m)) {
			int rc = sp_vec_push(list, &m);
			if (rc == -ENOSPC)
				break;
			if (rc < 0)
				return rc;
		}
	}
	if (!is_sorted(list)) /* never from the kernel */
		qsort(list->data, list->nr, sizeof(struct sp_mapping), by_start);
	return 0;
}

int sp_maps_parse_owned(char *text, size_t len, struct sp_maps *ret)
{
	struct sp_vec list;
	uint64_t hash = hash_text(text, len);

	sp_vec_init(&list, sizeof(struct sp_mapping), MAX_MAPPINGS);
	int rc = parse_lines(text, len, &list);
	if (rc < 0) {
		sp_vec_done(&list);
		free(text);
		return rc;
	}
	*ret = (struct sp_maps){.list = list.data, .nr = list.nr, .hash = hash, .text = text};
	return 0;
}

int sp_maps_parse(const char *text, size_t len, struct sp_maps *ret)
{
	char *copy = sp_proc_copy_text(text, len);

	return copy ? sp_maps_parse_owned(copy, len, ret) : -ENOMEM;
}

int sp_maps_read(int dirfd, struct sp_maps *ret)
{
	char *text;
	size_t len;
	int rc = sp_proc_read_file(dirfd, "maps", MAX_TEXT, &text, &len);

	return rc < 0 ? rc : sp_maps_parse_owned(text, len, ret);
}

int sp_proc_maps(struct sp_proc *p, struct sp_maps *ret, struct sp_why *why)
{
	struct sp_maps maps;

	int rc = sp_maps_read(p->dirfd, &maps);
	if (rc == 0 && !maps.nr) { /* the memory of a process goes before the process does */
		sp_maps_done(&maps);
		rc = -ESRCH;
	}
	if (rc == -ESRCH || rc == -ENOENT || (rc == -EACCES && sp_proc_has_ended(p)))
		return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "process %d (%s) has ended", (int)p->pid, p->comm);
	if (rc < 0)
		return sp_why_set(why, rc == -EACCES ? SP_FAULT_TARGET : SP_FAULT_OURS, -rc,
				  "cannot read the mappings of %d (%s): %s", (int)p->pid, p->comm, strerror(-rc));
	*ret = maps;
	return 0;
}

void sp_maps_done(struct sp_maps *m)
{
	free(m->list);
	free(m->text);
	*m = (struct sp_maps){};
}

const struct sp_mapping *sp_maps_find(const struct sp_maps *m, uint64_t addr)
{
	size_t low = 0, high = m->nr; /* list[low - 1].start <= addr < list[high].start */

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (m->list[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || addr >= m->list[low - 1].end)
		return NULL;
	return &m->list[low - 1];
}
