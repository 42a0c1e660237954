/* SPDX-License-Identifier: Apache-2.0 */
/* New call paths all the time: a block through each of the paths FROM to FROM+N-1. go FROM N: freed; leak FROM N: kept.
 */
#include "victim.h"

enum { DEPTH = 18, SIZE = 40 };

static void *left(unsigned long path, unsigned depth);
static void *right(unsigned long path, unsigned depth);

VICTIM_NOINLINE static void *leaf(void)
{
	void *p = malloc(SIZE);
	VICTIM_USE(p);
	return p;
}

/* Each bit of the path says which way to go. */
static inline void *step(unsigned long path, unsigned depth)
{
	void *p = !depth ? leaf() : path & 1 ? right(path >> 1, depth - 1) : left(path >> 1, depth - 1);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *left(unsigned long path, unsigned depth)
{
	char room[24];
	VICTIM_USE(room);
	void *p = step(path, depth);
	VICTIM_USE(room);
	return p;
}

VICTIM_NOINLINE static void *right(unsigned long path, unsigned depth)
{
	char room[56];
	VICTIM_USE(room);
	void *p = step(path, depth);
	VICTIM_USE(room);
	return p;
}

int main(void)
{
	char line[VICTIM_LINE];
	uint64_t kept = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		unsigned long from = victim_number(line, 0, 0), count = victim_number(line, 1, 1);
		for (unsigned long i = from; i < from + count; i++) {
			void *p = left(i, DEPTH);
			if (victim_is(line, "leak"))
				kept++;
			else
				free(p);
		}
		victim_through("leaf", (long long)kept * SIZE, kept);
		victim_done("go");
	}
	return 0;
}
