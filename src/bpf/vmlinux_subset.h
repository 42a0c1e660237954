/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel types that the programs use, for building on a machine whose kernel has no BTF. Only the members that
 * are read stand here: CO-RE finds their real places when the programs are loaded.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
enum { false = 0, true = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct xol_area {
	unsigned long vaddr;
};

struct uprobes_state {
	struct xol_area *xol_area;
};

struct mm_struct {
	unsigned long brk;
	unsigned long def_flags;
	struct uprobes_state uprobes_state;
};

struct return_instance {
	unsigned long stack;
	unsigned long orig_ret_vaddr;
	struct return_instance *next;
};

struct uprobe_task {
	struct return_instance *return_instances;
};

struct task_struct {
	int tgid;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct uprobe_task *utask;
	unsigned long sas_ss_sp;
	unsigned long sas_ss_size;
};

struct file;

struct vm_area_struct {
	struct file *vm_file;
	unsigned long vm_flags;
};

struct trace_entry {
	unsigned short type;
	unsigned char flags;
	unsigned char preempt_count;
	int pid;
};

/* Tracepoint records; from 6.1 on, when slab's and pages' got types of their own. */
struct trace_event_raw_kmalloc {
	struct trace_entry ent;
	const void *ptr;
	unsigned long bytes_alloc;
};

struct trace_event_raw_kmem_cache_alloc {
	struct trace_entry ent;
	const void *ptr;
	unsigned long bytes_alloc;
};

struct trace_event_raw_kfree {
	struct trace_entry ent;
	const void *ptr;
};

struct trace_event_raw_kmem_cache_free {
	struct trace_entry ent;
	const void *ptr;
};

struct trace_event_raw_mm_page_alloc {
	struct trace_entry ent;
	unsigned long pfn;
	unsigned int order;
};

struct trace_event_raw_mm_page_free {
	struct trace_entry ent;
	unsigned long pfn;
};

struct trace_event_raw_percpu_alloc_percpu {
	struct trace_entry ent;
	void *ptr;
	unsigned long bytes_alloc;
};

struct trace_event_raw_percpu_free_percpu {
	struct trace_entry ent;
	void *ptr;
};

#pragma clang attribute pop

/* The layout of user registers is ABI: System V AMD64, arch/x86/include/asm/ptrace.h. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

#endif
