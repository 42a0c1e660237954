// SPDX-License-Identifier: Apache-2.0
/*
 * System calls on the target's behalf, in a way that survives our death at any instant.
 *
 *   1. One thread is stopped: where it may be diverted (sp_calls_is_suitable).
 *   2. The stub, code made for this thread and these calls (arch/), goes into the slack of a mapping. Nothing leads
 * there.
 *   3. One register set sends the thread there; it is let go. From here on it needs nobody: the stub makes the calls,
 *      stores what they return, and puts it back to where it was, with an interrupted call of its own restarted. Its
 *      signals wait meanwhile: a handler that jumped out of the stub would leave calls half made.
 *   4. We look at the mailbox until the stub's last store has arrived.
 *   5. The thread is stopped once more: it has left the stub, and the file's bytes go back.
 *
 * The mailbox is one page that the first stub maps. What was tried by others and dropped: single-stepping a syscall
 * instruction (a tracer killed in between leaves a trap or foreign registers behind), results on the thread's stack
 * (there may be no room, and they are overwritten at once).
 */
#include "inject/impl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum {
	PAGE_BYTES = 4096,
	STOP_ONE_NS = 10000000, /* for one thread to come to its stop */
	POLL_NS = 20000,
	LOOK_NS = 3000000, /* without an answer: where is it? */
};

/* For the calls: the thread may have to wait for a CPU; it runs meanwhile. */
#define PATIENCE_NS 10000000000ull

/* include/uapi/linux/ptrace.h, since 5.13; not in every libc. */
enum { GET_RSEQ_CONFIGURATION = 0x420f };
struct rseq_configuration {
	uint64_t address; /* of the thread's struct rseq; 0: none */
	uint32_t bytes, signature, flags, pad;
};

struct work {
	struct sp_stub stub;
	struct sp_why *why;
	pid_t tid;
};

/* ---- which thread ---- */

/* A restartable sequence (rseq) notices only jumps that the kernel sees; the stub's way back into it is none. */
static bool is_in_rseq(struct sp_inject *in, pid_t tid)
{
	struct rseq_configuration conf = {};
	uint64_t cs = 0;

	if (ptrace((enum __ptrace_request)GET_RSEQ_CONFIGURATION, tid, sizeof(conf), &conf) != (long)sizeof(conf) ||
	    !conf.address)
		return false;
	/* struct rseq: cpu_id_start, cpu_id, rseq_cs (include/uapi/linux/rseq.h). */
	return sp_inject_read(in, conf.address + 8, &cs, sizeof(cs)) < 0 || cs != 0;
}

/*
 * A signal that waits to be handled would be handled in the stub, and the interrupted call restarted behind its back,
 * without the EINTR that it has a right to.
 */
static bool has_signal(struct sp_inject *in, const struct sp_task *t)
{
	uint64_t own = 0, shared = 0, blocked = 0;

	if (t->sig || !sp_inject_status_u64(in, t->tid, "SigPnd", 16, &own) ||
	    !sp_inject_status_u64(in, t->tid, "ShdPnd", 16, &shared) ||
	    !sp_inject_status_u64(in, t->tid, "SigBlk", 16, &blocked))
		return true;
	return (own | shared) & ~blocked;
}

bool sp_calls_is_suitable(struct sp_inject *in, const struct sp_task *t, const struct sp_arch_regs *regs)
{
	if (has_signal(in, t))
		return false;
	return sp_inject_arch.is_in_syscall(regs) || !is_in_rseq(in, t->tid);
}

/* 1: this one; 0: not now; -errno. */
static int try_thread(struct sp_inject *in, struct sp_task *t, struct sp_arch_regs *ret_regs)
{
	char state = in->opts.is_held ? 'S' : sp_proc_tid_state(in->p, t->tid);

	if (!state || strchr("ZXxDT", state))
		return 0;
	int rc = sp_task_stop(in, t, sp_inject_now_ns() + STOP_ONE_NS);
	if (rc == 0)
		rc = sp_inject_arch.get_regs(t->tid, ret_regs);
	if (rc == 0 && (in->opts.is_held || sp_calls_is_suitable(in, t, ret_regs)))
		return 1;
	sp_task_resume(in, t);
	return rc == -ESRCH || rc == -EAGAIN ? 0 : rc;
}

static int refuse_threads(struct sp_inject *in, struct sp_why *why)
{
	char state = sp_proc_tid_state(in->p, in->pid);
	bool is_stopped = state == 'T' || state == 't';
	int rc = sp_why_set(why, SP_FAULT_TARGET, EAGAIN, "no thread of process %d can be made to work for us now%s",
			    (int)in->pid, is_stopped ? ": it is stopped by a signal" : "");

	if (is_stopped)
		sp_why_hint(why, "let it go on: kill -CONT %d", (int)in->pid);
	else
		sp_why_hint(why, "is it frozen? See /proc/%d/cgroup and its cgroup.freeze; or try again", (int)in->pid);
	return rc;
}

int sp_calls_stop_suitable(struct sp_inject *in, struct sp_task *ret, struct sp_arch_regs *ret_regs, struct sp_why *why)
{
	enum { ROUNDS = 20, BETWEEN_NS = 2000000 };
	struct sp_vec tids;
	int rc = 0;

	sp_vec_init(&tids, sizeof(pid_t), SP_INJECT_MAX_TASKS);
	for (int round = 0; rc == 0 && round < ROUNDS; round++) {
		if (round)
			sp_inject_sleep_ns(BETWEEN_NS);
		sp_vec_clear(&tids);
		rc = sp_proc_tids(in->p, &tids);
		for (size_t i = 0; rc == 0 && i < tids.nr; i++) {
			*ret = (struct sp_task){.tid = *sp_vec_at(&tids, pid_t, i)};
			rc = try_thread(in, ret, ret_regs);
		}
	}
	sp_vec_done(&tids);
	if (rc == 1)
		return 0;
	if (rc == -ESRCH)
		return sp_inject_refuse_gone(in, why);
	return rc < 0 ? sp_inject_refuse_ptrace(in, -rc, why) : refuse_threads(in, why);
}

/* ---- running it ---- */

int sp_stub_place(struct sp_inject *in, pid_t tid, const struct sp_stub *stub, const struct sp_arch_regs *regs)
{
	uint8_t buf[SP_INJECT_MARK_BYTES + SP_STUB_MAX];
	struct sp_stub s = *stub;
	struct sp_inject_mark mark;

	/* In a call that waits with other signals blocked than usual: the usual ones, and the call begins anew. */
	if (ptrace((enum __ptrace_request)PTRACE_GETSIGMASK, tid, sizeof(s.sigmask), &s.sigmask) < 0)
		return -errno;
	size_t len = sp_inject_arch.encode_stub(&s, regs, buf + SP_INJECT_MARK_BYTES, SP_STUB_MAX);
	if (!len || len + SP_INJECT_MARK_BYTES > in->slack.bytes)
		return -ENOSPC;
	sp_inject_mark_fill(in, SP_INJECT_STUB, in->slack.bytes, 0, &mark);
	memcpy(buf, &mark, sizeof(mark));
	in->slack.is_used = true;
	int rc = sp_inject_write(in, (sp_raddr){in->slack.addr}, buf, len + SP_INJECT_MARK_BYTES);
	sp_inject_fault_point(SP_FAULT_POINT_STUB_WRITTEN);
	return rc;
}

int sp_stub_divert(struct sp_inject *in, struct sp_task *t, const struct sp_arch_regs *regs)
{
	struct sp_arch_regs to = *regs;

	in->slack.tid = t->tid;
	sp_inject_arch.divert(&to, in->slack.addr + SP_INJECT_MARK_BYTES);
	int rc = sp_inject_arch.set_regs(t->tid, &to);
	sp_inject_fault_point(SP_FAULT_POINT_DIVERTED);
	return rc;
}

/* The stub's last store is there; or, when it takes the mailbox away, the mailbox is not. */
static bool is_answered(struct sp_inject *in, const struct sp_stub *stub)
{
	uint64_t seq = 0;
	bool is_there = sp_inject_read(in, stub->mailbox + SP_MAILBOX_SEQ, &seq, sizeof(seq)) == 0;

	return stub->ends_mailbox ? !is_there : is_there && seq == stub->seq;
}

/* 1: it is still in the stub; 0: it is not and never will be; -errno. */
static int is_still_there(struct sp_inject *in, pid_t tid)
{
	const struct sp_inject_range range = {.addr = {in->slack.addr}, .bytes = in->slack.bytes};
	struct sp_task t = {.tid = tid};
	bool is_inside = true;

	uint64_t deadline = sp_inject_now_ns() + in->opts.max_pause_ns;
	int rc = sp_task_stop(in, &t, deadline);
	if (rc == 0)
		rc = sp_inside_find_one(in, &t, NULL, &range, deadline, &is_inside);
	sp_task_resume(in, &t);
	return rc == -EAGAIN ? 1 : rc < 0 ? rc : is_inside;
}

/* 0: answered; -EAGAIN: not in time; -EINTR: left the stub without (mailbox not made, or a handler that jumped out). */
static int wait_for_answer(struct sp_inject *in, const struct sp_stub *stub, pid_t tid)
{
	uint64_t start = sp_inject_now_ns(), look = start + LOOK_NS;

	while (!is_answered(in, stub)) {
		uint64_t now = sp_inject_now_ns();
		if (now > look) {
			int rc = is_still_there(in, tid);
			if (rc <= 0)
				return is_answered(in, stub) ? 0 : rc < 0 ? rc : -EINTR;
			look = sp_inject_now_ns() + 10 * (uint64_t)LOOK_NS;
		}
		if (now - start > PATIENCE_NS)
			return -EAGAIN;
		sp_inject_sleep_ns(POLL_NS);
	}
	return 0;
}

/* The held thread runs into the trap at the stub's end; its registers are as they were then. */
static int run_held(struct sp_inject *in, struct sp_task *t, const struct sp_arch_regs *regs)
{
	struct sp_arch_regs now = {}, back = *regs;
	uint64_t deadline = sp_inject_now_ns() + PATIENCE_NS;
	int sig = 0, rc;

	do {
		if (ptrace(PTRACE_CONT, t->tid, 0, sig) < 0)
			return -errno;
		t->is_stopped = false;
		rc = sp_task_wait(in, t, deadline);
		if (rc == 0)
			rc = sp_inject_arch.get_regs(t->tid, &now);
		sig = t->sig;
	} while (rc == 0 && sp_inject_arch.pc(&now) - in->slack.addr >= in->slack.bytes);
	if (rc < 0)
		return rc;
	sp_inject_arch.divert(&back, sp_inject_arch.pc(regs)); /* no system call of its own is to be restarted */
	return sp_inject_arch.set_regs(t->tid, &back);
}

static int run_stub(struct sp_inject *in, struct work *w, struct sp_task *t, const struct sp_arch_regs *regs)
{
	int rc = sp_stub_place(in, t->tid, &w->stub, regs);
	if (rc == 0)
		rc = sp_stub_divert(in, t, regs);
	if (rc == 0 && in->opts.is_held)
		return run_held(in, t, regs);
	sp_task_resume(in, t);
	if (rc < 0)
		return rc;
	sp_inject_fault_point(SP_FAULT_POINT_CALLING);
	return wait_for_answer(in, &w->stub, t->tid);
}

static int make_calls(struct sp_inject *in, void *arg)
{
	struct work *w = arg;
	struct sp_arch_regs regs = {};
	struct sp_task t = {};

	int rc = sp_calls_stop_suitable(in, &t, &regs, w->why);
	if (rc < 0)
		return rc;
	rc =
	    sp_seccomp_check(in, t.tid, w->stub.calls, w->stub.nr_calls, in->slack.addr + SP_INJECT_MARK_BYTES, w->why);
	if (rc == 0)
		rc = run_stub(in, w, &t, &regs);
	sp_task_resume(in, &t);
	if (rc == 0)
		sp_inject_fault_point(SP_FAULT_POINT_CALLED);
	return rc;
}

static int refuse(struct sp_inject *in, int err, struct sp_why *why)
{
	if (err == ESRCH)
		return sp_inject_refuse_gone(in, why);
	if (err == EBUSY)
		return sp_inject_refuse_turn(in, why);
	if (err == EINTR)
		return sp_why_set(why, SP_FAULT_TARGET, EINTR,
				  "process %d did not finish the calls made for us: it is at a limit of memory, or a"
				  " signal handler left them",
				  (int)in->pid);
	return sp_why_set(why, SP_FAULT_TARGET, err, "system calls in process %d failed: %s", (int)in->pid,
			  strerror(err));
}

/*
 * The slack is the file's before and after. -EINTR: a handler has jumped out before signals were blocked, and nothing
 * was done; or the mailbox could not be made.
 */
static int run_in_turn(struct sp_inject *in, struct work *w)
{
	enum { TRIES = 8 };

	int rc = sp_slack_need(in, w->why);
	if (rc == 0)
		rc = sp_inject_session(in, make_calls, w);
	for (int i = 0; i < TRIES && rc == -EINTR; i++) {
		rc = sp_slack_restore(in);
		if (rc == 0)
			rc = sp_inject_session(in, make_calls, w);
	}
	if (in->slack.is_used) {
		int rc_back = sp_slack_restore(in);
		rc = rc ? rc : rc_back == -EAGAIN ? 0 : rc_back; /* a later one may do it */
	}
	return rc;
}

static int run(struct sp_inject *in, struct work *w)
{
	int rc = sp_inject_turn_take(in);

	if (rc == 0) {
		rc = run_in_turn(in, w);
		sp_inject_turn_give(in);
	}
	return rc < 0 ? refuse(in, -rc, w->why) : 0;
}

static int read_results(struct sp_inject *in, const struct sp_stub *stub, struct sp_inject_call *calls)
{
	int64_t results[SP_INJECT_MAX_CALLS];

	int rc = sp_inject_read(in, stub->mailbox + SP_MAILBOX_RESULTS, results, sizeof(results));
	for (size_t i = 0; rc == 0 && i < stub->nr_calls; i++)
		calls[i].ret = results[i];
	return rc;
}

/* ---- the mailbox ---- */

static struct sp_stub mailbox_stub(struct sp_inject *in, struct sp_inject_call calls[3], uint64_t at)
{
	calls[0] = (struct sp_inject_call){
	    .nr = sp_inject_arch.nr_mmap,
	    .args = {at, SP_MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		     ~0ull, 0},
	};
	calls[1] =
	    (struct sp_inject_call){.nr = sp_inject_arch.nr_madvise, .args = {at, SP_MAILBOX_BYTES, MADV_DONTFORK}};
	calls[2] =
	    (struct sp_inject_call){.nr = sp_inject_arch.nr_madvise, .args = {at, SP_MAILBOX_BYTES, MADV_DONTDUMP}};
	return (struct sp_stub){.calls = calls,
				.nr_calls = 3,
				.mailbox = at,
				.seq = ++in->seq,
				.makes_mailbox = true,
				.traps = in->opts.is_held};
}

static int make_mailbox_in_turn(struct sp_inject *in, struct sp_why *why)
{
	struct sp_inject_call calls[3];
	struct sp_inject_mark mark;
	struct sp_maps maps;

	int rc = sp_slack_need(in, why);
	if (rc == 0)
		rc = sp_proc_maps(in->p, &maps, why);
	if (rc < 0)
		return rc;
	uint64_t at = sp_near_choose(&maps, in->slack.addr, 0, SP_MAILBOX_BYTES);
	sp_maps_done(&maps);
	struct work w = {.stub = mailbox_stub(in, calls, at), .why = why};
	rc = run(in, &w);
	if (rc < 0)
		return rc;
	sp_inject_mark_fill(in, SP_INJECT_MAILBOX, SP_MAILBOX_BYTES, 0, &mark);
	rc = sp_inject_write(in, (sp_raddr){at}, &mark, sizeof(mark));
	in->mailbox = at;
	return rc < 0 ? refuse(in, -rc, why) : 0;
}

static int make_mailbox(struct sp_inject *in, struct sp_why *why)
{
	int rc = sp_inject_turn_take(in); /* the place is free until it is taken */

	if (rc < 0)
		return refuse(in, -rc, why);
	rc = make_mailbox_in_turn(in, why);
	sp_inject_turn_give(in);
	return rc;
}

int sp_inject_drop_mailbox(struct sp_inject *in)
{
	const struct sp_inject_call call = {.nr = sp_inject_arch.nr_munmap, .args = {in->mailbox, SP_MAILBOX_BYTES}};
	struct work w = {.stub = {.calls = &call,
				  .nr_calls = 1,
				  .mailbox = in->mailbox,
				  .ends_mailbox = true,
				  .traps = in->opts.is_held}};

	int rc = run(in, &w);
	if (rc == 0)
		in->mailbox = 0;
	return rc;
}

int sp_inject_need_mailbox(struct sp_inject *in, struct sp_why *why)
{
	return in->mailbox ? 0 : make_mailbox(in, why);
}

int sp_inject_scratch(struct sp_inject *in, sp_raddr *ret, struct sp_why *why)
{
	int rc = sp_inject_need_mailbox(in, why);

	if (rc == 0)
		ret->v = in->mailbox + SP_MAILBOX_SCRATCH;
	return rc;
}

int sp_inject_calls(struct sp_inject *in, struct sp_inject_call *calls, size_t nr, struct sp_why *why)
{
	enum { CALL_BYTES = 90, END_BYTES = 200 }; /* of the longest call, and of the stub's rest */

	if (!nr || nr > SP_INJECT_MAX_CALLS)
		return sp_why_set(why, SP_FAULT_OURS, EINVAL, "%zu system calls at once", nr);
	int rc = sp_inject_need_mailbox(in, why);
	size_t room = in->slack.bytes < sizeof(in->slack.file) ? in->slack.bytes : sizeof(in->slack.file);
	while (rc == 0 && nr) {
		size_t fit = (room - SP_INJECT_MARK_BYTES - END_BYTES) / CALL_BYTES;
		fit = fit < nr ? fit : nr;
		struct work w = {.stub = {.calls = calls,
					  .nr_calls = fit,
					  .mailbox = in->mailbox,
					  .seq = ++in->seq,
					  .traps = in->opts.is_held},
				 .why = why};
		rc = run(in, &w);
		if (rc == 0 && read_results(in, &w.stub, calls) < 0)
			rc = sp_inject_refuse_gone(in, why);
		calls += fit;
		nr -= fit;
	}
	return rc;
}
