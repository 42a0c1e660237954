// SPDX-License-Identifier: Apache-2.0
/*
 * Chooses addresses for our mappings in the target, and maps them.
 *
 * A 32-bit displacement must reach from a hook to its stub and from a moved instruction to its data, so a near region
 * lies within 2 GiB of the whole module. It must not lie where the heap grows (behind [heap], or behind the program
 * when there is none yet) nor where the stack grows (in front of [stack]): a third of such a gap stays theirs, which is
 * gigabytes; there may be no other gap near. And not side by side with another mapping, which the kernel might merge
 * with ours or which might be meant to grow.
 */
#include "inject/impl.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096ull
#define REACH      (1ull << 31)
#define LOWEST     (1ull << 20) /* far above vm.mmap_min_addr */
#define HIGHEST    (0x7ffffffff000ull - PAGE_BYTES)

struct window {
	uint64_t lo, hi; /* the whole mapping must be in it */
};

static struct window window_of(uint64_t near, uint64_t near_len)
{
	struct window w = {LOWEST, HIGHEST};

	if (!near_len)
		return w;
	if (near + near_len > REACH && near + near_len - REACH > w.lo)
		w.lo = near + near_len - REACH;
	if (near + REACH < w.hi)
		w.hi = near + REACH;
	w.lo = (w.lo + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	w.hi &= ~(PAGE_BYTES - 1);
	return w;
}

static bool has_heap(const struct sp_maps *maps)
{
	for (size_t i = 0; i < maps->nr; i++)
		if (!strcmp(maps->list[i].path, "[heap]"))
			return true;
	return false;
}

/* Does what is in front of the gap behind `nr_before` mappings grow into it? */
static bool grows_up(const struct sp_maps *maps, size_t nr_before, bool heap)
{
	const struct sp_mapping *before = nr_before ? &maps->list[nr_before - 1] : NULL;

	if (!before)
		return false;
	if (!strcmp(before->path, "[heap]"))
		return true;
	/* No heap yet: it will begin behind the data of the program, the lowest of all files but the rare. */
	return !heap && before->start < maps->list[0].start + REACH && (before->prot & SP_PROT_W);
}

static bool grows_down(const struct sp_maps *maps, size_t nr_before)
{
	return nr_before < maps->nr && !strcmp(maps->list[nr_before].path, "[stack]");
}

/* The gap behind nr_before mappings, without what others may come to need of it. */
static struct window gap_of(const struct sp_maps *maps, size_t nr_before, bool heap)
{
	struct window gap = {nr_before ? maps->list[nr_before - 1].end : 0,
			     nr_before < maps->nr ? maps->list[nr_before].start : HIGHEST};

	if (gap.hi <= gap.lo)
		return (struct window){};
	uint64_t third = (gap.hi - gap.lo) / 3 & ~(PAGE_BYTES - 1);
	if (grows_up(maps, nr_before, heap))
		gap.lo += third;
	if (grows_down(maps, nr_before))
		gap.hi -= third;
	return gap;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

/* The place in [lo, hi) nearest to `near`. 0: too small. */
static uint64_t place_in(uint64_t lo, uint64_t hi, uint64_t near, uint64_t bytes)
{
	if (hi < lo || hi - lo < bytes + 2 * PAGE_BYTES)
		return 0;
	return near >= hi ? hi - PAGE_BYTES - bytes : lo + PAGE_BYTES;
}

uint64_t sp_near_choose(const struct sp_maps *maps, uint64_t near, uint64_t near_len, uint64_t bytes)
{
	struct window w = window_of(near, near_len);
	bool heap = has_heap(maps);
	uint64_t best = 0;

	for (size_t i = 0; i <= maps->nr; i++) {
		struct window gap = gap_of(maps, i, heap);
		gap.lo = gap.lo < w.lo ? w.lo : gap.lo;
		gap.hi = gap.hi > w.hi ? w.hi : gap.hi;
		uint64_t place = place_in(gap.lo, gap.hi, near, bytes);
		if (place && (!best || distance(place, near) < distance(best, near)))
			best = place;
	}
	return best;
}

static int refuse(struct sp_inject *in, int64_t err, uint64_t bytes, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_TARGET, (int)-err, "process %d cannot map %llu KiB for us: %s", (int)in->pid,
			    (unsigned long long)(bytes >> 10), strerror((int)-err));

	if (err == -EACCES || err == -EPERM)
		sp_why_hint(why, "a security module forbids executable memory in it; watch from outside: --engine bpf");
	else if (err == -ENOMEM)
		sp_why_hint(why, "it is at its limit of address space (ulimit -v, vm.overcommit_memory)");
	return rc;
}

/*
 * The target maps it even when we are killed meanwhile, and nobody writes the mark then: the guard finds it by this
 * (regions.c).
 */
static int note_intent(struct sp_inject *in, uint64_t at, uint64_t bytes, struct sp_why *why)
{
	const uint64_t words[] = {at, bytes};
	int rc = sp_inject_need_mailbox(in, why);

	if (rc == 0)
		rc = sp_inject_write(in, (sp_raddr){in->mailbox + SP_MAILBOX_INTENT}, words, sizeof(words));
	return rc;
}

/* -EEXIST: somebody was faster. */
static int map_at(struct sp_inject *in, uint64_t at, uint64_t bytes, int prot, struct sp_why *why)
{
	int p = (prot & SP_PROT_R ? PROT_READ : 0) | (prot & SP_PROT_W ? PROT_WRITE : 0) |
		(prot & SP_PROT_X ? PROT_EXEC : 0);
	struct sp_inject_call calls[] = {
	    {.nr = sp_inject_arch.nr_mmap,
	     .args = {at, bytes, (uint64_t)p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ull, 0}},
	    {.nr = sp_inject_arch.nr_madvise, .args = {at, bytes, MADV_DONTDUMP}},
	};
	int rc = note_intent(in, at, bytes, why);

	if (rc == 0)
		rc = sp_inject_calls(in, calls, SP_ARRAY_SIZE(calls), why);
	if (rc < 0)
		return rc;
	if (calls[0].ret == -EEXIST)
		return -EEXIST;
	if (calls[0].ret < 0)
		return refuse(in, calls[0].ret, bytes, why);
	if ((uint64_t)calls[0].ret == at)
		return 0;
	/* Before Linux 4.17 the address is only a wish. */
	calls[0] = (struct sp_inject_call){.nr = sp_inject_arch.nr_munmap, .args = {(uint64_t)calls[0].ret, bytes}};
	rc = sp_inject_calls(in, calls, 1, why);
	return rc < 0 ? rc : -EEXIST;
}

/*
 * Nobody cares where: behind the last mapping. Words on stacks that are in our ranges keep us from leaving, and low
 * addresses look like the small numbers that stand everywhere.
 */
static uint64_t anywhere(const struct sp_maps *maps)
{
	uint64_t last = LOWEST;

	for (size_t i = 0; i < maps->nr && maps->list[i].end < HIGHEST; i++)
		last = maps->list[i].end;
	return last;
}

int sp_inject_map_near(struct sp_inject *in, sp_raddr near, uint64_t near_len, uint64_t bytes, int prot, sp_raddr *ret,
		       struct sp_why *why)
{
	enum { TRIES = 8 };

	bytes = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	for (int i = 0; i < TRIES; i++) {
		struct sp_maps maps;
		int rc = sp_proc_maps(in->p, &maps, why);
		if (rc < 0)
			return rc;
		uint64_t at = sp_near_choose(&maps, near_len ? near.v : anywhere(&maps), near_len, bytes);
		sp_maps_done(&maps);
		if (!at)
			break;
		rc = map_at(in, at, bytes, prot, why);
		if (rc == 0)
			ret->v = at;
		if (rc != -EEXIST)
			return rc;
	}
	return sp_why_set(why, SP_FAULT_TARGET, ENOSPC, "process %d has no %llu KiB of addresses free near 0x%llx",
			  (int)in->pid, (unsigned long long)(bytes >> 10), (unsigned long long)near.v);
}
