// SPDX-License-Identifier: Apache-2.0
/* What stands behind the pages of a process, from /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#include <errno.h>
#include <fcntl.h>

#include "proc/pagescan.h"
#include "proc/proc.h"

enum { PAGE = 4096 };

int sp_pagemap_open(int proc_dirfd, struct sp_pagemap *ret)
{
	int fd = openat(proc_dirfd, "pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = (struct sp_pagemap){.fd = fd};
	return 0;
}

void sp_pagemap_close(struct sp_pagemap *pm)
{
	sp_close_p(&pm->fd);
	pm->fd = -1;
}

void sp_pagemap_forget(struct sp_pagemap *pm)
{
	pm->nr = 0;
}

/* Entries from `page` on. False: cannot be read. */
static bool fill(struct sp_pagemap *pm, uint64_t page)
{
	ssize_t n = pread(pm->fd, pm->entries, sizeof(pm->entries), (off_t)(page * sizeof(uint64_t)));

	pm->first = page;
	pm->nr = n > 0 ? (unsigned)((size_t)n / sizeof(uint64_t)) : 0;
	return pm->nr > 0;
}

static enum sp_page_kind kind_of(uint64_t entry)
{
	/* a guard (new C libraries put one below each stack) counts as swapped out, too; nothing is there */
	if (entry & SP_PAGE_WORD_GUARD)
		return SP_PAGE_NONE;
	if (entry & SP_PAGE_WORD_SWAPPED)
		return SP_PAGE_SWAPPED;
	if (!(entry & SP_PAGE_WORD_PRESENT))
		return SP_PAGE_NONE;
	return entry & SP_PAGE_WORD_FILE ? SP_PAGE_FILE : SP_PAGE_OWN;
}

/*
 * Nothing in a row of pages as long as the cache: in address space that is only reserved the next page may be far.
 * Linux 6.7 and newer find it by themselves.
 */
static uint64_t next_populated(const struct sp_pagemap *pm, uint64_t addr, uint64_t end)
{
	struct sp_page_run found;
	struct sp_page_scan arg = {.size = sizeof(arg),
				   .start = addr,
				   .end = end,
				   .vec = (uint64_t)(uintptr_t)&found,
				   .vec_len = 1,
				   .max_pages = 1,
				   .category_anyof_mask = SP_PAGE_IS_PRESENT | SP_PAGE_IS_SWAPPED,
				   .return_mask = SP_PAGE_IS_PRESENT | SP_PAGE_IS_SWAPPED};
	int n = ioctl(pm->fd, SP_PAGE_SCAN, &arg);

	if (n < 0)
		return addr;
	return n ? found.start : end;
}

bool sp_pagemap_is_huge(const struct sp_pagemap *pm, uint64_t addr)
{
	struct sp_page_run found;
	struct sp_page_scan arg = {.size = sizeof(arg),
				   .start = addr / PAGE * PAGE,
				   .end = addr / PAGE * PAGE + PAGE,
				   .vec = (uint64_t)(uintptr_t)&found,
				   .vec_len = 1,
				   .category_mask = SP_PAGE_IS_HUGE,
				   .return_mask = SP_PAGE_IS_HUGE};

	return ioctl(pm->fd, SP_PAGE_SCAN, &arg) == 1;
}

enum sp_page_kind sp_pagemap_run(struct sp_pagemap *pm, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	uint64_t page = addr / PAGE, last = (end + PAGE - 1) / PAGE, at = page;
	enum sp_page_kind kind = SP_PAGE_OWN;

	for (; at < last; at++) {
		if (at < pm->first || at >= pm->first + pm->nr) {
			if (at > page && kind == SP_PAGE_NONE && at - page >= SP_PAGEMAP_CACHE)
				at = next_populated(pm, at * PAGE, last * PAGE) / PAGE;
			if (at < last && !fill(pm, at))
				at = last; /* reading will tell */
		}
		if (at >= last)
			break;
		enum sp_page_kind k = kind_of(pm->entries[at - pm->first]);
		if (at > page && k != kind)
			break;
		kind = k;
	}
	*ret_end = at * PAGE < end ? at * PAGE : end;
	return kind;
}
