// SPDX-License-Identifier: Apache-2.0
/* Interned, printable, immortal strings: every text that a symbolizer hands out. */
#ifndef SEEP_SYMBOLIZE_NAMES_H
#define SEEP_SYMBOLIZE_NAMES_H

#include "base/base.h"

#define SP_NAME_MAX_BYTES 16384 /* one string, its NUL included; longer ones are cut */

struct sp_names {
	struct sp_names_chunk *chunks; /* newest first */
	struct sp_u64map by_hash;      /* hash -> const char * */
	size_t bytes, max_bytes;       /* allocated in chunks */
	uint64_t nr_refused;
	char scratch[SP_NAME_MAX_BYTES];
};

void sp_names_init(struct sp_names *n, size_t max_bytes);
void sp_names_done(struct sp_names *n);

/*
 * The one copy of `text`, made printable; it lives until sp_names_done(). NULL: text was NULL, or no room
 * (counted in nr_refused).
 */
const char *sp_names_add(struct sp_names *n, const char *text);

#endif
