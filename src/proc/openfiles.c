// SPDX-License-Identifier: Apache-2.0
/*
 * Which regular files a process holds, by descriptor or mapping.
 *
 * Asked through the magic links of /proc, which lead to the very file even when its name is gone. Nothing is opened,
 * and with AT_STATX_DONT_SYNC no server is asked: a descriptor on a dead network file system must not hang us.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proc/priv.h"
#include "proc/shared.h"

static const char gone[] = " (deleted)";

/* Everything but fd, path and deleted. False: no regular file. */
static bool describe(int dirfd, const char *name, int flags, struct sp_open_file *f)
{
	struct statx st;

	if (statx(dirfd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | flags, STATX_BASIC_STATS | STATX_BTIME, &st) ||
	    !S_ISREG(st.stx_mode))
		return false;
	f->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	f->inode = st.stx_ino;
	f->size = st.stx_size;
	f->allocated = st.stx_blocks * 512; /* the unit of st_blocks, whatever the file system's is */
	f->uid = st.stx_uid;
	f->created_s = st.stx_mask & STATX_BTIME ? st.stx_btime.tv_sec : -1;
	f->used_s = st.stx_atime.tv_sec > st.stx_mtime.tv_sec ? st.stx_atime.tv_sec : st.stx_mtime.tv_sec;
	return true;
}

/* The link's text into buf (PATH_MAX + 16 bytes); false: not a file's. */
static bool read_link(int dirfd, const char *name, char *buf, struct sp_open_file *f)
{
	ssize_t len = readlinkat(dirfd, name, buf, PATH_MAX + 15);

	if (len <= 0 || buf[0] != '/')
		return false;
	buf[len] = '\0';
	size_t n = sizeof(gone) - 1;
	f->deleted = (size_t)len > n && !strcmp(buf + len - n, gone);
	if (f->deleted)
		buf[(size_t)len - n] = '\0';
	f->path = buf;
	return true;
}

int sp_process_for_each_file(const struct sp_process *p, void (*fn)(const struct sp_open_file *f, void *arg), void *arg)
{
	char path[PATH_MAX + 16];
	int fd = openat(p->dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	sp_autoclosedir DIR *dir = fdopendir(fd);
	if (!dir) {
		int err = errno;

		close(fd);
		return -err;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		struct sp_open_file f = {};
		uint64_t number;

		if (sp_text_to_u64(e->d_name, 0, INT32_MAX, &number) < 0 || !read_link(fd, e->d_name, path, &f) ||
		    !describe(fd, e->d_name, 0, &f))
			continue;
		f.fd = (int)number;
		fn(&f, arg);
	}
	return 0;
}

int sp_process_mapped_file(const struct sp_process *p, const struct sp_mapping *m, struct sp_open_file *ret)
{
	struct sp_open_file f = {.fd = -1, .path = m->path, .deleted = m->deleted};
	char name[64];

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)m->start, (unsigned long long)m->end);
	errno = ENOENT;
	if (!describe(p->dirfd, name, 0, &f))
		return errno ? -errno : -ENOENT;
	*ret = f;
	return 0;
}

int sp_process_file_has_writers(const struct sp_process *p, const char *path, uint64_t dev, uint64_t inode)
{
	struct stat st;

	sp_autoclose int fd = sp_proc_open_regular_in_root(p->dirfd, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || st.st_dev != dev || st.st_ino != inode)
		return -ESTALE;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return 0;
	}
	return errno == EAGAIN ? 1 : -errno;
}

/* ---- the files of a mount ---- */

enum { MAX_DEPTH = 32 }; /* folders in folders: one descriptor each is open */

struct walk {
	dev_t dev;
	void (*fn)(const struct sp_open_file *f, void *arg);
	void *arg;
	uint64_t nr_skipped;
	char path[PATH_MAX];
};

/* Adds "/name" to the path. Returns the length before, 0 when it does not fit (no path is that short). */
static size_t push_name(struct walk *w, const char *name)
{
	size_t len = strlen(w->path);
	int n = snprintf(w->path + len, sizeof(w->path) - len, "%s%s", w->path[len - 1] == '/' ? "" : "/", name);

	if (n >= 0 && (size_t)n < sizeof(w->path) - len)
		return len;
	w->path[len] = '\0';
	return 0;
}

static int open_folder(int at, const char *name, dev_t dev)
{
	struct stat st;

	sp_autoclose int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_dev == dev ? sp_take_fd(fd) : -EXDEV;
}

static void walk_folder(struct walk *w, int fd, unsigned depth);

static void visit(struct walk *w, int fd, const struct dirent *e, unsigned depth)
{
	struct sp_open_file f = {.fd = -1, .path = w->path};
	size_t before = push_name(w, e->d_name);

	if (!before) {
		w->nr_skipped++;
		return;
	}
	if (e->d_type == DT_DIR) {
		int below = depth < MAX_DEPTH ? open_folder(fd, e->d_name, w->dev) : -ELOOP;

		if (below >= 0)
			walk_folder(w, below, depth + 1);
		else if (below != -EXDEV && below != -ENOENT)
			w->nr_skipped++;
	} else if (describe(fd, e->d_name, AT_SYMLINK_NOFOLLOW, &f) && f.dev == w->dev) {
		w->fn(&f, w->arg);
	}
	w->path[before] = '\0';
}

/* Takes the descriptor over. */
static void walk_folder(struct walk *w, int fd, unsigned depth)
{
	sp_autoclosedir DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		w->nr_skipped++;
		return;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			visit(w, fd, e, depth);
}

int sp_mount_for_each_file(const struct sp_process *p, const struct sp_mount *m,
			   void (*fn)(const struct sp_open_file *f, void *arg), void *arg, uint64_t *ret_nr_skipped)
{
	sp_autofree struct walk *w = calloc(1, sizeof(*w));
	int fd;

	if (!w)
		return -ENOMEM;
	*w = (struct walk){.dev = m->dev, .fn = fn, .arg = arg};
	if (m->point[0] != '/' || strlen(m->point) >= sizeof(w->path))
		return -ENAMETOOLONG;
	memcpy(w->path, m->point, strlen(m->point) + 1);
	fd = sp_proc_open_folder_in_root(p->dirfd, m->point);
	if (fd < 0)
		return fd;
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_dev != m->dev) {
		close(fd);
		return -ESTALE;
	}
	walk_folder(w, fd, 0);
	*ret_nr_skipped += w->nr_skipped;
	return 0;
}
