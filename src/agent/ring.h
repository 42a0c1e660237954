// SPDX-License-Identifier: Apache-2.0
/* Mapping events on their way to our side. Many writers, none waits; what finds no room is counted. */
#ifndef SEEP_AGENT_RING_H
#define SEEP_AGENT_RING_H

#include "threads.h"

static void ring_put(struct sp_agent_thread *t, uint32_t kind, uint32_t fn, uint64_t addr, uint64_t size, uint32_t node)
{
	struct sp_agent_header *h = header();
	uint64_t nr = LOAD(&h->ring_head);

	do {
		/* Signed: since we looked at the head the tail may have gone past it, and then the CAS fails. */
		if ((int64_t)(nr - LOAD(&h->ring_tail)) >= 1 << SP_AGENT_RING_BITS) {
			count_lost(t, SP_LOST_EVENTS);
			return;
		}
	} while (!CAS(&h->ring_head, &nr, nr + 1));
	struct sp_agent_event *e = (struct sp_agent_event *)area(SP_AGENT_RING) + nr % (1u << SP_AGENT_RING_BITS);
	e->addr = addr;
	e->size = size;
	e->node = node;
	e->tick = LOAD(&h->tick);
	e->kind = kind;
	e->fn = fn;
	e->thread = thread_number(t);
	STORE(&e->seq, nr + 1);
}

#endif
