// SPDX-License-Identifier: Apache-2.0
/*
 * Which process here is "pid 7" of a container? People copy pids from inside one; the NSpid line of status (Linux 4.1)
 * lists a process' pid in every namespace from ours inwards, so the pid to use can be named.
 */
#include "proc/priv.h"

#include <string.h>

enum {
	STATUS_MAX = 1 << 20, /* the Groups line alone can be 700 KB */
	NR_NAMED = 4,         /* processes named in the hint */
};

/* True when a number of the line after the first one is `inner`. */
static bool has_inner(const char *nspid, pid_t inner)
{
	bool is_first = true;

	for (const char *s = nspid; *s && *s != '\n';) {
		s += strspn(s, " \t");
		if (*s < '0' || *s > '9')
			break;
		long v = strtol(s, NULL, 10);
		if (!is_first && v == inner)
			return true;
		is_first = false;
		s += strcspn(s, " \t\n");
	}
	return false;
}

static bool is_inner_pid(int dirfd, pid_t inner)
{
	sp_autofree char *status = NULL;
	size_t len;

	if (sp_proc_read_file(dirfd, "status", STATUS_MAX, &status, &len) < 0)
		return false;
	const char *nspid = sp_status_find(status, "NSpid");
	return nspid && has_inner(nspid, inner);
}

/* Adds "12345 (app)" to text when this process is one. */
static bool consider(const struct sp_procfs *fs, pid_t pid, pid_t inner, char *text, size_t size)
{
	struct sp_stat st;
	size_t used = strlen(text);

	sp_autoclose int dirfd = sp_procfs_open_pid(fs, pid);
	if (dirfd < 0 || !is_inner_pid(dirfd, inner) || sp_stat_read(dirfd, &st) < 0)
		return false;
	snprintf(text + used, size - used, "%s%d (%s)", used ? ", " : "", (int)pid, st.comm);
	return true;
}

bool sp_proc_inner_hint(const struct sp_procfs *fs, pid_t inner, char *ret_text, size_t size)
{
	char list[NR_NAMED * 80] = "";
	size_t nr = 0;

	sp_autoclosedir DIR *dir = opendir(sp_procfs_root(fs));
	if (!dir)
		return false;
	for (struct dirent *e = readdir(dir); e && nr < NR_NAMED; e = readdir(dir)) {
		pid_t pid = sp_procfs_pid_of_name(e->d_name);
		if (pid && consider(fs, pid, inner, list, sizeof(list)))
			nr++;
	}
	if (!nr)
		return false;
	snprintf(ret_text, size, "process %d of another pid namespace (a container) is seen here as %s; use %s",
		 (int)inner, list, nr > 1 ? "one of these" : "that");
	return true;
}
