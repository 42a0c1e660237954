/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What makes a process itself larger, from the kernel's tracepoints: no code of the target is touched.
 *
 * Address space comes by system calls (sys_enter, sys_exit): what they map and unmap goes out as events, for it can be
 * unmapped in part. brk counts in whole pages, as the kernel maps them.
 *
 * Memory comes by page faults. Most faults bring none (a file's page, a write after fork), and what a fault does is
 * known only after it; so the fault is noted when it begins (page_fault_user, page_fault_kernel) and recorded when the
 * kernel counts an anonymous page of the process more in the same fault (rss_stat). A note that is not used stays
 * behind; it is recognised by the user registers, which the kernel keeps at one place while it works for a thread.
 *
 * Pages that one call path faults in one after another are one block of the table `blocks`: a run. Whether they are
 * still there, the engine asks the kernel's page tables when it reads (engines/bpf/runs.c); so madvise and munmap need
 * not be followed for it. Two exceptions keep the table small: a run that its own thread unmaps goes at once, and a run
 * is not lengthened after a second, so that a younger one is always right.
 */
#ifndef SEEP_BPF_GROWTH_BPF_H
#define SEEP_BPF_GROWTH_BPF_H

#define PAGE_BYTES   4096ULL
#define RUN_NS       1000000000ULL
#define MM_ANONPAGES 1      /* linux/mm_types_task.h */
#define VM_LOCKED    0x2000 /* linux/mm.h */
#define PF_PRESENT   1      /* of a fault's error code: the page is there (asm/trap_pf.h) */

/* asm/unistd_64.h, uapi/linux/mman.h, uapi/asm-generic/mman.h */
enum { NR_MMAP = 9, NR_MUNMAP = 11, NR_BRK = 12, NR_MREMAP = 25 };
enum { MREMAP_DONTUNMAP = 4, MAP_POPULATED = 0x8000 | 0x2000 };

static __always_inline u64 page_down(u64 addr)
{
	return addr & ~(PAGE_BYTES - 1);
}

static __always_inline u64 page_up(u64 addr)
{
	return page_down(addr + PAGE_BYTES - 1);
}

/* Where our own pid namespace is not the first one, the engine has marked the target by a thread's state. */
static __always_inline bool is_marked(void)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

	return leader && bpf_task_storage_get(&threads, leader, 0, 0);
}

/* ctl, when the current process is the target. */
static __always_inline struct sp_bpf_ctl *growth_ctl(void)
{
	u32 zero = 0, tgid = bpf_get_current_pid_tgid() >> 32;
	struct sp_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);

	if (!c || !c->active || (c->tgid && c->tgid != tgid))
		return NULL;
	if (!c->tgid) {
		if (!is_marked())
			return NULL;
		c->tgid = tgid;
	}
	return c;
}

static __always_inline struct pt_regs *user_regs(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

/* ---- memory ---- */

/* The thread's last run goes on with this page? */
static __always_inline bool run_lengthen(struct run *r, u64 path, u64 page, u64 now)
{
	if (r->path != path || r->end != page || now - r->birth_ns > RUN_NS)
		return false;
	struct sp_bpf_block *b = bpf_map_lookup_elem(&blocks, &r->key);
	if (!b || b->birth_ns != r->birth_ns)
		return false;
	b->size += PAGE_BYTES;
	r->end += PAGE_BYTES;
	return true;
}

/* A run's key: its page, and below that a number, as another run may have begun there before. */
static __always_inline void run_begin(struct sp_bpf_ctl *c, struct run *r, u64 path, u64 page, u64 size, u64 now)
{
	u32 number = c->nr_runs++; /* may lose a race: another page's key differs all the same */
	struct sp_bpf_block b = {.size = size, .birth_ns = now, .path = path, .fn = SP_FN_FAULT};
	u64 key = SP_BLOCK_KEY(page | (number & (PAGE_BYTES - 1)), c->nr_execs);

	*r = (struct run){.key = key, .start = page, .end = page + size, .birth_ns = now, .path = path};
	if (!remember(key, &b))
		r->path = 0;
}

static __always_inline void on_resident(struct sp_bpf_ctl *c, struct thread *t, u64 addr, u64 size, u64 path)
{
	u64 page = page_down(addr), now = bpf_ktime_get_ns();

	if (!path || size != PAGE_BYTES || !run_lengthen(&t->run, path, page, now))
		run_begin(c, &t->run, path, page, size, now);
}

/* What the thread unmaps is not to be found in the table later: the usual case of a buffer that comes and goes. */
static __always_inline void run_unmapped(struct run *r, u64 addr, u64 size)
{
	if (!r->path || r->start < addr || r->end > addr + size)
		return;
	bpf_map_delete_elem(&blocks, &r->key);
	r->path = 0;
}

static __always_inline void record_fault(struct sp_bpf_ctl *c, struct thread *t, struct pt_regs *regs, bool is_user)
{
	u64 addr = t->fault.addr;

	t->fault.addr = 0;
	if (is_sampled_out())
		return;
	on_resident(c, t, addr, PAGE_BYTES,
		    path_from(regs->ip, regs->sp, regs->bp, is_user ? FROM_FAULT : FROM_CALL_FAULT));
}

static __always_inline void on_fault(u64 addr, u64 error_code, bool is_user)
{
	struct sp_bpf_ctl *c = growth_ctl();

	if (!c || addr >> 63) /* the kernel's own memory */
		return;
	struct thread *t = thread_of_current(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count_lost(SP_LOST_THREAD_STATE);
		return;
	}
	struct pt_regs *regs = user_regs();
	t->fault.addr = addr ? addr : 1; /* 0: none */
	t->fault.ip = regs->ip;
	t->fault.sp = regs->sp;
	t->fault.orig_ax = regs->orig_ax;
	t->fault.is_user = is_user;
	if (!cfg_confirmed && !(error_code & PF_PRESENT))
		record_fault(c, t, regs, is_user);
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(sp_fault_user, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	on_fault(address, error_code, true);
	return 0;
}

/* The kernel touches the target's memory on its behalf: read() into a new buffer. */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(sp_fault_kernel, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	on_fault(address, error_code, false);
	return 0;
}

/* Its arguments: the memory, which of its counters, and before Linux 6.2 the count. */
SEC("raw_tp/rss_stat")
int sp_rss_stat(struct bpf_raw_tracepoint_args *ctx)
{
	if ((u32)ctx->args[1] != MM_ANONPAGES || !cfg_confirmed)
		return 0;
	struct sp_bpf_ctl *c = growth_ctl();
	if (!c || ctx->args[0] != (u64)bpf_get_current_task_btf()->mm)
		return 0;
	struct thread *t = thread_of_current(0);
	if (!t || !t->fault.addr)
		return 0;
	struct pt_regs *regs = user_regs();
	if (regs->ip == t->fault.ip && regs->sp == t->fault.sp && regs->orig_ax == t->fault.orig_ax)
		record_fault(c, t, regs, t->fault.is_user);
	else
		t->fault.addr = 0;
	return 0;
}

/* ---- address space ---- */

static __always_inline bool is_locked(void)
{
	return BPF_CORE_READ(bpf_get_current_task_btf(), mm, def_flags) & VM_LOCKED;
}

/* [addr, addr + size) is there now. */
static __always_inline void on_mapped(struct sp_bpf_ctl *c, struct pt_regs *regs, u32 fn, u64 addr, u64 size,
				      bool is_populated)
{
	bool is_kept = size >= cfg_min_size && size <= cfg_max_size && !is_sampled_out();

	if (!is_kept) { /* it still replaces what stood there (MAP_FIXED) */
		send_event(SP_BEV_UNMAP, fn, addr, size, 0);
		return;
	}
	send_event(SP_BEV_MMAP, fn, addr, size, path_from(regs->ip, regs->sp, regs->bp, FROM_CALL));
	if (!is_populated)
		return;
	struct thread *t = thread_of_current(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (t)
		on_resident(c, t, addr, size, path_from(regs->ip, regs->sp, regs->bp, FROM_CALL_FAULT));
}

static __always_inline void on_unmapping(struct thread *t, u32 fn, u64 addr, u64 size)
{
	send_event(SP_BEV_UNMAP, fn, addr, size, 0);
	run_unmapped(&t->run, addr, size);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sp_sys_enter, struct pt_regs *regs, long nr)
{
	if (nr != NR_MUNMAP && nr != NR_BRK && nr != NR_MREMAP && nr != NR_MMAP)
		return 0;
	struct sp_bpf_ctl *c = growth_ctl();
	if (!c)
		return 0;
	struct thread *t = thread_of_current(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count_lost(SP_LOST_THREAD_STATE);
		return 0;
	}
	if (nr == NR_BRK)
		t->brk = BPF_CORE_READ(bpf_get_current_task_btf(), mm, brk);
	else if (nr == NR_MUNMAP)
		on_unmapping(t, SP_FN_MUNMAP, regs->di, regs->si);
	else if (nr == NR_MREMAP && !(regs->r10 & MREMAP_DONTUNMAP))
		on_unmapping(t, SP_FN_MREMAP, regs->di, regs->si);
	return 0;
}

static __always_inline void on_brk(struct sp_bpf_ctl *c, struct pt_regs *regs, u64 end)
{
	struct thread *t = thread_of_current(0);
	u64 was = t ? page_up(t->brk) : 0, is = page_up(end);

	if (!was) /* the call was under way when we came */
		return;
	t->brk = 0;
	if (is > was)
		on_mapped(c, regs, SP_FN_BRK, was, is - was, is_locked());
	else if (is < was)
		on_unmapping(t, SP_FN_BRK, is, was - is);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sp_sys_exit, struct pt_regs *regs, long ret)
{
	u64 nr = regs->orig_ax;

	if (nr != NR_MMAP && nr != NR_MUNMAP && nr != NR_BRK && nr != NR_MREMAP)
		return 0;
	struct sp_bpf_ctl *c = growth_ctl();
	if (!c)
		return 0;
	bool has_failed = (u64)ret >= (u64)-4095;
	if (nr == NR_BRK)
		on_brk(c, regs, ret);
	else if (nr == NR_MMAP && !has_failed)
		on_mapped(c, regs, SP_FN_MMAP, ret, page_up(regs->si), regs->r10 & MAP_POPULATED || is_locked());
	else if (nr == NR_MREMAP && !has_failed)
		on_mapped(c, regs, SP_FN_MREMAP, ret, page_up(regs->dx), false);
	else if (nr != NR_MMAP && has_failed)
		send_event(SP_BEV_UNMAP_UNDO, 0, 0, 0, 0);
	return 0;
}

#endif
