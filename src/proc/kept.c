// SPDX-License-Identifier: Apache-2.0
/*
 * Words that the kernel keeps for a target: proc_pid_fdinfo(5) for epoll ("tfd: 5 events: 19 data: 55d0c0ffee00"),
 * proc_pid_timers(5) ("signal: 60/00007fff86e452a8").
 */
#include "proc/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const size_t MAX_TEXT = (size_t)64 << 20;

/* The number behind each `key` of a text, or behind the first `skip` that follows it. */
static int take_words(const char *text, const char *key, char skip, struct sp_vec *ret)
{
	int rc = 0;

	for (const char *at = strstr(text, key); at && rc == 0; at = strstr(at, key)) {
		at += strlen(key);
		const char *from = skip ? strchr(at, skip) : at;
		uint64_t word = from ? strtoull(from + (skip != '\0'), NULL, 16) : 0;
		if (word)
			rc = sp_vec_push(ret, &word);
	}
	return rc;
}

static int take_file(int dirfd, const char *name, const char *key, char skip, struct sp_vec *ret)
{
	char *text;
	size_t len;

	if (sp_proc_read_file(dirfd, name, MAX_TEXT, &text, &len) < 0)
		return 0;
	int rc = take_words(text, key, skip, ret);
	free(text);
	return rc;
}

static bool is_epoll(int fds, const char *name)
{
	static const char epoll[] = "anon_inode:[eventpoll]";
	char link[sizeof(epoll)];
	ssize_t len = readlinkat(fds, name, link, sizeof(link));

	return len == sizeof(epoll) - 1 && !memcmp(link, epoll, sizeof(epoll) - 1);
}

int sp_proc_kept_words(struct sp_proc *p, struct sp_vec *ret)
{
	int rc = take_file(p->dirfd, "timers", "signal:", '/', ret);
	int fd = openat(p->dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sp_autoclose int infos = openat(p->dirfd, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sp_autoclosedir DIR *fds = fd < 0 ? NULL : fdopendir(fd);

	if (!fds && fd >= 0)
		close(fd);
	for (struct dirent *d; fds && infos >= 0 && rc == 0 && (d = readdir(fds));)
		if (is_epoll(dirfd(fds), d->d_name))
			rc = take_file(infos, d->d_name, "data:", '\0', ret);
	return rc;
}
