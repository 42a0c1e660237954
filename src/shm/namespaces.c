// SPDX-License-Identifier: Apache-2.0
/*
 * Segments and files that have a name, from every ipc and mount namespace that some process is in. Our own comes first,
 * so that what several see is called what we call it.
 */
#include <errno.h>
#include <string.h>

#include "shm/impl.h"

/* True the first time. */
static bool is_new(struct sp_shm_store *s, struct sp_u64map *seen, uint64_t key)
{
	if (sp_u64map_find(seen, key))
		return false;
	if (sp_u64map_set(seen, key, 0)) {
		s->nr_skipped++;
		return false;
	}
	return true;
}

static void read_segments(struct sp_shm_store *s, uint64_t ns, const struct sp_process *member)
{
	struct sp_vec list;
	int r;

	sp_vec_init(&list, sizeof(struct sp_sysv_shm), SP_SHM_MAX_OBJECTS);
	r = sp_sysv_shm_read(s->fs, member, &list);
	if (r == -EPERM || r == -EACCES)
		s->nr_hidden_ns++;
	else if (r == -ENOMEM)
		s->err = r;
	s->nr_skipped += list.nr_refused;
	for (size_t i = 0; i < list.nr; i++)
		sp_shm_add_segment(s, sp_vec_at(&list, struct sp_sysv_shm, i), ns, member ? member->pid : 0);
	sp_vec_done(&list);
}

/* What is in memory and has names: shmem behind four types, and huge pages. */
static bool kind_of_type(const char *type, enum sp_shm_kind *ret)
{
	if (!strcmp(type, "hugetlbfs"))
		*ret = SP_SHM_HUGETLB;
	else if (!strcmp(type, "tmpfs") || !strcmp(type, "devtmpfs") || !strcmp(type, "shm") || !strcmp(type, "ramfs"))
		*ret = SP_SHM_TMPFS;
	else
		return false;
	return true;
}

struct visit {
	struct sp_shm_store *s;
	enum sp_shm_kind kind;
	pid_t member;
};

static void take_file(const struct sp_open_file *f, void *arg)
{
	static const char posix[] = "/dev/shm/"; /* shm_open(3) */
	struct visit *v = arg;
	bool is_posix = v->kind == SP_SHM_TMPFS && !strncmp(f->path, posix, sizeof(posix) - 1);

	sp_shm_add_file(v->s, is_posix ? SP_SHM_POSIX : v->kind, f, v->member);
}

static uint64_t hash_text(const char *text)
{
	uint64_t h = 0;

	for (; *text; text++)
		h = sp_shm_key(h, (unsigned char)*text);
	return h;
}

static void read_files(struct sp_shm_store *s, const struct sp_process *p, pid_t member)
{
	struct sp_mounts mounts;
	int r = sp_process_mounts(p, &mounts);

	if (r < 0) {
		s->nr_hidden_ns += r == -EACCES || r == -EPERM;
		return;
	}
	for (size_t i = 0; i < mounts.nr && !s->err; i++) {
		const struct sp_mount *m = &mounts.list[i];
		struct visit v = {.s = s, .member = member};

		if (!kind_of_type(m->type, &v.kind) ||
		    !is_new(s, &s->mounts_seen, sp_shm_key(m->dev, hash_text(m->root))))
			continue;
		if (sp_u64map_set(&s->devs, m->dev, v.kind))
			s->nr_skipped++;
		r = sp_mount_for_each_file(p, m, take_file, &v, &s->nr_skipped);
		if (r == -EACCES || r == -EPERM)
			s->nr_skipped++;
		if (r == -ESTALE) /* hidden here; another namespace may show it */
			sp_u64map_remove(&s->mounts_seen, sp_shm_key(m->dev, hash_text(m->root)));
	}
	sp_mounts_done(&mounts);
}

static int visit_process(const struct sp_process *p, void *arg)
{
	struct sp_shm_store *s = arg;
	uint64_t ipc = sp_process_ns(p, "ipc"), mnt = sp_process_ns(p, "mnt");

	if (ipc && is_new(s, &s->ipc_seen, ipc))
		read_segments(s, ipc, p);
	if (mnt && is_new(s, &s->mnt_seen, mnt))
		read_files(s, p, p->pid);
	return s->err;
}

void sp_shm_collect_named(struct sp_shm_store *s)
{
	struct sp_process self;

	s->own_ipc = sp_proc_ns(s->fs, 0, "ipc");
	s->own_mnt = sp_proc_ns(s->fs, 0, "mnt");
	is_new(s, &s->ipc_seen, s->own_ipc);
	read_segments(s, s->own_ipc, NULL);
	if (sp_process_open(s->fs, 0, &self) == 0) {
		is_new(s, &s->mnt_seen, s->own_mnt);
		read_files(s, &self, 0);
		close(self.dirfd);
	}
	if (!s->err && sp_process_for_each(s->fs, visit_process, s) < 0 && !s->err)
		s->nr_hidden_processes++;
}
