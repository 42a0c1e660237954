// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    acts inside a running target by ptrace: system calls, memory, hooks, stops, a copy-on-write snapshot; undoes
 * it. Runs in: our process; one struct sp_inject is used by one thread at a time. ptrace work runs in short-lived
 * threads of its own, whose end lets go of everything they hold. May not: single-step a thread, allocate in the target,
 * leave it stopped, print. Owns:    descriptors of the target's memory; in the target: marked regions, until
 * sp_inject_leave(). Fails by: -errno with a reason. -EAGAIN: would have taken longer than allowed, nothing was
 * changed.
 */
#ifndef SEEP_INJECT_INJECT_H
#define SEEP_INJECT_INJECT_H

#include "base/base.h"
#include "proc/proc.h"
#include "wire/inject.h"

struct sp_inject;

struct sp_inject_opts {
	uint64_t max_pause_ns; /* of one stop of the whole target; 0: SP_INJECT_MAX_PAUSE_NS */
	/*
	 * The only thread of the target is ptrace-stopped by the calling thread (sp_launch_start()), which then makes
	 * every call of this header. It stays stopped; a call runs it through the stub and back.
	 */
	bool is_held;
};

#define SP_INJECT_MAX_PAUSE_NS 50000000ull

/*
 * Could we enter? Says no with a reason for: another tracer (by name), no permission, a stopped or frozen target,
 * seccomp filters that forbid what entering takes, user shadow stacks, no room for the stub. Stops one thread for
 * microseconds.
 */
sp_must_check int sp_inject_probe(struct sp_proc *p, struct sp_why *why);

/* Nothing is done in the target yet. `p` must outlive *ret. */
sp_must_check int sp_inject_open(struct sp_proc *p, const struct sp_inject_opts *opts, struct sp_inject **ret,
				 struct sp_why *why);

/* Takes back the stub and the mailbox when there are any, tries its best; hooks and regions stay: sp_inject_leave(). */
void sp_inject_close(struct sp_inject *in); /* NULL is fine */

/* ---- memory and calls ---- */

/* All of len bytes, also into pages the target itself may not write. -ESRCH: the address space is gone (exit, exec). */
sp_must_check int sp_inject_write(struct sp_inject *in, sp_raddr addr, const void *buf, size_t len);

struct sp_inject_call {
	uint64_t nr; /* of the system call */
	uint64_t args[6];
	int64_t ret; /* as the kernel gave it: -errno */
};

#define SP_INJECT_MAX_CALLS 16

/*
 * Has one thread of the target make these calls, in order, whatever each of them returns; its registers, flags, stack
 * and an interrupted call of its own are as before. 0 when all were made (look at each ret). None of them may block.
 */
sp_must_check int sp_inject_calls(struct sp_inject *in, struct sp_inject_call *calls, size_t nr, struct sp_why *why);

/* Some bytes of the target's memory for what calls point to (a name...), zeroed when it is made. */
#define SP_INJECT_SCRATCH_BYTES 2048
sp_must_check int sp_inject_scratch(struct sp_inject *in, sp_raddr *ret, struct sp_why *why);

/*
 * A private anonymous mapping whose every byte is less than 2 GiB from every byte of [near, near + near_len); anywhere
 * when near_len is 0. Away from where the heap and stacks grow. prot as SP_PROT_*. Not merged with the target's own
 * mappings (it is MADV_DONTDUMP). bytes is rounded up to pages. -ENOSPC: no room so near.
 */
sp_must_check int sp_inject_map_near(struct sp_inject *in, sp_raddr near, uint64_t near_len, uint64_t bytes, int prot,
				     sp_raddr *ret, struct sp_why *why);

/* The mark that belongs at the start of a region of the caller's. */
void sp_inject_mark_fill(const struct sp_inject *in, enum sp_inject_region kind, uint64_t bytes, uint64_t active_offset,
			 struct sp_inject_mark *ret);

/* The name that a memfd which the target makes for us must have: by it a later run knows whose it is. */
#define SP_INJECT_MEMFD_NAME 80
void sp_inject_memfd_name(const struct sp_inject *in, char ret[SP_INJECT_MEMFD_NAME]);

/* Is a mapping or descriptor of this path such a one? */
bool sp_inject_is_memfd(const char *path);

/* ---- stops ---- */

struct sp_inject_pause {
	uint64_t ns;         /* from the first interrupt to the last thread's resumption, of the last stop */
	uint64_t max_ns;     /* of any stop */
	unsigned nr_threads; /* of the last stop */
	unsigned nr_stops;   /* more than one: retried */
};

#define SP_INJECT_MAX_VECTOR 336 /* words of x87, SSE, AVX, AVX-512 state */

struct sp_inject_thread {
	pid_t tid;
	uint64_t pc, sp, bp;
	uint64_t fs_base; /* 0: no thread pointer */
	uint64_t gpr[16]; /* rax rbx rcx rdx rsi rdi rbp rsp r8-r15 */
	unsigned nr_vector;
	uint64_t vector[SP_INJECT_MAX_VECTOR]; /* the extended state as it is saved; for a conservative look */
};

struct sp_inject_threads {
	struct sp_inject_thread *list;
	size_t nr;
};

/* Registers of all threads, of one instant. Free with sp_inject_threads_done(). */
sp_must_check int sp_inject_threads(struct sp_inject *in, struct sp_inject_threads *ret,
				    struct sp_inject_pause *ret_pause, struct sp_why *why);
void sp_inject_threads_done(struct sp_inject_threads *t);

/* ---- hooks ---- */

struct sp_inject_hooks; /* the hooks of one transaction: in together, out together */

#define SP_INJECT_DESC_BYTES 64

struct sp_inject_hook {
	const char *name;  /* for reasons; copied */
	sp_raddr function; /* its first instruction in the target, in a mapping of a file */
	uint64_t size;     /* of the function; 0: not known */
	unsigned nr_args;  /* registers that carry arguments, 0 to 6 */
	sp_raddr entry;    /* where the stub goes, r11 = address of the descriptor, everything else as at the function's
			      entry */
	/*
	 * Copied behind the stub. The first word becomes the trampoline (call it and the original function runs), the
	 * second the trampoline of hook number `fallback` unless that is negative.
	 */
	uint8_t desc[SP_INJECT_DESC_BYTES];
	int fallback;
};

enum sp_inject_at {
	SP_INJECT_AT_SECOND, /* the first instruction stays: a breakpoint of somebody else may come there */
	SP_INJECT_AT_JUMP,   /* the function is only a jump, whose target changes: the same */
	SP_INJECT_AT_FIRST,  /* a uprobe that another tool plants here later would hurt the target */
};

struct sp_inject_plan {
	sp_raddr place;      /* of the jump */
	sp_raddr trampoline; /* after sp_inject_hooks_prepare() */
	sp_raddr desc;       /* after sp_inject_hooks_prepare() */
	enum sp_inject_at at;
};

sp_must_check int sp_inject_hooks_new(struct sp_inject *in, struct sp_inject_hooks **ret, struct sp_why *why);
void sp_inject_hooks_free(struct sp_inject_hooks *h); /* our side only; NULL is fine */

/*
 * Plans a hook: compares the code with the file, finds the place, relocates the prologue. Returns its number; or -EBUSY
 * (another tool's breakpoint or jump is there), -ENOTSUP (cannot be moved safely), -ENOENT..., with the function's name
 * in the reason. The same function twice: -EEXIST.
 */
sp_must_check int sp_inject_hook_add(struct sp_inject_hooks *h, const struct sp_inject_hook *hook, struct sp_why *why);
size_t sp_inject_hooks_nr(const struct sp_inject_hooks *h);
void sp_inject_hook_plan(const struct sp_inject_hooks *h, size_t nr, struct sp_inject_plan *ret);

/* Maps near regions and writes stubs, descriptors and trampolines while the target runs. Nothing leads there yet. */
sp_must_check int sp_inject_hooks_prepare(struct sp_inject_hooks *h, struct sp_why *why);

/*
 * In one stop: no thread stands in the code that changes, the code is still the file's, the jumps go in. Over the
 * limit: everything goes on as before, and it is tried again a few times. All of them or none.
 */
sp_must_check int sp_inject_hooks_apply(struct sp_inject_hooks *h, struct sp_inject_pause *ret_pause,
					struct sp_why *why);

/* ---- leaving; leftovers ---- */

struct sp_inject_leftovers {
	unsigned nr_regions; /* of ours, marked; the agent's data */
	unsigned nr_patches; /* places whose code leads into them */
	unsigned nr_files;   /* descriptors that a run left open */
	uint64_t bytes;      /* of the regions */
	pid_t owner_pid;     /* who made them; 0: not known here (another pid namespace) */
	bool is_owner_alive; /* and watches still */
	sp_raddr code;       /* of the agent; 0: none */
};

/* What of ours is in the target. Looks only; needs no stop. */
sp_must_check int sp_inject_leftovers_find(struct sp_proc *p, struct sp_inject_leftovers *ret, struct sp_why *why);

struct sp_inject_left {
	unsigned nr_patches;  /* places that have the file's bytes again */
	unsigned nr_unmapped; /* regions */
	unsigned nr_closed;   /* descriptors */
	unsigned nr_kept;     /* regions that a thread may still return into: inert, they stay */
	struct sp_inject_pause pause;
};

/*
 * Takes everything of ours out of the target, from what is found there and in the files, whoever put it: stops the
 * agent, gives the code the file's bytes, waits up to patience_ns until no thread is inside and no return address leads
 * inside, unmaps the regions and the agent's data. 0 also when regions had to stay: *ret says so. A child of fork that
 * inherited hooks is cleaned the same way.
 */
sp_must_check int sp_inject_leave(struct sp_inject *in, uint64_t patience_ns, struct sp_inject_left *ret,
				  struct sp_why *why);

struct sp_inject_range {
	sp_raddr addr;
	uint64_t bytes;
};

/* True when a thread's pc or a word on a stack in use is in one of the ranges. One stop. */
sp_must_check int sp_inject_threads_inside(struct sp_inject *in, const struct sp_inject_range *ranges, size_t nr,
					   bool *ret, struct sp_inject_pause *ret_pause, struct sp_why *why);

/* ---- the guard: a small process that leaves the target when we are killed ---- */

struct sp_inject_guard;

/* Forks it; before the first thing is put into the target. It holds none of our descriptors but the target's. */
sp_must_check int sp_inject_guard_start(struct sp_proc *p, struct sp_inject_guard **ret, struct sp_why *why);

/* We leave by ourselves: it ends. NULL is fine. */
void sp_inject_guard_stop(struct sp_inject_guard *g);

/*
 * We could not leave (another tracer came, the target is stopped): it does as soon as that is possible, for ten
 * minutes, whether we live on or not. Only after sp_inject_close(): it begins at once. It is our child: when we live
 * on we reap it some day. NULL is fine.
 */
void sp_inject_guard_hand_over(struct sp_inject_guard *g);

/* ---- a copy-on-write snapshot ---- */

struct sp_inject_snapshot;

/*
 * Stops all threads, takes their registers, has one thread clone a child that never runs, resumes them. The child is
 * ours (it dies with us), makes no SIGCHLD, and costs the target a page copy for each page it writes meanwhile: release
 * soon. Fails when clone is filtered or refused (process limits), or over the pause limit: then read the live process
 * instead.
 */
sp_must_check int sp_inject_snapshot_take(struct sp_inject *in, struct sp_inject_snapshot **ret, struct sp_why *why);
const struct sp_inject_threads *sp_inject_snapshot_threads(const struct sp_inject_snapshot *s);
const struct sp_inject_pause *sp_inject_snapshot_pause(const struct sp_inject_snapshot *s);

/* As sp_proc_read_mem(), from the frozen copy. Pages that the target keeps out of children (MADV_DONTFORK) are not
 * there. */
ssize_t sp_inject_snapshot_read(struct sp_inject_snapshot *s, sp_raddr addr, void *buf, size_t len);

/* Where in the target the page is that our calls are made through; the copy has none. 0: there is none. */
sp_raddr sp_inject_own_page(const struct sp_inject *in);

/* A descriptor of the copy's /proc directory: pagemap, maps, mem. Good until the release. */
int sp_inject_snapshot_dirfd(const struct sp_inject_snapshot *s);

/* Kills the child and has the target reap it. NULL is fine. */
void sp_inject_snapshot_release(struct sp_inject_snapshot *s);

#endif
