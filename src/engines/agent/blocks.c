// SPDX-License-Identifier: Apache-2.0
/*
 * Live blocks: from the agent's shadow and hash to the ledger, while the target runs on.
 *
 * The shadow comes first: blocks move from it to the hash and never back, so one that lives through the reading is seen
 * at least once, and the ledger keeps one of two at an address. Only pages that were ever written are read.
 *
 * Nothing here believes what it reads: shadows have numbers below the limit, each is read once however many chunks
 * claim it, addresses stay below 2^47, and the work is bounded by the region's size.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engines/agent/impl.h"

#define PIECE      (256u << 10)
#define HASH_PIECE 4096 /* keys at a time */

/* Room for one piece of each kind. */
struct buffers {
	union {
		uint64_t words[PIECE / sizeof(uint64_t)];
		uint32_t chunks[PIECE / sizeof(uint32_t)];
		struct {
			uint64_t keys[HASH_PIECE], again[HASH_PIECE];
			struct sp_agent_value values[HASH_PIECE];
		} hash;
	};
	uint64_t shadow[PIECE / sizeof(uint64_t)];
	uint64_t *seen; /* a bit for each shadow */
};

static uint64_t birth_ns(const struct sp_agent_reading *r, uint32_t tick)
{
	if (tick > r->now) /* the clock goes on while we read; or the target says so */
		tick = r->now;
	return r->begin_ns + (uint64_t)tick * SP_AGENT_TICK_NS;
}

static bool is_wanted(const struct sp_engine_config *c, uint64_t size)
{
	return size >= c->min_size && (!c->max_size || size <= c->max_size);
}

static int add(const struct sp_agent_reading *r, uint64_t addr, const struct sp_agent_value *v, uint8_t sampled)
{
	uint64_t birth = birth_ns(r, v->tick);
	struct sp_block b = {.addr = addr,
			     .size = v->size,
			     .birth_ns = birth,
			     .path = sp_agent_paths_id(r->paths, r->data, r->ledger, v->node, birth),
			     .fn = SP_NR_FNS,
			     .sampled = sampled};
	int err = is_wanted(r->config, v->size) ? sp_ledger_block(r->ledger, &b) : 0;

	return err == -ENOSPC ? 0 : err; /* counted by the ledger */
}

/* ---- the shadow ---- */

/* Writes a word anew whose birth would soon be taken for a later one. The target may be freeing the block. */
static void renew(const struct sp_agent_reading *r, uint64_t offset, uint64_t word)
{
	uint64_t page = offset & ~(SP_AGENT_PAGE - 1ull);
	char *p = mmap(NULL, SP_AGENT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->data->fd, (off_t)page);

	if (p == MAP_FAILED) /* another time */
		return;
	__atomic_compare_exchange_n((uint64_t *)(void *)(p + (offset - page)), &word, sp_agent_word_aged(word, r->now),
				    false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	munmap(p, SP_AGENT_PAGE);
}

static int take_word(const struct sp_agent_reading *r, uint64_t granule, uint64_t word, uint64_t offset)
{
	if (!word || sp_agent_word_is_in_hash(word))
		return 0;
	if (sp_agent_word_is_ageing(word, r->now))
		renew(r, offset, word);
	if (!r->ledger)
		return 0;
	struct sp_agent_value v = {.size = sp_agent_word_size(word),
				   .node = sp_agent_word_node(word),
				   .tick = sp_agent_word_birth(word, r->now)};
	return add(r, granule | (word & 3) << 3, &v, 0);
}

static int read_shadow(const struct sp_agent_reading *r, struct buffers *b, uint64_t chunk, uint32_t number)
{
	uint64_t begin = r->data->offsets[SP_AGENT_SHADOW] + (uint64_t)number * SP_AGENT_SHADOW_BYTES;
	uint64_t at = begin, end = begin + SP_AGENT_SHADOW_BYTES;
	ssize_t len;
	int err = 0;

	while (!err && (len = sp_agent_data_next(r->data, &at, end, b->shadow, sizeof(b->shadow))) > 0) {
		for (size_t i = 0; i < (size_t)len / sizeof(uint64_t) && !err; i++) {
			uint64_t index = (at - begin) / sizeof(uint64_t) + i;
			if (b->shadow[i])
				err = take_word(r, chunk << SP_AGENT_CHUNK_SHIFT | index << SP_AGENT_GRANULE_SHIFT,
						b->shadow[i], at + i * sizeof(uint64_t));
		}
		at += (size_t)len;
	}
	return err ? err : (int)(len < 0 ? len : 0);
}

/* Is this a shadow that no chunk before has claimed? */
static bool claim(const struct sp_agent_reading *r, struct buffers *b, uint32_t number)
{
	uint64_t bit = 1ull << number % 64;

	if (!number || number > r->data->limits.max_shadows || b->seen[number / 64] & bit)
		return false;
	b->seen[number / 64] |= bit;
	return true;
}

static int read_shadows(const struct sp_agent_reading *r, struct buffers *b)
{
	uint64_t begin = r->data->offsets[SP_AGENT_CHUNKS], at = begin;
	uint64_t end = begin + sizeof(uint32_t) * SP_AGENT_NR_CHUNKS;
	ssize_t len;
	int err = 0;

	while (!err && (len = sp_agent_data_next(r->data, &at, end, b->chunks, sizeof(b->chunks))) > 0) {
		for (size_t i = 0; i < (size_t)len / sizeof(uint32_t) && !err; i++)
			if (claim(r, b, b->chunks[i]))
				err = read_shadow(r, b, (at - begin) / sizeof(uint32_t) + i, b->chunks[i]);
		at += (size_t)len;
	}
	return err ? err : (int)(len < 0 ? len : 0);
}

/* ---- the hash ---- */

/* As in struct sp_block: which doubling of the mean in the beginning this one is. */
static uint8_t sampled_by(const struct sp_agent_reading *r, uint64_t mean)
{
	uint8_t k = 1;

	if (!mean || r->rules->is_by_calls)
		return 0;
	while (k < SP_MAX_SAMPLED && r->rules->mean << (k - 1) < mean && r->rules->mean << k > r->rules->mean)
		k++;
	return k;
}

static int take_slots(const struct sp_agent_reading *r, const struct buffers *b, size_t nr)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		uint64_t key = b->hash.keys[i], addr = key & ~SP_AGENT_KEY_FLAGS;
		if (!key || key & SP_AGENT_KEY_BUSY || key != b->hash.again[i] || addr >> SP_AGENT_ADDRESS_BITS)
			continue;
		err = add(r, addr, &b->hash.values[i], sampled_by(r, b->hash.values[i].mean));
	}
	return err;
}

static int read_hash(const struct sp_agent_reading *r, struct buffers *b)
{
	const struct sp_agent_data *d = r->data;
	uint64_t begin = d->offsets[SP_AGENT_KEYS], at = begin, end = begin + (8ull << d->limits.hash_bits);
	ssize_t len;
	int err = 0;

	while (!err && (len = sp_agent_data_next(d, &at, end, b->hash.keys, sizeof(b->hash.keys))) > 0) {
		size_t nr = (size_t)len / sizeof(uint64_t);
		uint64_t first = (at - begin) / sizeof(uint64_t);
		err = sp_agent_data_read(d, d->offsets[SP_AGENT_VALUES] + first * sizeof(struct sp_agent_value),
					 b->hash.values, nr * sizeof(struct sp_agent_value));
		if (!err) /* a value belongs to the key that stands before and after it */
			err = sp_agent_data_read(d, at, b->hash.again, (size_t)len);
		if (!err)
			err = take_slots(r, b, nr);
		at += (size_t)len;
	}
	return err ? err : (int)(len < 0 ? len : 0);
}

int sp_agent_blocks_read(const struct sp_agent_reading *r)
{
	sp_autofree uint64_t *seen = calloc(r->data->limits.max_shadows / 64 + 1, sizeof(*seen));
	sp_autofree struct buffers *b = malloc(sizeof(*b));
	int err = seen && b ? 0 : -ENOMEM;

	if (err)
		return err;
	b->seen = seen;
	if (r->data->limits.max_shadows)
		err = read_shadows(r, b);
	if (!err && r->ledger)
		err = read_hash(r, b);
	return err;
}
