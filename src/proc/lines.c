// SPDX-License-Identifier: Apache-2.0
/* Texts that /proc gives a line at a time. */
#include <string.h>

#include "proc/priv.h"

char *sp_proc_copy_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *sp_proc_take_line(char **text, char *end)
{
	char *line = *text;

	if (line >= end)
		return NULL;
	char *eol = memchr(line, '\n', (size_t)(end - line));
	if (!eol)
		eol = end;
	*eol = '\0';
	*text = eol + 1;
	return line;
}
