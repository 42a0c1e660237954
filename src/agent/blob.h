// SPDX-License-Identifier: Apache-2.0
/* What every part of the agent stands on: the two structs at known distances, atomics, forbidden names. */
#ifndef SEEP_AGENT_BLOB_H
#define SEEP_AGENT_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/agent.h"

/* Written by our side; agent.ld says where. Hidden, also for the compiler: no table of addresses in between. */
extern const struct sp_agent_config sp_agent_config __attribute__((visibility("hidden")));
extern const volatile struct sp_agent_ctl sp_agent_ctl __attribute__((visibility("hidden")));

/*
 * The frame that a hook has on the stack while the original runs; made by entry.S. Agent code is left by siglongjmp and
 * by threads that end, so nothing may depend on its end being reached.
 */
struct sp_agent_call {
	const struct sp_agent_hook *hook;
	uint64_t args[4];
	uint64_t result;
	uint64_t cookie;           /* its own address while the original runs */
	uint64_t mean;             /* of the sampling that chose this call; 0: none, it is one of all */
	struct sp_agent_value old; /* realloc: what was known of the old block */
	uint64_t has_old;
	uint64_t is_recorded; /* realloc: the new block is to be */
	uint64_t return_address;
};

#define COLD   __attribute__((noinline, cold))
#define INLINE static inline __attribute__((always_inline))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Other threads and our process change these words: each access is one of the machine's. */
#define LOAD(p)            __atomic_load_n((p), __ATOMIC_RELAXED)
#define STORE(p, v)        __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define ADD(p, v)          __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define CAS(p, old, value) __atomic_compare_exchange_n((p), (old), (value), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

#pragma GCC poison malloc free calloc realloc printf fprintf abort exit errno memcpy memset syscall

INLINE struct sp_agent_header *header(void)
{
	return (struct sp_agent_header *)sp_agent_config.header;
}

INLINE void *area(enum sp_agent_area which)
{
	return (void *)sp_agent_config.areas[which];
}

INLINE bool is_agent_code(uint64_t pc)
{
	return pc - sp_agent_config.code < sp_agent_config.code_end - sp_agent_config.code;
}

/* A thread without state of its own counts in the header. */
static inline void count_lost(struct sp_agent_thread *t, enum sp_lost_id id)
{
	if (t)
		t->lost[id]++;
	else
		ADD(&header()->lost[id], 1);
}

#endif
