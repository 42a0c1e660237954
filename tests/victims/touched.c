/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large blocks: touched, never touched, touched in part. go: one of each. The "block" lines tell how
 * much of each was touched.
 */
#include "victim.h"

enum { SIZE = 8 << 20, PART = 3 << 20 };

static char *leak(size_t touched)
{
	char *p = malloc(SIZE);

	if (!p)
		_exit(7);
	/* From the second page on: the first also holds what malloc knows of the block. */
	for (size_t at = 4096; at < touched; at += 4096)
		p[at] = 1;
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static char *leak_touched(void)
{
	char *p = leak(SIZE);

	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static char *leak_untouched(void)
{
	char *p = leak(0);

	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE static char *leak_in_part(void)
{
	char *p = leak(PART);

	VICTIM_USE(p);
	return p;
}

int main(void)
{
	char line[VICTIM_LINE];

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		victim_block(leak_touched(), SIZE);
		victim_block(leak_untouched(), 0);
		victim_block(leak_in_part(), PART);
		victim_done(line);
	}
	return 0;
}
