/* SPDX-License-Identifier: Apache-2.0 */
/* A library that is loaded late: plugin_outer -> plugin_middle -> plugin_inner leaks. PLUGIN_SIZE tells two builds
 * apart. */
#include "victim.h"

#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE 2048
#endif

void *plugin_outer(size_t count);

VICTIM_NOINLINE static void *plugin_inner(void)
{
	void *p = malloc(PLUGIN_SIZE);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static void *plugin_middle(size_t count)
{
	void *p = NULL;
	for (size_t i = 0; i < count; i++)
		p = plugin_inner();
	VICTIM_USE(p);
	return p;
}

__attribute__((visibility("default"))) VICTIM_NOINLINE void *plugin_outer(size_t count)
{
	char room[200];
	VICTIM_USE(room);
	void *p = plugin_middle(count);
	VICTIM_USE(room);
	return p;
}
