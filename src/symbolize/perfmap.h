// SPDX-License-Identifier: Apache-2.0
/* perf-PID.map: "START SIZE name" in hex, one line a function that a JIT compiler made. Hostile text is fine. */
#ifndef SEEP_SYMBOLIZE_PERFMAP_H
#define SEEP_SYMBOLIZE_PERFMAP_H

#include "base/base.h"

#define SP_PERFMAP_MAX_BYTES (64u << 20)

struct sp_perfmap_entry {
	uint64_t start, end;
	uint64_t max_end; /* highest end of this entry and all before it */
	uint32_t name;    /* offset in text */
	uint32_t order;   /* of the line: later ones replace earlier ones, JITs reuse their memory */
};

struct sp_perfmap {
	char *text;
	size_t len, parsed;    /* bytes; behind `parsed` is a line without its end */
	struct sp_vec entries; /* struct sp_perfmap_entry, sorted */
};

void sp_perfmap_init(struct sp_perfmap *m);
void sp_perfmap_done(struct sp_perfmap *m);

/* More of the file's text, in any portions. Bad lines are skipped. -EFBIG over the maximum, -ENOMEM: nothing added. */
sp_must_check int sp_perfmap_append(struct sp_perfmap *m, const char *text, size_t len);

/* The newest entry that contains the address, and its name in *ret_name (as in the file); NULL: none. */
const struct sp_perfmap_entry *sp_perfmap_find(const struct sp_perfmap *m, uint64_t addr, const char **ret_name);

#endif
