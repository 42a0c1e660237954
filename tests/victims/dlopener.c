/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a library when told to, so that code appears in the process after a tool has attached.
 *
 * load FILE: dlopen. call [N]: N leaks of 2048 bytes inside it. unload: dlclose (its blocks stay).
 */
#include <dlfcn.h>

#include "victim.h"

enum { DEFAULT_CALLS = 9, SIZE = 2048 };

static void fail(const char *what)
{
	victim_say("{\"event\":\"error\",\"what\":\"%s\"}\n", what);
	_exit(7);
}

int main(void)
{
	char line[VICTIM_LINE];
	uint64_t n = 0;
	void *plugin = NULL;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "load")) {
			plugin = dlopen(strchr(line, ' ') + 1, RTLD_NOW | RTLD_LOCAL);
			if (!plugin)
				fail("dlopen");
		} else if (victim_is(line, "call")) {
			void *(*outer)(size_t) = (void *(*)(size_t))(uintptr_t)dlsym(plugin, "plugin_outer");
			if (!outer)
				fail("dlsym");
			unsigned long count = victim_number(line, 0, DEFAULT_CALLS);
			outer(count);
			n += count;
			victim_path("plugin_inner plugin_middle plugin_outer main", n * SIZE, n);
		} else if (victim_is(line, "unload")) {
			dlclose(plugin);
		}
		victim_done("dl");
	}
	return 0;
}
