// SPDX-License-Identifier: Apache-2.0
/* What /proc/PID/pagemap answers (Documentation/admin-guide/mm/pagemap.rst): the words, and PAGEMAP_SCAN. */
#ifndef SEEP_PROC_PAGESCAN_H
#define SEEP_PROC_PAGESCAN_H

#include <stdint.h>
#include <sys/ioctl.h>

/* uapi/linux/fs.h; headers older than Linux 6.7 lack it, while the kernel may be newer. */
struct sp_page_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct sp_page_run {
	uint64_t start, end, categories;
};

#define SP_PAGE_SCAN _IOWR('f', 16, struct sp_page_scan)

enum { SP_PAGE_IS_PRESENT = 1 << 3, SP_PAGE_IS_SWAPPED = 1 << 4, SP_PAGE_IS_ZERO = 1 << 5, SP_PAGE_IS_HUGE = 1 << 6 };

#define SP_PAGE_WORD_PRESENT (UINT64_C(1) << 63)
#define SP_PAGE_WORD_SWAPPED (UINT64_C(1) << 62)
#define SP_PAGE_WORD_FILE    (UINT64_C(1) << 61)
#define SP_PAGE_WORD_GUARD   (UINT64_C(1) << 58) /* MADV_GUARD_INSTALL; said since Linux 6.15 */

#endif
