// SPDX-License-Identifier: Apache-2.0
/*
 * Which segment a mapping is, from what the kernel calls it and from who uses it:
 *
 *  1. names in brackets are the kernel's word; names that a program gives (PR_SET_VMA_ANON_NAME) tell the owner;
 *  2. a file with an executable mapping is a program or library: what may be written of it is data, the rest read-only;
 *     anonymous memory that its headers ask for is its bss;
 *  3. shared memory is what is mapped shared from a file system that lives in memory;
 *  4. anonymous memory with a thread's stack pointer in it is that thread's stack, with an allocator's region in it the
 *     allocator's; without any permission it is only reserved.
 */
#include "segments/segments.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

static const struct {
	const char *key, *name, *freed_by;
	enum sp_can_leak can_leak;
} kinds[SP_NR_SEGMENTS] = {
#define KIND(id, key, name, leak, freed) [SP_SEGMENT_##id] = {key, name, freed, SP_CAN_LEAK_##leak},
    SP_SEGMENTS(KIND)
#undef KIND
};

const char *sp_segment_key(enum sp_segment_kind k)
{
	return kinds[k].key;
}

const char *sp_segment_name(enum sp_segment_kind k)
{
	return kinds[k].name;
}

enum sp_can_leak sp_segment_can_leak(enum sp_segment_kind k)
{
	return kinds[k].can_leak;
}

const char *sp_segment_freed_by(enum sp_segment_kind k)
{
	return kinds[k].freed_by;
}

/* ---- sorting ---- */

struct sorter {
	const struct sp_smaps *smaps;
	const struct sp_segment_facts *facts;
	struct sp_u64map programs; /* (device, inode) hashed -> 1: a file that is executed */
	size_t region;             /* the first one that ends behind the mapping in hand */
	size_t thread;             /* the first one with sp in it or behind it */
};

static uint64_t file_key(const struct sp_mapping *m)
{
	return m->inode ^ makedev(m->dev_major, m->dev_minor) * 0x9e3779b97f4a7c15u;
}

static bool is_file(const struct sp_mapping *m)
{
	return m->inode && *m->path != '[';
}

static int find_programs(struct sorter *s)
{
	int rc = 0;

	for (size_t i = 0; i < s->smaps->nr && rc == 0; i++) {
		const struct sp_mapping *m = &s->smaps->list[i].map;

		if (is_file(m) && (m->prot & SP_PROT_X) && !(m->prot & SP_PROT_SHARED))
			rc = sp_u64map_set(&s->programs, file_key(m), 1);
	}
	return rc == -ENOSPC ? 0 : rc;
}

static bool is_program(const struct sorter *s, const struct sp_mapping *m)
{
	return is_file(m) && sp_u64map_find(&s->programs, file_key(m));
}

static bool lives_in_memory(const struct sorter *s, const struct sp_mapping *m)
{
	uint64_t dev = makedev(m->dev_major, m->dev_minor);

	for (size_t i = 0; i < s->facts->nr_memory_devices; i++)
		if (s->facts->memory_devices[i] == dev)
			return true;
	return false;
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* What the kernel has put there itself; arch/x86 and kernel/events/uprobes.c name them. */
static bool is_kernels(const char *path)
{
	return begins(path, "[vdso") || begins(path, "[vvar") || begins(path, "[vsyscall]") ||
	       begins(path, "[uprobes]") || begins(path, "[vectors]") || begins(path, "[sigpage]");
}

static enum sp_segment_kind kind_of_file(const struct sorter *s, const struct sp_mapping *m)
{
	bool writes = (m->prot & SP_PROT_W) != 0;

	if ((m->prot & SP_PROT_SHARED) && lives_in_memory(s, m))
		return SP_SEGMENT_SHARED;
	if (begins(m->path, "/dev/") || begins(m->path, "anon_inode:") || begins(m->path, "/[aio]"))
		return lives_in_memory(s, m) ? SP_SEGMENT_FILE : SP_SEGMENT_DEVICE;
	if (is_program(s, m))
		return writes ? SP_SEGMENT_DATA : SP_SEGMENT_READONLY;
	return SP_SEGMENT_FILE;
}

/* glibc's names, when it was told to give any (tunable glibc.mem.decorate_maps, since 2.39). */
static bool is_named_stack(const char *path)
{
	return strstr(path, "pthread stack:") || strstr(path, "pthread user stack:");
}

static bool is_closed(const struct sp_mapping *m)
{
	return !(m->prot & (SP_PROT_R | SP_PROT_W | SP_PROT_X));
}

/*
 * A stack grows towards its guard page. Memory that grows the other way, into what is reserved above it, is an arena
 * of a runtime that keeps its tasks' stacks among its other objects, as Go does.
 */
static bool may_be_stack(const struct sorter *s, size_t i)
{
	const struct sp_smap *list = s->smaps->list;
	bool is_below = i && list[i - 1].map.end == list[i].map.start && is_closed(&list[i - 1].map);
	bool is_above = i + 1 < s->smaps->nr && list[i + 1].map.start == list[i].map.end && is_closed(&list[i + 1].map);

	return is_below || !is_above;
}

/* The thread whose stack pointer is in mapping i; 0: nobody's. Mappings come by address, and so do threads. */
static pid_t thread_in(struct sorter *s, size_t i)
{
	const struct sp_segment_facts *f = s->facts;
	const struct sp_mapping *m = &s->smaps->list[i].map;

	while (s->thread < f->nr_threads && f->threads[s->thread].sp < m->start)
		s->thread++;
	if (s->thread >= f->nr_threads || f->threads[s->thread].sp >= m->end || !may_be_stack(s, i))
		return 0;
	return f->threads[s->thread].tid;
}

/* How much of m belongs to allocators, and to which one. */
static void find_owner(struct sorter *s, struct sp_segment *seg)
{
	const struct sp_segment_region *r = s->facts->regions;
	const struct sp_mapping *m = &seg->smap->map;

	while (s->region < s->facts->nr_regions && r[s->region].end <= m->start)
		s->region++;
	for (size_t i = s->region; i < s->facts->nr_regions && r[i].start < m->end; i++) {
		uint64_t from = r[i].start > m->start ? r[i].start : m->start;
		uint64_t to = r[i].end < m->end ? r[i].end : m->end;

		seg->owned += to - from;
		seg->owner = r[i].owner;
	}
	if (!seg->owned && strstr(m->path, "malloc")) /* a name that it gave itself: "[anon: glibc: malloc arena]" */
		seg->owner = "malloc";
}

/* How much of m is bss: the kernel merges it with anonymous memory that happens to lie beside it. */
static bool is_bss(const struct sorter *s, const struct sp_mapping *m)
{
	uint64_t covered = 0;

	for (size_t i = 0; i < s->facts->nr_data; i++) {
		const struct sp_data_range *d = &s->facts->data[i];
		uint64_t from = d->start > m->start ? d->start : m->start, to = d->end < m->end ? d->end : m->end;

		covered += to > from ? to - from : 0;
	}
	return 2 * covered >= m->end - m->start;
}

static enum sp_segment_kind kind_of_anonymous(struct sorter *s, struct sp_segment *seg)
{
	const struct sp_mapping *m = &seg->smap->map;

	if (is_closed(m) && !seg->smap->resident && !seg->smap->swapped)
		return SP_SEGMENT_RESERVED;
	if (m->prot & SP_PROT_SHARED)
		return SP_SEGMENT_SHARED;
	if (seg->tid || is_named_stack(m->path))
		return SP_SEGMENT_THREAD_STACK;
	if (seg->owner && (!seg->owned || 2 * seg->owned >= m->end - m->start))
		return SP_SEGMENT_MALLOC;
	return !*m->path && is_bss(s, m) ? SP_SEGMENT_DATA : SP_SEGMENT_ANON;
}

/* mmap() with MAP_HUGETLB: to the kernel a file of its own (hugetlb_file_setup() in fs/hugetlbfs/inode.c). */
static bool is_anonymous(const struct sorter *s, const struct sp_mapping *m)
{
	return !is_file(m) || (m->deleted && !(m->prot & SP_PROT_SHARED) && begins(m->path, "/anon_hugepage") &&
			       lives_in_memory(s, m));
}

static enum sp_segment_kind kind_of(struct sorter *s, struct sp_segment *seg)
{
	const struct sp_mapping *m = &seg->smap->map;

	if (is_kernels(m->path))
		return SP_SEGMENT_KERNEL;
	if (begins(m->path, "[heap]"))
		return SP_SEGMENT_HEAP;
	if (begins(m->path, "[stack"))
		return SP_SEGMENT_STACK;
	return is_anonymous(s, m) ? kind_of_anonymous(s, seg) : kind_of_file(s, m);
}

static void add_up(struct sp_segment_sum *sum, const struct sp_segment *seg)
{
	const struct sp_smap *m = seg->smap;

	sum->nr++;
	sum->size += m->map.end - m->map.start;
	sum->resident += m->resident;
	sum->pss += m->pss;
	sum->unique += m->private_clean + m->private_dirty;
	sum->dirty += m->private_dirty + m->shared_dirty;
	sum->swapped += m->swapped;
	sum->huge += m->huge_shared + m->huge_private;
}

static void sort(struct sorter *s, struct sp_segments *ret)
{
	for (size_t i = 0; i < s->smaps->nr; i++) {
		struct sp_segment *seg = &ret->list[i];

		*seg = (struct sp_segment){.smap = &s->smaps->list[i]};
		seg->tid = thread_in(s, i);
		find_owner(s, seg);
		seg->kind = kind_of(s, seg);
		add_up(&ret->sums[seg->kind], seg);
		add_up(&ret->total, seg);
	}
	ret->nr = s->smaps->nr;
}

int sp_segments_of(const struct sp_smaps *smaps, const struct sp_segment_facts *facts, struct sp_segments *ret)
{
	struct sp_segments r = {.list = calloc(smaps->nr ? smaps->nr : 1, sizeof(*r.list))};
	struct sorter s = {.smaps = smaps, .facts = facts};

	if (!r.list)
		return -ENOMEM;
	sp_u64map_init(&s.programs, 1 << 20);
	int rc = find_programs(&s);
	if (rc == 0) {
		sort(&s, &r);
		*ret = r;
	} else {
		free(r.list);
	}
	sp_u64map_done(&s.programs);
	return rc;
}

void sp_segments_done(struct sp_segments *s)
{
	free(s->list);
	*s = (struct sp_segments){};
}

/* ---- comparing ---- */

static uint64_t held(const struct sp_smap *m)
{
	return m->resident + m->swapped + m->huge_private + m->huge_shared;
}

static void compare_one(struct sp_segment *now, const struct sp_segment *before)
{
	const struct sp_mapping *a = &now->smap->map, *b = before ? &before->smap->map : NULL;

	now->is_new = !before;
	now->growth = (int64_t)(held(now->smap) - (before ? held(before->smap) : 0));
	now->growth_size = (int64_t)(a->end - a->start - (b ? b->end - b->start : 0));
}

/*
 * The same mapping is one that shares an address with it, the largest common part first come: heaps grow at their end,
 * stacks at their beginning.
 */
static void compare_lists(struct sp_segments *now, const struct sp_segments *before)
{
	size_t b = 0;

	for (size_t i = 0; i < now->nr; i++) {
		const struct sp_mapping *m = &now->list[i].smap->map;

		while (b < before->nr && before->list[b].smap->map.end <= m->start)
			b++;
		bool is_same = b < before->nr && before->list[b].smap->map.start < m->end;
		compare_one(&now->list[i], is_same ? &before->list[b++] : NULL);
	}
}

static void compare_sums(struct sp_segment_sum *now, const struct sp_segment_sum *before)
{
	now->growth =
	    (int64_t)(now->resident + now->swapped + now->huge - before->resident - before->swapped - before->huge);
	now->growth_size = (int64_t)(now->size - before->size);
}

void sp_segments_compare(struct sp_segments *now, const struct sp_segments *before)
{
	compare_lists(now, before);
	for (unsigned i = 0; i < SP_NR_SEGMENTS; i++)
		compare_sums(&now->sums[i], &before->sums[i]);
	compare_sums(&now->total, &before->total);
}
