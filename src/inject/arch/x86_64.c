// SPDX-License-Identifier: Apache-2.0
/*
 * x86-64: registers of a stopped thread, restart of interrupted system calls, and the code of remote calls.
 *
 * The stub is code made for one thread at one moment: it blocks signals (a handler might jump out of it), makes system
 * calls and then puts constants, the thread's own values, into the registers that it or the kernel changed, and jumps
 * to where the thread was. It needs no stack (there may be none to speak of), changes no flag (only mov, lea, jrcxz,
 * jmp; the kernel keeps them over a call), and finds its way back alone: we may be dead by then.
 */
#include "inject/arch/arch.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/elf.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

_Static_assert(sizeof(struct user_regs_struct) == sizeof(struct sp_arch_regs), "all of them");

/* include/linux/errno.h: what an interrupted call returns inside the kernel. */
enum {
	ERESTARTSYS_ = 512,
	ERESTARTNOINTR_ = 513,
	ERESTARTNOHAND_ = 514,
	ERESTART_RESTARTBLOCK_ = 516,
};

/*
 * Calls that return a plain EINTR after any interruption, also one by ptrace (signal(7), "Interruption of system calls
 * and library functions by stop signals"): epoll, semaphores, waiting for signals, aio, io_uring, and sockets with a
 * timeout. All of them have done nothing when they say EINTR. Not close(), which has, and not ioctl().
 */
static const uint16_t PLAIN_EINTR[] = {
    SYS_epoll_wait,   SYS_epoll_pwait,    SYS_epoll_pwait2, SYS_semop,    SYS_semtimedop, SYS_rt_sigtimedwait,
    SYS_io_getevents, SYS_io_uring_enter, SYS_read,         SYS_write,    SYS_readv,      SYS_writev,
    SYS_recvfrom,     SYS_recvmsg,        SYS_recvmmsg,     SYS_sendto,   SYS_sendmsg,    SYS_sendmmsg,
    SYS_accept,       SYS_accept4,        SYS_connect,      SYS_sendfile, SYS_splice,     SYS_io_pgetevents,
};

static struct user_regs_struct user(const struct sp_arch_regs *regs)
{
	struct user_regs_struct u;

	memcpy(&u, regs, sizeof(u));
	return u;
}

static int get_regs(pid_t tid, struct sp_arch_regs *ret)
{
	return ptrace(PTRACE_GETREGS, tid, 0, ret) < 0 ? -errno : 0;
}

static int set_regs(pid_t tid, const struct sp_arch_regs *regs)
{
	return ptrace(PTRACE_SETREGS, tid, 0, regs) < 0 ? -errno : 0;
}

static int set_pc(pid_t tid, uint64_t pc)
{
	return ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rip), pc) < 0 ? -errno : 0;
}

static uint64_t pc_of(const struct sp_arch_regs *regs)
{
	return user(regs).rip;
}

static uint64_t sp_of(const struct sp_arch_regs *regs)
{
	return user(regs).rsp;
}

static uint64_t thread_pointer(const struct sp_arch_regs *regs)
{
	return user(regs).fs_base;
}

static bool is_in_syscall(const struct sp_arch_regs *regs)
{
	return (int64_t)user(regs).orig_rax >= 0;
}

static bool says_plain_eintr(const struct user_regs_struct *u)
{
	if ((int64_t)u->orig_rax < 0 || (int64_t)u->rax != -EINTR)
		return false;
	for (size_t i = 0; i < SP_ARRAY_SIZE(PLAIN_EINTR); i++)
		if (u->orig_rax == PLAIN_EINTR[i])
			return true;
	return false;
}

/* "Restart unless a handler runs", in the kernel's own words: it decides when the thread goes on. */
static int mend_interrupted(pid_t tid)
{
	struct sp_arch_regs regs;

	int rc = get_regs(tid, &regs);
	if (rc < 0)
		return rc;
	struct user_regs_struct u = user(&regs);
	if (!says_plain_eintr(&u))
		return 0;
	return ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rax), -(long)ERESTARTNOHAND_) < 0 ? -errno
														: 0;
}

static void divert(struct sp_arch_regs *regs, uint64_t pc)
{
	struct user_regs_struct u = user(regs);

	u.rip = pc;
	u.orig_rax = ~0ull; /* no call to restart */
	memcpy(regs, &u, sizeof(u));
}

/* What the kernel would have done to restart the call (arch/x86/kernel/signal.c, arch_do_signal_or_restart). */
static void restart(struct user_regs_struct *u)
{
	enum { SYSCALL_BYTES = 2 };

	if ((int64_t)u->orig_rax < 0)
		return;
	switch (-(int64_t)u->rax) {
	case ERESTARTSYS_:
	case ERESTARTNOINTR_:
	case ERESTARTNOHAND_:
		u->rax = u->orig_rax;
		break;
	case ERESTART_RESTARTBLOCK_:
		u->rax = SYS_restart_syscall;
		break;
	default:
		if (!says_plain_eintr(u))
			return;
		u->rax = u->orig_rax;
	}
	u->rip -= SYSCALL_BYTES;
}

/* ---- code ---- */

struct out {
	uint8_t *buf;
	size_t size, at;
};

static void put(struct out *o, const void *bytes, size_t nr)
{
	if (nr <= o->size - o->at && o->at <= o->size)
		memcpy(o->buf + o->at, bytes, nr);
	else
		o->at = o->size + 1; /* stays there: too long */
	if (o->at <= o->size)
		o->at += nr;
}

#define PUT(o, ...) put(o, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

enum reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11 };

/* mov reg, value: the shortest form. */
static void put_mov(struct out *o, enum reg reg, uint64_t value)
{
	uint8_t low = reg & 7, high = reg >> 3;

	if (value <= UINT32_MAX) {
		uint32_t v = (uint32_t)value;
		if (high)
			PUT(o, 0x41);
		PUT(o, 0xb8 | low);
		put(o, &v, sizeof(v));
	} else if ((int64_t)value == (int32_t)value) {
		int32_t v = (int32_t)value;
		PUT(o, 0x48 | high, 0xc7, 0xc0 | low);
		put(o, &v, sizeof(v));
	} else {
		PUT(o, 0x48 | high, 0xb8 | low);
		put(o, &value, sizeof(value));
	}
}

/* rt_sigprocmask(SIG_SETMASK, constant, NULL, 8). Returns where the distance to the constant is to be filled in. */
static size_t put_set_sigmask(struct out *o)
{
	put_mov(o, RDI, SIG_SETMASK);
	PUT(o, 0x48, 0x8d, 0x35, 0x00, 0x00, 0x00, 0x00); /* lea rsi, [rip + distance] */
	size_t distance_at = o->at - sizeof(int32_t);
	put_mov(o, RDX, 0);
	put_mov(o, R10, sizeof(uint64_t));
	put_mov(o, RAX, SYS_rt_sigprocmask);
	PUT(o, 0x0f, 0x05); /* syscall */
	return distance_at;
}

/* The distance to here. */
static void fill_distance(struct out *o, size_t distance_at)
{
	int32_t distance = (int32_t)(o->at - distance_at - sizeof(int32_t));

	if (o->at <= o->size)
		memcpy(o->buf + distance_at, &distance, sizeof(distance));
}

static void put_constant(struct out *o, size_t distance_at, uint64_t value)
{
	fill_distance(o, distance_at);
	put(o, &value, sizeof(value));
}

/* mov [address], rax */
static void put_store(struct out *o, uint64_t address)
{
	PUT(o, 0x48, 0xa3);
	put(o, &address, sizeof(address));
}

static void put_call(struct out *o, const struct sp_inject_call *c)
{
	static const enum reg ARGS[6] = {RDI, RSI, RDX, R10, R8, R9};

	for (size_t i = 0; i < SP_ARRAY_SIZE(ARGS); i++)
		put_mov(o, ARGS[i], c->args[i]);
	put_mov(o, RAX, c->nr);
	PUT(o, 0x0f, 0x05); /* syscall */
}

/* The new process gets 0 and goes no further. */
static void put_child_ends(struct out *o)
{
	PUT(o, 0x48, 0x89, 0xc1); /* mov rcx, rax */
	PUT(o, 0xe3, 0x02);       /* jrcxz child */
	PUT(o, 0xeb, 0x0e);       /* jmp over it */
	put_mov(o, RAX, SYS_exit_group);
	put_mov(o, RDI, 0);
	PUT(o, 0x0f, 0x05); /* syscall */
	PUT(o, 0x0f, 0x0b); /* ud2 */
}

/* Goes on when rax is the mailbox, else to the end. Returns where the distance to the end is to be filled in. */
static size_t put_need_mailbox(struct out *o, uint64_t mailbox)
{
	put_mov(o, RCX, -mailbox);
	PUT(o, 0x48, 0x8d, 0x0c, 0x01);       /* lea rcx, [rcx + rax] */
	PUT(o, 0xe3, 0x05);                   /* jrcxz over the jump */
	PUT(o, 0xe9, 0x00, 0x00, 0x00, 0x00); /* jmp end */
	return o->at - sizeof(int32_t);
}

static void put_end(struct out *o, const struct sp_stub *stub, const struct sp_arch_regs *regs, size_t all_at)
{
	struct user_regs_struct u = user(regs);
	uint64_t back;

	if (stub->traps) {
		PUT(o, 0xcc);
		return;
	}
	size_t own_at = put_set_sigmask(o);
	restart(&u);
	put_mov(o, RAX, u.rax);
	put_mov(o, RCX, u.rcx);
	put_mov(o, RDX, u.rdx);
	put_mov(o, RSI, u.rsi);
	put_mov(o, RDI, u.rdi);
	put_mov(o, R8, u.r8);
	put_mov(o, R9, u.r9);
	put_mov(o, R10, u.r10);
	put_mov(o, R11, u.r11);
	back = u.rip;
	PUT(o, 0xff, 0x25, 0x00, 0x00, 0x00, 0x00); /* jmp [rip] */
	put(o, &back, sizeof(back));
	put_constant(o, all_at, ~0ull);
	put_constant(o, own_at, stub->sigmask);
}

static size_t encode_stub(const struct sp_stub *stub, const struct sp_arch_regs *regs, uint8_t *buf, size_t size)
{
	struct out o = {.buf = buf, .size = size};
	size_t to_end = 0, all_at = stub->traps ? 0 : put_set_sigmask(&o);

	for (size_t i = 0; i < stub->nr_calls; i++) {
		put_call(&o, &stub->calls[i]);
		if (stub->ends_mailbox && i == stub->nr_calls - 1)
			break;
		if (stub->is_clone && i == 0)
			put_child_ends(&o);
		if (stub->makes_mailbox && i == 0)
			to_end = put_need_mailbox(&o, stub->mailbox);
		put_store(&o, stub->mailbox + SP_MAILBOX_RESULTS + i * sizeof(uint64_t));
	}
	if (!stub->ends_mailbox) {
		put_mov(&o, RAX, stub->seq);
		put_store(&o, stub->mailbox + SP_MAILBOX_SEQ);
	}
	if (to_end)
		fill_distance(&o, to_end);
	put_end(&o, stub, regs, all_at);
	return o.at <= size ? o.at : 0;
}

static void fill_thread(pid_t tid, const struct sp_arch_regs *regs, struct sp_inject_thread *ret)
{
	struct user_regs_struct u = user(regs);
	struct iovec iov = {.iov_base = ret->vector, .iov_len = sizeof(ret->vector)};

	ret->tid = tid;
	ret->pc = u.rip;
	ret->sp = u.rsp;
	ret->bp = u.rbp;
	ret->fs_base = u.fs_base;
	const uint64_t gpr[] = {u.rax, u.rbx, u.rcx, u.rdx, u.rsi, u.rdi, u.rbp, u.rsp,
				u.r8,  u.r9,  u.r10, u.r11, u.r12, u.r13, u.r14, u.r15};
	memcpy(ret->gpr, gpr, sizeof(gpr));
	ret->nr_vector = 0;
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) == 0)
		ret->nr_vector = (unsigned)(iov.iov_len / sizeof(uint64_t));
}

const struct sp_inject_arch sp_inject_arch = {
    .get_regs = get_regs,
    .set_regs = set_regs,
    .set_pc = set_pc,
    .pc = pc_of,
    .sp = sp_of,
    .thread_pointer = thread_pointer,
    .is_in_syscall = is_in_syscall,
    .mend_interrupted = mend_interrupted,
    .divert = divert,
    .encode_stub = encode_stub,
    .fill_thread = fill_thread,
    .audit_arch = AUDIT_ARCH_X86_64,
    .nr_mmap = SYS_mmap,
    .nr_munmap = SYS_munmap,
    .nr_madvise = SYS_madvise,
    .nr_clone = SYS_clone,
    .nr_wait4 = SYS_wait4,
};
