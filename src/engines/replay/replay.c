// SPDX-License-Identifier: Apache-2.0
/*
 * The engine `replay`: a recording instead of a target. Each read() takes the recording up to the next boundary, so
 * that the line which says how it goes on (snapshot, exec, end) is known when poll() is asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engines/engines.h"
#include "engines/replay/impl.h"

#define MAX_PATHS      ((size_t)1 << 20)
#define MAX_MODULES    4096
#define NEWEST_VERSION 3

static struct sp_replay *replay_of(struct sp_engine *e)
{
	return (struct sp_replay *)e;
}

static int probe(const struct sp_engine_config *c, struct sp_why *why)
{
	struct stat st;
	int err = 0;

	if (!c->replay_file) {
		err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "the engine replay needs a recording");
		sp_why_hint(why, "--replay FILE");
		return err;
	}
	if (stat(c->replay_file, &st) || access(c->replay_file, R_OK))
		err = errno;
	else if (S_ISDIR(st.st_mode))
		err = EISDIR;
	if (err)
		return sp_why_set(why, SP_FAULT_TARGET, err, "cannot read %s: %s", c->replay_file, strerror(err));
	return 0;
}

static void stop(struct sp_engine *e)
{
	struct sp_replay *r = replay_of(e);

	if (!r)
		return;
	for (size_t i = 0; i < r->modules.nr; i++) {
		struct sp_replay_module *m = sp_vec_at(&r->modules, struct sp_replay_module, i);

		free(m->name);
		free(m->path);
		free(m->build_id);
	}
	sp_vec_done(&r->modules);
	sp_u64map_done(&r->paths);
	sp_replay_live_done(&r->live);
	sp_replay_groups_done(&r->groups);
	sp_symbolizer_close(r->symbolizer);
	sp_replay_lines_done(&r->in);
	free(r);
}

static int check_version(struct sp_replay *r, struct sp_why *why)
{
	int err = sp_replay_lines_next(&r->in, why);

	if (err)
		return err;
	if (r->in.nr != 1 || r->in.nr_words != 2 || strcmp(r->in.words[0], "seep-replay") != 0)
		return sp_replay_bad(&r->in, why, "not a recording: the first line is not `seep-replay 1`");
	uint64_t version = 0;
	if (sp_text_to_u64(r->in.words[1], 1, NEWEST_VERSION, &version))
		return sp_replay_bad(&r->in, why, "version %.16s of the format is not known here", r->in.words[1]);
	r->version = (unsigned)version;
	return 0;
}

/* Header and what stands before the first use of the ledger. */
static int open_recording(struct sp_replay *r, const char *name, struct sp_why *why)
{
	FILE *file = fopen(name, "re");
	int err = errno;

	if (!file)
		return sp_why_set(why, SP_FAULT_TARGET, err, "cannot read %s: %s", name, strerror(err));
	if (sp_unpack_is_packed(file) && sp_unpack_open(file, &r->unpack, &file))
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	sp_replay_lines_init(&r->in, file, name);
	if (sp_symbolizer_open_table(&r->symbolizer)) {
		r->symbolizer = NULL;
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	}
	err = check_version(r, why);
	return err ? err : sp_replay_records(r, why);
}

static int start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	struct sp_replay *r;
	int err = probe(c, why);

	if (err)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	r->engine.ops = &sp_engine_replay;
	r->pid = 1;
	sp_text_printable(r->comm, sizeof(r->comm), "replay");
	r->scale = 1;
	r->say = c->say;
	r->say_arg = c->say_arg;
	r->min_size = c->min_size;
	r->max_size = c->max_size;
	sp_vec_init(&r->modules, sizeof(struct sp_replay_module), MAX_MODULES);
	sp_u64map_init(&r->paths, MAX_PATHS);
	sp_replay_live_init(&r->live);
	sp_replay_groups_init(&r->groups);
	err = open_recording(r, c->replay_file, why);
	if (err) {
		stop(&r->engine);
		return err;
	}
	*ret = &r->engine;
	return 0;
}

static void forget_blocks(struct sp_replay *r)
{
	sp_replay_live_clear(&r->live);
	sp_replay_groups_clear(&r->groups);
}

/* To the next snapshot's line, over what stands before it. -ESRCH: none comes. */
static int go_to_snapshot(struct sp_replay *r, struct sp_why *why)
{
	for (;;) {
		int err;

		switch (sp_replay_boundary(r)) {
		case SP_REPLAY_SNAPSHOT:
			return 0;
		case SP_REPLAY_END:
			return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "the recording has ended");
		case SP_REPLAY_EXEC:
			r->in.is_held = false;
			r->exec_unsaid = true;
			sp_ledger_clear(r->ledger);
			forget_blocks(r);
			break;
		case SP_REPLAY_NO_BOUNDARY:
			break;
		}
		r->place = SP_REPLAY_BETWEEN;
		err = sp_replay_records(r, why);
		if (err)
			return err;
	}
}

static bool is_wanted(const struct sp_replay *r, const struct sp_block *b)
{
	return b->size >= r->min_size && (!r->max_size || b->size <= r->max_size);
}

/* A full ledger has counted what it refuses. */
static int feed_blocks(struct sp_replay *r)
{
	int err = 0;

	for (size_t i = 0; i < r->live.blocks.nr && (!err || err == -ENOSPC); i++) {
		const struct sp_block *b = sp_vec_at(&r->live.blocks, struct sp_block, i);
		if (is_wanted(r, b))
			err = sp_ledger_block(r->ledger, b);
	}
	return err == -ENOSPC ? 0 : err;
}

/* A short line may stand for a great many blocks: a full ledger is not offered each of them. */
static int feed_group(struct sp_replay *r, const struct sp_replay_group *g)
{
	struct sp_block b = g->first;

	for (uint64_t i = 0; i < g->nr; i++, b.addr++) {
		int err = sp_ledger_block(r->ledger, &b);
		if (err == -ENOSPC)
			sp_ledger_refuse(r->ledger, g->nr - i - 1);
		if (err)
			return err == -ENOSPC ? 0 : err;
	}
	return 0;
}

static int feed(struct sp_replay *r)
{
	int err = feed_blocks(r);

	for (size_t i = 0; i < r->groups.list.nr && !err; i++) {
		const struct sp_replay_group *g = sp_vec_at(&r->groups.list, struct sp_replay_group, i);
		if (is_wanted(r, &g->first))
			err = feed_group(r, g);
	}
	return err;
}

static int take_snapshot(struct sp_replay *r, struct sp_why *why)
{
	uint64_t time = 0;
	bool is_changes = sp_replay_is_changes(r);
	int err = sp_replay_snapshot_time(r, &time, why);

	if (err)
		return err;
	err = sp_ledger_begin(r->ledger, time);
	if (err)
		return sp_why_set(why, SP_FAULT_OURS, -err, "the ledger takes no snapshot: %s", strerror(-err));
	if (!is_changes)
		forget_blocks(r);
	r->now_ns = time;
	r->place = SP_REPLAY_IN_SNAPSHOT;
	err = sp_replay_records(r, why);
	r->place = SP_REPLAY_BETWEEN;
	if (!err) {
		err = feed(r);
		if (err)
			sp_why_set(why, SP_FAULT_OURS, -err, "the ledger lost a block: %s", strerror(-err));
	}
	if (err) {
		sp_ledger_abort(r->ledger);
		return err;
	}
	err = sp_ledger_end(r->ledger);
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "the ledger lost a snapshot: %s", strerror(-err)) : 0;
}

/* A recording that broke stays broken, with its first reason. */
static int read_next(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why)
{
	struct sp_replay *r = replay_of(e);
	int err = r->broken.fault ? -r->broken.err : 0;

	if (!err) {
		struct sp_why reason = {0};

		r->ledger = l;
		sp_ledger_set_sampling(l, r->mean_bytes);
		err = go_to_snapshot(r, &reason);
		if (!err)
			err = take_snapshot(r, &reason);
		r->ledger = NULL;
		if (!err)
			return 0;
		r->broken = reason;
	}
	if (why && !sp_why_is_set(why))
		*why = r->broken;
	return err;
}

static enum sp_engine_news poll_news(struct sp_engine *e, struct sp_ledger *l)
{
	struct sp_replay *r = replay_of(e);

	if (r->exec_unsaid) {
		r->exec_unsaid = false;
		return SP_NEWS_EXEC;
	}
	if (r->broken.fault)
		return SP_NEWS_END;
	switch (sp_replay_boundary(r)) {
	case SP_REPLAY_EXEC:
		r->in.is_held = false;
		sp_ledger_clear(l);
		forget_blocks(r);
		return SP_NEWS_EXEC;
	case SP_REPLAY_END:
		return SP_NEWS_END;
	default:
		return SP_NEWS_NONE;
	}
}

static int no_fd(struct sp_engine *e)
{
	(void)e;
	return -1;
}

static uint64_t now_ns(struct sp_engine *e)
{
	return replay_of(e)->now_ns;
}

static struct sp_symbolizer *symbolizer(struct sp_engine *e)
{
	return replay_of(e)->symbolizer;
}

static void stats(struct sp_engine *e, struct sp_engine_stats *ret)
{
	struct sp_replay *r = replay_of(e);

	*ret = (struct sp_engine_stats){.scale = r->scale,
					.pid = r->pid,
					.comm = r->comm,
					.nr_modules = (unsigned)r->modules.nr,
					.sample_bytes = r->mean_bytes,
					.epoch_ns = r->epoch_ns,
					.recorded = r->recorded[0] ? r->recorded : NULL,
					.has_no_lists = r->groups.next > 1};
}

const struct sp_engine_ops sp_engine_replay = {
    .name = "replay",
    .probe = probe,
    .start = start,
    .fd = no_fd,
    .poll = poll_news,
    .read = read_next,
    .now_ns = now_ns,
    .symbolizer = symbolizer,
    .stats = stats,
    .stop = stop,
};
