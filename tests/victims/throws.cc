/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catches bad_alloc, of one operator new and of one inside another, and goes on. go: that, then leaks through operator
 * new deeper in the stack and beside.
 */
#include <alloca.h>

#include <new>

#include "victim.h"

static volatile size_t giant = (size_t)1 << 60;

VICTIM_NOINLINE static void ask_for_too_much()
{
	try {
		void *p = ::operator new(giant);
		VICTIM_USE(p);
	} catch (const std::bad_alloc &) {
	}
}

static void ask_again()
{
	std::set_new_handler(nullptr);
	void *p = ::operator new(giant);
	VICTIM_USE(p);
}

VICTIM_NOINLINE static void ask_with_a_handler()
{
	std::set_new_handler(ask_again);
	ask_for_too_much();
}

VICTIM_NOINLINE static void leak_new()
{
	for (int i = 0; i < 10; i++) {
		void *p = ::operator new(100);
		VICTIM_USE(p);
	}
}

VICTIM_NOINLINE static void leak_deep_new()
{
	char *room = (char *)alloca(5000);

	memset(room, 1, 5000);
	VICTIM_USE(room);
	leak_new();
	VICTIM_USE(room);
}

int main()
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		ask_for_too_much();
		ask_with_a_handler();
		leak_deep_new();
		leak_new();
		victim_through("leak_deep_new", 1000, 10);
		victim_through("leak_new", 2000, 20);
		victim_through("ask_for_too_much", 0, 0);
		victim_done("go");
	}
	return 0;
}
