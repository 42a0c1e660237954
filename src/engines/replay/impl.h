// SPDX-License-Identifier: Apache-2.0
/* What the files of the replay engine share. */
#ifndef SEEP_ENGINES_REPLAY_IMPL_H
#define SEEP_ENGINES_REPLAY_IMPL_H

#include "engines/engine.h"
#include "engines/replay/groups.h"
#include "engines/replay/lines.h"
#include "engines/replay/live.h"
#include "engines/replay/unpack.h"

struct sp_replay_module {
	char *name, *path, *build_id; /* owned; path and build_id may be NULL */
	uint64_t bias;
};

enum sp_replay_place {
	SP_REPLAY_AT_START, /* before everything but target, sample, module */
	SP_REPLAY_BETWEEN,  /* before a snapshot, in read() */
	SP_REPLAY_IN_SNAPSHOT,
};

struct sp_replay {
	struct sp_engine engine; /* first: see engine.h */
	struct sp_replay_lines in;
	enum sp_replay_place place;
	struct sp_symbolizer *symbolizer;
	struct sp_ledger *ledger; /* while read() runs */
	struct sp_vec modules;    /* struct sp_replay_module */
	struct sp_u64map paths;   /* the recording's id -> the ledger's */
	struct sp_replay_live live;
	struct sp_replay_groups groups; /* instead of `live`, where no addresses were recorded */
	unsigned version;
	uint64_t nr_unknown;      /* lines, words and names that a newer seep wrote */
	struct sp_unpack *unpack; /* NULL: a plain text; belongs to in.file */
	char comm[64], recorded[16];
	uint64_t epoch_ns, mean_bytes;
	void (*say)(const char *text, void *arg);
	void *say_arg;
	pid_t pid;
	bool has_target, has_sample;
	uint64_t scale;
	uint64_t min_size, max_size; /* from the configuration */
	uint64_t now_ns;             /* the last snapshot's time, 0: none yet */
	bool ended;                  /* the `end` line has been seen */
	bool exec_unsaid;            /* read() came over an exec that poll() has not told yet */
	struct sp_why broken;        /* why it cannot go on */
};

/* ---- fields.c: 0, or -EINVAL with the place and the field's name ---- */
sp_must_check int sp_replay_number(struct sp_replay *r, const char *field, const char *word, uint64_t max,
				   uint64_t *ret, struct sp_why *why);
sp_must_check int sp_replay_address(struct sp_replay *r, const char *field, const char *word, uint64_t *ret,
				    struct sp_why *why);
sp_must_check int sp_replay_any_number(struct sp_replay *r, const char *field, const char *word, uint64_t *ret,
				       struct sp_why *why);
/* err with the place, for what is not the recording's fault. */
sp_must_check int sp_replay_failed(struct sp_replay *r, int err, const char *what, struct sp_why *why);

/* From this version on what is not known is passed over, and counted. */
enum { SP_REPLAY_LENIENT = 3 };

/* ---- define.c, blocks.c, group.c, scan.c: one record each; the number of words has been checked ---- */
typedef int sp_replay_take(struct sp_replay *r, char **words, unsigned nr, struct sp_why *why);
sp_replay_take sp_replay_take_target, sp_replay_take_sample, sp_replay_take_module, sp_replay_take_frame;
sp_replay_take sp_replay_take_path, sp_replay_take_block, sp_replay_take_lost, sp_replay_take_gone;
sp_replay_take sp_replay_take_group, sp_replay_take_left, sp_replay_take_scan, sp_replay_take_unreached;
sp_replay_take sp_replay_take_epoch, sp_replay_take_engine, sp_replay_take_bytes, sp_replay_take_complete;

/* ---- blocks.c ---- */
/* Words that `block` and `group` lines have in common. */
sp_must_check int sp_replay_fn(struct sp_replay *r, const char *symbol, uint16_t *ret, struct sp_why *why);
sp_must_check int sp_replay_path(struct sp_replay *r, const char *word, uint32_t *ret, struct sp_why *why);
sp_must_check int sp_replay_birth(struct sp_replay *r, const char *word, uint64_t *ret, struct sp_why *why);
sp_must_check int sp_replay_sampled(struct sp_replay *r, const char *word, uint8_t *ret, struct sp_why *why);

/* ---- records.c ---- */
/*
 * Takes lines that define something or belong to the current snapshot, up to (and holding back) the first that does not
 * fit r->place: at the start, anything but target, sample, module; later, a boundary: snapshot, exec, end.
 */
sp_must_check int sp_replay_records(struct sp_replay *r, struct sp_why *why);

/* The boundary that comes next. */
enum sp_replay_boundary { SP_REPLAY_NO_BOUNDARY, SP_REPLAY_SNAPSHOT, SP_REPLAY_EXEC, SP_REPLAY_END };
enum sp_replay_boundary sp_replay_boundary(const struct sp_replay *r);

/* Does the boundary build on the snapshot before it? Of a held `snapshot` or `changes` line. */
bool sp_replay_is_changes(const struct sp_replay *r);

/* Consumes the held `snapshot` or `changes` line: its time. */
sp_must_check int sp_replay_snapshot_time(struct sp_replay *r, uint64_t *ret_ns, struct sp_why *why);

#endif
