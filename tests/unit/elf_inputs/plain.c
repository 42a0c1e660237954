// SPDX-License-Identifier: Apache-2.0
/* An ordinary program: built -O2 -fomit-frame-pointer, dynamic and static. Its rows are compared with libdw's reading.
 */
#include <alloca.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((noinline)) size_t on_stack(size_t n)
{
	char *p = alloca(n + 1);

	memset(p, 'x', n);
	p[n] = '\0';
	return strlen(p);
}

static __attribute__((noinline)) int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void *thread(void *arg)
{
	int values[] = {3, 1, 2};

	qsort(values, 3, sizeof(values[0]), compare);
	*(size_t *)arg = on_stack((size_t)values[2]);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;
	size_t n = (size_t)argc;

	if (pthread_create(&t, NULL, thread, &n) == 0)
		pthread_join(t, NULL);
	printf("%s %zu\n", argv[0], n);
	return 0;
}
