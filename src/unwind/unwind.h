// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    the unwind tables of a whole process: one pool of rows, one list of ranges that point into it.
 * Runs in: our process, one thread.
 * May not: know who walks with them.
 * Owns:    pool and list; rows of a file are built once however often and wherever it is mapped.
 * Fails by: -errno; a file that cannot be read has no rows (its code is stepped by the frame pointer).
 */
#ifndef SEEP_UNWIND_UNWIND_H
#define SEEP_UNWIND_UNWIND_H

#include "base/base.h"
#include "proc/proc.h"
#include "wire/rows.h"

struct sp_unwind;

/* max_rows: of all files together; a file that does not fit has no rows. */
sp_must_check int sp_unwind_new(size_t max_rows, struct sp_unwind **ret);
void sp_unwind_free(struct sp_unwind *u); /* NULL is fine */

/*
 * Brings ranges and rows up to date with the mappings of p. Rows are only ever added to the pool, so what was
 * published before stays valid.
 */
sp_must_check int sp_unwind_update(struct sp_unwind *u, struct sp_proc *p, const struct sp_maps *maps);

const struct sp_row_range *sp_unwind_ranges(const struct sp_unwind *u, size_t *ret_nr);
const struct sp_row *sp_unwind_rows(const struct sp_unwind *u, size_t *ret_nr);
size_t sp_unwind_nr_files(const struct sp_unwind *u); /* with rows */

#endif
