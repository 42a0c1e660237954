// SPDX-License-Identifier: Apache-2.0
/* Any words at all: the first byte picks the command, newlines separate the words. */
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

#define MAX_WORDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "seep";
	char *argv[MAX_WORDS + 1] = {name};
	struct sp_why why = {0};
	struct sp_args args;
	int argc = 1, used = 0;
	char *text;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	for (char *rest = text, *word; argc < MAX_WORDS && (word = strsep(&rest, "\n"));)
		argv[argc++] = word;
	if (sp_options_parse(1u << data[0] % 5, "seep", argc, argv, &args, &used, &why) < 0 &&
	    (why.fault != SP_FAULT_USAGE || !why.what[0] || strpbrk(why.what, "\n\033")))
		abort();
	free(text);
	return 0;
}
