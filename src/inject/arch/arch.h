// SPDX-License-Identifier: Apache-2.0
/* What acting inside a process needs to know of the CPU. One file a CPU fills sp_inject_arch. */
#ifndef SEEP_INJECT_ARCH_H
#define SEEP_INJECT_ARCH_H

#include "inject/inject.h"

struct sp_arch_regs {
	uint64_t r[27]; /* as PTRACE_GETREGS has them */
};

/* What the code between saving and restoring a thread's registers does. */
struct sp_stub {
	const struct sp_inject_call *calls;
	size_t nr_calls;
	uint64_t mailbox; /* of the results */
	uint64_t seq;     /* stored in the mailbox when all calls are made */
	/*
	 * The first call makes the mailbox at exactly that address; when it does not, nothing is stored and no other
	 * call made.
	 */
	bool makes_mailbox;
	bool ends_mailbox; /* the last call takes it away: no result of it, no seq */
	uint64_t sigmask;  /* of the thread; signals wait while the stub runs */
	bool is_clone;     /* the first call makes a process, which ends at once should it ever run */
	bool traps;        /* a trap at the end instead of the way back: the thread is held by us */
};

/* Where in the mailbox the stub stores. */
#define SP_MAILBOX_SEQ     64
#define SP_MAILBOX_RESULTS 72
#define SP_MAILBOX_INTENT  1024 /* a region about to be mapped, which has no mark yet: address, bytes */
#define SP_MAILBOX_SCRATCH 2048
#define SP_MAILBOX_BYTES   4096
#define SP_STUB_MAX        1536 /* bytes of the longest stub, without its mark */

struct sp_inject_arch {
	int (*get_regs)(pid_t tid, struct sp_arch_regs *ret);
	int (*set_regs)(pid_t tid, const struct sp_arch_regs *regs);
	int (*set_pc)(pid_t tid, uint64_t pc); /* nothing else of the registers */
	uint64_t (*pc)(const struct sp_arch_regs *regs);
	uint64_t (*sp)(const struct sp_arch_regs *regs);
	uint64_t (*thread_pointer)(const struct sp_arch_regs *regs);
	bool (*is_in_syscall)(const struct sp_arch_regs *regs); /* stopped at its end, or in it */
	/*
	 * A system call that ptrace has interrupted, and that the kernel would let fail with EINTR though no signal
	 * came, is made to restart. The kernel still says EINTR when a signal is handled first.
	 */
	int (*mend_interrupted)(pid_t tid);
	/* Registers that make the thread run code at pc when it goes on; an interrupted call is not restarted there. */
	void (*divert)(struct sp_arch_regs *regs, uint64_t pc);
	/*
	 * The code that makes the calls and then goes on as `regs` would have. Uses no stack and changes no flags.
	 * Returns its length, 0 when it does not fit.
	 */
	size_t (*encode_stub)(const struct sp_stub *stub, const struct sp_arch_regs *regs, uint8_t *buf, size_t size);
	void (*fill_thread)(pid_t tid, const struct sp_arch_regs *regs, struct sp_inject_thread *ret);
	uint32_t audit_arch; /* of native system calls, for seccomp */
	unsigned nr_mmap, nr_munmap, nr_madvise, nr_clone, nr_wait4;
};

extern const struct sp_inject_arch sp_inject_arch;

/* ---- hooks ---- */

#define SP_HOOK_JUMP_BYTES 5
#define SP_HOOK_MAX_MOVED  40 /* bytes at a function's start that a hook may move */
#define SP_HOOK_MAX_INSNS  16
#define SP_HOOK_MAX_CODE   160 /* bytes of a trampoline */
#define SP_HOOK_MAX_UNDO   16

/* What is done to one function. Addresses are those of the target. */
struct sp_relocation {
	uint64_t function;
	unsigned place;   /* of the jump, from the function's start */
	unsigned covered; /* end of the moved bytes, from the function's start */
	enum sp_inject_at at;
	uint8_t undo[SP_HOOK_MAX_UNDO]; /* takes back what ran before the jump */
	unsigned undo_bytes;
	/* Instruction i begins at from[i] in the function and at to[i] in the trampoline. */
	unsigned nr_insns;
	uint8_t from[SP_HOOK_MAX_INSNS];
	uint8_t to[SP_HOOK_MAX_INSNS];
	uint8_t code[SP_HOOK_MAX_CODE]; /* the trampoline, once it is encoded */
	unsigned code_bytes;
};

struct sp_code {
	uint64_t address;
	const uint8_t *bytes;
	size_t nr;     /* bytes at hand */
	uint64_t size; /* of the function; 0: unknown */
	unsigned nr_args;
};

/* Chooses the place. 0; -EBUSY: a breakpoint or a hook; -ENOTSUP with *ret_reason. */
int sp_relocate_plan(const struct sp_code *code, struct sp_relocation *ret, const char **ret_reason);

/* Fills code for a trampoline at this address. -ERANGE: too far away. */
int sp_relocate_encode(const struct sp_code *code, uint64_t trampoline, struct sp_relocation *r);

/* Code that restores the function's entry state and goes to `entry` with r11 = desc. Returns its length. */
size_t sp_relocate_stub(const struct sp_relocation *r, uint64_t stub, uint64_t desc, uint64_t entry, uint8_t *buf,
			size_t size);
#define SP_HOOK_STUB_BYTES 48

/* The jump at `place` to `to`. -ERANGE: too far away. */
int sp_relocate_jump(uint64_t place, uint64_t to, uint8_t ret[SP_HOOK_JUMP_BYTES]);

/* Where a jump at `place` leads; 0: no such jump. */
uint64_t sp_relocate_jump_target(uint64_t place, const uint8_t bytes[SP_HOOK_JUMP_BYTES]);

/*
 * Does a call or jump with a 32-bit distance in this text lead into [lo, hi)? Every byte is tried as the beginning of
 * one, so data may look like it: then a function is refused for nothing.
 */
bool sp_relocate_is_reached(const uint8_t *text, size_t nr, uint64_t address, uint64_t lo, uint64_t hi);

#endif
