// SPDX-License-Identifier: Apache-2.0
/* Meminfo's overlapping numbers as kinds of memory that do not overlap. */
#include "triage/triage.h"

static const char *const keys[SP_NR_MEM] = {
#define KEY(id, key, words) [SP_MEM_##id] = key,
    SP_MEM(KEY)
#undef KEY
};

static const char *const all_words[SP_NR_MEM] = {
#define WORDS(id, key, words) [SP_MEM_##id] = words,
    SP_MEM(WORDS)
#undef WORDS
};

const char *sp_mem_key(enum sp_mem kind)
{
	return keys[kind];
}

const char *sp_mem_words(enum sp_mem kind)
{
	return all_words[kind];
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/*
 * Cached holds Shmem. SwapCached is left out: those pages are still in AnonPages or Shmem when anybody maps them.
 * "Other" is what no counter claims: drivers' and network pages, vmalloc.
 */
struct sp_machine sp_machine_of(const struct sp_meminfo *m)
{
	struct sp_machine r = {
	    .total = m->total,
	    .free = m->free,
	    .available = m->available,
	    .swap_used = minus(m->swap_total, m->swap_free),
	    .committed = m->committed,
	    .mem =
		{
		    [SP_MEM_ANON] = m->anon,
		    [SP_MEM_CACHE] = minus(m->cached, m->shmem),
		    [SP_MEM_BUFFERS] = m->buffers,
		    [SP_MEM_SHMEM] = m->shmem,
		    [SP_MEM_SLAB_GIVES] = m->slab_reclaimable,
		    [SP_MEM_SLAB] = m->slab_unreclaimable,
		    [SP_MEM_TABLES] = m->page_tables + m->sec_page_tables,
		    [SP_MEM_STACKS] = m->kernel_stack,
		    [SP_MEM_PERCPU] = m->percpu,
		    [SP_MEM_HUGE] = m->hugetlb,
		    [SP_MEM_LISTS] = m->free_lists,
		},
	};
	uint64_t rest = minus(m->total, m->free);

	for (unsigned i = 0; i < SP_NR_MEM; i++)
		rest = minus(rest, r.mem[i]);
	r.mem[SP_MEM_OTHER] = rest;
	return r;
}
