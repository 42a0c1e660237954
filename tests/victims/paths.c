/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Very many call paths: sixteen levels deep, at each level one of two functions by a bit of the path's number.
 *
 * go [N]: one block of 50 bytes from each of N different call paths (N: 40,000).
 */
#include "victim.h"

enum { LEVELS = 16, SIZE = 50, DEFAULT_PATHS = 40000 };

static void descend(unsigned long bits, unsigned level);

VICTIM_NOINLINE static void leak_here(void)
{
	void *p = malloc(SIZE);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void step_zero(unsigned long bits, unsigned level)
{
	descend(bits >> 1, level - 1);
	VICTIM_USE(bits);
}

VICTIM_NOINLINE static void step_one(unsigned long bits, unsigned level)
{
	descend(bits >> 1, level - 1);
	VICTIM_USE(level);
}

static void descend(unsigned long bits, unsigned level)
{
	if (level == 0)
		leak_here();
	else if (bits & 1)
		step_one(bits, level);
	else
		step_zero(bits, level);
	VICTIM_USE(bits);
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		unsigned long n = victim_number(line, 0, DEFAULT_PATHS);
		for (unsigned long i = 0; i < n; i++)
			descend(i, LEVELS);
		victim_through("leak_here", (long long)n * SIZE, n);
		victim_say("{\"event\":\"paths\",\"distinct\":%lu}\n", n);
		victim_done("go");
	}
	return 0;
}
