// SPDX-License-Identifier: Apache-2.0
/* Mapping events: from the agent's ring to the list of live mappings. */
#include <string.h>

#include "engines/agent/impl.h"

#define NR_EVENTS (1u << SP_AGENT_RING_BITS)
#define STUCK_NS  1000000000ull /* an event that has been begun and does not come: its thread was torn away */

void sp_agent_events_init(struct sp_agent_events *e)
{
	*e = (struct sp_agent_events){0};
	sp_watch_mappings_init(&e->mappings);
}

void sp_agent_events_done(struct sp_agent_events *e)
{
	sp_watch_mappings_done(&e->mappings);
}

static int take(struct sp_agent_events *e, const struct sp_agent_event *ev, const struct sp_agent_reading *r)
{
	uint32_t tick = ev->tick < r->now ? ev->tick : r->now;
	struct sp_block b = {.addr = ev->addr,
			     .size = ev->size,
			     .birth_ns = r->begin_ns + (uint64_t)tick * SP_AGENT_TICK_NS,
			     .fn = ev->fn < SP_NR_FNS ? (uint16_t)ev->fn : SP_NR_FNS};

	switch (ev->kind) {
	case SP_AGENT_EV_MAP:
		b.path = sp_agent_paths_id(r->paths, r->data, r->ledger, ev->node, b.birth_ns);
		return sp_watch_mappings_add(&e->mappings, &b);
	case SP_AGENT_EV_UNMAP:
		return sp_watch_mappings_remove(&e->mappings, ev->thread, ev->addr, ev->size);
	case SP_AGENT_EV_UNDO:
		return sp_watch_mappings_undo(&e->mappings, ev->thread);
	default:
		return 0;
	}
}

/* The next event has not come. True: it never will. */
static bool is_stuck(struct sp_agent_events *e, const struct sp_agent_data *d, uint64_t now_ns)
{
	if (__atomic_load_n(&d->header->ring_head, __ATOMIC_RELAXED) == e->tail) {
		e->stuck_ns = 0;
		return false;
	}
	if (!e->stuck_ns)
		e->stuck_ns = now_ns;
	return now_ns - e->stuck_ns > STUCK_NS;
}

void sp_agent_events_drain(struct sp_agent_events *e, const struct sp_agent_reading *r, uint64_t now_ns)
{
	const struct sp_agent_data *d = r->data;

	for (unsigned i = 0; i < NR_EVENTS; i++) {
		const struct sp_agent_event *there = &d->ring[e->tail % NR_EVENTS];
		struct sp_agent_event ev;
		if (__atomic_load_n(&there->seq, __ATOMIC_ACQUIRE) != e->tail + 1) {
			if (!is_stuck(e, d, now_ns))
				break;
			e->nr_refused++;
		} else {
			memcpy(&ev, there, sizeof(ev));
			e->nr_refused += take(e, &ev, r) != 0;
		}
		e->stuck_ns = 0;
		e->tail++;
	}
	__atomic_store_n(&d->header->ring_tail, e->tail, __ATOMIC_RELEASE);
}
