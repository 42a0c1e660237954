// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    says which call paths the user does not want to hear of, by a file in LeakSanitizer's syntax; counts them.
 * Runs in: our process, main thread.
 * May not: print; change what others count: the caller leaves a suppressed path out.
 * Owns:    the rules.
 * Fails by: -errno with a reason that names the file and the line.
 */
#ifndef SEEP_SUPPRESS_SUPPRESS_H
#define SEEP_SUPPRESS_SUPPRESS_H

#include "base/base.h"
#include "symbolize/symbolize.h"

/*
 * A line is `leak:PATTERN`, empty, or a comment behind '#'. A path is suppressed when the pattern fits the function,
 * the source file or the module's path of any of its frames. '*' stands for any text, '^' at the beginning and '$' at
 * the end hold the pattern to the whole name; without them it may lie anywhere in it.
 * https://clang.llvm.org/docs/LeakSanitizer.html (Suppressions)
 */
struct sp_suppress;

struct sp_suppress_rule {
	const char *pattern; /* printable, good until free; of a rule that is not the file's: what it takes, in words */
	bool is_runtime;     /* of sp_suppress_add_runtime() */
	uint64_t nr_paths;   /* that it took, since open or the last reset */
	uint64_t blocks, bytes;
};

/* Reads a file. -EINVAL with SP_FAULT_USAGE: a line that is none of the above; so is a file that cannot be read. */
sp_must_check int sp_suppress_open(const char *path, struct sp_suppress **ret, struct sp_why *why);

/* The same from memory; `name` stands in reasons. */
sp_must_check int sp_suppress_parse(const char *name, const char *text, size_t len, struct sp_suppress **ret,
				    struct sp_why *why);

/*
 * Adds a rule for what glibc and libstdc++ themselves allocate once and keep until the program's end: the dynamic
 * linker's lists, the buffers of stdio's streams, locales, the room for exceptions. *s may be NULL: then it is made.
 */
sp_must_check int sp_suppress_add_runtime(struct sp_suppress **s, struct sp_why *why);

void sp_suppress_free(struct sp_suppress *s); /* NULL is fine */

/* True when a rule fits a path; it is counted for the first one that does. NULL: no rules, false. */
bool sp_suppress_take(struct sp_suppress *s, const struct sp_frame *frames, unsigned nr_frames, uint64_t bytes,
		      uint64_t blocks);

/* Begins to count anew. NULL is fine. */
void sp_suppress_reset(struct sp_suppress *s);

/* All rules in the file's order. NULL: none. */
const struct sp_suppress_rule *sp_suppress_rules(const struct sp_suppress *s, size_t *ret_nr);

#endif
