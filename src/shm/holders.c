// SPDX-License-Identifier: Apache-2.0
/*
 * Who has what mapped or open.
 *
 * A mapping's name tells what it is: "/SYSV51234abc" is a segment whose number is its inode, "/memfd:name" has no name
 * elsewhere. Files on disk may be called so, too; they are on devices with a major number, where memory never is.
 */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "shm/impl.h"

struct look {
	struct sp_shm_store *s;
	const struct sp_process *p;
	uint64_t ipc_ns;
};

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/*
 * What a file is that no folder shows; false: nothing for us. Shared anonymous mappings ("/dev/zero") and those of huge
 * pages ("/anon_hugepage") go with their processes and cannot be forgotten.
 */
static bool kind_of_nameless(const struct sp_shm_store *s, const struct sp_open_file *f, enum sp_shm_kind *ret)
{
	if (!f->deleted)
		return false;
	if (begins(f->path, "/memfd:") && major(f->dev) == 0 && !sp_u64map_find(&s->devs, f->dev))
		*ret = SP_SHM_MEMFD;
	else if (sp_u64map_find(&s->devs, f->dev))
		*ret = SP_SHM_DELETED;
	else
		return false;
	return true;
}

static struct sp_shm_object *object_of_file(struct sp_shm_store *s, const struct sp_open_file *f, pid_t member)
{
	struct sp_shm_object *o = sp_shm_find_file(s, f->dev, f->inode);
	enum sp_shm_kind kind;

	if (o || !kind_of_nameless(s, f, &kind))
		return o;
	sp_shm_add_file(s, kind, f, member);
	return sp_shm_find_file(s, f->dev, f->inode);
}

static void take_open_file(const struct sp_open_file *f, void *arg)
{
	struct look *l = arg;
	struct sp_shm_object *o = object_of_file(l->s, f, l->p->pid);

	if (o)
		sp_shm_add_holder(l->s, o, l->p, 0);
}

/* A mapped segment, or NULL. */
static struct sp_shm_object *segment_of(const struct look *l, const struct sp_mapping *m)
{
	if (!m->deleted || !begins(m->path, "/SYSV") || m->dev_major || m->inode > UINT32_MAX)
		return NULL;
	return sp_shm_find_segment(l->s, l->ipc_ns, (uint32_t)m->inode);
}

static struct sp_shm_object *object_of_mapping(const struct look *l, const struct sp_mapping *m)
{
	struct sp_open_file f = {.fd = -1,
				 .path = m->path,
				 .deleted = m->deleted,
				 .dev = makedev(m->dev_major, m->dev_minor),
				 .inode = m->inode,
				 .size = m->end - m->start,
				 .created_s = -1,
				 .used_s = -1};
	struct sp_shm_object *o = segment_of(l, m);
	struct sp_open_file more;
	enum sp_shm_kind kind;

	if (!o)
		o = sp_shm_find_file(l->s, f.dev, f.inode);
	if (o || !kind_of_nameless(l->s, &f, &kind))
		return o;
	if (sp_process_mapped_file(l->p, m, &more) == 0 && more.dev == f.dev && more.inode == f.inode)
		f = more;
	return object_of_file(l->s, &f, l->p->pid);
}

static void take_mapping(const struct look *l, const struct sp_mapping *m)
{
	struct sp_shm_object *o = m->inode ? object_of_mapping(l, m) : NULL;

	if (o)
		sp_shm_add_holder(l->s, o, l->p, m->end - m->start);
}

static int look_at(const struct sp_process *p, void *arg)
{
	struct sp_shm_store *s = arg;
	struct look l = {.s = s, .p = p, .ipc_ns = sp_process_ns(p, "ipc")};
	struct sp_maps maps = {};
	int by_fd = sp_process_for_each_file(p, take_open_file, &l);
	int by_map = sp_process_maps(p, &maps);

	if (s->look == 1)
		s->nr_hidden_processes += by_fd == -EACCES || by_map == -EACCES || by_fd == -EPERM || by_map == -EPERM;
	if (by_map == -ENOMEM)
		s->err = by_map;
	for (size_t i = 0; i < maps.nr; i++)
		take_mapping(&l, &maps.list[i]);
	sp_maps_done(&maps);
	return s->err;
}

void sp_shm_collect_holders(struct sp_shm_store *s)
{
	s->look++;
	if (!s->err)
		(void)sp_process_for_each(s->fs, look_at, s); /* that /proc can be listed is known by now */
}
