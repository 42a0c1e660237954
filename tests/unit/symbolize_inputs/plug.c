// SPDX-License-Identifier: Apache-2.0
/* A library that comes and goes. */
#include <stdlib.h>

void *plugged(unsigned n);

void *plugged(unsigned n)
{
	void *p = malloc(n);

	return p ? p : plugged(n / 2);
}
