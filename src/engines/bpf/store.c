// SPDX-License-Identifier: Apache-2.0
/*
 * From the programs' tables to the ledger.
 *
 * Blocks are read in batches (one system call for thousands), each batch bucket by bucket under the kernel's own
 * locks: a block that lives through the reading is seen exactly once. Paths are read when a block first names one.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "engines/bpf/impl.h"

#define BATCH       16384
#define MAX_WAITING 400 /* 9 KB each */

/* Room for one batch. */
struct batch {
	uint64_t keys[BATCH];
	struct sp_bpf_block values[BATCH];
};

static void mapping_event(struct sp_bpf_store *s, const struct sp_bpf_event *e)
{
	int err = 0;

	if (e->time_ns < s->exec_ns)
		return;
	if (e->kind == SP_BEV_MMAP) {
		struct sp_block b = {
		    .addr = e->addr,
		    .size = e->size,
		    .birth_ns = e->time_ns,
		    .path = sp_bpf_paths_id(&s->paths, s->ledger, e->path, e->time_ns),
		    .fn = (uint16_t)e->fn,
		};
		err = sp_watch_mappings_add(&s->mappings, &b);
	} else if (e->kind == SP_BEV_UNMAP) {
		err = sp_watch_mappings_remove(&s->mappings, e->tid, e->addr, e->size);
	} else if (e->kind == SP_BEV_UNMAP_UNDO) {
		err = sp_watch_mappings_undo(&s->mappings, e->tid);
	}
	if (err)
		s->own_lost[SP_LOST_EVENTS]++;
}

/* The target may not choose what our terminal shows: only the kernel writes this buffer, but comm is the target's. */
static void call_event(const struct sp_bpf_store *s, const struct sp_bpf_event *e)
{
	struct sp_event out = {
	    .time_ns = e->time_ns,
	    .pid = e->pid,
	    .tid = e->tid,
	    .cpu = e->cpu,
	    .addr = e->addr,
	    .size = e->size,
	    .kind = e->kind == SP_BEV_ENTER   ? SP_EVENT_ENTER
		    : e->kind == SP_BEV_ALLOC ? SP_EVENT_ALLOC
					      : SP_EVENT_FREE,
	};

	if (!s->on_event)
		return;
	sp_text_printable(out.comm, sizeof(out.comm), e->comm);
	s->on_event(&out, s->on_event_arg);
}

/* A path whose walk the programs could not finish, under the key that blocks will name. */
static void finish_stack(struct sp_bpf_store *s, const struct sp_bpf_stack *e)
{
	uint64_t pcs[SP_MAX_FRAMES];
	unsigned nr = 0;

	if (e->event.time_ns < s->exec_ns)
		return;
	enum sp_walk_end end = s->on_stack(e, pcs, &nr, s->on_stack_arg);
	if (end == SP_WALK_CUT)
		s->own_lost[SP_LOST_STACK_CUT]++;
	else if (end == SP_WALK_BROKEN)
		s->own_lost[SP_LOST_STACK_BROKEN]++;
	if (sp_bpf_paths_add(&s->paths, s->ledger, e->event.path, e->event.time_ns, pcs, nr))
		s->own_lost[SP_LOST_PATHS_FULL]++;
}

/* Those that came before the engine's look at the code: what cannot wait longer is finished as well as it can be. */
static void stack_event(struct sp_bpf_store *s, const struct sp_bpf_stack *e)
{
	if (!s->on_stack || !e->nr || e->nr > SP_MAX_FRAMES || e->len > sizeof(e->bytes))
		return;
	if (s->is_stack_ready(e, s->on_stack_arg) || sp_vec_push(&s->waiting, e))
		finish_stack(s, e);
}

static void finish_waiting(struct sp_bpf_store *s)
{
	struct sp_bpf_stack *waiting = s->waiting.data;
	size_t nr_left = 0;

	for (size_t i = 0; i < s->waiting.nr; i++) {
		if (s->is_stack_ready(&waiting[i], s->on_stack_arg))
			finish_stack(s, &waiting[i]);
		else if (nr_left++ != i)
			waiting[nr_left - 1] = waiting[i];
	}
	s->waiting.nr = nr_left;
}

static int take_event(void *arg, void *data, size_t len)
{
	struct sp_bpf_store *s = arg;
	struct sp_bpf_event e;

	if (len < sizeof(e))
		return 0;
	memcpy(&e, data, sizeof(e));
	if (e.kind == SP_BEV_STACK && len >= sizeof(struct sp_bpf_stack)) {
		stack_event(s, data);
		return 0;
	}
	e.comm[sizeof(e.comm) - 1] = 0;
	if (e.kind <= SP_BEV_UNMAP_UNDO)
		mapping_event(s, &e);
	else if (e.kind >= SP_BEV_ENTER)
		call_event(s, &e);
	return 0;
}

int sp_bpf_store_open(struct sp_bpf_store *s, const struct sp_engine_config *c, struct bpf_map *blocks,
		      struct bpf_map *paths, struct bpf_map *events, struct bpf_map *lost, struct sp_why *why)
{
	*s = (struct sp_bpf_store){
	    .blocks = blocks,
	    .events = events,
	    .lost = lost,
	    .target = c->target,
	    .on_event = c->on_event,
	    .on_event_arg = c->on_event_arg,
	};
	sp_bpf_paths_init(&s->paths, paths, c->names);
	sp_watch_mappings_init(&s->mappings);
	sp_bpf_runs_init(&s->runs);
	sp_vec_init(&s->waiting, sizeof(struct sp_bpf_stack), MAX_WAITING);
	s->ring = ring_buffer__new(bpf_map__fd(events), take_event, s, NULL);
	if (!s->ring)
		return sp_bpf_explain(-errno, "map the event buffer", why);
	return 0;
}

void sp_bpf_store_close(struct sp_bpf_store *s)
{
	if (s->ring)
		ring_buffer__free(s->ring);
	sp_bpf_paths_done(&s->paths);
	sp_watch_mappings_done(&s->mappings);
	sp_bpf_runs_done(&s->runs);
	sp_vec_done(&s->waiting);
}

int sp_bpf_store_fd(const struct sp_bpf_store *s)
{
	return ring_buffer__epoll_fd(s->ring);
}

void sp_bpf_store_drain(struct sp_bpf_store *s, struct sp_ledger *l)
{
	s->ledger = l;
	finish_waiting(s);
	ring_buffer__consume(s->ring);
	s->ledger = NULL;
}

/* A run of pages; its key is its first page, with a number below. Whether it is still there, is asked when all are
 * known. */
static int take_run(struct sp_bpf_store *s, uint64_t key, const struct sp_block *b)
{
	uint64_t start = b->addr & ~4095ULL;
	const struct sp_bpf_run run = {
	    .start = start, .end = start + b->size, .birth_ns = b->birth_ns, .key = key, .path = b->path};

	return sp_vec_push(&s->runs.list, &run);
}

/* Takes the blocks over; the keys of those of a program before this one are moved to the front of b->keys. */
static int take_batch(struct sp_bpf_store *s, struct batch *b, uint32_t nr, uint32_t *ret_nr_void)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct sp_bpf_block *v = &b->values[i];
		struct sp_block block = {.addr = SP_BLOCK_KEY(b->keys[i], s->nr_execs),
					 .size = v->size,
					 .birth_ns = v->birth_ns,
					 .fn = (uint16_t)v->fn};
		if (v->birth_ns < s->exec_ns) {
			b->keys[(*ret_nr_void)++] = b->keys[i];
			continue;
		}
		if (!s->ledger || (s->until_ns && v->birth_ns >= s->until_ns))
			continue;
		block.path = sp_bpf_paths_id(&s->paths, s->ledger, v->path, v->birth_ns);
		int err = v->fn == SP_FN_FAULT ? take_run(s, b->keys[i], &block) : sp_ledger_block(s->ledger, &block);
		if (err && err != -ENOSPC) /* refusals are counted by the ledger */
			return err;
	}
	return 0;
}

static int read_blocks(struct sp_bpf_store *s)
{
	sp_autofree struct batch *b = malloc(sizeof(*b));
	uint32_t position = 0, nr;
	bool first = true;
	int err;

	if (!b)
		return -ENOMEM;
	do {
		nr = BATCH;
		err = bpf_map_lookup_batch(bpf_map__fd(s->blocks), first ? NULL : &position, &position, b->keys,
					   b->values, &nr, NULL);
		err = err ? -errno : 0;
		if (err && err != -ENOENT) /* ENOENT: this was the last batch */
			return err;
		uint32_t nr_void = 0;
		int failed = take_batch(s, b, nr, &nr_void);
		if (failed)
			return failed;
		if (nr_void) /* they take up room; what is not deleted now is found again */
			(void)bpf_map_delete_batch(bpf_map__fd(s->blocks), b->keys, &nr_void, NULL);
		first = false;
	} while (!err);
	return 0;
}

void sp_bpf_store_exec(struct sp_bpf_store *s, uint64_t exec_ns, uint32_t nr_execs)
{
	s->exec_ns = exec_ns;
	s->nr_execs = nr_execs;
	sp_watch_mappings_forget_before(&s->mappings, exec_ns);
	(void)read_blocks(s); /* without a ledger: only makes room; what stays is deleted by the next report */
}

static int read_mappings(struct sp_bpf_store *s)
{
	for (size_t i = 0; i < s->mappings.live.nr; i++) {
		int err = sp_ledger_block(s->ledger, sp_vec_at(&s->mappings.live, struct sp_block, i));
		if (err && err != -ENOSPC)
			return err;
	}
	return 0;
}

/* What the programs count, over all CPUs. */
static uint64_t count_of(const struct sp_bpf_store *s, uint32_t id)
{
	int nr_cpus = libbpf_num_possible_cpus();
	sp_autofree uint64_t *values = nr_cpus > 0 ? calloc((size_t)nr_cpus, sizeof(*values)) : NULL;
	uint64_t sum = 0;

	if (!values || bpf_map_lookup_elem(bpf_map__fd(s->lost), &id, values))
		return 0;
	for (int cpu = 0; cpu < nr_cpus; cpu++)
		sum += values[cpu];
	return sum;
}

uint64_t sp_bpf_store_events_lost(const struct sp_bpf_store *s)
{
	return count_of(s, SP_LOST_EVENTS) + s->own_lost[SP_LOST_EVENTS];
}

static void read_lost(struct sp_bpf_store *s, uint64_t nr_missed)
{
	for (uint32_t id = 0; id < SP_NR_LOST; id++)
		sp_ledger_set_lost(s->ledger, (enum sp_lost_id)id,
				   count_of(s, id) + s->own_lost[id] + (id == SP_LOST_MISSED ? nr_missed : 0));
}

static int read_all(struct sp_bpf_store *s, uint64_t nr_missed)
{
	int err;

	sp_bpf_paths_begin(&s->paths, sp_watch_now_ns(), count_of(s, SP_LOST_PATHS_FULL));
	sp_vec_clear(&s->runs.list);
	err = read_blocks(s);
	if (err)
		return err;
	sp_bpf_paths_end(&s->paths);
	err = sp_bpf_runs_settle(&s->runs, s->target, s->blocks, s->ledger);
	if (!err)
		err = read_mappings(s);
	if (err)
		return err;
	read_lost(s, nr_missed);
	return sp_ledger_end(s->ledger);
}

int sp_bpf_store_read(struct sp_bpf_store *s, struct sp_ledger *l, uint64_t nr_missed, struct sp_why *why)
{
	int err = sp_ledger_begin(l, sp_watch_now_ns());

	s->ledger = l;
	if (!err)
		err = read_all(s, nr_missed);
	if (err)
		sp_ledger_abort(l);
	s->ledger = NULL;
	return err ? sp_bpf_explain(err, "read the table of blocks", why) : 0;
}
