// SPDX-License-Identifier: Apache-2.0
/*
 * System V shared memory of an ipc namespace, from /proc/sysvipc/shm.
 *
 * That file shows the namespace of the thread that opens it, whoever's /proc it is. So another namespace is entered by
 * a thread made for it, which ends afterwards: no other thread of ours ever leaves its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "proc/priv.h"
#include "proc/shared.h"

static const size_t MAX_TEXT = (size_t)16 << 20; /* bytes; a line of 200 for each of SHMMNI's 4096 and many more */

/*
 * Since Linux 6.7 the pages of a huge page are counted one by one, and shm_add_rss_swap() of ipc/shm.c still takes each
 * for a huge one: 512 times too much is resident (pages of 2 MiB) or 512 times 512 (1 GiB). That is only certain where
 * it is more than the segment is large.
 */
static uint64_t true_resident(uint64_t said, uint64_t size)
{
	const uint64_t huge = 2 << 20, pages_per_huge = 512;
	uint64_t whole = size / huge * huge + (size % huge ? huge : 0);

	for (unsigned i = 0; i < 2 && said > whole && whole >= size; i++)
		said /= pages_per_huge;
	return said;
}

/* Columns of ipc/shm.c, sysvipc_shm_proc_show(); rss and swap since Linux 2.6.36. */
static bool parse_line(const char *line, struct sp_sysv_shm *ret)
{
	struct sp_sysv_shm s = {};
	int32_t key, id, creator, last;

	if (sscanf(line,
		   "%" SCNd32 " %" SCNd32 " %" SCNo32 " %" SCNu64 " %" SCNd32 " %" SCNd32 " %" SCNu64 " %" SCNu32
		   " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu64,
		   &key, &id, &s.mode, &s.size, &creator, &last, &s.nr_attached, &s.uid, &s.gid, &s.cuid, &s.cgid,
		   &s.attached_s, &s.detached_s, &s.changed_s, &s.resident, &s.swapped) != 16)
		return false;
	if (id < 0)
		return false;
	s.key = (uint32_t)key;
	s.id = (uint32_t)id;
	s.creator = creator > 0 ? creator : 0;
	s.last = last > 0 ? last : 0;
	s.resident = true_resident(s.resident, s.size);
	*ret = s;
	return true;
}

int sp_sysv_shm_parse(const char *text, struct sp_vec *ret)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		struct sp_sysv_shm s;
		int r;

		line += *line == '\n';
		if (!parse_line(line, &s)) /* the headings, among others */
			continue;
		r = sp_vec_push(ret, &s);
		if (r < 0 && r != -ENOSPC) /* the vector counts what it refuses */
			return r;
	}
	return 0;
}

struct visit {
	const struct sp_procfs *fs;
	int ns; /* -1: stay where we are */
	char *text;
	int err;
};

static void *visit(void *arg)
{
	struct visit *v = arg;
	char path[PATH_MAX];
	size_t len;

	if (v->ns >= 0 && setns(v->ns, CLONE_NEWIPC) < 0) {
		v->err = -errno;
		return NULL;
	}
	snprintf(path, sizeof(path), "%s/sysvipc/shm", sp_procfs_root(v->fs));
	v->err = sp_proc_read_file(AT_FDCWD, path, MAX_TEXT, &v->text, &len);
	return NULL;
}

int sp_sysv_shm_read(const struct sp_procfs *fs, const struct sp_process *member, struct sp_vec *ret)
{
	struct visit v = {.fs = fs, .ns = -1};
	pthread_t thread;
	int err;

	sp_autoclose int ns = member ? openat(member->dirfd, "ns/ipc", O_RDONLY | O_CLOEXEC) : -1;
	if (member && ns < 0)
		return errno == EACCES ? -EPERM : -errno;
	v.ns = ns;
	if (member) {
		err = sp_thread_start(&thread, visit, &v);
		if (err)
			return err;
		pthread_join(thread, NULL);
	} else {
		visit(&v);
	}
	sp_autofree char *text = v.text;
	return v.err < 0 ? v.err : sp_sysv_shm_parse(text, ret);
}
