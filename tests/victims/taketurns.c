/* SPDX-License-Identifier: Apache-2.0 */
/* go N MILLISECONDS FILE...: loads the libraries in turn, N times, calls each a while after it was loaded and unloads
 * it: they come to stand at the same addresses. 3 blocks of 2048 bytes a turn. */
#include <dlfcn.h>

#include "victim.h"

enum { MAX_FILES = 8, CALLS = 3 };

VICTIM_NOINLINE static void take_turn(const char *file, unsigned long milliseconds)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	void *(*outer)(size_t) = library ? (void *(*)(size_t))(uintptr_t)dlsym(library, "plugin_outer") : NULL;

	if (!outer)
		_exit(7);
	usleep((useconds_t)milliseconds * 1000);
	outer(CALLS);
	usleep((useconds_t)milliseconds * 1000);
	dlclose(library);
}

int main(void)
{
	char line[VICTIM_LINE], *files[MAX_FILES], *rest;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		unsigned long count = victim_number(line, 0, 1), milliseconds = victim_number(line, 1, 0);
		unsigned long nr = 0;
		for (char *word = strtok_r(line, " ", &rest); word && nr < MAX_FILES; word = strtok_r(NULL, " ", &rest))
			if (*word == '/')
				files[nr++] = word;
		for (unsigned long i = 0; i < count && nr; i++)
			take_turn(files[i % nr], milliseconds);
		victim_done("go");
	}
	return 0;
}
