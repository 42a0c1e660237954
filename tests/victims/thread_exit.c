/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short-lived threads: each leaks one block of 700 bytes and ends; thread ids and stacks are used again.
 *
 * go [N]: N threads, one after the other in groups of four.
 */
#include <pthread.h>

#include "victim.h"

enum { DEFAULT_THREADS = 400, GROUP = 4, SIZE = 700 };

VICTIM_NOINLINE static void leak_in_thread(void)
{
	void *scratch = malloc(5000);
	void *p = malloc(SIZE);
	VICTIM_USE(p);
	free(scratch);
}

static void *thread_main(void *arg)
{
	leak_in_thread();
	VICTIM_USE(arg);
	return arg;
}

int main(void)
{
	char line[VICTIM_LINE];
	uint64_t n = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		unsigned long count = victim_number(line, 0, DEFAULT_THREADS) / GROUP * GROUP;
		for (unsigned long i = 0; i < count; i += GROUP) {
			pthread_t group[GROUP];
			for (int k = 0; k < GROUP; k++)
				if (pthread_create(&group[k], NULL, thread_main, NULL))
					return 7;
			for (int k = 0; k < GROUP; k++)
				pthread_join(group[k], NULL);
		}
		n += count;
		victim_path("leak_in_thread thread_main", n * SIZE, n);
		victim_done("go");
	}
	return 0;
}
