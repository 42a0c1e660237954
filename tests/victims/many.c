/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Very many live blocks, then a leak among them: tables that are too small forget the leak.
 *
 * fill [N]: N * 3/5 live blocks from fill_first and N * 2/5 from fill_second (N: 1,500,000). leak: 10,000 blocks of
 * 1,000 bytes.
 */
#include "victim.h"

enum { DEFAULT_FILL = 1500000, NR_LEAK = 10000, LEAK_SIZE = 1000, FIRST_SIZE = 24, SECOND_SIZE = 40 };

VICTIM_NOINLINE static void fill_first(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		void *p = malloc(FIRST_SIZE);
		VICTIM_USE(p);
	}
}

VICTIM_NOINLINE static void fill_second(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		void *p = malloc(SECOND_SIZE);
		VICTIM_USE(p);
	}
}

VICTIM_NOINLINE static void leak_late(void)
{
	for (int i = 0; i < NR_LEAK; i++) {
		void *p = malloc(LEAK_SIZE);
		VICTIM_USE(p);
	}
}

int main(void)
{
	char line[VICTIM_LINE];
	uint64_t first = 0, second = 0, leaked = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "fill")) {
			unsigned long n = victim_number(line, 0, DEFAULT_FILL);
			fill_first(n / 5 * 3);
			fill_second(n / 5 * 2);
			first += n / 5 * 3;
			second += n / 5 * 2;
		} else if (victim_is(line, "leak")) {
			leak_late();
			leaked += NR_LEAK;
		}
		victim_path("fill_first main", first * FIRST_SIZE, first);
		victim_path("fill_second main", second * SECOND_SIZE, second);
		victim_path("leak_late main", leaked * LEAK_SIZE, leaked);
		victim_done(line);
	}
	return 0;
}
