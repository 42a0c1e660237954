// SPDX-License-Identifier: Apache-2.0
/* What the files of the musl model share. */
#ifndef SEEP_HEAP_MUSL_H
#define SEEP_HEAP_MUSL_H

#include "heap/model.h"

#define SP_MUSL_ADDRESS_END ((uint64_t)1 << 47)

enum {
	SP_MUSL_UNIT = 16,  /* blocks begin at multiples of it; also the bytes of a group's head */
	SP_MUSL_HEADER = 4, /* before a block; the end of a slot belongs to the next one's */
	SP_MUSL_NR_CLASSES = 48,
};

/* A group of slots of one size. */
struct sp_musl_group {
	uint64_t mem;   /* where it begins: its head, then the slots */
	uint64_t bytes; /* of all of it */
	uint64_t stride;
	uint32_t avail, freed; /* bits of slots that are not in use */
	uint8_t last;          /* number of the last slot */
	uint8_t class;
	bool is_mapped;   /* has pages of its own */
	bool is_freeable; /* else it is a gap in a library's data that was given to the heap */
};

struct sp_musl {
	const struct sp_heap_source *src;
	struct sp_heap_reader *r;
	struct sp_heap_sink *sink;
	uint64_t context;
	struct sp_vec groups;               /* struct sp_musl_group */
	uint64_t slots[SP_MUSL_NR_CLASSES]; /* that were found */
	char why[160];                      /* what did not verify */
};

/* In a slot of another group. */
static inline bool sp_musl_is_nested(const struct sp_musl_group *g)
{
	return !g->is_mapped && g->is_freeable;
}

/* Tells what was collected. 1; 0: something does not verify; negative: ours, or -EEXIST, -EINVAL of the sink. */
int sp_musl_tell(struct sp_musl *mu);

/* Printf for mu->why; returns 0. */
int sp_musl_doubt(struct sp_musl *mu, const char *fmt, ...) sp_printf(2, 3);

#endif
