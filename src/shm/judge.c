// SPDX-License-Identifier: Apache-2.0
/*
 * How each object is held, and whether anybody still can free it.
 *
 *	mapped by anybody (the kernel counts attachments of segments itself)	mapped
 *	open in somebody							open
 *	segment, creator lives or cannot be known				idle: it may attach again
 *	segment, creator gone							leaked
 *	ordinary file in memory (not in /dev/shm, not of huge pages),
 *		small, or read or written of late				idle: files are made to stay
 *	else, all processes seen						leaked
 *	else, with processes that we may not look into:
 *		the kernel says that somebody has it open for writing		open
 *		the kernel says that nobody has					leaked
 *		the kernel does not say						unseen
 *
 * What the last but one does not notice: a process hidden from us that only reads what nobody else holds.
 */
#include "shm/impl.h"

static enum sp_shm_state ask_kernel(const struct sp_procfs *fs, const struct sp_shm_object *o)
{
	struct sp_process member;
	int r;

	if (sp_process_open(fs, o->member, &member) < 0)
		return SP_SHM_IS_UNSEEN;
	r = sp_process_file_has_writers(&member, o->name, o->dev, o->inode);
	close(member.dirfd);
	if (r < 0)
		return SP_SHM_IS_UNSEEN;
	return r ? SP_SHM_IS_OPEN : SP_SHM_IS_LEAKED;
}

/* What `rule` is about: struct sp_shm_rule. Its descriptor may be gone, its name is not. */
static bool is_forgotten(const struct sp_shm_object *o, const struct sp_shm_rule *rule, int64_t now_s)
{
	return o->resident >= rule->min_bytes && o->used_s >= 0 && now_s - o->used_s >= rule->unused_s;
}

static enum sp_shm_state state_of(const struct sp_procfs *fs, const struct sp_shm_object *o,
				  const struct sp_shm_rule *rule, int64_t now_s, bool is_blind)
{
	if (o->nr_attached || o->is_mapped)
		return SP_SHM_IS_MAPPED;
	if (o->is_open)
		return SP_SHM_IS_OPEN;
	if (o->kind == SP_SHM_SYSV)
		return o->creator_lives || !o->creator ? SP_SHM_IS_IDLE : SP_SHM_IS_LEAKED;
	if (o->kind == SP_SHM_TMPFS && !is_forgotten(o, rule, now_s))
		return SP_SHM_IS_IDLE;
	return is_blind ? ask_kernel(fs, o) : SP_SHM_IS_LEAKED;
}

/*
 * Does the process that made a segment live? Its pid may be another's by now: one that started after the segment was
 * made. `changed` is that time unless somebody changed its owner later, and in whole seconds.
 */
static bool creator_lives(const struct sp_procfs *fs, const struct sp_shm_object *o)
{
	struct sp_process p;

	if (!o->creator || sp_process_open(fs, o->creator, &p) < 0)
		return false;
	int64_t started = sp_process_started_s(fs, &p);
	close(p.dirfd);
	return started < 0 || started <= o->created_s + 1;
}

static int by_object(const void *a, const void *b)
{
	const struct sp_shm_holder *x = a, *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

void sp_shm_hand_out_holders(struct sp_shm_store *s)
{
	struct sp_shm_holder *list = s->holders.data;
	size_t nr = s->holders.nr;

	if (nr)
		qsort(list, nr, sizeof(*list), by_object);
	for (size_t i = 0, at = 0; i < s->objects.nr; i++) {
		struct sp_shm_object *o = sp_vec_at(&s->objects, struct sp_shm_object, i);

		o->holders = nr ? list + at : NULL;
		for (o->nr_holders = 0; at < nr && list[at].object == i; at++)
			o->nr_holders++;
	}
}

void sp_shm_judge(struct sp_shm_store *s, const struct sp_shm_rule *rule, int64_t now_s, bool others_exist)
{
	bool is_blind = others_exist || s->nr_hidden_processes || s->holders.nr_refused;

	for (size_t i = 0; i < s->objects.nr; i++) {
		struct sp_shm_object *o = sp_vec_at(&s->objects, struct sp_shm_object, i);

		o->creator_lives = o->kind == SP_SHM_SYSV && creator_lives(s->fs, o);
		o->state = state_of(s->fs, o, rule, now_s, is_blind);
	}
}
