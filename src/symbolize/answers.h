// SPDX-License-Identifier: Apache-2.0
/* A bounded cache: address -> the frames it was answered with. */
#ifndef SEEP_SYMBOLIZE_ANSWERS_H
#define SEEP_SYMBOLIZE_ANSWERS_H

#include "symbolize/symbolize.h"

struct sp_answers {
	struct sp_u64map by_address; /* address and kind -> index in list */
	struct sp_vec list;          /* struct answer */
	struct sp_vec frames;        /* struct sp_frame */
};

void sp_answers_init(struct sp_answers *a);
void sp_answers_done(struct sp_answers *a);
void sp_answers_clear(struct sp_answers *a);

/* Number of frames, 0: not known. */
unsigned sp_answers_find(const struct sp_answers *a, uint64_t address, bool is_return, struct sp_frame *ret,
			 unsigned max);
/* Remembers, after forgetting everything when full. */
void sp_answers_add(struct sp_answers *a, uint64_t address, bool is_return, const struct sp_frame *frames, unsigned nr);

#endif
