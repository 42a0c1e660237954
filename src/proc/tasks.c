// SPDX-License-Identifier: Apache-2.0
/* The threads of a target, as /proc/PID/task has them. */
#include "proc/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

int sp_proc_tids(struct sp_proc *p, struct sp_vec *ret)
{
	struct dirent *entry;

	sp_autoclose int fd = openat(p->dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	sp_autoclosedir DIR *dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)sp_take_fd(fd); /* the stream's now */
	while ((entry = readdir(dir))) {
		pid_t tid = sp_procfs_pid_of_name(entry->d_name);
		int rc = tid ? sp_vec_push(ret, &tid) : 0;
		if (rc < 0)
			return rc;
	}
	return ret->nr ? 0 : -ESRCH;
}

char sp_proc_tid_state(struct sp_proc *p, pid_t tid)
{
	char name[64], text[4096];
	struct sp_stat st;

	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	if (sp_proc_read_head(p->dirfd, name, text, sizeof(text)) <= 0 || sp_stat_parse(text, &st) < 0)
		return 0;
	return st.state;
}

bool sp_proc_tid_status(struct sp_proc *p, pid_t tid, const char *key, char *buf, size_t size)
{
	char name[64], text[8192];

	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	if (sp_proc_read_head(p->dirfd, name, text, sizeof(text)) <= 0)
		return false;
	const char *value = sp_status_find(text, key);
	if (!value)
		return false;
	value += strspn(value, " \t");
	snprintf(buf, size, "%.*s", (int)strcspn(value, "\n"), value);
	return true;
}

int sp_proc_open_file(struct sp_proc *p, const char *name, int flags)
{
	int fd = openat(p->dirfd, name, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
