/* SPDX-License-Identifier: Apache-2.0 */
/* A library that holds a block in its data. */
#include <stdlib.h>

void *hold(size_t size);

static void *held;

void *hold(size_t size)
{
	held = malloc(size);
	return held;
}
