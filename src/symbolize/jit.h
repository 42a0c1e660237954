// SPDX-License-Identifier: Apache-2.0
/* Names of a process' JIT-compiled functions, from the map file that its runtime keeps writing. */
#ifndef SEEP_SYMBOLIZE_JIT_H
#define SEEP_SYMBOLIZE_JIT_H

#include <sys/stat.h>

#include "proc/proc.h"
#include "symbolize/perfmap.h"

struct sp_jit {
	struct sp_proc *proc; /* not owned */
	struct sp_perfmap map;
	dev_t dev; /* of the file that the map was read from */
	ino_t ino;
	off_t size;      /* bytes read of it */
	bool may_reread; /* since the last refresh */
};

void sp_jit_init(struct sp_jit *j, struct sp_proc *p);
void sp_jit_done(struct sp_jit *j);

/* From now on the file may be looked at again. */
void sp_jit_refresh(struct sp_jit *j);

/* As sp_perfmap_find(). Reads on in the file when the address is not known and the file has grown. */
const struct sp_perfmap_entry *sp_jit_find(struct sp_jit *j, uint64_t addr, const char **ret_name);

#endif
