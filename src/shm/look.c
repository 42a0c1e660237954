// SPDX-License-Identifier: Apache-2.0
/*
 * One look at all shared memory.
 *
 * Names first, holders second: what has a name when the holders are looked for can only be missing one that came and
 * went, never one that was there all the time. A process may still hand something on while we go through the list, to
 * one that we have passed; so what nobody seems to hold is looked for once more, and both looks must agree.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "shm/impl.h"

/* PROC_PID_INIT_INO of include/linux/proc_ns.h; the same since 3.8. */
static const uint64_t INITIAL_PID_NS = 0xeffffffc;

static struct sp_shm_store *store_new(const struct sp_procfs *fs)
{
	struct sp_shm_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fs = fs;
	sp_vec_init(&s->objects, sizeof(struct sp_shm_object), SP_SHM_MAX_OBJECTS);
	sp_vec_init(&s->holders, sizeof(struct sp_shm_holder), SP_SHM_MAX_HOLDERS);
	sp_vec_init(&s->names, sizeof(char *), SP_SHM_MAX_OBJECTS);
	sp_u64map_init(&s->by_file, SP_SHM_MAX_OBJECTS);
	sp_u64map_init(&s->by_segment, SP_SHM_MAX_OBJECTS);
	sp_u64map_init(&s->by_holder, SP_SHM_MAX_HOLDERS);
	sp_u64map_init(&s->ipc_seen, SP_SHM_MAX_NS);
	sp_u64map_init(&s->mnt_seen, SP_SHM_MAX_NS);
	sp_u64map_init(&s->mounts_seen, SP_SHM_MAX_NS);
	sp_u64map_init(&s->devs, SP_SHM_MAX_NS);
	return s;
}

static void store_free(struct sp_shm_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->names.nr; i++)
		free(*sp_vec_at(&s->names, char *, i));
	sp_vec_done(&s->objects);
	sp_vec_done(&s->holders);
	sp_vec_done(&s->names);
	sp_u64map_done(&s->by_file);
	sp_u64map_done(&s->by_segment);
	sp_u64map_done(&s->by_holder);
	sp_u64map_done(&s->ipc_seen);
	sp_u64map_done(&s->mnt_seen);
	sp_u64map_done(&s->mounts_seen);
	sp_u64map_done(&s->devs);
	free(s);
}

static bool has_leaked_file(const struct sp_shm_store *s)
{
	for (size_t i = 0; i < s->objects.nr; i++) {
		const struct sp_shm_object *o = sp_vec_at(&s->objects, struct sp_shm_object, i);

		if (o->kind != SP_SHM_SYSV && o->state == SP_SHM_IS_LEAKED)
			return true;
	}
	return false;
}

static uint64_t held_bytes(const struct sp_shm_object *o)
{
	uint64_t sum;

	return __builtin_add_overflow(o->resident, o->swapped, &sum) ? UINT64_MAX : sum;
}

static int by_state(const void *a, const void *b)
{
	const struct sp_shm_object *x = a, *y = b;
	uint64_t bx = held_bytes(x), by = held_bytes(y);

	if (x->state != y->state)
		return x->state < y->state ? -1 : 1;
	if (bx != by)
		return bx > by ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->kind == SP_SHM_SYSV)
		return (x->id > y->id) - (x->id < y->id);
	return strcmp(x->name, y->name);
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

static void summarise(struct sp_shm *r)
{
	for (size_t i = 0; i < r->nr; i++) {
		const struct sp_shm_object *o = &r->list[i];

		r->total_bytes = saturating_add(r->total_bytes, held_bytes(o));
		if (o->state != SP_SHM_IS_LEAKED)
			continue;
		r->nr_leaked++;
		r->leaked_bytes = saturating_add(r->leaked_bytes, held_bytes(o));
	}
}

int sp_shm_look(const struct sp_procfs *fs, const struct sp_shm_rule *rule, struct sp_shm *ret, struct sp_why *why)
{
	int64_t now_s = (int64_t)time(NULL);
	struct sp_shm_store *s = store_new(fs);
	uint64_t pid_ns = sp_proc_ns(fs, 0, "pid");
	bool others_exist = pid_ns && pid_ns != INITIAL_PID_NS;

	if (!s)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	sp_shm_collect_named(s);
	sp_shm_collect_holders(s);
	sp_shm_judge(s, rule, now_s, others_exist);
	if (has_leaked_file(s)) {
		sp_shm_collect_holders(s);
		sp_shm_judge(s, rule, now_s, others_exist);
	}
	sp_shm_hand_out_holders(s);
	if (s->err) {
		int err = s->err;

		store_free(s);
		return sp_why_set(why, SP_FAULT_OURS, -err, "cannot list shared memory: %s", strerror(-err));
	}
	*ret = (struct sp_shm){
	    .list = s->objects.data,
	    .nr = s->objects.nr,
	    .now_s = now_s,
	    .nr_hidden_processes = s->nr_hidden_processes,
	    .nr_hidden_ns = s->nr_hidden_ns,
	    .nr_skipped = s->nr_skipped,
	    .others_exist = others_exist,
	    .store = s,
	};
	if (ret->nr)
		qsort(ret->list, ret->nr, sizeof(ret->list[0]), by_state);
	summarise(ret);
	return 0;
}

void sp_shm_done(struct sp_shm *s)
{
	store_free(s->store);
	*s = (struct sp_shm){};
}
