// SPDX-License-Identifier: Apache-2.0
/* A growing array of equal elements that knows its maximum from birth. */
#ifndef SEEP_BASE_VEC_H
#define SEEP_BASE_VEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/why.h"

struct sp_vec {
	void *data;
	size_t nr;        /* elements in use */
	size_t cap;       /* elements allocated */
	size_t elem_size; /* bytes */
	size_t max;       /* elements, never exceeded */
	uint64_t nr_refused;
};

/* No allocation yet. max is in elements and must not be 0. */
void sp_vec_init(struct sp_vec *v, size_t elem_size, size_t max);
void sp_vec_done(struct sp_vec *v);

/* Appends a copy of *elem. -ENOSPC at the maximum (counted in nr_refused), -ENOMEM. */
sp_must_check int sp_vec_push(struct sp_vec *v, const void *elem);

/* Room for at least nr elements in all, so that pushes up to it cannot fail. -ENOSPC, -ENOMEM. */
sp_must_check int sp_vec_reserve(struct sp_vec *v, size_t nr);

/* Forgets the elements, keeps the memory. */
static inline void sp_vec_clear(struct sp_vec *v)
{
	v->nr = 0;
}

#define sp_vec_at(v, type, i) (&((type *)(v)->data)[i])

#endif
