// SPDX-License-Identifier: Apache-2.0
/* Call paths: from nodes of the agent's tree to the ledger. A node never changes once it is ready: copied once. */
#include <errno.h>
#include <string.h>

#include "engines/agent/impl.h"

#define COPIED_AT_ONCE 4096
#define ASK_AGAIN      UINT32_MAX /* in ids: counted, but its addresses are another library's at another time */

void sp_agent_paths_init(struct sp_agent_paths *p, struct sp_symbolizer *names)
{
	*p = (struct sp_agent_paths){.names = names};
	sp_vec_init(&p->nodes, sizeof(struct sp_agent_node), SP_AGENT_MAX_NODES);
	sp_vec_init(&p->ids, sizeof(uint32_t), SP_AGENT_MAX_NODES);
}

void sp_agent_paths_done(struct sp_agent_paths *p)
{
	sp_vec_done(&p->nodes);
	sp_vec_done(&p->ids);
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

/*
 * The pcs from a node outwards, as many as there is room for. False: a node is missing. Parents have smaller numbers,
 * so it comes to an end whatever the tree says.
 */
static bool collect(struct sp_agent_paths *p, const struct sp_agent_data *d, uint32_t node, uint64_t *pcs,
		    unsigned *ret_nr)
{
	unsigned nr = 0;

	while (node >= SP_AGENT_NR_ROOTS) {
		const struct sp_agent_node *n = node_at(p, d, node);
		if (!n || n->parent >= node)
			return false;
		if (nr < SP_MAX_FRAMES)
			pcs[nr++] = n->pc & SP_AGENT_PC_MASK;
		node = n->parent;
	}
	*ret_nr = nr;
	return node != SP_AGENT_NODE_NONE;
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
	uint64_t pcs[SP_MAX_FRAMES];
	uint32_t id, *known;
	unsigned nr;

	if (node >= p->ids.nr && (update(p, d) || node >= p->ids.nr))
		return SP_NO_PATH;
	follow_names(p);
	known = sp_vec_at(&p->ids, uint32_t, node);
	if (*known && *known != ASK_AGAIN)
		return *known - 1;
	if (!collect(p, d, node, pcs, &nr))
		return SP_NO_PATH;
	bool is_shared = sp_symbolizer_bind(p->names, pcs, nr, when_ns);
	if (sp_ledger_path(l, pcs, nr, &id))
		return SP_NO_PATH;
	*known = is_shared ? ASK_AGAIN : id + 1;
	return id;
}
