// SPDX-License-Identifier: Apache-2.0
/*
 * Views as lines of a recording. A view is written as what has changed: blocks that came, blocks that are gone (one by
 * one, or as groups), names and paths that were not there before. Blocks are compared by a merge of two lists in
 * address order.
 */
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "record/groups.h"
#include "record/lines.h"
#include "record/pack.h"

#define MAX_NAMES  ((size_t)1 << 24)
#define MAX_BLOCKS ((size_t)1 << 28)
#define END_ROOM   64 /* bytes for the last group */

struct sp_recorder {
	struct sp_pack pack;
	const char *path;
	uint64_t max_bytes;
	uint64_t coarser_at;     /* bytes of the file from which on only every second of the views is kept */
	uint64_t every, turn;    /* one view in so many is kept */
	struct sp_vec last;      /* struct sp_block: of the last view that was written */
	bool has_lists;          /* every block with its address is written */
	struct sp_groups groups; /* otherwise */
	struct sp_u64map frames, modules, paths; /* written before */
	uint64_t lost[SP_NR_LOST];
	uint64_t sample_bytes;
	unsigned nr_execs;
	bool has_head;
	struct sp_recorder_stats stats;
};

static const char *const lost_keys[] = {
#define ROW(id, key, text) key,
    SP_LOST(ROW)
#undef ROW
};

/* ---- names ---- */

/* True the first time it is asked for a key. *err: no memory. */
static bool is_new(struct sp_u64map *seen, uint64_t key, int *err)
{
	if (*err || sp_u64map_find(seen, key))
		return false;
	*err = sp_u64map_set(seen, key, 1);
	return !*err;
}

/* A module is known by its path's place in memory and its bias: an exec may bring another of the same name. */
static void put_module(struct sp_recorder *r, const struct sp_frame *f, int *err)
{
	uint64_t bias = f->address - f->module_offset;

	if (!f->module || !is_new(&r->modules, bias ^ (uintptr_t)f->module_path, err))
		return;
	fputs("module", r->pack.text);
	sp_lines_word(r->pack.text, f->module);
	sp_lines_word(r->pack.text, f->module_path);
	fprintf(r->pack.text, " 0x%" PRIx64, bias);
	sp_lines_word(r->pack.text, f->build_id);
	putc('\n', r->pack.text);
}

static void put_frame(struct sp_recorder *r, const struct sp_frame *f)
{
	fprintf(r->pack.text, "frame 0x%" PRIx64, f->address);
	sp_lines_word(r->pack.text, f->function);
	fprintf(r->pack.text, " 0x%" PRIx64, f->offset);
	sp_lines_word(r->pack.text, f->module);
	if (f->file || f->inlined) {
		sp_lines_word(r->pack.text, f->file);
		fprintf(r->pack.text, " %u%s", f->line, f->inlined ? " inlined" : "");
	}
	putc('\n', r->pack.text);
}

/* The source-level frames of one address: nr of them, the last is not inlined. */
static unsigned group_of(const struct sp_view_path *p, unsigned i)
{
	unsigned nr = 1;

	while (i + nr < p->nr_frames && p->frames[i + nr - 1].inlined)
		nr++;
	return nr;
}

static int put_path(struct sp_recorder *r, const struct sp_view_path *p)
{
	int err = 0;

	if (p->sum.path == SP_NO_PATH || !is_new(&r->paths, p->sum.path, &err))
		return err;
	for (unsigned i = 0, nr; i < p->nr_frames && !err; i += nr) {
		nr = group_of(p, i);
		if (!p->frames[i].address || !is_new(&r->frames, p->frames[i].address, &err))
			continue;
		put_module(r, &p->frames[i + nr - 1], &err);
		for (unsigned k = 0; k < nr; k++)
			put_frame(r, &p->frames[i + k]);
	}
	fprintf(r->pack.text, "path %" PRIu32, p->sum.path);
	for (unsigned i = 0; i < p->nr_frames; i += group_of(p, i))
		if (p->frames[i].address)
			fprintf(r->pack.text, " 0x%" PRIx64, p->frames[i].address);
	putc('\n', r->pack.text);
	return err;
}

/* ---- blocks ---- */

/* An engine reads blocks while the target goes on: one may be younger than the look. */
static uint64_t birth_at(const struct sp_block *b, uint64_t now_ns)
{
	return b->birth_ns < now_ns ? b->birth_ns : now_ns;
}

static void put_block(FILE *f, const struct sp_block *b, uint64_t now_ns)
{
	fprintf(f, "block 0x%" PRIx64 " %" PRIu64 " %" PRIu64, b->addr, b->size, birth_at(b, now_ns));
	sp_lines_path(f, b->path);
	sp_lines_fn(f, b->fn, b->sampled);
}

static bool is_same(const struct sp_block *a, const struct sp_block *b)
{
	return a->size == b->size && a->birth_ns == b->birth_ns && a->path == b->path && a->sampled == b->sampled;
}

/* A block of the last view lives no more; is_replaced: at its address is another one. */
static void put_gone(struct sp_recorder *r, size_t place, const struct sp_block *b, bool is_replaced)
{
	if (!r->has_lists)
		sp_groups_gone(&r->groups, place);
	else if (!is_replaced)
		fprintf(r->pack.text, "gone 0x%" PRIx64 "\n", b->addr);
}

static int put_came(struct sp_recorder *r, const struct sp_block *b, uint64_t now_ns)
{
	if (!r->has_lists)
		return sp_groups_came(&r->groups, b, birth_at(b, now_ns));
	put_block(r->pack.text, b, now_ns);
	return 0;
}

/* At the address of one of the last view's stands one of this view's. */
static int put_both(struct sp_recorder *r, size_t place, const struct sp_block *a, const struct sp_block *b,
		    uint64_t now_ns)
{
	if (is_same(a, b))
		return r->has_lists ? 0 : sp_groups_stays(&r->groups, place);
	put_gone(r, place, a, true);
	return put_came(r, b, now_ns);
}

static int put_changes(struct sp_recorder *r, const struct sp_view *v)
{
	size_t i = 0, j = 0, nr = v->nr_list;
	int err = 0;

	while ((i < r->last.nr || j < nr) && !err) {
		const struct sp_block *a = i < r->last.nr ? sp_vec_at(&r->last, struct sp_block, i) : NULL;
		const struct sp_block *b = j < nr ? &v->list[j] : NULL;
		if (a && b && a->addr == b->addr) {
			err = put_both(r, i++, a, b, v->now_ns);
			j++;
		} else if (a && (!b || a->addr < b->addr)) {
			put_gone(r, i++, a, false);
		} else if (b) {
			err = put_came(r, b, v->now_ns);
			j++;
		}
	}
	if (!r->has_lists && !err)
		sp_groups_put(&r->groups, r->pack.text);
	return err;
}

static int keep_blocks(struct sp_recorder *r, const struct sp_view *v)
{
	sp_vec_clear(&r->last);
	int err = sp_vec_reserve(&r->last, v->nr_list);

	if (err)
		return err;
	if (v->nr_list)
		memcpy(r->last.data, v->list, v->nr_list * sizeof(*v->list));
	r->last.nr = v->nr_list;
	return 0;
}

/* ---- groups ---- */

static void put_head(struct sp_recorder *r, const struct sp_view *v)
{
	FILE *f = r->pack.text;
	uint64_t time_ns = (uint64_t)v->time.tv_sec * 1000000000u + (uint64_t)v->time.tv_nsec;

	fprintf(f, "seep-replay 3\ntarget %d", (int)v->pid);
	sp_lines_word(f, v->comm);
	if (time_ns > v->now_ns)
		fprintf(f, "\nepoch %" PRIu64, time_ns - v->now_ns);
	fputs("\nengine", f);
	sp_lines_word(f, v->engine);
	if (v->scale > 1)
		fprintf(f, "\nsample %" PRIu64, v->scale);
	putc('\n', f);
	r->has_head = true;
}

/* The mean may become known late: an exact watch that had to sample. */
static void put_sampling(struct sp_recorder *r, const struct sp_view *v)
{
	if (v->sample_bytes != r->sample_bytes)
		fprintf(r->pack.text, "sample-bytes %" PRIu64 "\n", v->sample_bytes);
	r->sample_bytes = v->sample_bytes;
}

/* It became another program: of what lived before nothing lives. */
static void put_exec(struct sp_recorder *r, const struct sp_view *v)
{
	if (v->nr_execs != r->nr_execs && r->stats.nr_views) {
		fputs("exec\n", r->pack.text);
		sp_vec_clear(&r->last);
		sp_groups_forget(&r->groups);
	}
	r->nr_execs = v->nr_execs;
}

static void put_scan(FILE *f, const struct sp_view *v, const struct sp_leaks_found *scan)
{
	fprintf(f, "scan %" PRIu64, scan->sum.pause_ns);
	for (unsigned i = 0; i < SP_NR_FOUND; i++)
		fprintf(f, " %" PRIu64 " %" PRIu64, scan->sum.sums[i].bytes, scan->sum.sums[i].blocks);
	putc('\n', f);
	for (size_t i = 0; i < v->nr_paths; i++) {
		uint64_t key = (uint64_t)v->paths[i].sum.path + 1;
		const uint64_t *bytes = sp_u64map_find(&scan->bytes, key), *blocks = sp_u64map_find(&scan->blocks, key);

		if (!bytes || !blocks)
			continue;
		fputs("unreached", f);
		sp_lines_path(f, v->paths[i].sum.path);
		fprintf(f, " %" PRIu64 " %" PRIu64 "\n", *bytes, *blocks);
	}
}

static int put_view(struct sp_recorder *r, const struct sp_view *v, const struct sp_leaks_found *scan)
{
	FILE *f = r->pack.text;
	int err = 0;

	if (!r->has_head)
		put_head(r, v);
	put_sampling(r, v);
	put_exec(r, v);
	for (size_t i = 0; i < v->nr_paths && !err; i++)
		err = put_path(r, &v->paths[i]);
	fprintf(f, "%s %" PRIu64 "\n", r->stats.nr_views ? "changes" : "snapshot", v->now_ns);
	if (!err)
		err = put_changes(r, v);
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		if (v->lost[i] != r->lost[i])
			fprintf(f, "lost %s %" PRIu64 "\n", lost_keys[i], v->lost[i]);
	memcpy(r->lost, v->lost, sizeof(r->lost));
	if (scan)
		put_scan(f, v, scan);
	fputs("complete\n", f);
	return err;
}

static int failed(const struct sp_recorder *r, int err, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_OURS, -err, "cannot record to %s: %s", r->path, strerror(-err));
}

/* Half of the room that was left is used: from now on half as many views. */
static void grow_coarser(struct sp_recorder *r)
{
	while (r->pack.bytes >= r->coarser_at && r->every < UINT64_MAX / 2) {
		r->coarser_at = r->pack.bytes + (r->max_bytes - r->pack.bytes) / 2 + 1;
		r->every *= 2;
	}
}

static bool is_due(struct sp_recorder *r, const struct sp_view *v)
{
	return r->turn++ % r->every == 0 || v->is_last;
}

int sp_recorder_add(struct sp_recorder *r, const struct sp_view *v, const struct sp_leaks_found *scan,
		    struct sp_why *why)
{
	if (!is_due(r, v) && !scan) {
		r->stats.nr_skipped++;
		return 0;
	}
	int err = put_view(r, v, scan);
	ssize_t len = err ? err : sp_pack_measure(&r->pack);
	if (len < 0)
		return failed(r, (int)len, why);
	if (r->pack.bytes + (uint64_t)len + END_ROOM > r->max_bytes)
		return failed(r, -EFBIG, why);
	err = sp_pack_write(&r->pack);
	if (!err)
		err = keep_blocks(r, v);
	if (err)
		return failed(r, err, why);
	r->stats.nr_views++;
	grow_coarser(r);
	return 0;
}

/* ---- the file ---- */

static int open_file(const char *path, struct sp_why *why)
{
	int fd = strcmp(path, "-") ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
				   : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	int err = errno;

	if (fd >= 0)
		return fd;
	sp_why_set(why, err == EEXIST ? SP_FAULT_USAGE : SP_FAULT_OURS, err, "cannot make %s: %s", path, strerror(err));
	if (err == EEXIST)
		sp_why_hint(why, "remove it, or name another file with -o");
	return -err;
}

void sp_recorder_free(struct sp_recorder *r)
{
	if (!r)
		return;
	sp_pack_done(&r->pack);
	sp_vec_done(&r->last);
	sp_groups_done(&r->groups);
	sp_u64map_done(&r->frames);
	sp_u64map_done(&r->modules);
	sp_u64map_done(&r->paths);
	free(r);
}

int sp_recorder_open(const struct sp_recorder_options *o, struct sp_recorder **ret, struct sp_why *why)
{
	int fd = open_file(o->path, why);

	if (fd < 0)
		return fd;
	struct sp_recorder *r = calloc(1, sizeof(*r));
	if (!r) {
		close(fd);
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	}
	r->path = o->path;
	r->max_bytes = o->max_bytes < SP_RECORDER_MIN_BYTES ? SP_RECORDER_MIN_BYTES : o->max_bytes;
	r->coarser_at = r->max_bytes / 2;
	r->every = 1;
	r->has_lists = o->lists;
	sp_groups_init(&r->groups, MAX_BLOCKS);
	sp_vec_init(&r->last, sizeof(struct sp_block), MAX_BLOCKS);
	sp_u64map_init(&r->frames, MAX_NAMES);
	sp_u64map_init(&r->modules, MAX_NAMES);
	sp_u64map_init(&r->paths, MAX_NAMES);
	int err = sp_pack_open(fd, &r->pack);
	if (err) {
		sp_recorder_free(r);
		return sp_why_set(why, SP_FAULT_OURS, -err, "out of memory");
	}
	*ret = r;
	return 0;
}

void sp_recorder_stats(const struct sp_recorder *r, struct sp_recorder_stats *ret)
{
	*ret = r->stats;
	ret->bytes = r->pack.bytes;
}

int sp_recorder_finish(struct sp_recorder *r, struct sp_why *why)
{
	int err;

	if (!r || !r->stats.nr_views)
		return 0;
	err = sp_pack_drop(&r->pack);
	if (err)
		return failed(r, err, why);
	fputs("end\n", r->pack.text);
	err = sp_pack_write(&r->pack);
	return err ? failed(r, err, why) : 0;
}
