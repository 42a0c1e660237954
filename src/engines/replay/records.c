// SPDX-License-Identifier: Apache-2.0
/* Which records there are, where each may stand (doc/file-format.md), and the walk from boundary to boundary. */
#include <string.h>

#include "engines/replay/impl.h"

/* Where a record may stand. */
enum { START = 1 << SP_REPLAY_AT_START, BETWEEN = 1 << SP_REPLAY_BETWEEN, INSIDE = 1 << SP_REPLAY_IN_SNAPSHOT };

static const struct record {
	const char *name;
	unsigned min_words, max_words; /* with the name */
	unsigned places;
	enum sp_replay_boundary boundary;
	sp_replay_take *take;
} records[] = {
    {"target", 3, 3, START, SP_REPLAY_NO_BOUNDARY, sp_replay_take_target},
    {"sample", 2, 2, START, SP_REPLAY_NO_BOUNDARY, sp_replay_take_sample},
    {"epoch", 2, 2, START, SP_REPLAY_NO_BOUNDARY, sp_replay_take_epoch},
    {"engine", 2, 2, START, SP_REPLAY_NO_BOUNDARY, sp_replay_take_engine},
    {"sample-bytes", 2, 2, START | BETWEEN, SP_REPLAY_NO_BOUNDARY, sp_replay_take_bytes},
    {"complete", 1, 1, START | BETWEEN | INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_complete},
    {"module", 5, 5, START | BETWEEN | INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_module},
    {"frame", 5, 8, BETWEEN | INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_frame},
    {"path", 2, SP_REPLAY_MAX_WORDS, BETWEEN | INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_path},
    {"block", 6, 7, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_block},
    {"group", 7, 8, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_group},
    {"left", 3, 3, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_left},
    {"scan", 8, 8, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_scan},
    {"unreached", 4, 4, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_unreached},
    {"gone", 2, 2, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_gone},
    {"lost", 3, 3, INSIDE, SP_REPLAY_NO_BOUNDARY, sp_replay_take_lost},
    {"snapshot", 2, 2, 0, SP_REPLAY_SNAPSHOT, NULL},
    {"changes", 2, 2, 0, SP_REPLAY_SNAPSHOT, NULL},
    {"exec", 1, 1, 0, SP_REPLAY_EXEC, NULL},
    {"end", 1, 1, 0, SP_REPLAY_END, NULL},
};

static const struct record *find_record(const char *name)
{
	for (size_t i = 0; i < SP_ARRAY_SIZE(records); i++)
		if (!strcmp(records[i].name, name))
			return &records[i];
	return NULL;
}

/* The record of the line in hand; NULL: it is none, with the reason. */
static const struct record *this_record(struct sp_replay *r, struct sp_why *why)
{
	const struct record *rec = r->in.nr_words ? find_record(r->in.words[0]) : NULL;

	if (rec && r->in.nr_words >= rec->min_words && r->in.nr_words <= rec->max_words)
		return rec;
	if (rec)
		(void)!sp_replay_bad(&r->in, why, "wrong number of words for %s", rec->name);
	else if (r->in.nr_words)
		(void)!sp_replay_bad(&r->in, why, "unknown record %.64s", r->in.words[0]);
	else
		(void)!sp_replay_bad(&r->in, why, "the recording is cut off: no `end`");
	return NULL;
}

/* A newer seep may write kinds of lines, and words at the end of lines, that this one does not know. */
static bool is_passed_over(struct sp_replay *r)
{
	const struct record *rec = r->version >= SP_REPLAY_LENIENT ? find_record(r->in.words[0]) : NULL;

	if (r->version < SP_REPLAY_LENIENT || (rec && r->in.nr_words <= rec->max_words))
		return false;
	r->nr_unknown++;
	if (rec)
		r->in.nr_words = rec->max_words;
	return !rec;
}

static void say_what_is_unknown(const struct sp_replay *r)
{
	char text[160];

	snprintf(text, sizeof(text), "the recording says things that this version of seep does not know, %llu times",
		 (unsigned long long)r->nr_unknown);
	if (r->nr_unknown && r->say)
		r->say(text, r->say_arg);
}

/* `end` has to be the last. */
static int take_end(struct sp_replay *r, struct sp_why *why)
{
	int err = sp_replay_lines_next(&r->in, why);

	if (!err && r->in.nr_words)
		err = sp_replay_bad(&r->in, why, "something behind the end");
	r->ended = !err;
	if (!err)
		say_what_is_unknown(r);
	return err;
}

/* Whoever recorded this was killed, or had no room: it ends here, and the user is told. */
static void end_of_what_is_whole(struct sp_replay *r)
{
	char text[160];

	snprintf(text, sizeof(text), "the recording was cut off: %llu bytes at its end are not used",
		 (unsigned long long)sp_unpack_cut_bytes(r->unpack));
	if (r->say)
		r->say(text, r->say_arg);
	say_what_is_unknown(r);
	r->ended = true;
}

int sp_replay_records(struct sp_replay *r, struct sp_why *why)
{
	for (;;) {
		const struct record *rec;
		int err = sp_replay_lines_next(&r->in, why);

		if (err)
			return err;
		if (!r->in.nr_words && r->unpack) {
			end_of_what_is_whole(r);
			return 0;
		}
		if (r->in.nr_words && is_passed_over(r))
			continue;
		rec = this_record(r, why);
		if (!rec)
			return -EINVAL;
		if (rec->boundary == SP_REPLAY_END)
			return take_end(r, why);
		if (rec->boundary || (r->place == SP_REPLAY_AT_START && !(rec->places & START))) {
			sp_replay_lines_hold(&r->in);
			return 0;
		}
		if (!(rec->places & 1u << r->place))
			return sp_replay_bad(&r->in, why, "%s may not stand here", rec->name);
		err = rec->take(r, r->in.words, r->in.nr_words, why);
		if (err)
			return err;
	}
}

enum sp_replay_boundary sp_replay_boundary(const struct sp_replay *r)
{
	const struct record *rec = r->in.is_held ? find_record(r->in.words[0]) : NULL;

	if (r->ended)
		return SP_REPLAY_END;
	return rec ? rec->boundary : SP_REPLAY_NO_BOUNDARY;
}

bool sp_replay_is_changes(const struct sp_replay *r)
{
	return !strcmp(r->in.words[0], "changes");
}

int sp_replay_snapshot_time(struct sp_replay *r, uint64_t *ret_ns, struct sp_why *why)
{
	uint64_t time = 0;
	int err = sp_replay_number(r, "TIME", r->in.words[1], UINT64_MAX, &time, why);

	r->in.is_held = false;
	if (err)
		return err;
	if (time <= r->now_ns)
		return sp_replay_bad(&r->in, why, "%s", time ? "TIME is not after the snapshot before" : "TIME is 0");
	*ret_ns = time;
	return 0;
}
