// SPDX-License-Identifier: Apache-2.0
/*
 * Finds /tmp/perf-PID.map: in the target's root under the pid that the target knows itself by, then on the host under
 * the pid that we know it by. /tmp belongs to everybody, so the file must be a regular one of the target's user or of
 * root. It is read in portions, only what was added, and only when an address is unknown.
 */
#include "symbolize/jit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PORTION_BYTES   (1u << 20)
#define STATUS_BYTES    16384 /* NSpid and Uid come early; Groups may be long */
#define GROWTH_TO_SHARE 8     /* without a refresh: read on when an eighth was added */

struct owner {
	uid_t uid;      /* effective */
	long inner_pid; /* in its innermost pid namespace */
};

void sp_jit_init(struct sp_jit *j, struct sp_proc *p)
{
	*j = (struct sp_jit){.proc = p, .may_reread = true};
	sp_perfmap_init(&j->map);
}

void sp_jit_done(struct sp_jit *j)
{
	sp_perfmap_done(&j->map);
}

void sp_jit_refresh(struct sp_jit *j)
{
	j->may_reread = true;
}

/* "NSpid:\t4711\t7\n" -> 7; 0: no such line. */
static long last_number(const char *status, const char *key)
{
	const char *s = strstr(status, key);
	long v = 0;

	for (s = s ? s + strlen(key) : ""; *s == '\t' || *s == ' ';) {
		char *end;

		v = strtol(s, &end, 10);
		if (end == s)
			break;
		s = end;
	}
	return v;
}

static void read_owner(struct sp_proc *p, struct owner *ret)
{
	char status[STATUS_BYTES];
	struct stat st;
	const char *uid;
	unsigned long real, effective;

	*ret = (struct owner){.inner_pid = sp_proc_pid(p)};
	if (fstat(sp_proc_dirfd(p), &st) == 0)
		ret->uid = st.st_uid;
	sp_autoclose int fd = openat(sp_proc_dirfd(p), "status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);
	if (n <= 0)
		return;
	status[n] = '\0';
	uid = strstr(status, "\nUid:");
	if (uid && sscanf(uid + 5, "%lu %lu", &real, &effective) == 2)
		ret->uid = (uid_t)effective;
	long inner = last_number(status, "\nNSpid:");
	if (inner > 0)
		ret->inner_pid = inner;
}

static bool is_acceptable(int fd, const struct owner *o, struct stat *ret)
{
	return fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && (ret->st_uid == o->uid || ret->st_uid == 0);
}

static int open_map(struct sp_proc *p, struct stat *ret)
{
	struct owner o;
	char path[64];

	read_owner(p, &o);
	snprintf(path, sizeof(path), "/tmp/perf-%ld.map", o.inner_pid);
	sp_autoclose int inner = sp_proc_open_path(p, path, NULL);
	if (is_acceptable(inner, &o, ret))
		return sp_take_fd(inner);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)sp_proc_pid(p));
	sp_autoclose int outer = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	return is_acceptable(outer, &o, ret) ? sp_take_fd(outer) : -ENOENT;
}

/* All that is there, or as much as the maximum allows. */
static void read_on(struct sp_jit *j, int fd)
{
	sp_autofree char *portion = malloc(PORTION_BYTES);
	ssize_t n;

	while (portion && (n = pread(fd, portion, PORTION_BYTES, j->size)) > 0) {
		if (sp_perfmap_append(&j->map, portion, (size_t)n) < 0)
			return;
		j->size += n;
	}
}

static bool is_same_file(const struct sp_jit *j, const struct stat *st)
{
	return st->st_dev == j->dev && st->st_ino == j->ino && st->st_size >= j->size;
}

/* True when something was added. */
static bool reread(struct sp_jit *j)
{
	struct stat st;
	size_t before = j->map.len;

	sp_autoclose int fd = open_map(j->proc, &st);
	if (fd < 0)
		return false;
	if (!is_same_file(j, &st)) {
		sp_perfmap_done(&j->map);
		before = 0;
		j->dev = st.st_dev;
		j->ino = st.st_ino;
		j->size = 0;
	}
	if (st.st_size == j->size || (!j->may_reread && st.st_size - j->size < j->size / GROWTH_TO_SHARE))
		return false;
	j->may_reread = false;
	read_on(j, fd);
	return j->map.len != before;
}

const struct sp_perfmap_entry *sp_jit_find(struct sp_jit *j, uint64_t addr, const char **ret_name)
{
	const struct sp_perfmap_entry *e = sp_perfmap_find(&j->map, addr, ret_name);

	if (!e && reread(j))
		e = sp_perfmap_find(&j->map, addr, ret_name);
	return e;
}
