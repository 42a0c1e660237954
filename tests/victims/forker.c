/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parent that leaks and a child that leaks elsewhere and frees what it inherited, at the same addresses: the parent's
 * answer must not change.
 *
 * go: does it once. The child stays alive until the parent ends.
 */
#include "victim.h"

enum { NR_PARENT = 5, PARENT_SIZE = 3100, NR_CHILD = 70, CHILD_SIZE = 4100 };

VICTIM_NOINLINE static void *parent_leak(void)
{
	void *p = malloc(PARENT_SIZE);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *child_leak(void)
{
	void *p = malloc(CHILD_SIZE);
	VICTIM_USE(p);
	return p;
}

static void run_child(void **inherited, int written)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < NR_PARENT; i++)
		free(inherited[i]);
	for (int i = 0; i < NR_CHILD; i++)
		child_leak();
	if (write(written, "", 1) != 1)
		_exit(7);
	for (;;)
		pause();
}

int main(void)
{
	char line[VICTIM_LINE];
	void *kept[NR_PARENT];
	uint64_t n = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		int done[2];
		char c;
		for (int i = 0; i < NR_PARENT - 1; i++)
			kept[i] = parent_leak();
		kept[NR_PARENT - 1] = NULL;
		if (pipe(done))
			return 7;
		pid_t child = fork();
		if (child == 0)
			run_child(kept, done[1]);
		if (child < 0 || read(done[0], &c, 1) != 1)
			return 7;
		parent_leak();
		n += NR_PARENT;
		victim_say("{\"event\":\"child\",\"pid\":%d}\n", (int)child);
		victim_path("parent_leak main", n * PARENT_SIZE, n);
		victim_through("child_leak", 0, 0);
		victim_done("go");
	}
	return 0;
}
