/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a library when told to, so that code appears in the process after a tool has attached.
 *
 * load FILE: dlopen; functions in DIR/NAME.so or DIR/NAME-KIND.so begin with NAME_. call [N]: N leaks of 2048 bytes
 * inside it. unload: dlclose (its blocks stay).
 */
#include <dlfcn.h>

#include "victim.h"

enum { DEFAULT_CALLS = 9, SIZE = 2048, MAX_LIBRARIES = 4 };

struct library {
	char name[32];
	void *handle;
	uint64_t n;
};

static void fail(const char *what)
{
	victim_say("{\"event\":\"error\",\"what\":\"%s\"}\n", what);
	_exit(7);
}

/* The entry of the library of that name; its count goes on when it comes again. */
static struct library *entry_of(struct library *list, const char *file)
{
	const char *name = strrchr(file, '/') + 1;
	size_t i, len = strcspn(name, ".-");

	for (i = 0; *list[i].name && (strncmp(list[i].name, name, len) != 0 || list[i].name[len]); i++)
		;
	snprintf(list[i].name, sizeof(list[i].name), "%.*s", (int)len, name);
	return &list[i];
}

static struct library *load(struct library *list, const char *file)
{
	struct library *l = entry_of(list, file);

	l->handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!l->handle)
		fail("dlopen");
	return l;
}

static void call(struct library *l, unsigned long count)
{
	char text[256];

	snprintf(text, sizeof(text), "%s_outer", l->name);
	void *(*outer)(size_t) = (void *(*)(size_t))(uintptr_t)dlsym(l->handle, text);
	if (!outer)
		fail("dlsym");
	outer(count);
	l->n += count;
	victim_say("{\"event\":\"place\",\"address\":\"%p\"}\n", (void *)(uintptr_t)outer);
	snprintf(text, sizeof(text), "%s_inner %s_middle %s_outer main", l->name, l->name, l->name);
	victim_path(text, l->n * SIZE, l->n);
}

int main(void)
{
	struct library list[MAX_LIBRARIES + 1] = {0}, *now = list;
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "load"))
			now = load(list, strchr(line, ' ') + 1);
		else if (victim_is(line, "call"))
			call(now, victim_number(line, 0, DEFAULT_CALLS));
		else if (victim_is(line, "unload"))
			dlclose(now->handle);
		victim_done("dl");
	}
	return 0;
}
