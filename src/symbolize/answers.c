// SPDX-License-Identifier: Apache-2.0
/* Answers by address. Full means empty: whoever asks again gets the same interned strings, only slower. */
#include "symbolize/answers.h"

#include <string.h>

#define MAX_ANSWERS 65536
#define MAX_FRAMES  (4 * MAX_ANSWERS) /* 24 MiB */

struct answer {
	uint64_t address;
	uint32_t first, nr;
	bool is_return;
};

void sp_answers_init(struct sp_answers *a)
{
	sp_u64map_init(&a->by_address, MAX_ANSWERS);
	sp_vec_init(&a->list, sizeof(struct answer), MAX_ANSWERS);
	sp_vec_init(&a->frames, sizeof(struct sp_frame), MAX_FRAMES);
}

void sp_answers_done(struct sp_answers *a)
{
	sp_u64map_done(&a->by_address);
	sp_vec_done(&a->list);
	sp_vec_done(&a->frames);
}

void sp_answers_clear(struct sp_answers *a)
{
	sp_u64map_clear(&a->by_address);
	sp_vec_clear(&a->list);
	sp_vec_clear(&a->frames);
}

/* The top bit is lost, so a found answer is compared with the address. */
static uint64_t key_of(uint64_t address, bool is_return)
{
	return address << 1 | is_return;
}

unsigned sp_answers_find(const struct sp_answers *a, uint64_t address, bool is_return, struct sp_frame *ret,
			 unsigned max)
{
	const uint64_t *i = sp_u64map_find(&a->by_address, key_of(address, is_return));
	const struct answer *found = i ? sp_vec_at(&a->list, struct answer, *i) : NULL;

	if (!found || found->address != address || found->is_return != is_return)
		return 0;
	if (max > found->nr)
		max = found->nr;
	memcpy(ret, sp_vec_at(&a->frames, struct sp_frame, found->first), max * sizeof(*ret));
	return max;
}

void sp_answers_add(struct sp_answers *a, uint64_t address, bool is_return, const struct sp_frame *frames, unsigned nr)
{
	if (a->list.nr >= MAX_ANSWERS || a->frames.nr + nr > MAX_FRAMES)
		sp_answers_clear(a);

	struct answer answer = {address, (uint32_t)a->frames.nr, nr, is_return};
	for (unsigned i = 0; i < nr; i++) {
		if (sp_vec_push(&a->frames, &frames[i]) < 0) {
			a->frames.nr = answer.first;
			return;
		}
	}
	if (sp_vec_push(&a->list, &answer) < 0 ||
	    sp_u64map_set(&a->by_address, key_of(address, is_return), a->list.nr - 1) < 0)
		a->frames.nr = answer.first;
}
