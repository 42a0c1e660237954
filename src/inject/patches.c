// SPDX-License-Identifier: Apache-2.0
/*
 * Finds the code that we changed by comparing it with the files, so that it can be given back whoever changed it and
 * whatever the target says about it. Only pages of which the target has a copy of its own are compared; the kernel
 * tells which these are (pagemap).
 */
#include "inject/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_FILE    (1ull << 61)
#define PM_SWAP    (1ull << 62)
#define PM_PRESENT (1ull << 63)

struct search {
	struct sp_inject *in;
	const struct sp_vec *regions;
	struct sp_vec *ret;
	int pagemap; /* -1: cannot be read, every page is compared */
};

static bool is_own_page(const struct search *s, uint64_t addr)
{
	uint64_t entry;

	if (s->pagemap < 0 || pread(s->pagemap, &entry, sizeof(entry), (off_t)(addr / PAGE_BYTES * sizeof(entry))) !=
				  (ssize_t)sizeof(entry))
		return true;
	return (entry & PM_SWAP) || ((entry & PM_PRESENT) && !(entry & PM_FILE));
}

static bool is_in_near(const struct search *s, uint64_t addr)
{
	for (size_t i = 0; i < s->regions->nr; i++) {
		const struct sp_region *r = sp_vec_at(s->regions, struct sp_region, i);
		if (r->kind == SP_INJECT_NEAR && addr - r->start < r->bytes)
			return true;
	}
	return false;
}

static int add(struct search *s, uint64_t addr, unsigned bytes, bool is_stub, const uint8_t *now, const uint8_t *file)
{
	struct sp_patch patch = {.addr = addr, .bytes = bytes, .is_stub = is_stub};

	memcpy(patch.now, now, SP_HOOK_JUMP_BYTES);
	memcpy(patch.file, file, bytes);
	return sp_vec_push(s->ret, &patch);
}

/* A stub's mark in the slack of this page: up to the page's end, or as far as stubs go. */
static bool is_stub(const struct search *s, const uint8_t *now, unsigned at)
{
	struct sp_inject_mark mark;

	if (at % 16 || at + sizeof(mark) > PAGE_BYTES)
		return false;
	memcpy(&mark, now + at, sizeof(mark));
	return mark.magic == SP_INJECT_MAGIC && mark.kind == SP_INJECT_STUB && !sp_region_is_others(s->in, &mark);
}

static int compare_page(struct search *s, uint64_t addr, const uint8_t *now, const uint8_t *file)
{
	int rc = 0;

	if (!memcmp(now, file, PAGE_BYTES))
		return 0;
	for (unsigned at = 0; rc == 0 && at + SP_HOOK_JUMP_BYTES <= PAGE_BYTES; at++) {
		if (!memcmp(now + at, file + at, SP_HOOK_JUMP_BYTES))
			continue;
		uint64_t to = sp_relocate_jump_target(addr + at, now + at);
		if (to && is_in_near(s, to)) {
			rc = add(s, addr + at, SP_HOOK_JUMP_BYTES, false, now + at, file + at);
			at += SP_HOOK_JUMP_BYTES - 1;
		} else if (is_stub(s, now, at)) {
			unsigned bytes = PAGE_BYTES - at;
			bytes = bytes < SP_INJECT_MARK_BYTES + SP_STUB_MAX ? bytes : SP_INJECT_MARK_BYTES + SP_STUB_MAX;
			rc = add(s, addr + at, bytes, true, now + at, file + at);
			break; /* it is the last thing in its page */
		}
	}
	return rc;
}

/* The file behind the mapping is opened when the first page is to be compared. */
static int compare_mapping(struct search *s, const struct sp_mapping *m)
{
	uint8_t now[PAGE_BYTES], file[PAGE_BYTES];
	sp_autoclose int fd = -1;
	int rc = 0;

	for (uint64_t addr = m->start; rc == 0 && addr < m->end; addr += PAGE_BYTES) {
		if (!is_own_page(s, addr) || sp_inject_read(s->in, addr, now, sizeof(now)) < 0)
			continue;
		if (fd < 0)
			fd = sp_proc_open_mapping(s->in->p, m, NULL);
		if (fd < 0)
			return 0; /* gone for good: nothing to give back */
		memset(file, 0, sizeof(file));
		if (pread(fd, file, sizeof(file), (off_t)(m->offset + (addr - m->start))) > 0)
			rc = compare_page(s, addr, now, file);
	}
	return rc;
}

int sp_patches_find(struct sp_inject *in, const struct sp_maps *maps, const struct sp_vec *regions, struct sp_vec *ret)
{
	struct search s = {.in = in, .regions = regions, .ret = ret};
	int rc = 0;

	sp_autoclose int pagemap = sp_proc_open_file(in->p, "pagemap", O_RDONLY);
	s.pagemap = pagemap;
	for (size_t i = 0; rc == 0 && i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		if ((m->prot & SP_PROT_X) && !(m->prot & SP_PROT_SHARED) && m->inode)
			rc = compare_mapping(&s, m);
	}
	return rc;
}
