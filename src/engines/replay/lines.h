// SPDX-License-Identifier: Apache-2.0
/* The lines of a recording (doc/file-format.md) as words. Untrusted text: bounded, unescaped, made printable. */
#ifndef SEEP_ENGINES_REPLAY_LINES_H
#define SEEP_ENGINES_REPLAY_LINES_H

#include <errno.h>
#include <stdio.h>

#include "base/base.h"
#include "wire/rows.h"

#define SP_REPLAY_MAX_LINE  8191                /* bytes without the newline */
#define SP_REPLAY_MAX_WORDS (SP_MAX_FRAMES + 2) /* a `path` line with all its frames */

struct sp_replay_lines {
	FILE *file;        /* owned */
	const char *name;  /* of the file, for messages; the caller's */
	unsigned long nr;  /* of the line in words[], the first is 1 */
	bool is_held;      /* words[] is yet to be delivered again */
	bool at_end;       /* nothing follows */
	unsigned nr_words; /* of the line; 0 at the end */
	char *words[SP_REPLAY_MAX_WORDS];
	char line[SP_REPLAY_MAX_LINE + 1];
};

/* Takes over the file. */
void sp_replay_lines_init(struct sp_replay_lines *in, FILE *file, const char *name);
void sp_replay_lines_done(struct sp_replay_lines *in);

/* The next line that is neither empty nor a comment into words[]; at the end of the file nr_words is 0. */
sp_must_check int sp_replay_lines_next(struct sp_replay_lines *in, struct sp_why *why);

/* The line is delivered once more by the next call. */
static inline void sp_replay_lines_hold(struct sp_replay_lines *in)
{
	in->is_held = true;
}

/* -err with "FILE:LINE: what is wrong". */
sp_must_check int sp_replay_why(const struct sp_replay_lines *in, struct sp_why *why, enum sp_fault fault, int err,
				const char *fmt, ...) sp_printf(5, 6);

/* The recording's fault: -EINVAL. */
#define sp_replay_bad(in, why, ...) sp_replay_why((in), (why), SP_FAULT_TARGET, EINVAL, __VA_ARGS__)

/* NULL for the word "-". */
static inline const char *sp_replay_known(const char *word)
{
	return word[0] == '-' && !word[1] ? NULL : word;
}

/* Whole word: "0x" and one to sixteen hexadecimal digits. */
bool sp_replay_hex(const char *word, uint64_t *ret);

#endif
