// SPDX-License-Identifier: Apache-2.0
/* The reason of a failure, on its way up to the one place that prints it. First writer wins. */
#ifndef SEEP_BASE_WHY_H
#define SEEP_BASE_WHY_H

#include <stdbool.h>
#include <stdint.h>

#define sp_must_check        __attribute__((warn_unused_result))
#define sp_printf(fmt, args) __attribute__((format(printf, fmt, args)))

/* Whose fault it is; decides the exit status (see cli/). */
enum sp_fault {
	SP_FAULT_NONE,
	SP_FAULT_USAGE,  /* the user's words: exit 2 */
	SP_FAULT_TARGET, /* the target cannot be observed: exit 3 */
	SP_FAULT_OURS,   /* our own limits (memory, disk, kernel): exit 3 */
};

struct sp_why {
	enum sp_fault fault;
	int err;        /* positive errno, 0 when none applies */
	char what[512]; /* "cannot attach to 12: no such process"; one line, no final dot or newline */
	char hint[512]; /* what to do about it: a command or a sentence; may be empty */
};

/*
 * Records why something failed unless a reason is there already.
 * `why` may be NULL. Returns -err (-EINVAL when err is 0), so that one can write `return sp_why_set(...)`.
 */
int sp_why_set(struct sp_why *why, enum sp_fault fault, int err, const char *fmt, ...) sp_printf(4, 5);

/* Adds the way out to the reason just set; keeps an earlier hint. `why` may be NULL. */
void sp_why_hint(struct sp_why *why, const char *fmt, ...) sp_printf(2, 3);

static inline bool sp_why_is_set(const struct sp_why *why)
{
	return why && why->fault != SP_FAULT_NONE;
}

#endif
