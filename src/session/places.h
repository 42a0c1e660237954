// SPDX-License-Identifier: Apache-2.0
/*
 * Names for roots: which variable, thread, function or register a pointer stands in. What must be read is read while
 * the source is there (stacks, the threads' vectors of thread-local storage); names are looked for afterwards.
 */
#ifndef SEEP_SESSION_PLACES_H
#define SEEP_SESSION_PLACES_H

#include "session/holders.h"
#include "session/scan_source.h"

struct sp_places;

/* Reads what naming takes. The source must have been looked at, and stays until places are named. -ENOMEM. */
sp_must_check int sp_places_new(struct sp_scan_source *source, struct sp_places **ret);
void sp_places_free(struct sp_places *p); /* NULL is fine */

/* This root is going to be named: reads the stack that it is in. `at` as in struct sp_heap_step. */
sp_must_check int sp_places_note(struct sp_places *p, uint64_t at);

/* From here on names can be given; the source's snapshot may be gone. Strings are the symbolizer's and ours. */
sp_must_check int sp_places_open(struct sp_places *p, struct sp_symbolizer *s, struct sp_why *why);
void sp_places_name(struct sp_places *p, uint64_t at, struct sp_place *ret);

#endif
