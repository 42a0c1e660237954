// SPDX-License-Identifier: Apache-2.0
/* Text of lines that are a name and a number: meminfo, vmstat, status, memory.stat. Not for other rooms. */
#ifndef SEEP_PROC_KEYED_H
#define SEEP_PROC_KEYED_H

#include "base/base.h"

struct sp_key {
	const char *key; /* as at the beginning of its line, without the colon */
	size_t field;    /* offset of a uint64_t in what is filled */
};

/*
 * Fills the fields of `base` whose keys are in the text: "Key:  12 kB" (times 1024), "key 12", "key: 12". Fields whose
 * keys are not there stay as they are. A number that does not fit becomes the largest. Returns how many were found.
 */
unsigned sp_keyed_parse(const char *text, const struct sp_key *keys, size_t nr, void *base);

/* A decimal number at *text, which moves behind it; false: there is none. Saturates. */
bool sp_digits(const char **text, uint64_t *ret);

#endif
