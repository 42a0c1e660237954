// SPDX-License-Identifier: Apache-2.0
/*
 * A thread's state, found by its thread pointer in a table of open addressing; and what is known of its stack.
 *
 * The thread pointer (fs:0, System V ABI, x86-64 TLS: the TCB's first word is its own address) is as fast a key as a
 * pointer kept in the TCB would be, about 1 ns, and touches nothing of the target's. Slots of threads that have ended
 * are emptied by our side; a thread whose slot another's emptying has hidden from it takes a second one, which costs
 * nothing but the slot.
 *
 * Reading a stack must never fault. glibc and musl put a thread's TCB on top of its stack, so all from sp to the thread
 * pointer is the stack, if sp is in it at all. Our side says where it begins when it has seen the thread; until then
 * only the last SP_NEAR_TOP bytes are believed, because a coroutine's stack may lie anywhere else.
 */
#ifndef SEEP_AGENT_THREADS_H
#define SEEP_AGENT_THREADS_H

#include "blob.h"

#define SP_NEAR_TOP    (64 << 10)
#define SP_MAX_PROBES  32
#define SP_THREAD_HASH 0x9e3779b1u /* 32 bits of the golden ratio; entry.S does the same */

INLINE uint64_t thread_pointer(void)
{
	uint64_t fs;

	__asm__ volatile("mov %%fs:0, %0" : "=r"(fs)); /* volatile: a coroutine may go on in another thread */
	return fs;
}

INLINE uint32_t thread_home(uint64_t fs)
{
	return ((uint32_t)(fs >> 6) * SP_THREAD_HASH >> 20) & sp_agent_config.thread_mask;
}

INLINE struct sp_agent_thread *thread_at(uint32_t slot)
{
	return (struct sp_agent_thread *)(sp_agent_config.areas[SP_AGENT_THREADS] +
					  ((uint64_t)slot << SP_AGENT_THREAD_SHIFT));
}

static COLD struct sp_agent_thread *thread_search(uint64_t fs)
{
	uint64_t *keys = area(SP_AGENT_THREAD_KEYS);
	uint32_t slot = thread_home(fs);

	for (int i = 0; i < SP_MAX_PROBES; i++) {
		uint64_t key = LOAD(&keys[slot]);
		if (!key && CAS(&keys[slot], &key, fs)) {
			struct sp_agent_thread *t = thread_at(slot);
			t->lo = 0;
			t->busy = 0;
			t->nr_frames = 0;
			t->is_counting = 0;
			t->countdown = 0;
			if (!t->random)
				t->random = sp_agent_mix(fs) | 1;
			return t;
		}
		if (key == fs)
			return thread_at(slot);
		slot = (slot + 1) & sp_agent_config.thread_mask;
	}
	return NULL;
}

/* NULL: the table is full. */
INLINE struct sp_agent_thread *thread_of(uint64_t fs)
{
	const uint64_t *keys = area(SP_AGENT_THREAD_KEYS);
	uint32_t slot = thread_home(fs);

	return LIKELY(LOAD(&keys[slot]) == fs) ? thread_at(slot) : thread_search(fs);
}

static inline uint32_t thread_number(const struct sp_agent_thread *t)
{
	if (!t)
		return 0;
	return 1 + (uint32_t)(((uint64_t)t - sp_agent_config.areas[SP_AGENT_THREADS]) >> SP_AGENT_THREAD_SHIFT);
}

/* The end of the stack that sp is in; 0: not known. */
INLINE uint64_t stack_end(const struct sp_agent_thread *t, uint64_t fs, uint64_t sp)
{
	uint64_t lo = LOAD(&t->lo);

	if (sp < fs && sp >= (lo ? lo : fs - SP_NEAR_TOP))
		return fs;
	if (sp - sp_agent_config.main_lo < sp_agent_config.main_hi - sp_agent_config.main_lo)
		return sp_agent_config.main_hi;
	return 0;
}

#endif
