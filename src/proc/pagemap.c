// SPDX-License-Identifier: Apache-2.0
/*
 * Which pages of a target are in physical memory: PAGEMAP_SCAN (Linux 6.7), which passes over empty page tables and
 * tells the page of zeros that reads of untouched memory share; on older kernels one word a page from
 * /proc/PID/pagemap.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "proc/pagescan.h"
#include "proc/priv.h"

#define WINDOW     8192 /* pages looked at in one go: 32 MB */
#define NR_REGIONS 512

struct sp_residency {
	int fd;
	bool no_scan;
	uint64_t page, first; /* size of a page; number of the window's first one */
	bool is_filled;
	uint8_t present[WINDOW];
	struct sp_page_run regions[NR_REGIONS];
	uint64_t entries[WINDOW];
};

static void mark(struct sp_residency *w, const struct sp_page_run *r)
{
	for (uint64_t page = r->start / w->page; page < r->end / w->page; page++)
		if (page >= w->first && page - w->first < WINDOW)
			w->present[page - w->first] = 1;
}

static int fill_by_scan(struct sp_residency *w)
{
	uint64_t start = w->first * w->page, end = start + WINDOW * w->page;

	while (start < end) {
		struct sp_page_scan a = {.size = sizeof(a),
					 .start = start,
					 .end = end,
					 .vec = (uint64_t)(uintptr_t)w->regions,
					 .vec_len = NR_REGIONS,
					 .category_inverted = SP_PAGE_IS_ZERO,
					 .category_mask = SP_PAGE_IS_PRESENT | SP_PAGE_IS_ZERO,
					 .return_mask = SP_PAGE_IS_PRESENT};
		int nr = ioctl(w->fd, SP_PAGE_SCAN, &a);

		if (nr < 0)
			return -errno;
		for (int i = 0; i < nr && i < NR_REGIONS; i++)
			mark(w, &w->regions[i]);
		if (a.walk_end <= start) /* never from the kernel */
			return -EIO;
		start = a.walk_end;
	}
	return 0;
}

/* Short at the end of the address space: what is not there is not in memory. */
static int fill_by_entries(struct sp_residency *w)
{
	ssize_t n = pread(w->fd, w->entries, sizeof(w->entries), (off_t)(w->first * sizeof(w->entries[0])));

	if (n < 0)
		return -errno;
	for (size_t i = 0; i < (size_t)n / sizeof(w->entries[0]); i++)
		w->present[i] = w->entries[i] & SP_PAGE_WORD_PRESENT ? 1 : 0;
	return 0;
}

static int fill(struct sp_residency *w, uint64_t page)
{
	int r = -ENOTTY;

	w->first = page;
	w->is_filled = true;
	memset(w->present, 0, sizeof(w->present));
	if (!w->no_scan)
		r = fill_by_scan(w);
	if (r == 0 || (r != -ENOTTY && r != -EINVAL))
		return r;
	w->no_scan = true;
	return fill_by_entries(w);
}

static int count(struct sp_residency *w, struct sp_range *range)
{
	uint64_t at = range->addr, end;

	range->resident = 0;
	if (__builtin_add_overflow(range->addr, range->size, &end) || end > INT64_MAX / 2)
		return 0; /* no user's memory */
	while (at < end) {
		uint64_t page = at / w->page, next = (page + 1) * w->page;
		int r = 0;

		if (!w->is_filled || page < w->first || page - w->first >= WINDOW)
			r = fill(w, page);
		if (r < 0)
			return r;
		if (w->present[page - w->first])
			range->resident += (next < end ? next : end) - at;
		at = next;
	}
	return 0;
}

int sp_residency_open(struct sp_proc *p, struct sp_residency **ret)
{
	sp_autofree struct sp_residency *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fd = openat(p->dirfd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	w->page = (uint64_t)sysconf(_SC_PAGESIZE);
	*ret = sp_take_ptr(w);
	return 0;
}

int sp_residency_of(struct sp_residency *w, struct sp_range *list, size_t nr)
{
	int r = 0;

	for (size_t i = 0; i < nr && !r; i++)
		r = count(w, &list[i]);
	return r;
}

void sp_residency_close(struct sp_residency *w)
{
	if (!w)
		return;
	close(w->fd);
	free(w);
}

int sp_proc_resident(struct sp_proc *p, struct sp_range *list, size_t nr)
{
	struct sp_residency *w = NULL;
	int r = sp_residency_open(p, &w);

	if (w)
		r = sp_residency_of(w, list, nr);
	sp_residency_close(w);
	return r;
}
