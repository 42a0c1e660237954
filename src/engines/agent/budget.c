// SPDX-License-Identifier: Apache-2.0
/*
 * How much memory watching may take in the target, and how the agent's tables share it.
 *
 * Their pages belong to the target's cgroup and are made when they are first touched, in the target, where a refusal
 * would kill it. So the budget stays far below every limit. Where pages may be refused even so (strict overcommit, a
 * limit that is nearly reached) all of them are made beforehand, by us and at the expense of our own cgroup, and the
 * tables are small: blocks in the hash, without a shadow.
 */
#include <errno.h>
#include <unistd.h>

#include "engines/agent/impl.h"
#include "proc/system.h"

#define DEFAULT_MEMORY  (256ull << 20)
#define LEAST_MEMORY    (16ull << 20)
#define ROOMY           (64ull << 20)
#define PART_OF_LIMIT   10
#define MADE_BEFOREHAND (32ull << 20)  /* for blocks and paths */
#define LEAST_LEFT      (1ull << 20)   /* the agent's code and its trampolines are the target's */
#define LEAST_LEFT_HERE (256ull << 20) /* where the limit is ours, too */
#define MOST_ADDRESS    (64ull << 30)
#define LEAST_ADDRESS   (64ull << 20)
#define MAX_NODES       (1u << 20)
#define MAX_SHADOWS     4096 /* 128 GB of heap */

/* ---- limits of the target ---- */

struct room {
	uint64_t limit, left; /* of the machine or of its cgroup, whichever has less */
	bool is_ours;         /* we are in that cgroup, too, or it is the machine's */
};

static void take_cgroup(struct sp_proc *p, struct room *r)
{
	struct sp_cgroup_limit limit;
	struct sp_cgroups *c;

	if (sp_cgroups_open(NULL, &c, NULL))
		return;
	unsigned theirs = sp_cgroup_of(c, sp_proc_pid(p));
	if (sp_cgroup_limit_read(c, theirs, &limit)) {
		uint64_t used = limit.used_bytes - limit.reclaimable_bytes;
		uint64_t left = limit.limit_bytes > used ? limit.limit_bytes - used : 0;
		r->limit = limit.limit_bytes < r->limit ? limit.limit_bytes : r->limit;
		r->is_ours = left >= r->left || sp_cgroup_of(c, getpid()) == theirs;
		r->left = left < r->left ? left : r->left;
	}
	sp_cgroups_close(c);
}

static struct room room_of(struct sp_proc *p)
{
	struct room r = {.limit = UINT64_MAX, .left = UINT64_MAX, .is_ours = true};
	struct sp_meminfo m;

	if (!sp_meminfo_read(NULL, &m, NULL))
		r = (struct room){.limit = m.total, .left = m.available ? m.available : m.free, .is_ours = true};
	take_cgroup(p, &r);
	return r;
}

static uint64_t address_space_left(struct sp_proc *p)
{
	uint64_t limit = sp_proc_limit(p, "Max address space"), used = sp_proc_virtual_bytes(p);

	if (limit == UINT64_MAX)
		return MOST_ADDRESS;
	uint64_t left = limit > used ? (limit - used) / 2 : 0;
	return left < MOST_ADDRESS ? left : MOST_ADDRESS;
}

/* May pages be refused that the target touches, when it touches so many? */
static bool is_tight(const struct room *r, uint64_t memory)
{
	uint64_t needed = memory < ROOMY ? memory : ROOMY;

	return sp_procfs_is_overcommit_strict(NULL) || r->left / 2 < needed;
}

static bool is_enough(const struct room *r, const struct sp_agent_budget *b)
{
	return b->address >= LEAST_ADDRESS &&
	       (!b->is_made_beforehand || r->left >= (r->is_ours ? LEAST_LEFT_HERE : LEAST_LEFT));
}

int sp_agent_budget_find(struct sp_proc *p, uint64_t wanted, struct sp_agent_budget *ret, struct sp_why *why)
{
	struct room r = room_of(p);
	struct sp_agent_budget b = {.memory = wanted ? wanted : DEFAULT_MEMORY, .address = address_space_left(p)};

	if (!wanted && r.limit / PART_OF_LIMIT < b.memory)
		b.memory = r.limit / PART_OF_LIMIT;
	b.is_made_beforehand = is_tight(&r, b.memory) || (!wanted && b.memory < LEAST_MEMORY);
	if (b.is_made_beforehand)
		b.memory = wanted && wanted < MADE_BEFOREHAND ? wanted : MADE_BEFOREHAND;
	else if (r.left / 2 < b.memory)
		b.memory = r.left / 2;
	if (!is_enough(&r, &b)) {
		sp_why_set(why, SP_FAULT_TARGET, ENOMEM, "too little memory for the agent in process %d (its limits)",
			   (int)sp_proc_pid(p));
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

/* ---- the tables' shares ---- */

/* The largest power of two of elements that fits. */
static uint32_t bits_for(uint64_t bytes, uint64_t element, uint32_t least, uint32_t most)
{
	uint32_t bits = least;

	while (bits < most && element << (bits + 1) <= bytes)
		bits++;
	return bits;
}

static uint32_t shadows_for(const struct sp_agent_budget *b, const struct sp_agent_limits *l)
{
	uint64_t offsets[SP_AGENT_NR_AREAS];
	uint64_t fixed = sp_agent_layout(l, offsets);
	uint64_t nr = b->address > fixed ? (b->address - fixed) / SP_AGENT_SHADOW_BYTES : 0;

	nr = nr > 1 ? nr - 1 : 0;
	return nr < MAX_SHADOWS ? (uint32_t)nr : MAX_SHADOWS;
}

void sp_agent_limits_choose(const struct sp_engine_config *c, const struct sp_agent_budget *b, uint32_t nr_rows,
			    struct sp_agent_limits *ret)
{
	uint64_t slot = sizeof(uint64_t) + sizeof(struct sp_agent_value);
	bool is_hash = c->table == SP_TABLE_HASH || b->is_made_beforehand;
	uint64_t for_hash = b->memory / (is_hash ? 2 : 8);
	uint64_t nodes = c->max_paths ? (uint64_t)c->max_paths * 8 : MAX_NODES;

	if (for_hash > b->address / 4)
		for_hash = b->address / 4;
	if (nodes > b->memory / 64) /* 16 bytes each, and as much of the index */
		nodes = b->memory / 64;
	*ret = (struct sp_agent_limits){
	    .max_rows = nr_rows,
	    .max_nodes = nodes < SP_AGENT_MAX_NODES ? (uint32_t)nodes : SP_AGENT_MAX_NODES,
	    .hash_bits = bits_for(for_hash, slot, 12, is_hash ? 26 : 20),
	    .thread_bits = b->is_made_beforehand      ? 7
			   : b->address >= 1ull << 30 ? 12
						      : 9,
	};
	if (ret->max_nodes < 1024)
		ret->max_nodes = 1024;
	if (is_hash && c->max_blocks)
		ret->hash_bits = bits_for((uint64_t)c->max_blocks * 2 * slot, slot, 12, ret->hash_bits);
	if (!is_hash)
		ret->max_shadows = shadows_for(b, ret);
}
