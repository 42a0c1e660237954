// SPDX-License-Identifier: Apache-2.0
/*
 * Interned strings in chunks that are never moved or freed before the end. Equal texts share one copy, so what a
 * symbolizer holds is bounded by the names that exist, however often answers are dropped and made again.
 */
#include "symbolize/names.h"

#include <assert.h>
#include <string.h>

#define CHUNK_BYTES  65536
#define MAX_STRINGS  (8u << 20)
#define MAX_PROBES   8
#define FNV64_OFFSET 0xcbf29ce484222325u /* FNV-1a, 64 bits */
#define FNV64_PRIME  0x100000001b3u

struct sp_names_chunk {
	struct sp_names_chunk *next;
	size_t used;
	char text[CHUNK_BYTES - 2 * sizeof(size_t)];
};

static_assert(sizeof(((struct sp_names_chunk *)0)->text) >= SP_NAME_MAX_BYTES, "a chunk takes the longest string");

void sp_names_init(struct sp_names *n, size_t max_bytes)
{
	memset(n, 0, sizeof(*n));
	n->max_bytes = max_bytes;
	sp_u64map_init(&n->by_hash, MAX_STRINGS);
}

void sp_names_done(struct sp_names *n)
{
	while (n->chunks) {
		struct sp_names_chunk *next = n->chunks->next;

		free(n->chunks);
		n->chunks = next;
	}
	sp_u64map_done(&n->by_hash);
}

static uint64_t hash_text(const char *text)
{
	uint64_t h = FNV64_OFFSET;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * FNV64_PRIME;
	return h;
}

static char *take_room(struct sp_names *n, size_t len)
{
	struct sp_names_chunk *c = n->chunks;

	if (!c || sizeof(c->text) - c->used < len) {
		if (n->bytes + sizeof(*c) > n->max_bytes)
			return NULL;
		c = malloc(sizeof(*c));
		if (!c)
			return NULL;
		c->next = n->chunks;
		c->used = 0;
		n->chunks = c;
		n->bytes += sizeof(*c);
	}
	c->used += len;
	return c->text + c->used - len;
}

static const char *add_new(struct sp_names *n, const char *text, uint64_t hash, bool is_indexed)
{
	size_t len = strlen(text) + 1;
	char *copy = take_room(n, len);

	if (!copy) {
		n->nr_refused++;
		return NULL;
	}
	memcpy(copy, text, len);
	/* A string that could not be indexed is only stored twice the next time. */
	if (is_indexed && sp_u64map_set(&n->by_hash, hash, (uintptr_t)copy) < 0)
		return copy;
	return copy;
}

const char *sp_names_add(struct sp_names *n, const char *text)
{
	uint64_t hash;

	if (!text)
		return NULL;
	text = sp_text_printable(n->scratch, sizeof(n->scratch), text);
	hash = hash_text(text);
	for (int probe = 0; probe < MAX_PROBES; probe++, hash = hash * FNV64_PRIME + 1) {
		const uint64_t *found = sp_u64map_find(&n->by_hash, hash);

		if (!found)
			return add_new(n, text, hash, true);
		if (!strcmp((const char *)(uintptr_t)*found, text))
			return (const char *)(uintptr_t)*found;
	}
	return add_new(n, text, hash, false);
}
