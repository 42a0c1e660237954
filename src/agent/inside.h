// SPDX-License-Identifier: Apache-2.0
/*
 * Does an event belong to a call that the agent is already watching? By a plain walk outwards: the answer must not rest
 * on a mark that a longjmp or the end of a thread would leave behind.
 */
#ifndef SEEP_AGENT_INSIDE_H
#define SEEP_AGENT_INSIDE_H

#include "foreign.h"

#define MAX_INNER 48   /* frames of an allocator above each other */
#define NEAR      4096 /* its frames are hardly ever that big together */

enum inside { INSIDE_NOT, INSIDE_YES, INSIDE_UNKNOWN };

/*
 * Walks from *at until a frame of the agent is met. over_signals: also where a signal handler lies in between. Frames
 * at `until` and further out are not looked at (0: all are).
 */
static COLD enum inside find_agent_frame(const struct sp_walk *at, const struct bounds *b, uint64_t until,
					 bool over_signals)
{
	struct sp_walk w = *at;
	uint32_t number = row_gen_number(LOAD(&header()->gen));

	for (int i = 0; i < MAX_INNER; i++) {
		if (is_agent_code(w.pc))
			return INSIDE_YES;
		if (until && w.sp > until)
			return INSIDE_NOT;
		uint64_t row = row_for(number, &w);
		if (row & ROW_GUESSED)
			return INSIDE_UNKNOWN;
		if (ROW_KIND(row) == SP_ROW_SIG && !over_signals)
			return INSIDE_NOT;
		enum sp_step_end end = step(&w, row, b);
		if (end != SP_STEP_ON)
			return end == SP_STEP_WHOLE ? INSIDE_NOT : INSIDE_UNKNOWN;
	}
	return INSIDE_UNKNOWN;
}

/*
 * Is there the frame of a hook on the stack just above sp? For code that cannot be walked (musl has no unwind data). A
 * cookie is a frame's own address and is wiped when the hook returns.
 */
static COLD bool has_cookie_near(const struct bounds *b)
{
	uint64_t at = (b->lo + 7) & ~7ull, end = b->lo + (b->size < NEAR ? b->size : NEAR);

	for (; at <= end; at += 8)
		if (LOAD((const uint64_t *)at) == at - offsetof(struct sp_agent_call, cookie))
			return true;
	return false;
}

/* Is this call part of one that is watched: an allocator that maps memory for itself? */
static COLD bool is_inner_call(const struct sp_walk *at, const struct bounds *b)
{
	switch (find_agent_frame(at, b, 0, false)) {
	case INSIDE_NOT:
		return false;
	case INSIDE_YES:
		return true;
	case INSIDE_UNKNOWN:
		break;
	}
	return has_cookie_near(b);
}

#endif
