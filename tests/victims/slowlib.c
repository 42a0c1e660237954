/* SPDX-License-Identifier: Apache-2.0 */
/* A library whose constructor takes its time: the loader is still at work (and holds its lock) while a tool attaches.
 */
#include "victim.h"

VICTIM_NOINLINE static void slow_constructor_leak(void)
{
	void *p = malloc(987);
	VICTIM_USE(p);
}

__attribute__((constructor)) static void slow_constructor(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	victim_command(line, sizeof(line));
	slow_constructor_leak();
	victim_path("slow_constructor_leak slow_constructor", 987, 1);
}

void *slow_leak(size_t size);

__attribute__((visibility("default"))) VICTIM_NOINLINE void *slow_leak(size_t size)
{
	void *p = malloc(size);
	VICTIM_USE(p);
	return p;
}
