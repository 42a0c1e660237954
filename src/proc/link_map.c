// SPDX-License-Identifier: Apache-2.0
/*
 * Walks the dynamic linker's list of loaded objects, which is also its search order: the executable's DT_DEBUG entry
 * points to struct r_debug, whose r_map heads a chain of struct link_map. glibc and musl both keep this interface for
 * debuggers
 * (<link.h>). The target may be changing the list this very moment, or may have forged it.
 */
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>

/* struct link_map of <link.h>, its public part. */
struct link_entry {
	uint64_t addr;    /* load bias */
	uint64_t name;    /* char * */
	uint64_t dynamic; /* l_ld */
	uint64_t next, prev;
};

int sp_link_map_debug(const struct sp_rmem *mem, const struct sp_auxv *aux, uint64_t *ret)
{
	struct sp_image exe;
	uint64_t debug;

	int rc = sp_image_from_phdrs(mem, aux, &exe);
	if (rc < 0)
		return rc;
	if (!sp_image_dyn(mem, &exe, DT_DEBUG, &debug) || !debug)
		return -ENOENT;
	*ret = debug;
	return 0;
}

int sp_link_map_walk(const struct sp_rmem *mem, const struct sp_auxv *aux, sp_link_map_fn fn, void *arg)
{
	struct sp_r_debug debug;
	struct link_entry entry;
	uint64_t at, mark = 0;
	int nr = 0, next_mark = 1;

	int rc = sp_link_map_debug(mem, aux, &at);
	if (rc < 0)
		return rc;
	if (!sp_rmem_get(mem, at, &debug, sizeof(debug)))
		return -EIO;

	/* Brent: the mark jumps to the current entry at each power of two; meeting it again means a loop. */
	for (at = debug.map; at && at != mark && nr < SP_LINK_MAP_MAX; at = entry.next) {
		if (nr == next_mark) {
			mark = at;
			next_mark *= 2;
		}
		if (!sp_rmem_get(mem, at, &entry, sizeof(entry)))
			break;
		fn(entry.dynamic, arg);
		nr++;
	}
	return nr ? nr : -ENOENT;
}
