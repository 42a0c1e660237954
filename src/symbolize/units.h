// SPDX-License-Identifier: Apache-2.0
/* DWARF of one file: address -> compilation unit -> function -> the functions inlined there. */
#ifndef SEEP_SYMBOLIZE_UNITS_H
#define SEEP_SYMBOLIZE_UNITS_H

#include <elfutils/libdw.h>

#include "base/base.h"

struct sp_units {
	Dwarf *dw;            /* not owned */
	struct sp_vec ranges; /* struct sp_unit_range, sorted */
	struct sp_vec units;  /* struct unit */
	size_t nr_functions;  /* in the tables of all units */
	uint64_t budget;      /* DIEs that may still be read: hostile DWARF ends here */
};

struct sp_unit_range {
	uint64_t start, end, max_end;
	Dwarf_Off die; /* of the unit, or of the function */
	uint64_t unit; /* index in units */
};

/* Reads .debug_aranges and, for the units that it leaves out, their ranges. No DIE below the units' own. -ENOMEM. */
sp_must_check int sp_units_init(struct sp_units *u, Dwarf *dw);
void sp_units_done(struct sp_units *u);

/* A chain of DIEs: the physical function first, then what is inlined at pc, outermost first. */
#define SP_CHAIN_MAX 64
struct sp_chain {
	Dwarf_Die unit;
	Dwarf_Die dies[SP_CHAIN_MAX];
	unsigned nr;
};

/* pc in DWARF's own addresses. False: no unit covers it. With a unit but no function nr is 0. */
bool sp_units_find(struct sp_units *u, uint64_t pc, struct sp_chain *ret);

#endif
