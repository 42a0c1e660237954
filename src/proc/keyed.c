// SPDX-License-Identifier: Apache-2.0
/* Lines of a name and a number into the fields of a struct, driven by a table. */
#include "proc/keyed.h"

#include <string.h>

bool sp_digits(const char **text, uint64_t *ret)
{
	const char *s = *text;
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (unsigned)(*s - '0'), &v))
			v = UINT64_MAX;
	*text = s;
	*ret = v;
	return true;
}

static const struct sp_key *find(const char *line, size_t len, const struct sp_key *keys, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!strncmp(keys[i].key, line, len) && !keys[i].key[len])
			return &keys[i];
	return NULL;
}

static bool take(const char *value, uint64_t *ret)
{
	uint64_t v;

	value += strspn(value, ": \t");
	if (!sp_digits(&value, &v))
		return false;
	if (!strncmp(value, " kB", 3) && __builtin_mul_overflow(v, 1024u, &v))
		v = UINT64_MAX;
	*ret = v;
	return true;
}

unsigned sp_keyed_parse(const char *text, const struct sp_key *keys, size_t nr, void *base)
{
	unsigned found = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		size_t len = strcspn(line, ": \t\n");
		const struct sp_key *key = len ? find(line, len, keys, nr) : NULL;

		found += key && take(line + len, (uint64_t *)((char *)base + key->field));
	}
	return found;
}
