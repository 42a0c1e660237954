// SPDX-License-Identifier: Apache-2.0
/* The store: objects, each once, and their holders. */
#include <errno.h>
#include <string.h>
#include <sys/shm.h>

#include "shm/impl.h"

const char *sp_shm_kind_key(enum sp_shm_kind k)
{
	static const char *const keys[] = {
#define KEY(id, key, text) [SP_SHM_##id] = key,
	    SP_SHM_KINDS(KEY)
#undef KEY
	};

	return keys[k];
}

const char *sp_shm_state_key(enum sp_shm_state s)
{
	static const char *const keys[] = {
#define KEY(id, key, text) [SP_SHM_IS_##id] = key,
	    SP_SHM_STATES(KEY)
#undef KEY
	};

	return keys[s];
}

/* The finaliser of MurmurHash3 (Austin Appleby, public domain): every bit of the input reaches every bit. */
static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccd;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53;
	return h ^ h >> 33;
}

uint64_t sp_shm_key(uint64_t a, uint64_t b)
{
	return mix(mix(a) ^ b);
}

/* True when it went in; failures are remembered or counted. */
static bool went_in(struct sp_shm_store *s, int r)
{
	if (r == -ENOSPC)
		s->nr_skipped++;
	else if (r < 0)
		s->err = r;
	return r == 0;
}

const char *sp_shm_keep_name(struct sp_shm_store *s, const char *name)
{
	sp_autofree char *copy = strdup(name);

	if (!went_in(s, copy ? 0 : -ENOMEM) || !went_in(s, sp_vec_push(&s->names, &copy)))
		return NULL;
	return sp_take_ptr(copy);
}

static struct sp_shm_object *object_at(const struct sp_shm_store *s, const uint64_t *index)
{
	return index ? sp_vec_at(&s->objects, struct sp_shm_object, *index) : NULL;
}

struct sp_shm_object *sp_shm_find_file(const struct sp_shm_store *s, uint64_t dev, uint64_t inode)
{
	return object_at(s, sp_u64map_find(&s->by_file, sp_shm_key(dev, inode)));
}

struct sp_shm_object *sp_shm_find_segment(const struct sp_shm_store *s, uint64_t ipc_ns, uint32_t id)
{
	return object_at(s, sp_u64map_find(&s->by_segment, sp_shm_key(ipc_ns, id)));
}

static void add(struct sp_shm_store *s, struct sp_u64map *map, uint64_t key, const struct sp_shm_object *o)
{
	size_t index = s->objects.nr;

	if (went_in(s, sp_vec_push(&s->objects, o)) && !went_in(s, sp_u64map_set(map, key, index)))
		s->objects.nr--;
}

void sp_shm_add_file(struct sp_shm_store *s, enum sp_shm_kind kind, const struct sp_open_file *f, pid_t member)
{
	struct sp_shm_object o = {
	    .kind = kind,
	    .dev = f->dev,
	    .inode = f->inode,
	    .size = f->size,
	    .resident = f->allocated,
	    .deleted = f->deleted,
	    .uid = f->uid,
	    .created_s = f->created_s,
	    .used_s = f->used_s,
	    .member = member,
	};

	if (s->err || sp_shm_find_file(s, f->dev, f->inode))
		return;
	o.name = sp_shm_keep_name(s, f->path);
	if (o.name)
		add(s, &s->by_file, sp_shm_key(f->dev, f->inode), &o);
}

void sp_shm_add_segment(struct sp_shm_store *s, const struct sp_sysv_shm *seg, uint64_t ipc_ns, pid_t member)
{
	int64_t used = seg->attached_s > seg->detached_s ? seg->attached_s : seg->detached_s;
	struct sp_shm_object o = {
	    .kind = SP_SHM_SYSV,
	    .size = seg->size,
	    .resident = seg->resident,
	    .swapped = seg->swapped,
	    .deleted = seg->mode & SHM_DEST,
	    .uid = seg->uid,
	    .created_s = seg->changed_s,
	    .used_s = used > 0 ? used : seg->changed_s,
	    .member = member,
	    .id = seg->id,
	    .key = seg->key,
	    .mode = seg->mode & 0777,
	    .ipc_ns = ipc_ns,
	    .nr_attached = seg->nr_attached,
	    .creator = seg->creator,
	    .last = seg->last,
	    .attached_s = seg->attached_s,
	    .detached_s = seg->detached_s,
	};

	if (!s->err && !sp_shm_find_segment(s, ipc_ns, seg->id))
		add(s, &s->by_segment, sp_shm_key(ipc_ns, seg->id), &o);
}

/* The place for one; NULL: no room. */
static struct sp_shm_holder *holder_of(struct sp_shm_store *s, size_t object, const struct sp_process *p)
{
	uint64_t key = sp_shm_key(object, (uint64_t)p->pid);
	struct sp_shm_holder h = {.object = object, .pid = p->pid};
	const uint64_t *index = sp_u64map_find(&s->by_holder, key);

	if (index)
		return sp_vec_at(&s->holders, struct sp_shm_holder, *index);
	memcpy(h.comm, p->comm, sizeof(h.comm));
	if (!went_in(s, sp_vec_push(&s->holders, &h)))
		return NULL;
	if (!went_in(s, sp_u64map_set(&s->by_holder, key, s->holders.nr - 1))) {
		s->holders.nr--;
		return NULL;
	}
	return sp_vec_at(&s->holders, struct sp_shm_holder, s->holders.nr - 1);
}

void sp_shm_add_holder(struct sp_shm_store *s, struct sp_shm_object *o, const struct sp_process *p, uint64_t mapped)
{
	size_t object = (size_t)(o - sp_vec_at(&s->objects, struct sp_shm_object, 0));
	struct sp_shm_holder *h = s->err ? NULL : holder_of(s, object, p);

	o->is_mapped = o->is_mapped || mapped;
	o->is_open = o->is_open || !mapped;
	if (!h)
		return;
	if (h->look != s->look) {
		h->look = s->look;
		h->mapped = 0;
		h->nr_maps = h->nr_open = 0;
	}
	h->mapped += mapped;
	if (mapped)
		h->nr_maps++;
	else
		h->nr_open++;
}
