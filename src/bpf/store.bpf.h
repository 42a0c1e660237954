/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Live blocks and their call paths, as both sets of programs keep them.
 *
 * The including file has declared the maps `blocks`, `paths` and `events` (their allocation differs: see there) and the
 * constants cfg_trace and cfg_sample_rate.
 *
 * A path's key is a 64-bit hash of its pcs. A second, independent hash stands in the value: where the keys are equal
 * and the check is not, the path goes to the next key, at most 3 further; then it is counted as lost. So no two paths
 * are ever taken for one another unless 128 bits collide.
 */
#ifndef SEEP_BPF_STORE_BPF_H
#define SEEP_BPF_STORE_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_NR_LOST);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static __always_inline void count_lost(u32 id)
{
	u64 *n = bpf_map_lookup_elem(&lost, &id);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* The engine looks several times a second by itself; it is woken when this much (bytes) is waiting. */
#define RING_WAKE (256 << 10)

static __always_inline void fill_event(struct sp_bpf_event *e, u32 kind, u32 fn, u64 addr, u64 size, u64 path)
{
	u64 id = bpf_get_current_pid_tgid();

	e->time_ns = bpf_ktime_get_ns();
	e->addr = addr;
	e->size = size;
	e->path = path;
	e->pid = id >> 32;
	e->tid = id;
	e->kind = kind;
	e->fn = fn;
	e->cpu = bpf_get_smp_processor_id();
	e->pad = 0;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
}

static __noinline int send_event(u32 kind, u32 fn, u64 addr, u64 size, u64 path)
{
	struct sp_bpf_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count_lost(SP_LOST_EVENTS);
		return 0;
	}
	fill_event(e, kind, fn, addr, size, path);
	bool wake =
	    kind == SP_BEV_LOOK || kind == SP_BEV_EXEC || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > RING_WAKE;
	bpf_ringbuf_submit(e, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline bool is_sampled_out(void)
{
	return cfg_sample_rate > 1 && bpf_get_prandom_u32() % cfg_sample_rate;
}

#define E2BIG  7 /* uapi/asm-generic/errno-base.h */
#define ENOENT 2

/* False: it could not be kept; counted. (Before 6.4 these two return an int in a register of 64 bits.) */
static __always_inline bool remember(u64 key, struct sp_bpf_block *b)
{
	int err = bpf_map_update_elem(&blocks, &key, b, BPF_ANY);

	if (err)
		count_lost(err == -E2BIG ? SP_LOST_BLOCKS_FULL : SP_LOST_BUSY);
	return !err;
}

static __always_inline void forget(u64 key, u64 addr)
{
	if (cfg_trace) {
		struct sp_bpf_block *b = bpf_map_lookup_elem(&blocks, &key);
		if (b)
			send_event(SP_BEV_FREE, 0, addr, b->size, 0);
	}
	int err = bpf_map_delete_elem(&blocks, &key);
	if (err && err != -ENOENT)
		count_lost(SP_LOST_BUSY);
}

/* One pc into the two hashes. Constants: the finalisers of MurmurHash3 and splitmix64. */
static __always_inline void path_mix(u64 *hash, u64 *check, u64 pc)
{
	u64 h = (*hash ^ pc) * 0xff51afd7ed558ccdULL;
	u64 c = (*check + pc) * 0xbf58476d1ce4e5b9ULL;

	*hash = h ^ h >> 32;
	*check = c << 23 | c >> 41;
}

/* Interns *path, whose hash is `key`; returns the key it has there, 0 when it could not be kept. */
static __noinline u64 intern_path(struct sp_bpf_path *path, u64 key)
{
	if (!path)
		return 0;
	if (path->flags & SP_PATH_CUT)
		count_lost(SP_LOST_STACK_CUT);
	if (path->flags & SP_PATH_BROKEN)
		count_lost(SP_LOST_STACK_BROKEN);
	if (!key)
		key = 1;
	for (int i = 0; i < 4; i++, key++) {
		struct sp_bpf_path *p = bpf_map_lookup_elem(&paths, &key);
		if (!p) {
			bpf_map_update_elem(&paths, &key, path, BPF_NOEXIST);
			p = bpf_map_lookup_elem(&paths, &key); /* ours, or another CPU's that was first */
		}
		if (!p) {
			count_lost(SP_LOST_PATHS_FULL);
			return 0;
		}
		if (p->check == path->check && p->nr == path->nr)
			return key;
	}
	count_lost(SP_LOST_HASH_COLLISION);
	return 0;
}

#endif
