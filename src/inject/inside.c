// SPDX-License-Identifier: Apache-2.0
/*
 * Does a stopped thread stand in some code, or will it come back to it?
 *
 * It stands there when its pc does. It comes back when a word on its stack points there: a return address, or the pc
 * that a signal handler's frame will restore. Every word from the stack pointer to the end of the stack is looked at; a
 * stale word that looks like one only means that we ask again later.
 *
 * Where a stack ends: the thread pointer lies on top of each thread's own stack (glibc and musl put their block there),
 * the main thread's is the mapping [stack]. A thread that is on another stack (a signal stack, a coroutine's) may have
 * left such words on its own stack as well, where nothing says how much is in use: all of it is looked at then.
 */
#include "inject/impl.h"

#include <errno.h>
#include <string.h>

enum { CHUNK = 16384, FIRST_CHUNK = 2048 };
#define OTHER_STACK_MAX (1ull << 20) /* of a stack whose end is not known */
#define OWN_STACK_MAX   (1ull << 30)

struct look {
	struct sp_inject *in;
	const struct sp_maps *maps; /* may be older than the stop; NULL: the one thread's stack is enough */
	const struct sp_inject_range *ranges;
	size_t nr;
	uint64_t deadline_ns;
	bool found;
};

static bool is_in(const struct look *l, uint64_t addr)
{
	for (size_t i = 0; i < l->nr; i++)
		if (addr - l->ranges[i].addr.v < l->ranges[i].bytes)
			return true;
	return false;
}

/* Looks at [lo, hi) up to the first hole. *ret_end: how far it came. -EAGAIN: no time. */
static int look_at(struct look *l, uint64_t lo, uint64_t hi, uint64_t *ret_end)
{
	uint64_t words[CHUNK / sizeof(uint64_t)];
	size_t want = FIRST_CHUNK;

	lo &= ~7ull;
	while (lo < hi && !l->found) {
		if (sp_inject_now_ns() > l->deadline_ns)
			return -EAGAIN;
		size_t len = hi - lo < want ? hi - lo : want;
		ssize_t n = sp_inject_read_some(l->in, lo, words, len);
		for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(words[0]) && !l->found; i++)
			l->found = is_in(l, words[i]);
		lo += n > 0 ? (uint64_t)n : 0;
		if (n < (ssize_t)len)
			break;
		want = CHUNK;
	}
	*ret_end = lo;
	return 0;
}

static uint64_t end_of_main_stack(const struct look *l)
{
	for (size_t i = 0; l->maps && i < l->maps->nr; i++)
		if (!strcmp(l->maps->list[i].path, "[stack]"))
			return l->maps->list[i].end;
	return 0;
}

/* All of the stack below `top`, by the mapping that it is in. */
static int look_at_own(struct look *l, uint64_t top)
{
	const struct sp_mapping *m = l->maps && top ? sp_maps_find(l->maps, top - 1) : NULL;
	uint64_t end;

	if (!m) {
		l->found = l->maps != NULL; /* nothing known of it: rather not */
		return 0;
	}
	uint64_t lo = top - m->start > OWN_STACK_MAX ? top - OWN_STACK_MAX : m->start;
	while (lo < top && !l->found) {
		int rc = look_at(l, lo, top, &end);
		if (rc < 0)
			return rc;
		lo = (end & ~4095ull) + 4096; /* over a page that cannot be read */
	}
	return 0;
}

static int look_at_stacks(struct look *l, const struct sp_task *t, const struct sp_arch_regs *regs)
{
	uint64_t sp = sp_inject_arch.sp(regs), end;
	uint64_t top = t->tid == l->in->pid ? end_of_main_stack(l) : sp_inject_arch.thread_pointer(regs);
	bool is_below = top > sp && top - sp < OWN_STACK_MAX;

	int rc = look_at(l, sp, is_below ? top : sp + OTHER_STACK_MAX, &end);
	if (rc < 0 || l->found || (is_below && end == top))
		return rc;
	return look_at_own(l, top);
}

static int look_at_task(struct look *l, const struct sp_task *t, bool stacks_only)
{
	struct sp_arch_regs regs;

	if (!t->is_stopped)
		return 0;
	int rc = sp_inject_arch.get_regs(t->tid, &regs);
	if (rc < 0)
		return rc == -ESRCH ? 0 : rc; /* killed */
	if (!stacks_only && is_in(l, sp_inject_arch.pc(&regs))) {
		l->found = true;
		return 0;
	}
	return look_at_stacks(l, t, &regs);
}

static int find(struct look *l, struct sp_tasks *tasks, bool stacks_only, bool *ret)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && !l->found && i < tasks->list.nr; i++)
		rc = look_at_task(l, sp_vec_at(&tasks->list, struct sp_task, i), stacks_only);
	if (rc == 0)
		*ret = l->found;
	return rc;
}

int sp_inside_find(struct sp_inject *in, struct sp_tasks *tasks, const struct sp_maps *maps,
		   const struct sp_inject_range *ranges, size_t nr, uint64_t deadline_ns, bool *ret)
{
	struct look l = {.in = in, .maps = maps, .ranges = ranges, .nr = nr, .deadline_ns = deadline_ns};

	return find(&l, tasks, false, ret);
}

int sp_inside_find_in_stacks(struct sp_inject *in, struct sp_tasks *tasks, const struct sp_maps *maps,
			     const struct sp_inject_range *ranges, size_t nr, uint64_t deadline_ns, bool *ret)
{
	struct look l = {.in = in, .maps = maps, .ranges = ranges, .nr = nr, .deadline_ns = deadline_ns};

	return find(&l, tasks, true, ret);
}

int sp_inside_find_one(struct sp_inject *in, const struct sp_task *task, const struct sp_maps *maps,
		       const struct sp_inject_range *range, uint64_t deadline_ns, bool *ret)
{
	struct look l = {.in = in, .maps = maps, .ranges = range, .nr = 1, .deadline_ns = deadline_ns};

	int rc = look_at_task(&l, task, false);
	if (rc == 0)
		*ret = l.found;
	return rc;
}
