// SPDX-License-Identifier: Apache-2.0
/* The repaired demo program: the same series, and every table is freed. */
#include "demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) void *child(void *limit)
{
	unsigned long nr = *(unsigned long *)limit;
	long long before_last = 0, last = 1;

	for (unsigned long n = 0; !nr || n < nr; n++) {
		long long *numbers = fibonacci(before_last, last);

		if (!numbers)
			return NULL;
		before_last = last;
		last = numbers[0];
		free(numbers); /* the repair */
		dprintf(STDOUT_FILENO, "%luth => %lld\n", n + 2, last);
		sleep(1);
	}
	return NULL;
}
