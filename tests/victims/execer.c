/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaks, then becomes another program: execer PROGRAM [ARG...]. What it leaked before is gone with its memory.
 *
 * go: leaks 3 blocks of 5,000 bytes. exec: becomes PROGRAM.
 */
#include "victim.h"

enum { NR_BEFORE = 3, BEFORE_SIZE = 5000 };

VICTIM_NOINLINE static void *before_exec(void)
{
	void *p = malloc(BEFORE_SIZE);
	VICTIM_USE(p);
	return p;
}

int main(int argc, char **argv)
{
	char line[VICTIM_LINE];
	uint64_t n = 0;

	if (argc < 2)
		return 2;
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "exec")) {
			execv(argv[1], argv + 1);
			return 7;
		}
		for (int i = 0; i < NR_BEFORE; i++)
			before_exec();
		n += NR_BEFORE;
		victim_path("before_exec main", n * BEFORE_SIZE, n);
		victim_done("go");
	}
	return 0;
}
