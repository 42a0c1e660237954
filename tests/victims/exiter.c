/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is over at once: it leaks in a constructor and in main, then ends with the status given (exiter
 * [STATUS]). With `exiter wait [STATUS]` it waits for a line of stdin first.
 */
#include "victim.h"

enum { NR_EARLY = 3, EARLY_SIZE = 111, NR_LATE = 5, LATE_SIZE = 1234 };

VICTIM_NOINLINE static void early_leak(void)
{
	void *p = malloc(EARLY_SIZE);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void late_leak(void)
{
	void *p = malloc(LATE_SIZE);
	VICTIM_USE(p);
}

__attribute__((constructor)) static void before_main(void)
{
	for (int i = 0; i < NR_EARLY; i++)
		early_leak();
	VICTIM_USE(NR_EARLY);
}

int main(int argc, char **argv)
{
	char line[VICTIM_LINE];
	int i = 1;

	if (i < argc && strcmp(argv[i], "wait") == 0) {
		victim_ready();
		victim_command(line, sizeof(line));
		i++;
	}
	for (int k = 0; k < NR_LATE; k++)
		late_leak();
	victim_path("late_leak main", NR_LATE * LATE_SIZE, NR_LATE);
	victim_path("early_leak before_main", NR_EARLY * EARLY_SIZE, NR_EARLY);
	return i < argc ? (int)strtol(argv[i], NULL, 10) : 0;
}
