// SPDX-License-Identifier: Apache-2.0
/* What the files of inject/ share among themselves. Not for other rooms. */
#ifndef SEEP_INJECT_IMPL_H
#define SEEP_INJECT_IMPL_H

#include "elf/elf.h"
#include "inject/arch/arch.h"
#include "inject/fault.h"
#include "inject/inject.h"

/* The unused end of an executable mapping's last page, where a stub may lie for a moment. */
struct sp_slack {
	uint64_t addr; /* 0: not looked for yet */
	uint64_t bytes;
	uint8_t file[SP_INJECT_MARK_BYTES + SP_STUB_MAX]; /* what the file has there */
	bool is_used;                                     /* something else than that is there */
	pid_t tid;                                        /* the thread that was sent there */
};

struct sp_inject {
	struct sp_proc *p;
	pid_t pid;
	int memfd;         /* /proc/PID/mem, read and write */
	int turnfd;        /* /proc/PID, locked while it is our turn */
	unsigned nr_turns; /* taken and not given back */
	struct sp_inject_opts opts;
	struct sp_slack slack;
	uint64_t mailbox; /* 0: none */
	uint64_t seq;
	struct sp_inject_mark owner;   /* who we are, as marks say it */
	bool own_only;                 /* what others have put there is not found: they may be watching still */
	struct sp_inject_guard *guard; /* of snapshots; NULL: none was taken yet */
};

/* The mark of this process, before it is a region's. */
void sp_inject_fill_owner(struct sp_inject_mark *ret);

/* ---- time ---- */

uint64_t sp_inject_now_ns(void);
void sp_inject_sleep_ns(uint64_t ns);

/* ---- turns (turn.c) ---- */

/*
 * Waits until nobody else of us changes the target; may be taken again by who has it. -EBUSY: somebody does not end.
 * Whatever is written into code, and whoever is sent there, has it from before the first byte to after the last.
 */
sp_must_check int sp_inject_turn_take(struct sp_inject *in);
void sp_inject_turn_give(struct sp_inject *in);

/* Others may have it for this long. Only where nothing of ours is under way. */
sp_must_check int sp_inject_turn_pass(struct sp_inject *in, uint64_t ns);

/* ---- ptrace sessions (session.c) ---- */

/*
 * Runs fn in a thread of its own, with a real-time priority where that is allowed, and returns what it returned. When
 * that thread ends the kernel lets go of all that it traced, whatever state it was left in. It is our turn meanwhile.
 * A held target: runs it here.
 */
int sp_inject_session(struct sp_inject *in, int (*fn)(struct sp_inject *in, void *arg), void *arg);

/* Waits until the kernel has let go of what a thread of ours, which is joined, has traced. */
void sp_inject_session_wait_released(pid_t tid);

/* The priority of such a thread, and back. */
void sp_inject_session_boost(void);
void sp_inject_session_unboost(void);

/* ---- threads of the target (tasks.c) ---- */

enum { SP_INJECT_MAX_TASKS = 100000 };

struct sp_task {
	pid_t tid;
	bool is_asked; /* to stop */
	bool is_stopped, is_gone;
	int event; /* PTRACE_EVENT_*; 0: a signal */
	int sig;   /* to be delivered when it goes on */
};

struct sp_tasks {
	struct sp_vec list; /* of struct sp_task */
	uint64_t start_ns;  /* of the first interrupt */
};

void sp_tasks_init(struct sp_tasks *t);
void sp_tasks_done(struct sp_tasks *t); /* memory only */

/* Stops every thread, also those made meanwhile. -EAGAIN: not before the deadline; resume, then try again. */
int sp_tasks_stop_all(struct sp_inject *in, struct sp_tasks *t, uint64_t deadline_ns, struct sp_why *why);

/* Lets all go on, with their signals. Returns the time since the first interrupt. */
uint64_t sp_tasks_resume_all(struct sp_inject *in, struct sp_tasks *t);

/* One thread. -EAGAIN: it does not stop in time; -ESRCH: it is gone. */
int sp_task_seize(pid_t tid, long options);
int sp_task_stop(struct sp_inject *in, struct sp_task *t, uint64_t deadline_ns);
int sp_task_wait(struct sp_inject *in, struct sp_task *t, uint64_t deadline_ns);
void sp_task_resume(struct sp_inject *in, struct sp_task *t);

/* 1: stopped; 0: not yet; -ESRCH: nothing of ours to wait for. */
int sp_task_look(struct sp_inject *in, struct sp_task *t);

/* ---- reasons (reasons.c) ---- */

int sp_inject_refuse_ptrace(struct sp_inject *in, int err, struct sp_why *why);
int sp_inject_refuse_gone(struct sp_inject *in, struct sp_why *why);
int sp_inject_refuse_turn(struct sp_inject *in, struct sp_why *why); /* of sp_inject_turn_take() */
int sp_inject_refuse_write(struct sp_inject *in, int err, struct sp_why *why);
int sp_inject_no_memory(struct sp_why *why);

/* Who traces the target, 0: nobody. */
pid_t sp_inject_tracer(struct sp_inject *in);

/* A number of /proc/PID/task/TID/status; false: no such line. */
bool sp_inject_status_u64(struct sp_inject *in, pid_t tid, const char *key, int base, uint64_t *ret);

/* ---- memory (memory.c) ---- */

int sp_inject_read(struct sp_inject *in, uint64_t addr, void *buf, size_t len); /* all or -EIO */

/* Up to the first byte that cannot be read: how many, or -errno. */
ssize_t sp_inject_read_some(struct sp_inject *in, uint64_t addr, void *buf, size_t len);

/* ---- the stub's place (slack.c) ---- */

/*
 * A place that has the file's bytes now, whatever it had when it was looked for. In our turn. -ENOSPC: there is none;
 * -EAGAIN: a thread is in ours still.
 */
int sp_slack_need(struct sp_inject *in, struct sp_why *why);

/* Puts the file's bytes back as soon as the thread has left. 0; -EAGAIN: it has not for a while. */
int sp_slack_restore(struct sp_inject *in);

/* ---- calls (calls.c) ---- */

/* One page of the target's for results and small things. */
int sp_inject_need_mailbox(struct sp_inject *in, struct sp_why *why);
int sp_inject_drop_mailbox(struct sp_inject *in);

/* Writes the stub for a thread that stands still with these registers; sends it there when it goes on. In a session. */
int sp_stub_place(struct sp_inject *in, pid_t tid, const struct sp_stub *stub, const struct sp_arch_regs *regs);
int sp_stub_divert(struct sp_inject *in, struct sp_task *t, const struct sp_arch_regs *regs);

/* May this stopped thread be diverted? */
bool sp_calls_is_suitable(struct sp_inject *in, const struct sp_task *t, const struct sp_arch_regs *regs);

/* A thread that may be diverted: stopped, not inside a restartable sequence. In a session. */
int sp_calls_stop_suitable(struct sp_inject *in, struct sp_task *ret, struct sp_arch_regs *ret_regs,
			   struct sp_why *why);

/* ---- addresses (near.c) ---- */

/* A free range for `bytes`, nearest below or above; 0: none. */
uint64_t sp_near_choose(const struct sp_maps *maps, uint64_t near, uint64_t near_len, uint64_t bytes);

/* ---- snapshots (snapshot.c) ---- */

/* A snapshot's child whose taker was killed is dead, but only the target, its parent, can make it go for good. */
int sp_snapshot_reap_orphan(struct sp_inject *in, uint64_t mailbox);

/* ---- registers (threads.c) ---- */

/* One more stop. */
void sp_pause_note(struct sp_inject_pause *p, uint64_t ns, size_t nr_threads);

int sp_threads_read(const struct sp_tasks *tasks, struct sp_inject_threads *ret);

/* ---- seccomp (filter.c, seccomp.c) ---- */

struct sock_filter;
struct seccomp_data;

/* What the filter answers (SECCOMP_RET_*), -EINVAL: not a filter. Bounded; reads nothing outside of data. */
int sp_filter_run(const struct sock_filter *insns, size_t nr, const struct seccomp_data *data, uint32_t *ret);

/* Would the stopped thread's filters let it make these calls from this pc? -EPERM with the reason. */
int sp_seccomp_check(struct sp_inject *in, pid_t tid, const struct sp_inject_call *calls, size_t nr, uint64_t pc,
		     struct sp_why *why);

/* ---- looking for addresses in registers and stacks (inside.c) ---- */

/* Is any stopped thread inside, or will one return into the ranges? -EAGAIN: deadline. Ranges are [addr, addr + bytes).
 */
int sp_inside_find(struct sp_inject *in, struct sp_tasks *tasks, const struct sp_maps *maps,
		   const struct sp_inject_range *ranges, size_t nr, uint64_t deadline_ns, bool *ret);

/* Of one stopped thread. */
int sp_inside_find_one(struct sp_inject *in, const struct sp_task *task, const struct sp_maps *maps,
		       const struct sp_inject_range *range, uint64_t deadline_ns, bool *ret);

/* Words of stacks only: not where the threads stand. */
int sp_inside_find_in_stacks(struct sp_inject *in, struct sp_tasks *tasks, const struct sp_maps *maps,
			     const struct sp_inject_range *ranges, size_t nr, uint64_t deadline_ns, bool *ret);

/* ---- what is ours in the target (regions.c, patches.c) ---- */

#define SP_REGION_DATA 100 /* beside enum sp_inject_region: the agent's data, a memfd that is mapped shared */

struct sp_region {
	uint64_t start, bytes;
	uint32_t kind;
	struct sp_inject_mark mark; /* zero for data */
};

/* Regions of ours; elements are struct sp_region. */
int sp_regions_find(struct sp_inject *in, const struct sp_maps *maps, struct sp_vec *ret);

/* Put there by somebody else than in->owner, and only the own is wanted. */
bool sp_region_is_others(const struct sp_inject *in, const struct sp_inject_mark *mark);

struct sp_patch {
	uint64_t addr;
	unsigned bytes;
	bool is_stub; /* else a jump */
	uint8_t now[SP_HOOK_JUMP_BYTES];
	uint8_t file[SP_INJECT_MARK_BYTES + SP_STUB_MAX];
};

/*
 * Places in the code of files whose bytes are ours: jumps into a near region (one of `regions`), stubs. Elements are
 * struct sp_patch. -ENOMEM, -ENOSPC.
 */
int sp_patches_find(struct sp_inject *in, const struct sp_maps *maps, const struct sp_vec *regions, struct sp_vec *ret);

/* ---- descriptors of ours in the target (files.c) ---- */

struct sp_left_file {
	int fd;
	struct sp_inject_mark mark; /* as its name says */
};

/* Elements of *ret are struct sp_left_file. */
int sp_files_find(struct sp_inject *in, struct sp_vec *ret);
int sp_files_close(struct sp_inject *in, unsigned *ret_nr, struct sp_why *why);

enum { SP_INJECT_MAX_REGIONS = 4096, SP_INJECT_MAX_PATCHES = 4096 };

#endif
