/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The allocator calls under way in each thread.
 *
 * Problem: tell the program's own calls from those that an allocator makes inside them, although calls may end without
 * returning (longjmp out of a signal handler, an exception out of operator new) and a signal handler on a stack of its
 * own may allocate in the middle of a call.
 *
 * A call is known by the address of its return slot: the stack pointer at entry, which the return program finds again.
 * While it is under way, the kernel's trampoline stands in that slot instead of the return address; so a call whose
 * slot holds anything else is over. What may still be under way, with the newer call
 *
 *   in the very same slot:        has jumped into the newer one (a tail call), which is part of it
 *   deeper in the same stack:     holds the newer one if a walk from there comes by the slot; else it is over
 *   further out, same stack:      is over, its slot has not been written to since
 *   on another stack:             waits until the newer one is done (is_in_the_way(): an exception)
 *
 * Two addresses are on different stacks when one of them is on the thread's alternative signal stack, or when they are
 * far from each other.
 *
 * Tried and dropped: only comparing addresses. After a longjmp out of malloc all deeper calls were taken for parts of
 * the dead one, until a call happened to stand at or above it; with coroutines on small stacks beside each other 15 of
 * 21 were. A part of another call costs one short walk, 0.2 to 0.5 us; other calls cost nothing.
 */
#ifndef SEEP_BPF_CALLS_BPF_H
#define SEEP_BPF_CALLS_BPF_H

#define MAX_CALLS 4           /* a power of two */
#define FAR_AWAY  (256 << 10) /* no allocator's own frames are that big */
#define NEAR      (4 << 10)   /* most are not even that big */
#define MAX_INNER 32          /* frames of an allocator above each other */

/* A call under way in a thread. */
struct call {
	u64 sp;            /* address of the return slot: the call's identity */
	u64 in_the_way_ns; /* since when another stack's calls are not followed because of it; 0: not */
	u64 size;
	u64 arg; /* posix_memalign: where the result goes; realloc: the old block */
	struct sp_bpf_block old;
	u32 fn;
	u8 kind;
	u8 has_old;
	u8 skip; /* not to be recorded: sampled out or filtered by size */
};

/* growth.bpf.h: a page fault that has begun, with the user registers that belong to it. */
struct fault {
	u64 addr; /* 0: none */
	u64 ip, sp, orig_ax;
	u64 is_user;
};

/* growth.bpf.h: the pages [start, end) that the thread faulted in last. */
struct run {
	u64 key; /* in `blocks` */
	u64 start, end;
	u64 birth_ns;
	u64 path; /* 0: none */
};

struct thread {
	struct call calls[MAX_CALLS];
	u32 nr_calls;
	u64 skipped_sp, skipped_ra; /* the last call that was not followed: its return slot and what stood there */
	struct fault fault;
	struct run run;
	u64 brk;                 /* where the heap ended when brk() was called */
	struct sp_bpf_path path; /* scratch of the walk */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* Element i of calls, in a form in which every verifier sees that i is in bounds. */
static __always_inline struct call *call_at(struct thread *t, u64 i)
{
	asm volatile("%0 &= %1" : "+r"(i) : "i"(MAX_CALLS - 1));
	return &t->calls[i];
}

static __always_inline bool is_on_signal_stack(struct task_struct *task, u64 sp)
{
	return sp - BPF_CORE_READ(task, sas_ss_sp) < BPF_CORE_READ(task, sas_ss_size);
}

static __always_inline bool is_same_stack(u64 a, u64 b)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if ((a > b ? a - b : b - a) >= FAR_AWAY)
		return false;
	return is_on_signal_stack(task, a) == is_on_signal_stack(task, b);
}

/* Could the call with its return slot here be under way? */
static __always_inline bool is_alive(u64 slot)
{
	u64 word;

	return read_word(slot, &word) && word == trampoline_of_current();
}

static __always_inline struct thread *thread_of_current(u64 flags)
{
	return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, flags);
}

/*
 * Does the call that enters at (pc, sp, bp) belong to the one with this return slot, deeper in whose stack it is?
 * A global function: verified once.
 */
__noinline u64 is_part_of(u64 pc, u64 sp, u64 bp, u64 slot)
{
	u32 zero = 0;
	struct sp_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	struct thread *t = thread_of_current(0);

	if (!c || !t)
		return 0;
	struct walk w = {.out = &t->path, .ctl = c, .pc = pc, .sp = sp, .bp = bp, .is_exact = true, .until = slot};
	w.trampoline = trampoline_of_current();
	bpf_loop(MAX_INNER, walk_step, &w, 0);
	if (w.flags & (WALK_MET | WALK_PASSED))
		return w.flags & WALK_MET;
	return slot - sp < NEAR; /* it cannot be known */
}

/*
 * With sessions: a call that waits on another stack, below the newer one. Watching the newer one's return would make
 * the kernel forget the waiting one (user.bpf.c, sp_session). No handler takes longer than a second; what does has
 * jumped out.
 */
static __always_inline bool is_in_the_way(struct call *c)
{
	if (!cfg_sessions)
		return false;
	u64 now = bpf_ktime_get_ns();
	if (!c->in_the_way_ns)
		c->in_the_way_ns = now;
	return now - c->in_the_way_ns < 1000000000;
}

/* The place for a call that enters at *ctx; NULL: it is part of another, or there is no room. */
static __always_inline struct call *call_push(struct pt_regs *ctx, struct thread *t)
{
	u64 sp = ctx->sp;
	u32 n = t->nr_calls;

	for (int i = 0; i < MAX_CALLS; i++) { /* at most that many are there */
		if (!n || n > MAX_CALLS)
			break;
		u64 top = call_at(t, n - 1)->sp;
		if (is_alive(top)) {
			if (!is_same_stack(top, sp)) {
				if (top > sp || !is_in_the_way(call_at(t, n - 1)))
					break;
				t->nr_calls = n;
				count_lost(SP_LOST_NESTED);
				return NULL;
			}
			if (top == sp || (top > sp && is_part_of(ctx->ip, sp, ctx->bp, top))) {
				t->nr_calls = n;
				return NULL;
			}
		}
		n--;
	}
	if (n >= MAX_CALLS) {
		count_lost(SP_LOST_NESTED);
		return NULL;
	}
	struct call *c = call_at(t, n);
	t->nr_calls = n + 1;
	c->sp = sp;
	c->in_the_way_ns = 0;
	c->has_old = 0;
	return c;
}

/*
 * Takes the call that entered last off again: neither it nor its return is of interest (which saves a microsecond).
 * Only for functions that call nothing watched but mmap and its like.
 */
static __always_inline void call_skip(struct thread *t, u64 sp)
{
	t->nr_calls--;
	t->skipped_sp = read_word(sp, &t->skipped_ra) ? sp : 0;
}

/* Does the call that enters at *ctx belong to one that was skipped? */
static __always_inline bool is_part_of_skipped(struct pt_regs *ctx, struct thread *t)
{
	u64 word, slot = t->skipped_sp;

	return slot > ctx->sp && slot - ctx->sp < FAR_AWAY && read_word(slot, &word) && word == t->skipped_ra &&
	       is_part_of(ctx->ip, ctx->sp, ctx->bp, slot);
}

/* The call that returns with its slot at sp, taken off with everything above it; NULL: part of another. */
static __always_inline struct call *call_pop(struct thread *t, u64 sp)
{
	for (int i = MAX_CALLS - 1; i >= 0; i--) {
		struct call *c = call_at(t, i);
		if (i < t->nr_calls && c->sp == sp) {
			t->nr_calls = i;
			return c;
		}
	}
	return NULL;
}

#endif
