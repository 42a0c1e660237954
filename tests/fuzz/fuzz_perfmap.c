// SPDX-License-Identifier: Apache-2.0
/* The parser of perf-PID.map files, in two portions as a growing file gives them. */
#include "symbolize/perfmap.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sp_perfmap *m, uint64_t addr)
{
	const char *name;
	const struct sp_perfmap_entry *e = sp_perfmap_find(m, addr, &name);

	if (e && (addr < e->start || addr >= e->end || strlen(name) > m->len))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half = size ? data[0] * size / 256 : 0;
	struct sp_perfmap m;

	sp_perfmap_init(&m);
	if (sp_perfmap_append(&m, (const char *)data, half) == 0 &&
	    sp_perfmap_append(&m, (const char *)data + half, size - half) == 0) {
		for (size_t i = 0; i < m.entries.nr; i++) {
			const struct sp_perfmap_entry *e = sp_vec_at(&m.entries, struct sp_perfmap_entry, i);

			check(&m, e->start);
			check(&m, e->end - 1);
			check(&m, e->end);
		}
		check(&m, 0);
		check(&m, UINT64_MAX);
	}
	sp_perfmap_done(&m);
	return 0;
}
