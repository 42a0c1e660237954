// SPDX-License-Identifier: Apache-2.0
/* Unwind tables in the kernel: its maps as engines/watch publishes to them. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engines/bpf/impl.h"

#define STACKS      400 /* SP_BEV_STACK between two publications */
#define CACHE_BYTES ((size_t)8 << SP_ROW_CACHE_BITS)
#define RANGE_BYTES (2 * SP_MAX_RANGES * sizeof(struct sp_row_range))

static int map_one(int fd, size_t size, void **ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

int sp_bpf_tables_map(struct sp_bpf_tables *t, const struct sp_bpf_table_fds *fds)
{
	struct sp_watch_shared s = {.cache_bytes = CACHE_BYTES, .cache_gens = SP_ROW_CACHE_GENS};
	int err = map_one(fds->ctl, sizeof(*t->ctl), (void **)&t->ctl);

	if (!err)
		err = map_one(fds->ranges, RANGE_BYTES, (void **)&t->ranges);
	if (!err)
		err = map_one(fds->row_cache, CACHE_BYTES, (void **)&t->row_cache);
	if (!err)
		err = map_one(fds->rows, t->watch.nr_rows_max * sizeof(*t->rows), (void **)&t->rows);
	if (err)
		return err;
	s.gen = &t->ctl->gen;
	s.nr_ranges = t->ctl->nr_ranges;
	s.ranges = t->ranges;
	s.rows = t->rows;
	s.row_cache = t->row_cache;
	sp_watch_tables_share(&t->watch, &s);
	sp_watch_tables_publish(&t->watch);
	t->ctl->stacks_left = STACKS;
	return 0;
}

void sp_bpf_tables_done(struct sp_bpf_tables *t)
{
	sp_watch_tables_done(&t->watch);
	if (t->ctl)
		munmap(t->ctl, sizeof(*t->ctl));
	if (t->ranges)
		munmap(t->ranges, RANGE_BYTES);
	if (t->row_cache)
		munmap(t->row_cache, CACHE_BYTES);
	if (t->rows)
		munmap(t->rows, t->watch.nr_rows_max * sizeof(*t->rows));
}

bool sp_bpf_tables_look(struct sp_bpf_tables *t, struct sp_proc *p)
{
	uint64_t before_ns = t->watch.look.look_ns;
	uint64_t loader_ns = __atomic_exchange_n(&t->ctl->loader_ns, 0, __ATOMIC_SEQ_CST);

	uint64_t unload_ns = __atomic_exchange_n(&t->ctl->unload_ns, 0, __ATOMIC_SEQ_CST);

	t->nr_unknown = t->ctl->nr_unknown;
	t->changed_ns = loader_ns > before_ns ? loader_ns : before_ns;
	/* The first that goes was there at the look before; whoever goes after it may have come after it. */
	t->unsure_ns = unload_ns > t->changed_ns ? unload_ns : 0;
	if (!sp_watch_tables_look(&t->watch, p))
		return false;
	t->ctl->stacks_left = STACKS;
	return true;
}

bool sp_bpf_tables_is_look_due(const struct sp_bpf_tables *t)
{
	return sp_watch_look_is_due(&t->watch.look) ||
	       (t->ctl->nr_unknown != t->nr_unknown && sp_watch_look_is_affordable(&t->watch.look));
}
