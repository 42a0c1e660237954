// SPDX-License-Identifier: Apache-2.0
/* A growing array: doubles, checks every product, stops at its maximum. */
#include "base/vec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16

void sp_vec_init(struct sp_vec *v, size_t elem_size, size_t max)
{
	assert(elem_size && max);
	*v = (struct sp_vec){.elem_size = elem_size, .max = max};
}

void sp_vec_done(struct sp_vec *v)
{
	free(v->data);
	*v = (struct sp_vec){.elem_size = v->elem_size, .max = v->max, .nr_refused = v->nr_refused};
}

static int set_cap(struct sp_vec *v, size_t cap)
{
	size_t bytes;
	void *data;

	if (__builtin_mul_overflow(cap, v->elem_size, &bytes))
		return -ENOMEM;
	data = realloc(v->data, bytes);
	if (!data)
		return -ENOMEM;
	v->data = data;
	v->cap = cap;
	return 0;
}

int sp_vec_reserve(struct sp_vec *v, size_t nr)
{
	if (nr <= v->cap)
		return 0;
	if (nr > v->max)
		return -ENOSPC;
	return set_cap(v, nr);
}

static int grow(struct sp_vec *v)
{
	size_t cap = v->cap > v->max / 2 ? v->max : 2 * v->cap;

	if (cap < FIRST_CAP)
		cap = v->max < FIRST_CAP ? v->max : FIRST_CAP;
	return set_cap(v, cap);
}

int sp_vec_push(struct sp_vec *v, const void *elem)
{
	if (v->nr >= v->max) {
		v->nr_refused++;
		return -ENOSPC;
	}
	if (v->nr == v->cap) {
		int err = grow(v);

		if (err)
			return err;
	}
	memcpy((char *)v->data + v->nr * v->elem_size, elem, v->elem_size);
	v->nr++;
	return 0;
}
