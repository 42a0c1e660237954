// SPDX-License-Identifier: Apache-2.0
/* Reads files of /proc: whole ones with a bound, and the heads of small ones. */
#include "proc/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

const char *sp_procfs_root(const struct sp_procfs *fs)
{
	return fs && fs->root ? fs->root : "/proc";
}

bool sp_procfs_is_fake(const struct sp_procfs *fs)
{
	return fs && fs->fake;
}

pid_t sp_procfs_pid_of_name(const char *name)
{
	uint64_t pid;

	if (sp_text_to_u64(name, 1, INT32_MAX, &pid) < 0)
		return 0;
	return (pid_t)pid;
}

pid_t sp_procfs_self(const struct sp_procfs *fs)
{
	char path[PATH_MAX], target[32];

	int n = snprintf(path, sizeof(path), "%s/self", sp_procfs_root(fs));
	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return 0;
	target[len] = '\0';
	return sp_procfs_pid_of_name(target);
}

int sp_procfs_open_pid(const struct sp_procfs *fs, pid_t pid)
{
	char path[PATH_MAX];

	int n = snprintf(path, sizeof(path), "%s/%d", sp_procfs_root(fs), (int)pid);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads until the buffer is full or the file ends. */
static ssize_t read_full(int fd, char *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buf + done, size - done);
		if (n < 0) {
			int err = errno;
			if (err == EINTR)
				continue;
			return -err;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t sp_proc_read_head(int dirfd, const char *name, char *buf, size_t size)
{
	sp_autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	ssize_t n = read_full(fd, buf, size - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

int sp_proc_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	sp_autofree char *text = NULL;
	size_t size = 16384, len = 0;

	sp_autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	for (;;) {
		char *bigger = realloc(text, size + 1);
		if (!bigger)
			return -ENOMEM;
		text = bigger;
		ssize_t n = read_full(fd, text + len, size - len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len < size)
			break;
		if (size >= max)
			return -EFBIG;
		size *= 2;
	}
	text[len] = '\0';
	*ret = sp_take_ptr(text);
	*ret_len = len;
	return 0;
}
