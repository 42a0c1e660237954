/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks many blocks (go N), and becomes itself again (exec). */
#include "victim.h"

enum { SIZE = 24 };

VICTIM_NOINLINE static void leak_many(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		void *p = malloc(SIZE);
		VICTIM_USE(p);
	}
}

int main(int argc, char **argv)
{
	char line[VICTIM_LINE];

	(void)argc;
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "exec")) {
			execv("/proc/self/exe", argv);
			_exit(7);
		}
		unsigned long count = victim_number(line, 0, 1000);
		leak_many(count);
		victim_through("leak_many", (long long)count * SIZE, count);
		victim_done("go");
	}
	return 0;
}
