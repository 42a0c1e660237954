// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Allocator calls of one process: which blocks are live, and which call path made each.
 *
 * One program sits at the entry of every allocator function and one at its return; the probe's cookie says which
 * function it is. Rules:
 *
 * 1. Only the outermost allocator call of a thread counts: calloc that calls malloc, malloc that calls mmap are one
 *    block of the caller's. See calls.bpf.h.
 * 2. A block is added after the allocator has returned and removed before the allocator frees, so a reused address is
 *    never matched wrongly. realloc: remove, and put back when it failed.
 * 3. Mappings are sent as events: they can be unmapped in part, which a table by address cannot say.
 * 4. What does not fit is counted.
 *
 * A thread's state lives in its task storage and not in a per-CPU map: programs on uprobes can be preempted by one
 * another.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire/bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 cfg_min_size = 0;
const volatile __u64 cfg_max_size = -1;
const volatile __u64 cfg_max_new = -1; /* larger calls that may throw are not followed */
const volatile __u32 cfg_sample_rate = 1;
const volatile bool cfg_trace = false;
const volatile bool cfg_confirmed = false; /* rss_stat tells of every page that comes (growth.bpf.h) */
const volatile bool cfg_sessions = false;  /* sp_session is in use */

#define MAP_STACK 0x20000 /* uapi/asm-generic/mman.h */

/* <link.h> of every libc */
#define R_DEBUG_STATE 24 /* offsetof(struct r_debug, r_state) */
#define RT_DELETE     2

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u64);
	__type(value, struct sp_bpf_block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u64);
	__type(value, struct sp_bpf_path);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* set before loading */
} events SEC(".maps");

/* Each needs those above it. */
#include "bpf/store.bpf.h"

#include "bpf/walk.bpf.h"

#include "bpf/calls.bpf.h"

/* ctl, or NULL when the programs are to do nothing. */
static __always_inline struct sp_bpf_ctl *active_ctl(void)
{
	u32 zero = 0;
	struct sp_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);

	if (!c || !c->active)
		return NULL;
	if (!c->tgid)
		c->tgid = bpf_get_current_pid_tgid() >> 32;
	return c;
}

/* The function's arguments. Volatile: the verifier refuses a pointer into ctx that the compiler computed. */
struct arguments {
	u64 a0, a1, a2, a3;
};

static __always_inline struct arguments arguments_of(volatile struct pt_regs *ctx)
{
	return (struct arguments){ctx->di, ctx->si, ctx->dx, ctx->cx};
}

/* Saturating, so that a product that overflows is not recorded as something small (the call will fail). */
static __always_inline u64 product(u64 a, u64 b)
{
	u64 most = a ? (u64)-1 / a : (u64)-1;

	asm volatile("" : "+r"(most)); /* else clang makes it a product of 128 bits, which BPF lacks */
	return b > most ? (u64)-1 : a * b;
}

static __always_inline u64 requested_size(const struct arguments *a, u32 kind, u32 size_arg)
{
	if (kind == SP_KIND_CALLOC)
		return product(a->a0, a->a1);
	if (kind == SP_KIND_REALLOCA)
		return product(a->a1, a->a2);
	return size_arg == 0 ? a->a0 : size_arg == 1 ? a->a1 : a->a2;
}

static __always_inline u64 key_of(struct sp_bpf_ctl *c, u64 addr)
{
	return SP_BLOCK_KEY(addr, c->nr_execs);
}

/* Takes the old block of a realloc out, keeping it for the case of failure. */
static __always_inline void take_old(struct sp_bpf_ctl *ctl, struct call *c)
{
	u64 key = key_of(ctl, c->arg);
	struct sp_bpf_block *b = bpf_map_lookup_elem(&blocks, &key);

	if (!b)
		return;
	c->old = *b;
	c->has_old = 1;
	if (bpf_map_delete_elem(&blocks, &key))
		count_lost(SP_LOST_BUSY);
}

/* Libraries come or go: what the engine knows of the code holds until now. It looks as soon as it can. */
static __always_inline void on_loader(struct sp_bpf_ctl *ctl)
{
	u64 state, now = bpf_ktime_get_ns();

	if (ctl->r_debug && read_word(ctl->r_debug + R_DEBUG_STATE, &state) && (u32)state == RT_DELETE)
		ctl->unload_ns = now;
	if (ctl->loader_ns)
		return;
	ctl->loader_ns = now;
	__sync_fetch_and_add(&ctl->nr_unknown, 1);
	send_event(SP_BEV_LOOK, 0, 0, 0, 0);
}

/* A call begins. True: its return is to be watched. */
static __always_inline bool on_enter(struct sp_bpf_ctl *ctl, struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 kind = SP_COOKIE_KIND(cookie);
	struct arguments a = arguments_of(ctx);

	if (kind == SP_KIND_FREE) {
		if (a.a0)
			forget(key_of(ctl, a.a0), a.a0);
		return false;
	}
	if (kind == SP_KIND_LOADER) {
		on_loader(ctl);
		return false;
	}
	struct thread *t = thread_of_current(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count_lost(SP_LOST_THREAD_STATE);
		return false;
	}
	if (kind == SP_KIND_MMAP && a.a3 & MAP_STACK)
		return false;
	if (kind >= SP_KIND_MMAP && is_part_of_skipped(ctx, t))
		return false;
	struct call *c = call_push(ctx, t);
	if (!c)
		return false;
	if (kind == SP_KIND_PASSED || (kind == SP_KIND_NEW && a.a0 > cfg_max_new)) {
		count_lost(SP_LOST_THROWING);
		call_skip(t, ctx->sp);
		return false;
	}
	c->kind = kind;
	c->fn = SP_COOKIE_FN(cookie);
	c->size = requested_size(&a, kind, SP_COOKIE_SIZE_ARG(cookie));
	c->arg = a.a0;
	c->skip = c->size < cfg_min_size || c->size > cfg_max_size || is_sampled_out();
	if (c->skip && cfg_sessions && c->fn == SP_FN_MALLOC) {
		call_skip(t, ctx->sp);
		return false;
	}
	if (kind == SP_KIND_REALLOC || kind == SP_KIND_REALLOCA)
		take_old(ctl, c);
	else if (kind == SP_KIND_MUNMAP || kind == SP_KIND_MREMAP)
		send_event(SP_BEV_UNMAP, c->fn, a.a0, a.a1, 0);
	if (cfg_trace && kind != SP_KIND_MUNMAP && !c->skip)
		send_event(SP_BEV_ENTER, c->fn, 0, c->size, 0);
	return true;
}

static __always_inline bool is_mapping(struct call *c)
{
	return c->kind == SP_KIND_MMAP || c->kind == SP_KIND_MREMAP;
}

/* Did the call give a block, and where? */
static __always_inline bool result_of(struct call *c, struct pt_regs *ctx, u64 *ret)
{
	u64 ax = ctx->ax;

	if (c->kind == SP_KIND_POSIX) {
		if ((u32)ax)
			return false;
		if (!read_word(c->arg, ret)) {
			count_lost(SP_LOST_UNREADABLE);
			return false;
		}
		return *ret != 0;
	}
	*ret = ax;
	return is_mapping(c) ? ax < (u64)-4095 : ax != 0;
}

/* Rule 2: a failed realloc leaves the old block as it was (one of size 0 has freed it). */
static __always_inline void on_failure(struct sp_bpf_ctl *ctl, struct call *c)
{
	if (c->has_old && c->size)
		remember(key_of(ctl, c->arg), &c->old);
	if (c->kind == SP_KIND_MREMAP)
		send_event(SP_BEV_UNMAP_UNDO, c->fn, 0, 0, 0);
}

/* What a call path begins with. */
enum { FROM_CALL, FROM_CALL_FAULT, FROM_FAULT };

/*
 * The key of the call path at (pc, sp, bp); 0: not kept. Of a fault (not FROM_CALL) SP_PC_FAULT stands before it, and
 * with FROM_FAULT pc is no return address. A global function: verified once.
 */
__noinline u64 path_from(u64 pc, u64 sp, u64 bp, u64 from)
{
	u32 zero = 0;
	struct sp_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	struct thread *t = thread_of_current(0);
	struct walk w = {.pc = pc, .sp = sp, .bp = bp, .is_exact = from == FROM_FAULT, .nr = from != FROM_CALL};

	if (!c || !t)
		return 0;
	t->path.pcs[0] = SP_PC_FAULT;
	u64 hash = walk_stack(&w, c, &t->path, from == FROM_CALL ? c->exec_ns : ~c->exec_ns);
	if (w.flags & SP_PATH_UNKNOWN) {
		u64 key = send_stack(&w);
		if (key)
			return key;
		t->path.flags |= SP_PATH_BROKEN;
	}
	if (t->path.flags & SP_PATH_BROKEN)
		ask_for_look(c); /* code may have been replaced by other code */
	return intern_path(&t->path, hash);
}

/* A call has ended. */
static __always_inline void on_return(struct sp_bpf_ctl *ctl, struct pt_regs *ctx)
{
	u64 addr = 0;
	struct thread *t = thread_of_current(0);
	if (!t)
		return;
	struct call *c = call_pop(t, ctx->sp - 8);
	if (!c)
		return;
	if (c->kind == SP_KIND_MUNMAP) {
		if (ctx->ax)
			send_event(SP_BEV_UNMAP_UNDO, c->fn, 0, 0, 0);
		return;
	}
	if (!result_of(c, ctx, &addr)) {
		on_failure(ctl, c);
		return;
	}
	if (c->skip) {
		/* A mapping that is not recorded still replaces what stood there (MAP_FIXED). */
		if (is_mapping(c))
			send_event(SP_BEV_UNMAP, c->fn, addr, c->size, 0);
		return;
	}
	struct sp_bpf_block b = {.size = c->size, .birth_ns = bpf_ktime_get_ns(), .fn = c->fn};
	b.path = path_from(ctx->ip, ctx->sp, ctx->bp, FROM_CALL);
	if (is_mapping(c))
		send_event(SP_BEV_MMAP, c->fn, addr, c->size, b.path);
	else
		remember(key_of(ctl, addr), &b);
	if (cfg_trace)
		send_event(SP_BEV_ALLOC, c->fn, addr, c->size, 0);
}

SEC("uprobe")
int sp_enter(struct pt_regs *ctx)
{
	struct sp_bpf_ctl *ctl = active_ctl();

	if (ctl)
		on_enter(ctl, ctx);
	return 0;
}

SEC("uretprobe")
int sp_return(struct pt_regs *ctx)
{
	struct sp_bpf_ctl *ctl = active_ctl();

	if (ctl)
		on_return(ctl, ctx);
	return 0;
}

/*
 * Both in one. Returning 1 at entry leaves the return unwatched: cheaper, and the only way not to kill a target that
 * allocates in a signal handler on a stack of its own above the one on which it is allocating. (At such a call the
 * kernel drops what it knows of the interrupted one, which then returns into nowhere: cleanup_return_instances().)
 */
SEC("uprobe")
int sp_session(struct pt_regs *ctx)
{
	struct sp_bpf_ctl *ctl = active_ctl();
	bool is_entry = bpf_get_func_ip(ctx) == ctx->ip;

	if (!ctl)
		return is_entry;
	if (is_entry)
		return !on_enter(ctl, ctx);
	on_return(ctl, ctx);
	return 0;
}

struct repair {
	struct return_instance *ri;
	u64 trampoline;
};

static long repair_step(u32 i, struct repair *r)
{
	u64 word, slot, own;

	if (!r->ri)
		return 1;
	slot = BPF_CORE_READ(r->ri, stack);
	own = BPF_CORE_READ(r->ri, orig_ret_vaddr);
	if (own && read_word(slot, &word) && word == r->trampoline)
		bpf_probe_write_user((void *)slot, &own, sizeof(own));
	r->ri = BPF_CORE_READ(r->ri, next);
	return 0;
}

/*
 * An exception begins. It cannot pass a return address that the kernel has replaced, the program would end; so all of
 * the thread's get their own back. Also those that we did not ask for: the kernel watches a return when any tool that
 * watches the same function of the same file, in whatever process, wants it. For us the calls are over; one that the
 * exception does not reach after all, because it is caught inside, is lost.
 */
SEC("uprobe")
int sp_throw(struct pt_regs *ctx)
{
	bool is_forced = SP_COOKIE_FN(bpf_get_attach_cookie(ctx)) == SP_FN_FORCED_UNWIND;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct repair r = {.ri = BPF_CORE_READ(task, utask, return_instances), .trampoline = trampoline_of_current()};
	struct thread *t = is_forced ? NULL : thread_of_current(0); /* by force the whole stack goes: nothing is lost */
	u32 n = t ? t->nr_calls : 0;

	for (u32 i = 0; t && i < MAX_CALLS; i++) {
		struct call *c = call_at(t, i);
		if (i < n && c->kind != SP_KIND_NEW && is_alive(c->sp))
			count_lost(SP_LOST_THROWING);
	}
	if (r.trampoline)
		bpf_loop(MAX_RETURNS, repair_step, &r, 0);
	return 0;
}

/* The target becomes another program: what it had allocated is gone. */
SEC("raw_tp/sched_process_exec")
int sp_exec(void *ctx)
{
	u32 zero = 0;
	struct sp_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);

	if (!c || !c->tgid || c->tgid != bpf_get_current_pid_tgid() >> 32)
		return 0;
	c->exec_ns = bpf_ktime_get_ns();
	c->nr_execs++;
	bpf_task_storage_delete(&threads, bpf_get_current_task_btf());
	send_event(SP_BEV_EXEC, 0, 0, 0, 0);
	return 0;
}

#include "bpf/growth.bpf.h"
