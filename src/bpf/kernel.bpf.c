// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Allocations of the kernel itself: slab, pages, per-cpu, from its own tracepoints.
 *
 * Everything is preallocated: a program that runs inside kmalloc must not allocate. A tracepoint can interrupt
 * another's program (an interrupt allocates while kfree is traced), so every allocating program has scratch of its
 * own; the kernel does not run one program twice at a time on a CPU and counts what it skips for that (`missed`).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire/bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 cfg_min_size = 0;
const volatile __u64 cfg_max_size = -1;
const volatile __u32 cfg_sample_rate = 1;
const volatile __u32 cfg_own_tgid = 0;
const volatile bool cfg_missing_free = false;
const volatile bool cfg_trace = false;
const volatile __u32 cfg_page_shift = 12;

/* Pages share the table with slab objects: their key is the page frame number, tagged where no address can be. */
#define PAGE_KEY(pfn) ((pfn) | 1ULL << 62)

enum { SCRATCH_KMALLOC, SCRATCH_CACHE, SCRATCH_PAGE, SCRATCH_PERCPU, NR_SCRATCH };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_SCRATCH);
	__type(key, u32);
	__type(value, struct sp_bpf_path);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u64);
	__type(value, struct sp_bpf_block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u64);
	__type(value, struct sp_bpf_path);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

#include "bpf/store.bpf.h"

static __always_inline u64 hash_path(struct sp_bpf_path *p)
{
	u64 hash = 0, check = -1;

	for (u32 i = 0; i < SP_MAX_FRAMES; i++) {
		if (i >= p->nr)
			break;
		path_mix(&hash, &check, p->pcs[i]);
	}
	p->check = check;
	return hash;
}

static __always_inline void kernel_alloc(void *ctx, u32 which, u64 addr, u64 size)
{
	if (!addr || size < cfg_min_size || size > cfg_max_size)
		return;
	if (bpf_get_current_pid_tgid() >> 32 == cfg_own_tgid || is_sampled_out())
		return;
	struct sp_bpf_path *p = bpf_map_lookup_elem(&scratch, &which);
	if (!p)
		return;
	long bytes = bpf_get_stack(ctx, p->pcs, sizeof(p->pcs), 0);
	p->nr = bytes > 0 ? (u32)bytes / 8 : 0;
	p->flags = p->nr == SP_MAX_FRAMES ? SP_PATH_CUT : 0;
	struct sp_bpf_block b = {
	    .size = size, .birth_ns = bpf_ktime_get_ns(), .path = intern_path(p, hash_path(p)), .fn = SP_NR_FNS};
	if (remember(addr, &b) && cfg_trace) {
		send_event(SP_BEV_ENTER, 0, 0, size, 0);
		send_event(SP_BEV_ALLOC, 0, addr, size, 0);
	}
}

SEC("tracepoint/kmem/kmalloc")
int sp_kmalloc(struct trace_event_raw_kmalloc *ctx)
{
	if (cfg_missing_free)
		forget((u64)ctx->ptr, (u64)ctx->ptr);
	kernel_alloc(ctx, SCRATCH_KMALLOC, (u64)ctx->ptr, ctx->bytes_alloc);
	return 0;
}

SEC("tracepoint/kmem/kfree")
int sp_kfree(struct trace_event_raw_kfree *ctx)
{
	forget((u64)ctx->ptr, (u64)ctx->ptr);
	return 0;
}

SEC("tracepoint/kmem/kmem_cache_alloc")
int sp_cache_alloc(struct trace_event_raw_kmem_cache_alloc *ctx)
{
	if (cfg_missing_free)
		forget((u64)ctx->ptr, (u64)ctx->ptr);
	kernel_alloc(ctx, SCRATCH_CACHE, (u64)ctx->ptr, ctx->bytes_alloc);
	return 0;
}

SEC("tracepoint/kmem/kmem_cache_free")
int sp_cache_free(struct trace_event_raw_kmem_cache_free *ctx)
{
	forget((u64)ctx->ptr, (u64)ctx->ptr);
	return 0;
}

SEC("tracepoint/kmem/mm_page_alloc")
int sp_page_alloc(struct trace_event_raw_mm_page_alloc *ctx)
{
	if (ctx->pfn == -1UL) /* the allocation failed */
		return 0;
	kernel_alloc(ctx, SCRATCH_PAGE, PAGE_KEY(ctx->pfn), 1ULL << (cfg_page_shift + ctx->order));
	return 0;
}

SEC("tracepoint/kmem/mm_page_free")
int sp_page_free(struct trace_event_raw_mm_page_free *ctx)
{
	forget(PAGE_KEY(ctx->pfn), PAGE_KEY(ctx->pfn));
	return 0;
}

SEC("tracepoint/percpu/percpu_alloc_percpu")
int sp_percpu_alloc(struct trace_event_raw_percpu_alloc_percpu *ctx)
{
	kernel_alloc(ctx, SCRATCH_PERCPU, (u64)ctx->ptr, ctx->bytes_alloc);
	return 0;
}

SEC("tracepoint/percpu/percpu_free_percpu")
int sp_percpu_free(struct trace_event_raw_percpu_free_percpu *ctx)
{
	forget((u64)ctx->ptr, (u64)ctx->ptr);
	return 0;
}
