// SPDX-License-Identifier: Apache-2.0
/* Text that users and targets write: command lines, numbers, sizes, and what is to be shown on a terminal. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the size of the buffer: terminated, no control byte, and printable text stays as it is. */
static void check_printable(const char *text, size_t len)
{
	size_t room = 2 * len + 1, cut = len / 2 + 1;
	char *once = malloc(room), *twice = malloc(cut);

	assert(once && twice);
	sp_text_printable(once, room, text);
	assert(strlen(once) <= len);
	for (const char *p = once; *p; p++)
		assert((unsigned char)*p >= ' ' && *p != 0x7f);
	sp_text_printable(twice, cut, once);
	assert(!strncmp(twice, once, strlen(twice)));
	free(once);
	free(twice);
}

static void check_split(const char *text, size_t len)
{
	char **argv = NULL;
	size_t argc = 0, total = 0;

	if (sp_text_split(text, &argv, &argc))
		return;
	for (size_t i = 0; i < argc; i++)
		total += strlen(argv[i]) + 1;
	assert(!argv[argc] && total <= len + 1);
	free(argv);
}

/* A number that is accepted comes back the same from its own text. */
static void check_numbers(const char *text)
{
	uint64_t value = 0, again = 0;
	char shown[32];

	if (!sp_text_to_u64(text, 0, UINT64_MAX, &value)) {
		snprintf(shown, sizeof(shown), "%llu", (unsigned long long)value);
		assert(!sp_text_to_u64(shown, value, value, &again) && again == value);
	}
	if (!sp_text_to_bytes(text, 1, UINT64_MAX, &value))
		assert(value);
	assert(strlen(sp_text_bytes(shown, 16, value)) < 15);
	assert(strlen(sp_text_duration(shown, 16, value)) < 15);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	size = strlen(text);
	check_printable(text, size);
	check_split(text, size);
	check_numbers(text);
	free(text);
	return 0;
}
