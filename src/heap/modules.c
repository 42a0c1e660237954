// SPDX-License-Identifier: Apache-2.0
/* Where the variables of the program and of its libraries are: an allocator's own state is among them. */
#include "heap/model.h"

static bool is_private_data(const struct sp_mapping *m)
{
	return (m->prot & SP_PROT_W) && !(m->prot & SP_PROT_SHARED);
}

bool sp_heap_next_data(const struct sp_maps *maps, struct sp_heap_data *d)
{
	for (size_t i = d->next; i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];

		if (m->path[0] != '/' || !is_private_data(m))
			continue;
		d->start = m->start;
		d->end = m->end;
		for (i++, m++; i < maps->nr && m->start == d->end && is_private_data(m); i++, m++) {
			if (m->path[0] && m->path[0] != '/')
				break;
			d->end = m->end;
			if (!m->path[0]) {
				i++;
				break;
			}
		}
		d->next = i;
		return true;
	}
	d->next = maps->nr;
	return false;
}
