// SPDX-License-Identifier: Apache-2.0
/* The reader of suppressions, and what its rules take: the first line of the input is the frame's name. */
#include "suppress/suppress.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct sp_suppress *s, const char *name)
{
	const struct sp_frame frame = {.function = name, .file = "main.c", .module = "app"};
	size_t nr = 0;
	uint64_t taken = 0;
	bool is_taken = sp_suppress_take(s, &frame, 1, 7, 1);
	const struct sp_suppress_rule *rules = sp_suppress_rules(s, &nr);

	for (size_t i = 0; i < nr; i++) {
		if (!*rules[i].pattern)
			__builtin_trap();
		taken += rules[i].bytes;
	}
	if (taken != (is_taken ? 7 : 0))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = memchr(data, '\n', size);
	size_t first = newline ? (size_t)(newline - data) : 0;
	struct sp_suppress *s = NULL;
	struct sp_why why = {0};
	char *name = strndup((const char *)data, first);

	if (name && !sp_suppress_parse("input", (const char *)data + first, size - first, &s, &why))
		check(s, name);
	else if (name && !sp_why_is_set(&why))
		__builtin_trap();
	sp_suppress_free(s);
	free(name);
	return 0;
}
