// SPDX-License-Identifier: Apache-2.0
/* Call paths: from nodes of the agent's tree to the ledger. A node never changes once it is ready: copied once. */
#include <errno.h>
#include <string.h>

#include "engines/agent/impl.h"

#define COPIED_AT_ONCE 4096
#define ASK_AGAIN      UINT32_MAX /* in ids: its addresses are another library's at another time; or unfinished */
#define MAX_FINISHED   (64u << 10)
#define MAX_STALE      4096

void sp_agent_paths_init(struct sp_agent_paths *p, struct sp_symbolizer *names)
{
	*p = (struct sp_agent_paths){.names = names};
	sp_vec_init(&p->nodes, sizeof(struct sp_agent_node), SP_AGENT_MAX_NODES);
	sp_vec_init(&p->ids, sizeof(uint32_t), SP_AGENT_MAX_NODES);
	sp_u64map_init(&p->finished, MAX_FINISHED);
	sp_vec_init(&p->finished_pcs, sizeof(uint64_t), 32u * MAX_FINISHED);
	sp_vec_init(&p->stale, sizeof(struct sp_agent_stale), MAX_STALE);
}

void sp_agent_paths_done(struct sp_agent_paths *p)
{
	sp_vec_done(&p->nodes);
	sp_vec_done(&p->ids);
	sp_u64map_done(&p->finished);
	sp_vec_done(&p->finished_pcs);
	sp_vec_done(&p->stale);
}

static int append(struct sp_agent_paths *p, const struct sp_agent_data *d, uint32_t nr)
{
	const uint32_t none = 0;
	size_t at = p->nodes.nr;
	int err = sp_vec_reserve(&p->nodes, at + nr);

	if (!err)
		err = sp_vec_reserve(&p->ids, at + nr);
	if (!err)
		err = sp_agent_data_read(d, d->offsets[SP_AGENT_NODES] + at * sizeof(struct sp_agent_node),
					 sp_vec_at(&p->nodes, struct sp_agent_node, at),
					 nr * sizeof(struct sp_agent_node));
	for (uint32_t i = 0; i < nr && !err; i++)
		err = sp_vec_push(&p->ids, &none);
	if (!err)
		p->nodes.nr += nr;
	return err;
}

/* Copies the nodes that have come since. */
static int update(struct sp_agent_paths *p, const struct sp_agent_data *d)
{
	uint32_t nr = __atomic_load_n(&d->header->nr_nodes, __ATOMIC_ACQUIRE);
	int err = 0;

	if (nr > d->limits.max_nodes)
		nr = d->limits.max_nodes;
	while (p->nodes.nr < nr && !err) {
		uint32_t more = nr - (uint32_t)p->nodes.nr;
		err = append(p, d, more < COPIED_AT_ONCE ? more : COPIED_AT_ONCE);
	}
	return err;
}

/* NULL: it is not there, or not ready. */
static const struct sp_agent_node *node_at(struct sp_agent_paths *p, const struct sp_agent_data *d, uint32_t nr)
{
	struct sp_agent_node *n, again;

	if (nr >= p->nodes.nr)
		return NULL;
	n = sp_vec_at(&p->nodes, struct sp_agent_node, nr);
	if (!n->ready && !sp_agent_data_read(d, d->offsets[SP_AGENT_NODES] + nr * sizeof(again), &again, sizeof(again)))
		*n = again;
	return n->ready ? n : NULL;
}

/* ---- walks that were finished by us ---- */

void sp_agent_paths_finish(struct sp_agent_paths *p, uint32_t node, const uint64_t *pcs, unsigned nr)
{
	const uint64_t at = p->finished_pcs.nr, length = nr;

	if (node < SP_AGENT_NR_ROOTS || !nr || nr > SP_MAX_FRAMES ||
	    sp_vec_reserve(&p->finished_pcs, p->finished_pcs.nr + 1 + nr) || sp_u64map_set(&p->finished, node, at))
		return;
	uint64_t *to = sp_vec_at(&p->finished_pcs, uint64_t, at);
	to[0] = length;
	memcpy(to + 1, pcs, nr * sizeof(*pcs));
	p->finished_pcs.nr += 1 + nr;
}

/* 0: it is not finished. */
static unsigned finished(const struct sp_agent_paths *p, uint32_t node, uint64_t *pcs)
{
	const uint64_t *at = sp_u64map_find(&p->finished, node);

	if (!at)
		return 0;
	const uint64_t *from = sp_vec_at(&p->finished_pcs, uint64_t, *at);
	memcpy(pcs, from + 1, from[0] * sizeof(*pcs));
	return (unsigned)from[0];
}

/* ---- paths of nodes ---- */

/*
 * The pcs from a node outwards, as many as there is room for. False: a node is missing. Parents have smaller numbers,
 * so it comes to an end whatever the tree says. *ret_is_final: not a part of a path that is still to be finished.
 */
static bool collect(struct sp_agent_paths *p, const struct sp_agent_data *d, uint32_t node, uint64_t *pcs,
		    unsigned *ret_nr, bool *ret_is_final)
{
	unsigned nr = finished(p, node, pcs);

	*ret_nr = nr;
	*ret_is_final = true;
	if (nr)
		return true;
	while (node >= SP_AGENT_NR_ROOTS) {
		const struct sp_agent_node *n = node_at(p, d, node);
		if (!n || n->parent >= node)
			return false;
		if (nr < SP_MAX_FRAMES)
			pcs[nr++] = n->pc & SP_AGENT_PC_MASK;
		node = n->parent;
	}
	*ret_nr = nr;
	*ret_is_final = node != SP_AGENT_ROOT_UNFINISHED;
	return node != SP_AGENT_NODE_NONE;
}

/* ---- paths through code that was another's ---- */

void sp_agent_paths_stale(struct sp_agent_paths *p, const struct sp_agent_stale *s)
{
	struct sp_vec *v = &p->stale;

	if (v->data && v->nr == v->max) { /* half of the old ones make room at once */
		size_t nr = v->nr / 2;
		memmove(v->data, sp_vec_at(v, struct sp_agent_stale, nr), (v->nr - nr) * sizeof(*s));
		v->nr -= nr;
	}
	(void)!sp_vec_push(v, s);
}

static bool is_stale(const struct sp_agent_paths *p, uint64_t pc, uint64_t when_ns)
{
	for (size_t i = p->stale.nr; i-- > 0;) {
		const struct sp_agent_stale *s = sp_vec_at(&p->stale, struct sp_agent_stale, i);
		if (when_ns >= s->until_ns)
			return false;
		if (when_ns >= s->from_ns && pc > s->start && pc <= s->end)
			return true;
	}
	return false;
}

/* Of `nr` frames, after names were bound, those that are certain: up to the first in such code. */
static unsigned certain(struct sp_agent_paths *p, const uint64_t *plain, const uint64_t *bound, unsigned nr,
			uint64_t when_ns)
{
	for (unsigned i = 0; i + 1 < nr; i++)
		if (sp_symbolizer_is_unseen(bound[i]) || is_stale(p, plain[i], when_ns)) {
			p->nr_cut_short++;
			return i + 1;
		}
	return nr;
}

/* Libraries have come to addresses of others: what was found before is looked up again. */
static void follow_names(struct sp_agent_paths *p)
{
	uint64_t epoch = sp_symbolizer_epoch(p->names, UINT64_MAX);

	if (epoch == p->epoch)
		return;
	p->epoch = epoch;
	for (size_t i = 0; i < p->ids.nr; i++) {
		uint32_t *known = sp_vec_at(&p->ids, uint32_t, i);
		*known = *known ? ASK_AGAIN : 0;
	}
}

uint32_t sp_agent_paths_id(struct sp_agent_paths *p, const struct sp_agent_data *d, struct sp_ledger *l, uint32_t node,
			   uint64_t when_ns)
{
	uint64_t pcs[SP_MAX_FRAMES], plain[SP_MAX_FRAMES];
	uint32_t id, *known;
	bool is_final;
	unsigned nr;

	if (node >= p->ids.nr && (update(p, d) || node >= p->ids.nr))
		return SP_NO_PATH;
	follow_names(p);
	known = sp_vec_at(&p->ids, uint32_t, node);
	if (*known && *known != ASK_AGAIN)
		return *known - 1;
	if (!collect(p, d, node, pcs, &nr, &is_final))
		return SP_NO_PATH;
	memcpy(plain, pcs, nr * sizeof(*pcs));
	bool is_shared = sp_symbolizer_bind(p->names, pcs, nr, when_ns);
	if (is_shared)
		nr = certain(p, plain, pcs, nr, when_ns);
	if (sp_ledger_path(l, pcs, nr, &id))
		return SP_NO_PATH;
	*known = is_shared || !is_final ? ASK_AGAIN : id + 1;
	return id;
}
