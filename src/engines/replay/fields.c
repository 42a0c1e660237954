// SPDX-License-Identifier: Apache-2.0
/* Fields of a record: numbers, addresses, and what to say when they are not. */
#include <string.h>

#include "engines/replay/impl.h"

int sp_replay_number(struct sp_replay *r, const char *field, const char *word, uint64_t max, uint64_t *ret,
		     struct sp_why *why)
{
	if (sp_text_to_u64(word, 0, max, ret))
		return sp_replay_bad(&r->in, why, "%s is not a number up to %llu", field, (unsigned long long)max);
	return 0;
}

int sp_replay_address(struct sp_replay *r, const char *field, const char *word, uint64_t *ret, struct sp_why *why)
{
	if (!sp_replay_hex(word, ret))
		return sp_replay_bad(&r->in, why, "%s is not a hexadecimal number with 0x, below 2^64", field);
	return 0;
}

int sp_replay_any_number(struct sp_replay *r, const char *field, const char *word, uint64_t *ret, struct sp_why *why)
{
	return sp_replay_hex(word, ret) ? 0 : sp_replay_number(r, field, word, UINT64_MAX, ret, why);
}

/* What went wrong beyond the recording itself, with its place. */
int sp_replay_failed(struct sp_replay *r, int err, const char *what, struct sp_why *why)
{
	return sp_replay_why(&r->in, why, SP_FAULT_OURS, -err, "%s: %s", what, strerror(-err));
}
