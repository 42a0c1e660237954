// SPDX-License-Identifier: Apache-2.0
/*
 * Memory cgroups, version 1 and 2: where their files are, which one a process is in, what limits it.
 *
 * The kernel writes a process' path relative to the root of our cgroup namespace, and a mount may show only a part of
 * the tree (its "root" in mountinfo): what is not below that part cannot be read and counts as no cgroup.
 */
#include "proc/system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "proc/keyed.h"
#include "proc/priv.h"

enum {
	MOUNTINFO_MAX = 1 << 22,
	CGROUP_SIZE = 16384, /* a process' cgroup file: a line a hierarchy, of which a path is the longest part */
	PATH_LEN_MAX = 1024, /* of one cgroup; longer ones count as none */
	STAT_SIZE = 8192,    /* memory.stat: some 60 lines */
	LABEL_SIZE = 48,
};

/* Version 1 has no word for "none": a number of pages that no machine has, rounded down to pages. */
#define NO_LIMIT ((uint64_t)1 << 60)

struct path {
	char *text;
	char label[LABEL_SIZE];
};

struct sp_cgroups {
	int root;  /* /proc */
	int mount; /* -1: no memory cgroups here */
	bool is_v2;
	char mount_root[PATH_LEN_MAX]; /* the part of the tree that is mounted; "" for all of it */
	struct sp_vec paths;           /* struct path; number n is at n - 1 */
	uint64_t nr_refused;
	char text[CGROUP_SIZE];
};

/* ---- the mount ---- */

/* One line of mountinfo: "36 35 98:0 ROOT MOUNTPOINT options - TYPE SOURCE SUPEROPTIONS"; see proc_pid_mountinfo(5). */
struct mount_line {
	char *root, *point, *type, *super;
};

static char *word(char **text)
{
	char *at = *text + strspn(*text, " "), *end = at + strcspn(at, " ");

	*text = *end ? end + 1 : end;
	*end = '\0';
	return at;
}

static bool split_mount(char *line, struct mount_line *m)
{
	char *dash = strstr(line, " - ");

	if (!dash)
		return false;
	*dash = '\0';
	for (int i = 0; i < 3; i++)
		word(&line);
	m->root = word(&line);
	m->point = word(&line);
	dash += 3;
	m->type = word(&dash);
	word(&dash);
	m->super = dash;
	return *m->root && *m->point;
}

/* "rw,memory" has the word "memory". */
static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *s = options; *s; s += strcspn(s, ","), s += *s == ',')
		if (!strncmp(s, name, len) && (!s[len] || s[len] == ','))
			return true;
	return false;
}

/* Does version 2 have the memory controller here, or does version 1 hold it? */
static bool controls_memory(int dirfd)
{
	char text[256];

	if (sp_proc_read_head(dirfd, "cgroup.controllers", text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	for (char *s = text; *s; s++)
		*s = *s == ' ' ? ',' : *s;
	return has_option(text, "memory");
}

/* Opens the mount of the line if it is the memory hierarchy. */
static int open_mount(const struct sp_procfs *fs, const struct mount_line *m, bool *ret_is_v2)
{
	bool is_v2 = !strcmp(m->type, "cgroup2");
	char path[PATH_MAX];

	if (!is_v2 && (strcmp(m->type, "cgroup") != 0 || !has_option(m->super, "memory")))
		return -ENOENT;
	snprintf(path, sizeof(path), "%s%s", fs && fs->prefix ? fs->prefix : "", m->point);
	sp_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_v2 && !controls_memory(fd))
		return -ENOENT;
	*ret_is_v2 = is_v2;
	return sp_take_fd(fd);
}

static void find_mount(struct sp_cgroups *c, const struct sp_procfs *fs, char *mountinfo)
{
	char *save = NULL;

	for (char *line = strtok_r(mountinfo, "\n", &save); line && c->mount < 0; line = strtok_r(NULL, "\n", &save)) {
		struct mount_line m;

		if (!split_mount(line, &m) || strlen(m.root) >= sizeof(c->mount_root))
			continue;
		c->mount = open_mount(fs, &m, &c->is_v2);
		snprintf(c->mount_root, sizeof(c->mount_root), "%s", strcmp(m.root, "/") != 0 ? m.root : "");
	}
}

int sp_cgroups_open(const struct sp_procfs *fs, struct sp_cgroups **ret, struct sp_why *why)
{
	sp_autofree char *mountinfo = NULL;
	struct sp_cgroups *c = calloc(1, sizeof(*c));
	size_t len;

	if (!c)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory for the table of cgroups");
	c->mount = -1;
	sp_vec_init(&c->paths, sizeof(struct path), SP_CGROUPS_MAX);
	c->root = open(sp_procfs_root(fs), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->root >= 0 && !sp_proc_read_file(c->root, "self/mountinfo", MOUNTINFO_MAX, &mountinfo, &len))
		find_mount(c, fs, mountinfo);
	*ret = c;
	return 0;
}

void sp_cgroups_close(struct sp_cgroups *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->paths.nr; i++)
		free(sp_vec_at(&c->paths, struct path, i)->text);
	sp_vec_done(&c->paths);
	if (c->mount >= 0)
		close(c->mount);
	if (c->root >= 0)
		close(c->root);
	free(c);
}

/* ---- which one ---- */

/* The path in its line: "4:memory:/a/b" of version 1, "0::/a/b" of version 2. Ends it. NULL: none. */
static char *path_in(struct sp_cgroups *c)
{
	char *save = NULL;

	for (char *line = strtok_r(c->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(++controllers, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (c->is_v2 ? !*controllers : has_option(controllers, "memory"))
			return path;
	}
	return NULL;
}

/* The number of a path, a new one if need be. Few cgroups have processes, and this is asked once for each of them. */
static unsigned intern(struct sp_cgroups *c, const char *path)
{
	struct path p;

	for (size_t i = 0; i < c->paths.nr; i++)
		if (!strcmp(sp_vec_at(&c->paths, struct path, i)->text, path))
			return (unsigned)i + 1;
	p.text = strdup(path);
	if (!p.text)
		return SP_CGROUP_NONE;
	sp_cgroup_label_of(path, p.label, sizeof(p.label));
	if (sp_vec_push(&c->paths, &p) < 0) {
		free(p.text);
		c->nr_refused++;
		return SP_CGROUP_NONE;
	}
	return (unsigned)c->paths.nr;
}

unsigned sp_cgroup_of(struct sp_cgroups *c, pid_t pid)
{
	char name[32], *path;

	if (c->mount < 0)
		return SP_CGROUP_NONE;
	snprintf(name, sizeof(name), "%d/cgroup", (int)pid);
	if (sp_proc_read_head(c->root, name, c->text, sizeof(c->text)) <= 0)
		return SP_CGROUP_NONE;
	path = path_in(c);
	if (!path || path[0] != '/' || strlen(path) >= PATH_LEN_MAX || strstr(path, "/.."))
		return SP_CGROUP_NONE;
	return intern(c, path);
}

unsigned sp_cgroups_nr(const struct sp_cgroups *c)
{
	return (unsigned)c->paths.nr;
}

const char *sp_cgroup_path(const struct sp_cgroups *c, unsigned cgroup)
{
	return cgroup && cgroup <= c->paths.nr ? sp_vec_at(&c->paths, struct path, cgroup - 1)->text : "";
}

const char *sp_cgroup_label(const struct sp_cgroups *c, unsigned cgroup)
{
	return cgroup && cgroup <= c->paths.nr ? sp_vec_at(&c->paths, struct path, cgroup - 1)->label : "";
}

uint64_t sp_cgroups_refused(const struct sp_cgroups *c)
{
	return c->nr_refused;
}

/* ---- its limit ---- */

/* A number in a file of the cgroup in `path`; false: not there, or "max". */
static bool read_number(const struct sp_cgroups *c, const char *path, const char *file, uint64_t *ret)
{
	char name[PATH_MAX], text[32];
	const char *s = text;

	snprintf(name, sizeof(name), ".%s/%s", path, file);
	return sp_proc_read_head(c->mount, name, text, sizeof(text)) > 0 && sp_digits(&s, ret);
}

/* What file of which version tells it. */
struct names {
	const char *limit, *used, *inactive_file, *kills;
};

static const struct names names_v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
				      "memory.oom_control"};
static const struct names names_v2 = {"memory.max", "memory.current", "inactive_file", "memory.events"};

static const struct names *names_of(const struct sp_cgroups *c)
{
	return c->is_v2 ? &names_v2 : &names_v1;
}

/* One number of a file of lines. */
static uint64_t keyed_number(const struct sp_cgroups *c, const char *path, const char *file, const char *key)
{
	const struct sp_key keys[] = {{key, 0}};
	char name[PATH_MAX], text[STAT_SIZE];
	uint64_t v = 0;

	snprintf(name, sizeof(name), ".%s/%s", path, file);
	if (sp_proc_read_head(c->mount, name, text, sizeof(text)) > 0)
		sp_keyed_parse(text, keys, 1, &v);
	return v;
}

static uint64_t room(const struct sp_cgroup_limit *l)
{
	return l->limit_bytes > l->used_bytes ? l->limit_bytes - l->used_bytes : 0;
}

/* The path as seen from the mount, in buf (PATH_LEN_MAX); false: outside it. */
static bool below_mount(const struct sp_cgroups *c, const char *path, char *buf)
{
	size_t len = strlen(c->mount_root);

	if (strncmp(path, c->mount_root, len) != 0 || (path[len] && path[len] != '/'))
		return false;
	snprintf(buf, PATH_LEN_MAX, "%s", path + len);
	return true;
}

bool sp_cgroup_limit_read(const struct sp_cgroups *c, unsigned cgroup, struct sp_cgroup_limit *ret)
{
	const struct names *n = names_of(c);
	char path[PATH_LEN_MAX], tightest[PATH_LEN_MAX];
	struct sp_cgroup_limit best = {.limit_bytes = NO_LIMIT};

	if (c->mount < 0 || !cgroup || !below_mount(c, sp_cgroup_path(c, cgroup), path))
		return false;
	for (;;) {
		struct sp_cgroup_limit l = {0};
		char *slash;

		if (read_number(c, path, n->limit, &l.limit_bytes) && l.limit_bytes < NO_LIMIT &&
		    read_number(c, path, n->used, &l.used_bytes) &&
		    (best.limit_bytes == NO_LIMIT || room(&l) < room(&best))) {
			best = l;
			snprintf(tightest, sizeof(tightest), "%s", path);
		}
		slash = strrchr(path, '/');
		if (!slash)
			break;
		*slash = '\0'; /* its parent; "" is the root of the mount, and the last */
	}
	if (best.limit_bytes == NO_LIMIT)
		return false;
	best.reclaimable_bytes = keyed_number(c, tightest, "memory.stat", n->inactive_file);
	best.oom_kills = keyed_number(c, tightest, n->kills, "oom_kill");
	*ret = best;
	return true;
}
