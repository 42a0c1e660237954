// SPDX-License-Identifier: Apache-2.0
/* Finds an engine by its name, or the first that can watch a target. */
#include "engines/engines.h"

#include <errno.h>
#include <string.h>

const struct sp_engine_ops *const sp_engines[] = {
#define ROW(name) &sp_engine_##name,
    SP_ENGINES(ROW)
#undef ROW
	NULL};

const struct sp_engine_ops *sp_engine_find(const char *name)
{
	for (size_t i = 0; sp_engines[i]; i++)
		if (!strcmp(sp_engines[i]->name, name))
			return sp_engines[i];
	return NULL;
}

/* The first reason is the best engine's: that one is for the user. */
static void keep_first(struct sp_why *why, const struct sp_why *reason)
{
	if (why && !sp_why_is_set(why))
		*why = *reason;
}

int sp_engine_choose(const struct sp_engine_config *c, const struct sp_engine_ops *after,
		     const struct sp_engine_ops **ret, struct sp_why *why)
{
	int first_err = 0;
	size_t i = 0;

	while (after && sp_engines[i] && sp_engines[i++] != after)
		;
	for (; sp_engines[i]; i++) {
		struct sp_why reason = {0};
		int err;

		if (sp_engines[i] == &sp_engine_replay)
			continue;
		err = sp_engines[i]->probe(c, &reason);
		if (!err) {
			*ret = sp_engines[i];
			return 0;
		}
		keep_first(why, &reason);
		first_err = first_err ? first_err : err;
	}
	if (first_err)
		return first_err;
	if (after)
		return -ENODEV;
	return sp_why_set(why, SP_FAULT_OURS, ENODEV, "this build has no engine for live targets");
}
