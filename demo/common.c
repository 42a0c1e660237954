// SPDX-License-Identifier: Apache-2.0
/* The part of the demo that is right in both programs: the series, and main, which starts the thread `child`. */
#include "demo.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Out of line on purpose: its name is what the demo is about. */
__attribute__((noinline)) long long *fibonacci(long long before_last, long long last)
{
	long long *numbers = calloc(DEMO_NUMBERS, sizeof(*numbers));

	if (!numbers)
		return NULL;
	if (__builtin_add_overflow(before_last, last, &numbers[0]))
		numbers[0] = 1; /* past the 92nd number the series starts over */
	return numbers;
}

static int parse_seconds(const char *text, unsigned long *ret)
{
	char *end;

	*ret = strtoul(text, &end, 10);
	return end == text || *end ? -1 : 0;
}

int main(int argc, char **argv)
{
	unsigned long limit = 0;
	pthread_t thread;
	int err;

	if (argc > 2 || (argc == 2 && parse_seconds(argv[1], &limit) < 0)) {
		fprintf(stderr, "usage: %s [SECONDS]\n", argv[0]);
		return 2;
	}
	err = pthread_create(&thread, NULL, child, &limit);
	if (err) {
		fprintf(stderr, "%s: cannot start a thread: %s\n", argv[0], strerror(err));
		return 1;
	}
	pthread_join(thread, NULL);
	return 0;
}
