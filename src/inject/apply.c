// SPDX-License-Identifier: Apache-2.0
/*
 * The moment when hooks go in: the only long stop of the whole target, so everything else was done before.
 *
 *   1. All threads are stopped.
 *   2. The code that changes is still the file's. Nobody else's breakpoint or hook came in between.
 *   3. A thread whose pc is inside the bytes of a jump to come is moved to the same instruction in the trampoline. No
 *      word on any stack may lead there: a signal handler that interrupted such a place comes back to it.
 *   4. The jumps are written, each in one write that does not cross a page: killed anywhere here, every function either
 *      has its jump or has not, and the agent, still inactive, passes on.
 *   5. All go on.
 * When 1 to 3 do not succeed within the limit, nothing has been written; all go on, and it is tried again.
 */
#include "inject/hooks.h"

#include <errno.h>
#include <string.h>

struct apply {
	struct sp_inject_hooks *h;
	struct sp_maps maps;
	struct sp_vec ranges; /* of struct sp_inject_range: the insides of the jumps */
	struct sp_inject_pause pause;
	struct sp_why *why;
};

static int check_code(struct sp_inject_hooks *h, struct sp_why *why)
{
	uint8_t now[SP_HOOK_MAX_MOVED + 16];

	for (size_t i = 0; i < h->hooks.nr; i++) {
		const struct sp_hook *k = sp_vec_at(&h->hooks, struct sp_hook, i);
		if (sp_inject_read(h->in, k->r.function, now, k->r.covered) < 0)
			return sp_inject_refuse_gone(h->in, why);
		if (memcmp(now, k->bytes, k->r.covered) != 0)
			return sp_why_set(why, SP_FAULT_TARGET, EBUSY,
					  "%s was changed by another tool while we were about to hook it", k->name);
	}
	return 0;
}

/* The hook whose jump would have this pc in it. NULL: none. */
static const struct sp_hook *find_hook(const struct sp_inject_hooks *h, uint64_t pc)
{
	for (size_t i = 0; i < h->hooks.nr; i++) {
		const struct sp_hook *k = sp_vec_at(&h->hooks, struct sp_hook, i);
		uint64_t place = k->r.function + k->r.place;
		if (pc > place && pc < place + SP_HOOK_JUMP_BYTES)
			return k;
	}
	return NULL;
}

static int move_out(struct sp_inject_hooks *h, const struct sp_task *t)
{
	struct sp_arch_regs regs;

	if (!t->is_stopped)
		return 0;
	int rc = sp_inject_arch.get_regs(t->tid, &regs);
	if (rc < 0)
		return rc == -ESRCH ? 0 : rc;
	uint64_t pc = sp_inject_arch.pc(&regs);
	const struct sp_hook *k = find_hook(h, pc);
	if (!k)
		return 0;
	for (unsigned i = 0; i < k->r.nr_insns; i++) {
		if (k->r.function + k->r.from[i] != pc)
			continue;
		rc = sp_inject_arch.set_pc(t->tid, sp_hook_base(h, k) + SP_HOOK_CODE_AT + k->r.to[i]);
		sp_inject_fault_point(SP_FAULT_POINT_MOVED_PC);
		return rc;
	}
	return -EAGAIN; /* in the middle of an instruction: not code that we understand */
}

static int move_all_out(struct sp_inject_hooks *h, struct sp_tasks *tasks)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < tasks->list.nr; i++)
		rc = move_out(h, sp_vec_at(&tasks->list, struct sp_task, i));
	return rc;
}

static void write_back(struct sp_inject_hooks *h)
{
	for (size_t i = 0; i < h->hooks.nr; i++) {
		struct sp_hook *k = sp_vec_at(&h->hooks, struct sp_hook, i);
		if (k->is_in && sp_inject_write(h->in, (sp_raddr){k->r.function + k->r.place}, k->bytes + k->r.place,
						SP_HOOK_JUMP_BYTES) == 0)
			k->is_in = false;
	}
}

static int write_jumps(struct sp_inject_hooks *h, struct sp_why *why)
{
	uint8_t jump[SP_HOOK_JUMP_BYTES];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < h->hooks.nr; i++) {
		struct sp_hook *k = sp_vec_at(&h->hooks, struct sp_hook, i);
		uint64_t place = k->r.function + k->r.place;
		rc = sp_relocate_jump(place, sp_hook_base(h, k), jump);
		if (rc == 0)
			rc = sp_inject_write(h->in, (sp_raddr){place}, jump, sizeof(jump));
		k->is_in = rc == 0;
		sp_inject_fault_point(SP_FAULT_POINT_JUMP_WRITTEN);
	}
	if (rc == 0)
		return 0;
	write_back(h);
	return sp_inject_refuse_write(h->in, -rc, why);
}

/* Steps 2 to 4. */
static int while_stopped(struct sp_inject *in, struct apply *a, struct sp_tasks *tasks, uint64_t deadline)
{
	bool is_inside = false;

	int rc = check_code(a->h, a->why);
	if (rc == 0)
		rc = sp_inside_find_in_stacks(in, tasks, &a->maps, a->ranges.data, a->ranges.nr, deadline, &is_inside);
	if (rc == 0 && is_inside)
		rc = -EAGAIN;
	if (rc == 0)
		rc = move_all_out(a->h, tasks);
	if (rc == 0)
		rc = write_jumps(a->h, a->why);
	if (rc == 0)
		sp_inject_fault_point(SP_FAULT_POINT_APPLIED);
	return rc;
}

static int try_once(struct sp_inject *in, void *arg)
{
	uint64_t deadline = sp_inject_now_ns() + in->opts.max_pause_ns;
	struct apply *a = arg;
	struct sp_tasks tasks;

	sp_tasks_init(&tasks);
	int rc = sp_tasks_stop_all(in, &tasks, deadline, a->why);
	if (rc == 0)
		rc = while_stopped(in, a, &tasks, deadline);
	sp_pause_note(&a->pause, sp_tasks_resume_all(in, &tasks), tasks.list.nr);
	sp_tasks_done(&tasks);
	return rc;
}

static int fill_ranges(struct apply *a)
{
	for (size_t i = 0; i < a->h->hooks.nr; i++) {
		const struct sp_hook *k = sp_vec_at(&a->h->hooks, struct sp_hook, i);
		struct sp_inject_range r = {.addr = {k->r.function + k->r.place + 1}, .bytes = SP_HOOK_JUMP_BYTES - 1};
		int rc = sp_vec_push(&a->ranges, &r);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int refuse_late(struct sp_inject *in, const struct apply *a, struct sp_why *why)
{
	int rc =
	    sp_why_set(why, SP_FAULT_TARGET, EAGAIN,
		       "the %u threads of process %d could not be stopped at a good place within %llu ms, %u times",
		       a->pause.nr_threads, (int)in->pid, (unsigned long long)(in->opts.max_pause_ns / 1000000),
		       a->pause.nr_stops);

	sp_why_hint(why, "allow a longer stop: --max-pause, or watch from outside: --engine bpf");
	return rc;
}

static int apply(struct sp_inject *in, struct apply *a, struct sp_why *why)
{
	enum { TRIES = 12, FIRST_NS = 1000000, LONGEST_NS = 50000000 };
	uint64_t wait = FIRST_NS;
	int rc = -EAGAIN;

	for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		struct sp_why reason = {};
		if (i)
			sp_inject_sleep_ns(wait);
		wait = wait * 2 < LONGEST_NS ? wait * 2 : LONGEST_NS;
		rc = sp_proc_maps(in->p, &a->maps, why);
		if (rc < 0)
			return rc;
		a->why = &reason;
		rc = sp_inject_session(in, try_once, a);
		sp_maps_done(&a->maps);
		if (rc < 0 && rc != -EAGAIN) {
			if (sp_why_is_set(&reason) && why && !sp_why_is_set(why))
				*why = reason;
			return sp_inject_refuse_ptrace(in, -rc, why);
		}
	}
	return rc == -EAGAIN ? refuse_late(in, a, why) : rc;
}

int sp_inject_hooks_apply(struct sp_inject_hooks *h, struct sp_inject_pause *ret_pause, struct sp_why *why)
{
	struct apply a = {.h = h};

	if (!h->is_prepared)
		return sp_why_set(why, SP_FAULT_OURS, EINVAL, "hooks are not prepared");
	sp_vec_init(&a.ranges, sizeof(struct sp_inject_range), SP_HOOKS_MAX);
	int rc = fill_ranges(&a);
	rc = rc < 0 ? sp_inject_no_memory(why) : apply(h->in, &a, why);
	sp_vec_done(&a.ranges);
	if (ret_pause)
		*ret_pause = a.pause;
	return rc;
}
