// SPDX-License-Identifier: Apache-2.0
/*
 * The agent's table of threads, seen from our side: where stacks begin, slots of threads that have ended, counters.
 *
 * A thread is known by its thread pointer, which lies on top of its stack (glibc, musl), so the mapping around it says
 * how far down the stack goes. A target that writes other addresses into the table harms nobody but itself.
 */
#include <errno.h>
#include <string.h>

#include "engines/agent/impl.h"

static size_t nr_slots(const struct sp_agent_data *d)
{
	return (size_t)1 << d->limits.thread_bits;
}

static uint64_t key_at(const struct sp_agent_data *d, size_t slot)
{
	return __atomic_load_n(&d->thread_keys[slot], __ATOMIC_RELAXED);
}

static uint64_t slot_offset(const struct sp_agent_data *d, size_t slot)
{
	return d->offsets[SP_AGENT_THREADS] + ((uint64_t)slot << SP_AGENT_THREAD_SHIFT);
}

bool sp_agent_threads_have_come(const struct sp_agent_threads *t, const struct sp_agent_data *d)
{
	for (size_t i = 0; i < nr_slots(d); i++)
		if (key_at(d, i) != __atomic_load_n(&t->known[i], __ATOMIC_RELAXED))
			return true;
	return false;
}

static void tell(const struct sp_agent_data *d, size_t slot, uint64_t lo)
{
	uint64_t offset = slot_offset(d, slot) + offsetof(struct sp_agent_thread, lo);

	(void)!pwrite(d->fd, &lo, sizeof(lo), (off_t)offset); /* else it stays with what it believes by itself */
}

void sp_agent_threads_update(struct sp_agent_threads *t, const struct sp_agent_data *d, const struct sp_maps *maps)
{
	t->nr_used = 0;
	for (size_t i = 0; i < nr_slots(d); i++) {
		uint64_t key = key_at(d, i);
		t->nr_used += key != 0;
		if (key == t->known[i])
			continue;
		__atomic_store_n(&t->known[i], key, __ATOMIC_RELAXED);
		t->was_used[i] |= key != 0;
		const struct sp_mapping *m = key ? sp_maps_find(maps, key - 1) : NULL;
		if (m && m->prot & SP_PROT_W)
			tell(d, i, m->start);
	}
}

bool sp_agent_threads_are_many(const struct sp_agent_threads *t, const struct sp_agent_data *d)
{
	return t->nr_used > nr_slots(d) / 4 * 3;
}

static bool is_alive(const struct sp_inject_threads *alive, uint64_t fs)
{
	for (size_t i = 0; i < alive->nr; i++)
		if (alive->list[i].fs_base == fs)
			return true;
	return false;
}

void sp_agent_threads_reclaim(struct sp_agent_threads *t, const struct sp_agent_data *d,
			      const struct sp_inject_threads *alive)
{
	for (size_t i = 0; i < nr_slots(d); i++) {
		uint64_t key = t->known[i];
		if (!key || is_alive(alive, key))
			continue;
		if (__atomic_compare_exchange_n(&d->thread_keys[i], &key, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			__atomic_store_n(&t->known[i], 0, __ATOMIC_RELAXED);
	}
}

static void add_all(uint64_t sums[SP_NR_LOST], const uint64_t more[SP_NR_LOST])
{
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		if (__builtin_add_overflow(sums[i], more[i], &sums[i]))
			sums[i] = UINT64_MAX;
}

void sp_agent_threads_lost(struct sp_agent_threads *t, const struct sp_agent_data *d, uint64_t ret[SP_NR_LOST])
{
	uint64_t lost[SP_NR_LOST];

	memset(ret, 0, sizeof(lost));
	if (!sp_agent_data_read(d, offsetof(struct sp_agent_header, lost), lost, sizeof(lost)))
		add_all(ret, lost);
	for (size_t i = 0; i < nr_slots(d); i++) {
		if (!t->was_used[i] && !key_at(d, i))
			continue;
		uint64_t offset = slot_offset(d, i) + offsetof(struct sp_agent_thread, lost);
		if (!sp_agent_data_read(d, offset, lost, sizeof(lost)))
			add_all(ret, lost);
	}
}
