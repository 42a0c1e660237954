// SPDX-License-Identifier: Apache-2.0
/* What an opened target says about itself: identity, liveness, namespaces, resident set. */
#include "proc/priv.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

pid_t sp_proc_pid(const struct sp_proc *p)
{
	return p->pid;
}

int sp_proc_pidfd(const struct sp_proc *p)
{
	return p->pidfd;
}

int sp_proc_dirfd(const struct sp_proc *p)
{
	return p->dirfd;
}

const char *sp_proc_comm(const struct sp_proc *p)
{
	return p->comm;
}

uint64_t sp_proc_start_time(const struct sp_proc *p)
{
	return p->start_time;
}

uint64_t sp_proc_start_time_of(const struct sp_procfs *fs, pid_t pid)
{
	struct sp_stat st;

	if (!pid)
		pid = sp_procfs_self(fs);
	sp_autoclose int dirfd = pid > 0 ? sp_procfs_open_pid(fs, pid) : -1;
	return dirfd >= 0 && sp_stat_read(dirfd, &st) == 0 ? st.start_time : 0;
}

const char *sp_proc_comm_of(const struct sp_procfs *fs, pid_t pid, char *buf, size_t size)
{
	sp_autoclose int dirfd = sp_procfs_open_pid(fs, pid);
	struct sp_stat st;

	return sp_text_printable(buf, size, dirfd >= 0 && sp_stat_read(dirfd, &st) == 0 ? st.comm : "?");
}

bool sp_proc_has_ended(const struct sp_proc *p)
{
	struct sp_stat st;

	return !p->fake && (sp_stat_read(p->dirfd, &st) < 0 || sp_stat_is_dead(&st));
}

bool sp_proc_is_alive(struct sp_proc *p)
{
	struct pollfd pfd = {.fd = p->pidfd, .events = POLLIN};

	if (p->pidfd >= 0)
		return poll(&pfd, 1, 0) == 0; /* readable when all its threads have ended */
	return !sp_proc_has_ended(p);
}

uint64_t sp_proc_read_ns(int dirfd, const char *name)
{
	unsigned long long inode;
	char text[64];

	ssize_t len = readlinkat(dirfd, name, text, sizeof(text) - 1); /* "mnt:[4026531841]" */
	if (len < 0)
		return 0;
	text[len] = '\0';
	const char *open = strchr(text, '[');
	return open && sscanf(open, "[%llu]", &inode) == 1 ? inode : 0;
}

uint64_t sp_proc_ns(const struct sp_procfs *fs, pid_t pid, const char *kind)
{
	char path[PATH_MAX], who[16] = "self";

	if (pid)
		snprintf(who, sizeof(who), "%d", (int)pid);
	int n = snprintf(path, sizeof(path), "%s/%s/ns/%s", sp_procfs_root(fs), who, kind);
	return n < 0 || (size_t)n >= sizeof(path) ? 0 : sp_proc_read_ns(AT_FDCWD, path);
}

uint64_t sp_proc_rss_bytes(struct sp_proc *p)
{
	char text[128];
	unsigned long long total, resident;
	uint64_t bytes;

	if (sp_proc_read_head(p->dirfd, "statm", text, sizeof(text)) <= 0 ||
	    sscanf(text, "%llu %llu", &total, &resident) != 2 ||
	    __builtin_mul_overflow(resident, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
		return 0;
	return bytes;
}
