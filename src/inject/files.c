// SPDX-License-Identifier: Apache-2.0
/*
 * Descriptors of ours in the target. There is one only for a moment, between the call that makes the agent's memory and
 * the one that closes it; who was killed in between has left it. Its name says whose it is.
 */
#include "inject/impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>

#include "wire/agent.h"

enum { MAX_FILES = 64, NAME_BYTES = 128 };

void sp_inject_memfd_name(const struct sp_inject *in, char ret[SP_INJECT_MEMFD_NAME])
{
	const struct sp_inject_mark *m = &in->owner;

	snprintf(ret, SP_INJECT_MEMFD_NAME, SP_AGENT_MEMFD ":%" PRIu32 ".%" PRIu64 ".%" PRIu64, m->owner_pid,
		 m->owner_start, m->owner_pid_ns);
}

bool sp_inject_is_memfd(const char *path)
{
	static const char name[] = "/memfd:" SP_AGENT_MEMFD ":";

	return !strncmp(path, name, sizeof(name) - 1);
}

/* A number and the character behind it. NULL: it is none. */
static const char *take_number(const char *at, char end, uint64_t *ret)
{
	char *rest;

	errno = 0;
	*ret = strtoull(at, &rest, 10);
	return rest == at || errno || *rest != end ? NULL : rest + 1;
}

/* Whoever made a file of this name: whose does it say it is? */
static bool take_owner(const char *path, struct sp_inject_mark *ret)
{
	const char *at = path + sizeof("/memfd:" SP_AGENT_MEMFD ":") - 1;
	uint64_t pid = 0;

	if (!sp_inject_is_memfd(path))
		return false;
	*ret = (struct sp_inject_mark){.magic = SP_INJECT_MAGIC};
	at = take_number(at, '.', &pid);
	at = at ? take_number(at, '.', &ret->owner_start) : NULL;
	at = at ? take_number(at, ' ', &ret->owner_pid_ns) : NULL; /* " (deleted)" */
	ret->owner_pid = (uint32_t)pid;
	return at && pid <= INT32_MAX;
}

static bool is_left(struct sp_inject *in, int dir, const char *name, struct sp_left_file *ret)
{
	char path[NAME_BYTES];
	uint64_t number;
	ssize_t len = readlinkat(dir, name, path, sizeof(path) - 1);

	if (len <= 0 || sp_text_to_u64(name, 0, INT32_MAX, &number) < 0)
		return false;
	path[len] = '\0';
	ret->fd = (int)number;
	return take_owner(path, &ret->mark) && !sp_region_is_others(in, &ret->mark);
}

int sp_files_find(struct sp_inject *in, struct sp_vec *ret)
{
	int fd = openat(sp_proc_dirfd(in->p), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct sp_left_file f;

	if (fd < 0)
		return 0; /* not permitted to look, or it has ended */
	sp_autoclosedir DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *e = readdir(dir); e && rc == 0 && ret->nr < MAX_FILES; e = readdir(dir))
		if (is_left(in, fd, e->d_name, &f))
			rc = sp_vec_push(ret, &f);
	return rc;
}

/* The target may have closed it since, and another file have its number. */
static bool is_still_left(struct sp_inject *in, const struct sp_left_file *f)
{
	struct sp_left_file now;
	char name[16];

	sp_autoclose int dir = openat(sp_proc_dirfd(in->p), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(name, sizeof(name), "%d", f->fd);
	return dir >= 0 && is_left(in, dir, name, &now);
}

int sp_files_close(struct sp_inject *in, unsigned *ret_nr, struct sp_why *why)
{
	struct sp_vec files;

	sp_vec_init(&files, sizeof(struct sp_left_file), MAX_FILES);
	int rc = sp_files_find(in, &files);
	for (size_t i = 0; rc == 0 && i < files.nr; i++) {
		const struct sp_left_file *f = sp_vec_at(&files, struct sp_left_file, i);
		struct sp_inject_call call = {.nr = SYS_close, .args = {(uint64_t)f->fd}};
		if (!is_still_left(in, f))
			continue;
		rc = sp_inject_calls(in, &call, 1, why);
		*ret_nr += rc == 0 && call.ret == 0;
	}
	sp_vec_done(&files);
	return rc;
}
