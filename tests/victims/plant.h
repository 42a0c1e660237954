/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leak that is planted into other people's programs: plant_outer -> plant_middle -> plant_inner -> malloc, COUNT
 * blocks of SIZE bytes, never freed.
 */
#ifndef SEEP_TESTS_PLANT_H
#define SEEP_TESTS_PLANT_H

#include <stddef.h>
#include <stdlib.h>

#include "victim.h"

VICTIM_NOINLINE static void *plant_inner(size_t size)
{
	void *p = malloc(size);

	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static size_t plant_middle(size_t count, size_t size)
{
	char room[333];
	size_t made = 0;

	VICTIM_USE(room);
	for (size_t i = 0; i < count; i++)
		made += plant_inner(size) != NULL;
	VICTIM_USE(room);
	return made;
}

VICTIM_NOINLINE static size_t plant_outer(size_t count, size_t size)
{
	size_t made = plant_middle(count, size);

	VICTIM_USE(made);
	return made;
}

#endif
