/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For victims that know which of their blocks nothing points to: they keep the addresses where no pointer is (xored),
 * and say them at the end.
 *
 *   {"event":"truth","kind":"tree","what":"lost","address":"0x...","size":S}
 *
 * what: "lost" nothing leads to it from a root; "held" something does; "middle" only a pointer into its middle;
 * "hidden" only what is no pointer any more; "free" given back, wherever the allocator keeps it.
 */
#ifndef SEEP_TESTS_TRUTH_H
#define SEEP_TESTS_TRUTH_H

#include <pthread.h>

#include "victim.h"

#define TRUTH_KEY 0x5a5aa5a5c3c33c3cull

enum { TRUTH_MAX = 1 << 16, TRUTH_SCRUB = 200 << 10 };

static struct truth {
	uint64_t hidden;
	uint32_t size;
	const char *kind, *what;
} truths[TRUTH_MAX];
static size_t nr_truths;
static pthread_mutex_t truth_lock = PTHREAD_MUTEX_INITIALIZER;

#define truth_hide(p)                   ((uint64_t)(uintptr_t)(p) ^ TRUTH_KEY)
#define truth_note(kind, what, p, size) truth_keep(kind, what, truth_hide(p), size)

VICTIM_NOINLINE static void truth_keep(const char *kind, const char *what, uint64_t hidden, size_t size)
{
	pthread_mutex_lock(&truth_lock);
	if (nr_truths < TRUTH_MAX)
		truths[nr_truths++] =
		    (struct truth){.hidden = hidden, .size = (uint32_t)size, .kind = kind, .what = what};
	pthread_mutex_unlock(&truth_lock);
}

/* Stale copies of pointers in this thread's unused stack and in vector registers go. */
VICTIM_NOINLINE static void truth_scrub(void)
{
	volatile char room[TRUTH_SCRUB];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0;
	VICTIM_USE(&room);
	__asm__ volatile(
	    "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
	    "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t"
	    "pxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\tpxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t"
	    "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\tpxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15"
	    :
	    :
	    : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
	      "xmm13", "xmm14", "xmm15");
}

VICTIM_NOINLINE static void truth_say(void)
{
	for (size_t i = 0; i < nr_truths; i++)
		victim_say("{\"event\":\"truth\",\"kind\":\"%s\",\"what\":\"%s\",\"address\":\"0x%llx\",\"size\":%u}\n",
			   truths[i].kind, truths[i].what, (unsigned long long)(truths[i].hidden ^ TRUTH_KEY),
			   truths[i].size);
	truth_scrub();
}

#endif
