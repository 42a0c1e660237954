// SPDX-License-Identifier: Apache-2.0
/*
 * Finding what DWARF says of an address without reading all of it.
 *
 * Units: .debug_aranges lists the addresses of each unit, but clang and rustc do not write it, and a program linked
 * from both kinds of objects has it for some units only. So the units that it does not mention are asked for their
 * own ranges: one DIE each.
 *
 * Functions: libdw's dwarf_getscopes walks the whole tree of a unit for each address, up to 50 ms in a big one. Here a
 * unit's functions are listed once, on its first address; after that an address costs two binary searches and the
 * function's own subtree. Nearly all stand at the top of the unit or in namespaces, so only those are looked through at
 * first. An address in none of them may be in a function inside a function (lambdas, GNU C's nested functions) or
 * inside a class (D compilers put methods there): then the whole tree is, once. Measured on a file with 450 MB of C++
 * DWARF, 200 addresses all over it: whole trees at once 800 ms, in two steps 220 ms.
 *
 * Everything read is foreign: depth, ranges, DIEs are bounded, and libdw checks each offset against its section.
 */
#include "symbolize/units.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#define MAX_RANGES     (8u << 20)
#define MAX_UNITS      (1u << 20)
#define MAX_FUNCTIONS  (8u << 20) /* in all units of a file: 320 MB; then the tables start again */
#define MAX_DEPTH      64         /* of nested DIEs: clang's namespaces, classes, blocks */
#define MAX_STEPS_BACK 4096
#define MAX_DIES       (1ull << 30)
#define MAX_PER_DIE    65536 /* ranges of one function or unit */

enum listed { NOT_LISTED, LISTED_TOP, LISTED_ALL };

struct unit {
	Dwarf_Off die;
	bool has_aranges;
	enum listed listed;
	struct sp_vec functions; /* struct sp_unit_range */
};

/* ---- sorted ranges ---- */

static int push_range(struct sp_vec *v, uint64_t start, uint64_t end, Dwarf_Off die, size_t unit)
{
	struct sp_unit_range r = {.start = start, .end = end, .die = die, .unit = unit};

	if (start >= end || !start) /* 0: the linker dropped the section */
		return 0;
	int err = sp_vec_push(v, &r);

	return err == -ENOSPC ? 0 : err;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct sp_unit_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->end < y->end) - (x->end > y->end);
}

static void seal_ranges(struct sp_vec *v)
{
	uint64_t max_end = 0;

	if (v->nr)
		qsort(v->data, v->nr, sizeof(struct sp_unit_range), compare_ranges);
	for (size_t i = 0; i < v->nr; i++) {
		struct sp_unit_range *r = sp_vec_at(v, struct sp_unit_range, i);

		if (r->end > max_end)
			max_end = r->end;
		r->max_end = max_end;
	}
}

static const struct sp_unit_range *find_range(const struct sp_vec *v, uint64_t pc)
{
	size_t lo = 0, hi = v->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sp_vec_at(v, struct sp_unit_range, mid)->start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (unsigned step = 0; lo > 0 && step < MAX_STEPS_BACK; step++) {
		const struct sp_unit_range *r = sp_vec_at(v, struct sp_unit_range, --lo);

		if (r->max_end <= pc)
			return NULL;
		if (r->end > pc)
			return r;
	}
	return NULL;
}

static int push_die_ranges(struct sp_vec *v, Dwarf_Die *die, size_t unit)
{
	Dwarf_Off off = dwarf_dieoffset(die);
	Dwarf_Addr base = 0, start = 0, end = 0;
	ptrdiff_t at = 0;
	int err = 0;

	for (unsigned nr = 0; !err && nr < MAX_PER_DIE; nr++) {
		at = dwarf_ranges(die, at, &base, &start, &end);
		if (at <= 0)
			break;
		err = push_range(v, start, end, off, unit);
	}
	return err;
}

/* ---- units ---- */

static int list_units(struct sp_units *u)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	uint8_t type;
	int err = 0;

	while (!err && dwarf_get_units(u->dw, cu, &cu, NULL, &type, &die, NULL) == 0) {
		struct unit unit = {.die = dwarf_dieoffset(&die)};

		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		sp_vec_init(&unit.functions, sizeof(struct sp_unit_range), MAX_FUNCTIONS);
		err = sp_vec_push(&u->units, &unit);
	}
	return err == -ENOSPC ? 0 : err;
}

/* Units are listed in the order of their offsets. */
static struct unit *find_unit(const struct sp_units *u, Dwarf_Off die)
{
	size_t lo = 0, hi = u->units.nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct unit *unit = sp_vec_at(&u->units, struct unit, mid);

		if (unit->die == die)
			return unit;
		if (unit->die < die)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int add_aranges(struct sp_units *u)
{
	Dwarf_Aranges *list;
	size_t nr = 0;
	int err = 0;

	if (dwarf_getaranges(u->dw, &list, &nr) != 0)
		return 0;
	for (size_t i = 0; !err && i < nr; i++) {
		Dwarf_Arange *one = dwarf_onearange(list, i);
		Dwarf_Addr start;
		Dwarf_Word len;
		Dwarf_Off die;
		struct unit *unit;

		if (!one || dwarf_getarangeinfo(one, &start, &len, &die) != 0)
			continue;
		unit = find_unit(u, die);
		if (!unit)
			continue;
		unit->has_aranges = true;
		err = push_range(&u->ranges, start, start + len, die,
				 (size_t)(unit - sp_vec_at(&u->units, struct unit, 0)));
	}
	return err;
}

static int add_other_units(struct sp_units *u)
{
	int err = 0;

	for (size_t i = 0; !err && i < u->units.nr; i++) {
		struct unit *unit = sp_vec_at(&u->units, struct unit, i);
		Dwarf_Die die;

		if (!unit->has_aranges && dwarf_offdie(u->dw, unit->die, &die))
			err = push_die_ranges(&u->ranges, &die, i);
	}
	return err;
}

int sp_units_init(struct sp_units *u, Dwarf *dw)
{
	int err;

	*u = (struct sp_units){.dw = dw, .budget = MAX_DIES};
	sp_vec_init(&u->ranges, sizeof(struct sp_unit_range), MAX_RANGES);
	sp_vec_init(&u->units, sizeof(struct unit), MAX_UNITS);
	err = list_units(u);
	if (!err)
		err = add_aranges(u);
	if (!err)
		err = add_other_units(u);
	if (err)
		sp_units_done(u);
	else
		seal_ranges(&u->ranges);
	return err;
}

static void forget_functions(struct sp_units *u)
{
	for (size_t i = 0; i < u->units.nr; i++) {
		struct unit *unit = sp_vec_at(&u->units, struct unit, i);

		sp_vec_done(&unit->functions);
		unit->listed = NOT_LISTED;
	}
	u->nr_functions = 0;
}

void sp_units_done(struct sp_units *u)
{
	if (!u->dw)
		return;
	forget_functions(u);
	sp_vec_done(&u->units);
	sp_vec_done(&u->ranges);
	u->dw = NULL;
}

/* ---- functions of a unit ---- */

static bool may_hold_functions(int tag, bool whole_tree)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
		return true;
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		return whole_tree;
	default:
		return false;
	}
}

static int list_functions(struct sp_units *u, struct unit *unit, Dwarf_Die *parent, bool whole_tree, unsigned depth)
{
	Dwarf_Die die;
	int err = 0;

	if (depth >= MAX_DEPTH || dwarf_child(parent, &die) != 0)
		return 0;
	do {
		int tag = dwarf_tag(&die);

		if (!u->budget)
			return 0;
		u->budget--;
		if (tag == DW_TAG_subprogram && !dwarf_hasattr(&die, DW_AT_declaration))
			err = push_die_ranges(&unit->functions, &die, 0);
		if (!err && may_hold_functions(tag, whole_tree) && dwarf_haschildren(&die) == 1)
			err = list_functions(u, unit, &die, whole_tree, depth + 1);
	} while (!err && dwarf_siblingof(&die, &die) == 0);
	return err;
}

static void list_unit(struct sp_units *u, struct unit *unit, Dwarf_Die *die, enum listed how)
{
	if (u->nr_functions > MAX_FUNCTIONS)
		forget_functions(u);
	u->nr_functions -= unit->functions.nr;
	sp_vec_clear(&unit->functions);
	unit->listed = how;
	/* Out of memory: what was found serves, the rest has the symbol table's name. */
	if (list_functions(u, unit, die, how == LISTED_ALL, 0) == 0 || unit->functions.nr)
		seal_ranges(&unit->functions);
	u->nr_functions += unit->functions.nr;
}

static const struct sp_unit_range *find_function(struct sp_units *u, struct unit *unit, Dwarf_Die *die, uint64_t pc)
{
	const struct sp_unit_range *r = NULL;

	if (unit->listed == NOT_LISTED)
		list_unit(u, unit, die, LISTED_TOP);
	r = find_range(&unit->functions, pc);
	if (!r && unit->listed != LISTED_ALL) {
		list_unit(u, unit, die, LISTED_ALL);
		r = find_range(&unit->functions, pc);
	}
	return r;
}

/* ---- what is inlined at pc ---- */

static bool is_block(int tag)
{
	return tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

static bool has_no_pc(Dwarf_Die *die)
{
	return !dwarf_hasattr(die, DW_AT_low_pc) && !dwarf_hasattr(die, DW_AT_ranges);
}

/* The child of `die` that holds pc. A block without addresses is entered: GCC leaves them off some that hold code. */
static bool step_in(struct sp_units *u, Dwarf_Die *die, uint64_t pc, unsigned depth, Dwarf_Die *ret)
{
	Dwarf_Die child;

	if (depth >= MAX_DEPTH || dwarf_child(die, &child) != 0)
		return false;
	do {
		int tag = dwarf_tag(&child);

		if (!u->budget)
			return false;
		u->budget--;
		if (tag != DW_TAG_inlined_subroutine && !is_block(tag))
			continue;
		if (dwarf_haspc(&child, pc) == 1) {
			*ret = child;
			return true;
		}
		if (is_block(tag) && has_no_pc(&child) && step_in(u, &child, pc, depth + 1, ret))
			return true;
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

static void follow_inlined(struct sp_units *u, uint64_t pc, struct sp_chain *c)
{
	Dwarf_Die at = c->dies[0];

	for (unsigned depth = 0; depth < MAX_DEPTH && c->nr < SP_CHAIN_MAX; depth++) {
		Dwarf_Die next;

		if (!step_in(u, &at, pc, 0, &next))
			return;
		if (dwarf_tag(&next) == DW_TAG_inlined_subroutine)
			c->dies[c->nr++] = next;
		at = next;
	}
}

bool sp_units_find(struct sp_units *u, uint64_t pc, struct sp_chain *ret)
{
	const struct sp_unit_range *r = find_range(&u->ranges, pc);
	struct unit *unit;

	ret->nr = 0;
	if (!r || !dwarf_offdie(u->dw, r->die, &ret->unit))
		return false;
	unit = sp_vec_at(&u->units, struct unit, r->unit);
	r = find_function(u, unit, &ret->unit, pc);
	if (r && dwarf_offdie(u->dw, r->die, &ret->dies[0])) {
		ret->nr = 1;
		follow_inlined(u, pc, ret);
	}
	return true;
}
