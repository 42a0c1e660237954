// SPDX-License-Identifier: Apache-2.0
/* Processes one by one, for questions about the whole machine. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "proc/priv.h"
#include "proc/shared.h"

int sp_process_open(const struct sp_procfs *fs, pid_t pid, struct sp_process *ret)
{
	struct sp_process p = {.pid = pid};
	struct sp_stat st;

	if (!pid)
		p.pid = sp_procfs_self(fs);
	sp_autoclose int dirfd = sp_procfs_open_pid(fs, p.pid);
	if (dirfd < 0)
		return -ESRCH;
	if (sp_stat_read(dirfd, &st) < 0 || sp_stat_is_kernel_thread(&st) || sp_stat_is_dead(&st))
		return -ESRCH;
	sp_text_printable(p.comm, sizeof(p.comm), st.comm);
	p.start_time = st.start_time;
	p.dirfd = sp_take_fd(dirfd);
	*ret = p;
	return 0;
}

int sp_process_for_each(const struct sp_procfs *fs, int (*fn)(const struct sp_process *p, void *arg), void *arg)
{
	sp_autoclosedir DIR *dir = opendir(sp_procfs_root(fs));
	int r = 0;

	if (!dir)
		return -errno;
	for (struct dirent *e = readdir(dir); e && !r; e = readdir(dir)) {
		pid_t pid = sp_procfs_pid_of_name(e->d_name);
		struct sp_process p;

		if (!pid || sp_process_open(fs, pid, &p) < 0)
			continue;
		r = fn(&p, arg);
		close(p.dirfd);
	}
	return r;
}

uint64_t sp_process_ns(const struct sp_process *p, const char *kind)
{
	char name[32];

	snprintf(name, sizeof(name), "ns/%s", kind);
	return sp_proc_read_ns(p->dirfd, name);
}

int64_t sp_process_started_s(const struct sp_procfs *fs, const struct sp_process *p)
{
	sp_autofree char *text = NULL;
	char path[PATH_MAX];
	long ticks = sysconf(_SC_CLK_TCK);
	size_t len;

	snprintf(path, sizeof(path), "%s/stat", sp_procfs_root(fs));
	if (ticks <= 0 || sp_proc_read_file(AT_FDCWD, path, 64 << 20, &text, &len) < 0)
		return -1;
	const char *btime = strstr(text, "\nbtime "); /* seconds since 1970 at which the machine booted */
	if (!btime)
		return -1;
	return (int64_t)(strtoull(btime + 7, NULL, 10) + p->start_time / (uint64_t)ticks);
}

int sp_process_maps(const struct sp_process *p, struct sp_maps *ret)
{
	return sp_maps_read(p->dirfd, ret);
}
