// SPDX-License-Identifier: Apache-2.0
/* The sink behind heap/model.h. Inside the room only; models do not see it. */
#ifndef SEEP_HEAP_SINK_H
#define SEEP_HEAP_SINK_H

#include "heap/index.h"

struct sp_heap_sink {
	struct sp_heap *heap;
	unsigned model;
	size_t last; /* number of the region used last: a guess */
};

#endif
