// SPDX-License-Identifier: Apache-2.0
/* Turns what the user typed, a pid or a program's name, into one pid. */
#include "proc/priv.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What a search by name found so far. */
struct matches {
	const char *name;   /* NULL: every process */
	struct sp_vec *all; /* pid_t; NULL: nobody wants all of them */
	int err;            /* of the vector; 0: none */
	pid_t first;
	size_t nr;
	size_t nr_listed; /* of them in `text` */
	char text[400];   /* "12 redis-server *:6379; 40 ..." */
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The executable's file name, also when that file has been deleted or replaced meanwhile. */
static bool exe_is_named(int dirfd, const char *name)
{
	static const char gone[] = " (deleted)";
	char path[PATH_MAX];

	ssize_t len = readlinkat(dirfd, "exe", path, sizeof(path) - 1);
	if (len < 0)
		return false;
	path[len] = '\0';
	size_t gone_len = sizeof(gone) - 1;
	if ((size_t)len > gone_len && !strcmp(path + len - gone_len, gone))
		path[(size_t)len - gone_len] = '\0';
	return !strcmp(base_of(path), name);
}

static bool argv0_is_named(int dirfd, const char *name)
{
	char argv0[PATH_MAX];

	return sp_proc_read_head(dirfd, "cmdline", argv0, sizeof(argv0)) > 0 && !strcmp(base_of(argv0), name);
}

static void matches_add(struct matches *found, pid_t pid, int dirfd, const struct sp_stat *st)
{
	char line[64];
	size_t used = strlen(found->text);

	if (!found->nr++)
		found->first = pid;
	if (found->nr_listed + 1 < found->nr)
		return; /* the list is full already */
	sp_proc_describe(dirfd, st, line, sizeof(line));
	int n = snprintf(found->text + used, sizeof(found->text) - used, "%s%d %s", used ? "; " : "", (int)pid, line);
	if (n < 0 || (size_t)n >= sizeof(found->text) - used)
		found->text[used] = '\0';
	else
		found->nr_listed++;
}

static void consider(const struct sp_procfs *fs, pid_t pid, struct matches *found)
{
	struct sp_stat st;

	sp_autoclose int dirfd = sp_procfs_open_pid(fs, pid);
	if (dirfd < 0 || sp_stat_read(dirfd, &st) < 0)
		return; /* gone, or hidden from us */
	if (sp_stat_is_kernel_thread(&st) || sp_stat_is_dead(&st))
		return;
	if (found->name && strcmp(st.comm, found->name) != 0 && !exe_is_named(dirfd, found->name) &&
	    !argv0_is_named(dirfd, found->name))
		return;
	if (!found->all)
		matches_add(found, pid, dirfd, &st);
	else if (!found->err)
		found->err = sp_vec_push(found->all, &pid);
}

static int search(const struct sp_procfs *fs, struct matches *found, struct sp_why *why)
{
	const char *root = sp_procfs_root(fs);
	pid_t self = sp_procfs_self(fs);

	sp_autoclosedir DIR *dir = opendir(root);
	if (!dir) {
		int err = errno;
		return sp_why_set(why, SP_FAULT_OURS, err, "cannot list %s: %s", root, strerror(err));
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		pid_t pid = sp_procfs_pid_of_name(e->d_name);
		if (pid && pid != self)
			consider(fs, pid, found);
	}
	return 0;
}

static int refuse_several(const struct matches *found, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_USAGE, ENOTUNIQ, "%zu processes are named '%s'", found->nr, found->name);

	if (found->nr_listed < found->nr)
		sp_why_hint(why, "give a pid: %s; and %zu more", found->text, found->nr - found->nr_listed);
	else
		sp_why_hint(why, "give a pid: %s", found->text);
	return rc;
}

static int find_by_name(const struct sp_procfs *fs, const char *name, pid_t *ret, struct sp_why *why)
{
	struct matches found = {.name = name};

	int rc = search(fs, &found, why);
	if (rc < 0)
		return rc;
	if (!found.nr) {
		rc = sp_why_set(why, SP_FAULT_TARGET, ESRCH, "no running process is named '%s'", name);
		sp_why_hint(why, "the name is that of the program's file, as in 'ps -e'; a pid works too");
		return rc;
	}
	if (found.nr > 1)
		return refuse_several(&found, why);
	*ret = found.first;
	return 0;
}

int sp_proc_find_all(const struct sp_procfs *fs, const char *name, struct sp_vec *ret, struct sp_why *why)
{
	struct matches found = {.name = name, .all = ret};
	int rc = search(fs, &found, why);

	return rc ? rc : found.err;
}

int sp_proc_find(const struct sp_procfs *fs, const char *pid_or_name, pid_t *ret, struct sp_why *why)
{
	uint64_t pid;

	if (!*pid_or_name)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "the process to watch is an empty word");

	int rc = sp_text_to_u64(pid_or_name, 1, INT32_MAX, &pid);
	if (rc == -EINVAL)
		return find_by_name(fs, pid_or_name, ret, why);
	if (rc < 0)
		return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "no process has the pid %s", pid_or_name);
	*ret = (pid_t)pid;
	return 0;
}
