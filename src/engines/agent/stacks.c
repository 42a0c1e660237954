// SPDX-License-Identifier: Apache-2.0
/*
 * Where stacks may be that are no thread's own: signal stacks, coroutines. The agent reads a stack only as far as its
 * mapping goes, so all that might hold one are told to it, in a list of two halves that is switched by one store.
 */
#include "engines/agent/impl.h"

/* Memory of a device may change by being read. */
static bool may_hold_a_stack(const struct sp_mapping *m)
{
	return m->prot & SP_PROT_R && m->prot & SP_PROT_W && !(m->prot & SP_PROT_SHARED);
}

void sp_agent_stacks_publish(const struct sp_agent_data *d, const struct sp_maps *maps)
{
	struct sp_agent_header *h = d->header;
	uint32_t gen = h->stacks_gen + 1, nr = 0;
	uint64_t *list = (uint64_t *)(void *)((char *)d->front + d->offsets[SP_AGENT_STACKS]) +
			 (size_t)(gen & 1) * SP_AGENT_MAX_STACKS;

	for (size_t i = 0; maps && i < maps->nr && nr < SP_AGENT_MAX_STACKS; i++)
		if (may_hold_a_stack(&maps->list[i]))
			list[nr++] = sp_agent_stack(maps->list[i].start, maps->list[i].end);
	h->nr_stacks[gen & 1] = nr;
	__atomic_store_n(&h->stacks_gen, gen, __ATOMIC_SEQ_CST);
}
