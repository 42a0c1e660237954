// SPDX-License-Identifier: Apache-2.0
/*
 * Roots: memory that may point to blocks without being one.
 *
 * That is every readable private mapping (data, RELRO, anonymous memory, code that a JIT wrote) and every shared one
 * that is writable. Pages as they are in their file cost nothing: the source knows them. What must be left out is
 * memory that holds what was once true, because old pointers hide leaks:
 *  - of a thread's stack, what is below its stack pointer (and the 128 bytes that the ABI lets a leaf use);
 *  - the stack of a thread that has ended, which glibc keeps for the next one.
 *
 * A thread's control block (fs base) stands on top of its stack in glibc and musl. Where glibc's struct pthread says
 * what the stack is, two neighbouring words are found by what they must be: a page below the stack pointer, and whole
 * pages that end just behind the control block.
 */
#include "heap/mark.h"

#include <errno.h>
#include <string.h>

enum {
	RED_ZONE = 128,     /* System V ABI, x86-64: 3.2.2 */
	TCB_SCAN = 2304,    /* bytes of struct pthread, all releases */
	TCB_MAX = 64 << 10, /* from the control block to the end of its stack */
	TLS_ROOM = 4096,    /* below the control block, where a thread's own variables are */
	MAX_ROOTS = 1 << 21,
	NO_TID = 0,
};

struct finder {
	struct sp_heap *h;
	enum sp_roots which;
	struct sp_vec list;  /* struct sp_root */
	struct sp_vec skips; /* struct sp_root: what is left out, by address when sorted */
	unsigned tid_offset; /* in the control block; 0: not known */
};

static int skip(struct finder *f, uint64_t start, uint64_t end)
{
	struct sp_root r = {.start = start, .end = end};

	return start < end ? sp_vec_push(&f->skips, &r) : 0;
}

static bool is_page(uint64_t v)
{
	return v && v % SP_PAGE == 0;
}

/* stackblock and stackblock_size of struct pthread. */
static bool stack_by_pthread(const struct finder *f, uint64_t fs, uint64_t sp, struct sp_root *ret)
{
	uint64_t words[TCB_SCAN / 8];

	if (!sp_heap_get(f->h->reader, fs, words, sizeof(words)))
		return false;
	for (size_t i = 0; i + 1 < SP_ARRAY_SIZE(words); i++) {
		uint64_t start = words[i], size = words[i + 1];

		if (!is_page(start) || !is_page(size) || start > sp || size > SP_ADDRESS_END || start + size <= fs ||
		    start + size - fs > TCB_MAX || sp >= start + size)
			continue;
		*ret = (struct sp_root){.start = start, .end = start + size};
		return true;
	}
	return false;
}

/* How many threads have their stack pointer in a mapping. */
static unsigned nr_in(const struct finder *f, const struct sp_mapping *m)
{
	unsigned nr = 0;

	for (size_t i = 0; i < f->h->src->nr_threads; i++)
		nr += f->h->src->threads[i].sp >= m->start && f->h->src->threads[i].sp < m->end;
	return nr;
}

/* The stack around a thread's stack pointer, when it can be told from other memory. */
static bool stack_of(const struct finder *f, const struct sp_heap_thread *t, struct sp_root *ret)
{
	const struct sp_mapping *m = sp_maps_find(f->h->src->maps, t->sp);

	if (!m)
		return false;
	*ret = (struct sp_root){.start = m->start, .end = m->end};
	if (!strcmp(m->path, "[stack]"))
		return true;
	if (t->fs && stack_by_pthread(f, t->fs, t->sp, ret))
		return true;
	/* musl, or a layout we do not know: a mapping that is this thread's alone */
	*ret = (struct sp_root){.start = m->start, .end = m->end};
	return t->fs > t->sp && t->fs < m->end && m->end - t->fs <= TCB_MAX && nr_in(f, m) == 1;
}

/* What of a stack is in use, without the thread's own variables at its end as far as these can be told. */
static struct sp_root stack_in_use(const struct sp_heap_thread *t, const struct sp_root *stack)
{
	struct sp_root r = {.start = t->sp - RED_ZONE, .end = stack->end};

	if (t->fs >= r.start && t->fs < r.end)
		r.end = t->fs - r.start > TLS_ROOM ? t->fs - TLS_ROOM : r.start;
	return r;
}

static int take_stack(struct finder *f, const struct sp_heap_thread *t, const struct sp_root *stack)
{
	struct sp_root used = stack_in_use(t, stack);

	if (f->which == SP_ROOTS_STACKS)
		return used.start < used.end ? sp_vec_push(&f->list, &used) : 0;
	int rc = skip(f, stack->start, t->sp - RED_ZONE);
	return rc == 0 && f->which == SP_ROOTS_LASTING ? skip(f, used.start, used.end) : rc;
}

static int take_stacks(struct finder *f)
{
	int rc = 0;

	for (size_t i = 0; i < f->h->src->nr_threads && rc == 0; i++) {
		const struct sp_heap_thread *t = &f->h->src->threads[i];
		struct sp_root stack;

		if (!t->nr)
			f->h->lost.threads_unknown++;
		if (t->sp > RED_ZONE && stack_of(f, t, &stack))
			rc = take_stack(f, t, &stack);
	}
	return rc;
}

/* ---- threads that have ended ---- */

/* Where every thread's control block has its own number. */
static unsigned find_tid_offset(const struct finder *f)
{
	unsigned found = 0;
	size_t nr = 0;

	for (unsigned at = 0x20; at < TCB_SCAN && !found; at += 4) {
		nr = 0;
		for (size_t i = 0; i < f->h->src->nr_threads; i++) {
			const struct sp_heap_thread *t = &f->h->src->threads[i];
			uint32_t tid;

			if (t->tid == NO_TID || !t->fs)
				continue;
			if (!sp_heap_get(f->h->reader, t->fs + at, &tid, sizeof(tid)) || tid != (uint32_t)t->tid)
				break;
			nr++;
		}
		found = nr && nr == f->h->src->nr_threads ? at : 0;
	}
	return found;
}

static bool is_living(const struct finder *f, uint64_t fs)
{
	for (size_t i = 0; i < f->h->src->nr_threads; i++)
		if (f->h->src->threads[i].fs == fs)
			return true;
	return false;
}

/* A control block points to itself at its start and at 16 (tcbhead_t: tcb, self). */
static bool is_tcb(const struct finder *f, uint64_t at)
{
	uint64_t words[3];

	return sp_heap_get(f->h->reader, at, words, sizeof(words)) && words[0] == at && words[2] == at;
}

/* Nobody's stack any more: the kernel has set the thread's number to 0 when it ended. */
static bool is_ended(const struct finder *f, uint64_t tcb)
{
	uint32_t tid = 1;

	return f->tid_offset && !is_living(f, tcb) &&
	       sp_heap_get(f->h->reader, tcb + f->tid_offset, &tid, sizeof(tid)) && tid == 0;
}

/* The stack whose control block stands at the end of a mapping; what is above it (the thread's result) stays a root. */
static int skip_ended(struct finder *f, const struct sp_mapping *m)
{
	uint64_t low = m->end - m->start > TCB_SCAN * 4 ? m->end - (uint64_t)TCB_SCAN * 4 : m->start;
	struct sp_root stack;

	for (uint64_t at = (m->end - 64) & ~(uint64_t)63; at > low; at -= 64) {
		if (!is_tcb(f, at))
			continue;
		if (!is_ended(f, at))
			return 0;
		return stack_by_pthread(f, at, at - 8, &stack) ? skip(f, stack.start, at) : 0;
	}
	return 0;
}

static bool may_be_stack(const struct sp_mapping *m)
{
	return !m->inode && (m->prot & (SP_PROT_R | SP_PROT_W | SP_PROT_SHARED)) == (SP_PROT_R | SP_PROT_W) &&
	       m->end - m->start >= 4 * (uint64_t)SP_PAGE && (!*m->path || !strncmp(m->path, "[anon:", 6));
}

static int skip_all(struct finder *f)
{
	const struct sp_maps *maps = f->h->src->maps;
	int rc = 0;

	f->tid_offset = find_tid_offset(f);
	for (size_t i = 0; i < maps->nr && rc == 0 && f->tid_offset; i++)
		if (may_be_stack(&maps->list[i]))
			rc = skip_ended(f, &maps->list[i]);
	return rc;
}

/* ---- all of it ---- */

static bool is_root(const struct sp_mapping *m)
{
	static const char *const not_memory[] = {"[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]"};

	for (size_t i = 0; i < SP_ARRAY_SIZE(not_memory); i++)
		if (!strcmp(m->path, not_memory[i]))
			return false;
	return (m->prot & SP_PROT_R) && (!(m->prot & SP_PROT_SHARED) || (m->prot & SP_PROT_W));
}

static int by_start(const void *a, const void *b)
{
	const struct sp_root *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* A mapping without what is skipped, which is sorted. */
static int add_without(struct finder *f, uint64_t start, uint64_t end, size_t *next)
{
	int rc = 0;

	for (size_t i = *next; i < f->skips.nr && rc == 0; i++) {
		const struct sp_root *s = sp_vec_at(&f->skips, struct sp_root, i);

		if (s->end <= start) {
			*next = i + 1;
			continue;
		}
		if (s->start >= end)
			break;
		struct sp_root before = {.start = start, .end = s->start};
		if (before.start < before.end)
			rc = sp_vec_push(&f->list, &before);
		start = s->end;
	}
	struct sp_root rest = {.start = start, .end = end};
	return rc == 0 && start < end ? sp_vec_push(&f->list, &rest) : rc;
}

/* Every mapping that may have roots, without what is skipped. */
static int add_mappings(struct finder *f)
{
	const struct sp_maps *maps = f->h->src->maps;
	size_t next = 0;
	int rc = skip_all(f);

	if (f->skips.nr)
		qsort(f->skips.data, f->skips.nr, sizeof(struct sp_root), by_start);
	for (size_t i = 0; i < maps->nr && rc == 0; i++)
		if (is_root(&maps->list[i]))
			rc = add_without(f, maps->list[i].start, maps->list[i].end, &next);
	return rc;
}

int sp_roots_find(struct sp_heap *h, enum sp_roots which, struct sp_vec *ret)
{
	struct finder f = {.h = h, .which = which};

	sp_vec_init(&f.list, sizeof(struct sp_root), MAX_ROOTS);
	sp_vec_init(&f.skips, sizeof(struct sp_root), MAX_ROOTS);
	sp_heap_reader_forget(h->reader);
	int rc = take_stacks(&f);
	if (rc == 0 && which != SP_ROOTS_STACKS)
		rc = add_mappings(&f);
	sp_vec_done(&f.skips);
	if (rc < 0) {
		sp_vec_done(&f.list);
		return rc;
	}
	*ret = f.list;
	return 0;
}
