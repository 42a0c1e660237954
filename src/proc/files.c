// SPDX-License-Identifier: Apache-2.0
/*
 * Opens files of the target: in the target's own root, never ours, and only regular ones.
 *
 * Which file is behind a mapping? The kernel's answer is map_files, but reading that needs CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE. So, in this order:
 *   1. the mapping's path inside the target's root, if device and inode are the mapping's;
 *   2. map_files: also for deleted and replaced files, and for those whose st_dev is not the device that maps shows
 *      (overlayfs and btrfs give files a device number of their own, maps shows the one underneath);
 *   3. /proc/PID/exe, if the mapping is the executable's;
 *   4. the path, if the inode number is right and the mapped bytes are the file's: the way for an unprivileged user on
 *      overlayfs or btrfs.
 */
#include "proc/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

enum {
	MAX_VDSO = 1 << 20, /* bytes; the real one has a few pages */
	OPENAT2_TRIES = 8,  /* EAGAIN: somebody renamed a directory on the way */
	NR_COMPARED = 4096, /* bytes of a mapping compared with its file */
};

/* From an O_PATH descriptor, which has no effect on the file, to a readable one. Nothing can change between. */
static int reopen_regular(int path_fd)
{
	char self[48];
	struct stat st;

	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
	/* O_NONBLOCK: a lease that the target holds on the file must not make us wait. */
	int fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sp_proc_open_regular(int dirfd, const char *name)
{
	sp_autoclose int path_fd = openat(dirfd, name, O_PATH | O_CLOEXEC);

	return path_fd < 0 ? -errno : reopen_regular(path_fd);
}

/* No link, no "..", no mount and no magic link of the target leads out of its root. */
static int open_beneath_root(int dirfd, const char *path, uint64_t flags)
{
	struct open_how how = {
	    .flags = flags | O_CLOEXEC,
	    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1, err = EAGAIN;

	sp_autoclose int root = openat(dirfd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	for (unsigned i = 0; fd < 0 && err == EAGAIN && i < OPENAT2_TRIES; i++) {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
		err = errno;
	}
	return fd < 0 ? -err : fd;
}

int sp_proc_open_regular_in_root(int dirfd, const char *path)
{
	sp_autoclose int path_fd = open_beneath_root(dirfd, path, O_PATH);

	return path_fd < 0 ? path_fd : reopen_regular(path_fd);
}

int sp_proc_open_folder_in_root(int dirfd, const char *path)
{
	return open_beneath_root(dirfd, path, O_RDONLY | O_DIRECTORY);
}

int sp_proc_open_path(struct sp_proc *p, const char *path, struct sp_why *why)
{
	int fd = sp_proc_open_regular_in_root(p->dirfd, path);

	if (fd == -EINVAL)
		return sp_why_set(why, SP_FAULT_TARGET, EINVAL, "'%s' of process %d is not a regular file", path,
				  (int)p->pid);
	if (fd < 0)
		return sp_why_set(why, SP_FAULT_TARGET, -fd, "cannot open '%s' of process %d: %s", path, (int)p->pid,
				  strerror(-fd));
	return fd;
}

static bool is_same_file(int fd, const struct sp_mapping *m)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == m->inode && major(st.st_dev) == m->dev_major &&
	       minor(st.st_dev) == m->dev_minor;
}

static int open_by_path(const struct sp_proc *p, const struct sp_mapping *m)
{
	if (m->deleted || m->path[0] != '/')
		return -ENOENT;
	sp_autoclose int fd = sp_proc_open_regular_in_root(p->dirfd, m->path);
	if (fd < 0)
		return fd;
	return is_same_file(fd, m) ? sp_take_fd(fd) : -ESTALE;
}

static int open_by_map_files(const struct sp_proc *p, const struct sp_mapping *m)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)m->start, (unsigned long long)m->end);
	return sp_proc_open_regular(p->dirfd, name);
}

/* True when the link's text is the mapping's path: for a device number that differs as said above. */
static bool is_exe_path(const struct sp_proc *p, const struct sp_mapping *m)
{
	char link[PATH_MAX + 16];

	ssize_t len = readlinkat(p->dirfd, "exe", link, sizeof(link) - 1);
	if (len < 0)
		return false;
	link[len] = '\0';
	size_t n = strlen(m->path);
	return m->path[0] == '/' && !strncmp(link, m->path, n) && !strcmp(link + n, m->deleted ? " (deleted)" : "");
}

static int open_by_exe(const struct sp_proc *p, const struct sp_mapping *m)
{
	sp_autoclose int fd = sp_proc_open_regular(p->dirfd, "exe");
	if (fd < 0)
		return fd;
	return is_same_file(fd, m) || is_exe_path(p, m) ? sp_take_fd(fd) : -ESTALE;
}

static int open_by_content(struct sp_proc *p, const struct sp_mapping *m)
{
	unsigned char in_file[NR_COMPARED], in_memory[NR_COMPARED];
	struct stat st;

	if (m->deleted || m->path[0] != '/' || m->prot & SP_PROT_W)
		return -ENOENT;
	sp_autoclose int fd = sp_proc_open_regular_in_root(p->dirfd, m->path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || st.st_ino != m->inode || m->offset > INT64_MAX)
		return -ESTALE;
	ssize_t n = pread(fd, in_file, sizeof(in_file), (off_t)m->offset);
	if (n <= 0 || sp_proc_read_mem(p, (sp_raddr){m->start}, in_memory, (size_t)n) != n ||
	    memcmp(in_file, in_memory, (size_t)n) != 0)
		return -ESTALE;
	return sp_take_fd(fd);
}

static int copy_to_memfd(struct sp_proc *p, const struct sp_mapping *m)
{
	size_t size = m->end - m->start;

	if (m->end - m->start > MAX_VDSO)
		return -EFBIG;
	sp_autofree char *bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	ssize_t n = sp_proc_read_mem(p, (sp_raddr){m->start}, bytes, size);
	if (n != (ssize_t)size)
		return n < 0 ? (int)n : -EIO;
	sp_autoclose int fd = memfd_create("seep-vdso", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, bytes, size);
	if (n != (ssize_t)size)
		return n < 0 ? -errno : -ENOSPC;
	return sp_take_fd(fd);
}

static int refuse(const struct sp_proc *p, const struct sp_mapping *m, int err, struct sp_why *why)
{
	const char *text = err == ESTALE   ? "it was replaced after it was loaded"
			   : err == EINVAL ? "it is not a regular file"
					   : strerror(err);
	int rc =
	    sp_why_set(why, SP_FAULT_TARGET, err, "cannot open '%s' of process %d: %s", m->path, (int)p->pid, text);

	if (err == EPERM || err == EACCES)
		sp_why_hint(why, "run as root: deleted and replaced files are read through map_files, which needs"
				 " CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE");
	return rc;
}

int sp_proc_open_mapping(struct sp_proc *p, const struct sp_mapping *m, struct sp_why *why)
{
	if (!strcmp(m->path, "[vdso]")) {
		int fd = copy_to_memfd(p, m);
		return fd < 0 ? refuse(p, m, -fd, why) : fd;
	}
	if (m->path[0] == '\0' || m->path[0] == '[')
		return sp_why_set(why, SP_FAULT_TARGET, ENOENT, "no file is mapped at %#llx of process %d",
				  (unsigned long long)m->start, (int)p->pid);

	int fd = open_by_path(p, m);
	if (fd >= 0)
		return fd;
	int err = fd = open_by_map_files(p, m);
	if (fd < 0)
		fd = open_by_exe(p, m);
	if (fd < 0)
		fd = open_by_content(p, m);
	return fd < 0 ? refuse(p, m, -err, why) : fd;
}
