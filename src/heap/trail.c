// SPDX-License-Identifier: Apache-2.0
/*
 * Who points to a block: a breadth-first search from the roots that remembers, for each block, where the pointer stands
 * by which it was found first. Walked back from a block, these are a shortest chain.
 *
 *	1. A place in one array for each block in use: how many blocks begin before each word of nibbles is counted
 *	   once, the rest is a popcount. So a block costs 8 bytes and no hashing.
 *	2. Blocks are looked at level by level, each level by address. Where a level has many in a window, or one level
 *	   after the other has one there (a list), the window is read once instead of a block at a time.
 *	3. The block that is asked for is not passed through: whatever only it leads to does not hold it.
 *
 * Roots that last come first and are followed to their end before stacks and registers are: a pointer into the middle
 * of a list that a function happens to hold makes a shorter chain than the list's head, and says less.
 *
 * Tried on paper and dropped: searching backwards from the block. Each step is a pass over all memory, and a list has a
 * million of them.
 */
#include "heap/mark.h"

#include <errno.h>
#include <string.h>

enum {
	MAX_HOLDERS = 4096, /* pointers to the block that are remembered; all are counted */
	NEAR_ROOT = SP_HEAP_CHAIN_STEPS / 2,
	NEAR_BLOCK = SP_HEAP_CHAIN_STEPS - NEAR_ROOT,
};

#define FROM_NOTHING 1 /* nothing points to it: where a chain of leaked blocks begins */

/* Where a region's blocks have their places. */
struct places {
	uint64_t first;   /* of its first block */
	uint32_t *before; /* for each word of nibbles, how many blocks of the region begin before it */
};

struct holder {
	uint64_t at, to;
};

struct trail {
	struct sp_marker mk; /* first: passed as one */
	struct places *places;
	uint32_t *counts;
	uint64_t *from;   /* a block's place: where the pointer to it stands; 0: not found yet */
	bool is_loose;    /* pointers into the middle are followed, whatever they are */
	bool is_summary;  /* a block's place has the root that leads to it */
	uint64_t through; /* is_summary: the root that leads to the block which is being looked at; 0: roots are */
	uint64_t target;  /* 0: none */
	struct sp_vec now, next; /* uint64_t: blocks of this level and of the one below */
	struct sp_vec holders;   /* struct holder, in the order of their levels */
	uint64_t nr_pointers;
	const struct sp_window *loaded; /* mk.window has it */
	const struct sp_window *last;   /* the window of the block that was looked at last, */
	unsigned nr_in_a_row;           /* and of how many before it */
	int err;
};

/* ---- places ---- */

static uint64_t nr_words(const struct sp_region *r)
{
	return r->shift ? (((r->end - r->base) >> r->shift) + 15) / 16 : 0;
}

/* Of each nibble that is not 0 the highest bit. */
static uint64_t set_nibbles(uint64_t word)
{
	static const uint64_t SEVENS = 0x7777777777777777u;

	return (((word & SEVENS) + SEVENS) | word) & SP_GREY_WORD;
}

static uint64_t *place_of(const struct trail *t, const struct sp_region *r, uint64_t addr)
{
	const struct places *p = &t->places[r - sp_index_at(&t->mk.h->index, 0)];

	if (!r->shift)
		return &t->from[p->first];
	uint64_t g = (addr - r->base) >> r->shift, below = ((uint64_t)1 << (g % 16 * 4)) - 1;
	return &t->from[p->first + p->before[g / 16] +
			(unsigned)__builtin_popcountll(set_nibbles(r->nibbles[g / 16]) & below)];
}

static uint64_t count_words(const struct sp_index *x)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < x->regions.nr; i++)
		nr += nr_words(sp_index_at(x, i));
	return nr;
}

/* Fills in where each region's places are; returns how many there are of all. */
static uint64_t count_places(struct trail *t)
{
	const struct sp_index *x = &t->mk.h->index;
	uint32_t *counts = t->counts;
	uint64_t nr = 0;

	for (size_t i = 0; i < x->regions.nr; i++) {
		const struct sp_region *r = sp_index_at(x, i);
		uint64_t words = nr_words(r);
		uint32_t in_region = 0;

		t->places[i] = (struct places){.first = nr, .before = counts};
		for (uint64_t w = 0; w < words; w++) {
			counts[w] = in_region;
			in_region += (uint32_t)__builtin_popcountll(set_nibbles(r->nibbles[w]));
		}
		counts += words;
		nr += r->shift ? in_region : 1;
	}
	return nr;
}

static void trail_done(struct trail *t)
{
	sp_marker_done(&t->mk);
	free(t->places);
	free(t->counts);
	free(t->from);
	sp_vec_done(&t->now);
	sp_vec_done(&t->next);
	sp_vec_done(&t->holders);
}

static int make_places(struct trail *t, uint64_t *ret_charged)
{
	struct sp_index *x = &t->mk.h->index;
	uint64_t words = count_words(x), bytes = words * sizeof(*t->counts) + x->regions.nr * sizeof(*t->places);
	int rc = sp_index_charge(x, bytes);

	if (rc < 0)
		return rc;
	*ret_charged = bytes;
	t->places = calloc(x->regions.nr + 1, sizeof(*t->places));
	t->counts = calloc(words + 1, sizeof(*t->counts));
	if (!t->places || !t->counts)
		return -ENOMEM;
	uint64_t nr = count_places(t);
	bytes = nr * 3 * sizeof(uint64_t); /* a place, and in the worst case in both levels */
	rc = sp_index_charge(x, bytes);
	if (rc < 0)
		return rc;
	*ret_charged += bytes;
	t->from = calloc(nr + 1, sizeof(*t->from));
	sp_vec_init(&t->now, sizeof(uint64_t), nr + 1);
	sp_vec_init(&t->next, sizeof(uint64_t), nr + 1);
	return t->from ? 0 : -ENOMEM;
}

/* What was charged is given back by the caller, when all is done. */
static int trail_init(struct trail *t, struct sp_heap *h, uint64_t *ret_charged)
{
	*t = (struct trail){};
	sp_vec_init(&t->now, sizeof(uint64_t), 1);
	sp_vec_init(&t->next, sizeof(uint64_t), 1);
	sp_vec_init(&t->holders, sizeof(struct holder), MAX_HOLDERS);
	int rc = sp_marker_init(&t->mk, h);
	t->mk.phase = SP_PHASE_TRAIL;
	return rc == 0 ? make_places(t, ret_charged) : rc;
}

/* ---- the search ---- */

static void note_holder(struct trail *t, uint64_t at, uint64_t to)
{
	const struct holder holder = {.at = at, .to = to};

	t->nr_pointers++;
	if (t->holders.nr < MAX_HOLDERS && sp_vec_push(&t->holders, &holder) == -ENOMEM)
		t->err = -ENOMEM;
}

void sp_trail_take(struct sp_marker *mk, const struct sp_extent *e, uint64_t ptr, uint64_t at, bool is_good)
{
	struct trail *t = (struct trail *)mk;

	uint64_t *place = place_of(t, e->region, e->start);
	if (*place && e->start != t->target)
		return;
	if (!is_good && ptr != e->start && !t->is_loose && !sp_interior_is_good(mk->h, e, ptr))
		return;
	if (e->start == t->target) {
		note_holder(t, at, ptr);
		return;
	}
	*place = t->through ? t->through : at;
	if (sp_vec_push(&t->next, &e->start) < 0)
		t->err = -ENOMEM;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool is_in_window(const struct trail *t, size_t i, const struct sp_region *r, size_t number)
{
	uint64_t addr = i < t->now.nr ? *sp_vec_at(&t->now, uint64_t, i) : 0;

	return addr >= r->start && addr < r->end && (addr - r->base) / SP_WINDOW == number;
}

/* The bytes of the window of now[i], if they are at hand or worth reading. */
static const unsigned char *window_of(struct trail *t, size_t i, struct sp_region *r, size_t number)
{
	const struct sp_window *w = &r->windows[number];

	t->nr_in_a_row = w == t->last ? t->nr_in_a_row + 1 : 0;
	t->last = w;
	if (t->loaded == w)
		return t->mk.window;
	if (!r->shift || (t->nr_in_a_row < SP_WINDOW_FEW && !is_in_window(t, i + SP_WINDOW_FEW, r, number)))
		return NULL;
	t->loaded = w;
	return sp_mark_load(&t->mk, r, number);
}

static void look_into(struct trail *t, size_t i)
{
	uint64_t addr = *sp_vec_at(&t->now, uint64_t, i);
	struct sp_region *r = sp_index_region(&t->mk.h->index, addr);
	struct sp_extent e;

	if (!r || !sp_region_extent(r, addr, &e))
		return;
	size_t number = (size_t)((addr - r->base) / SP_WINDOW);
	t->through = t->is_summary ? *place_of(t, r, addr) : 0;
	sp_mark_block(&t->mk, &e, window_of(t, i, r, number), number);
	t->through = 0;
}

/* What the roots have led to, and what that leads to. */
static void search(struct trail *t)
{
	while (t->next.nr && !t->err) {
		struct sp_vec level = t->next;

		t->next = t->now;
		t->now = level;
		sp_vec_clear(&t->next);
		qsort(t->now.data, t->now.nr, sizeof(uint64_t), by_value);
		for (size_t i = 0; i < t->now.nr && !t->err; i++)
			look_into(t, i);
	}
}

static int search_roots(struct trail *t)
{
	static const enum sp_roots order[] = {SP_ROOTS_LASTING, SP_ROOTS_STACKS};

	for (size_t i = 0; i < SP_ARRAY_SIZE(order); i++) {
		int rc = sp_mark_roots(&t->mk, order[i]);

		if (rc < 0)
			return rc;
		search(t);
	}
	return t->err;
}

static void begin_at(struct sp_marker *mk, const struct sp_extent *e)
{
	struct trail *t = (struct trail *)mk;

	*place_of(t, e->region, e->start) = FROM_NOTHING;
	if (sp_vec_push(&t->next, &e->start) < 0)
		t->err = -ENOMEM;
}

static void begin_elsewhere(struct sp_marker *mk, const struct sp_extent *e)
{
	if (e->start != ((struct trail *)mk)->target)
		begin_at(mk, e);
}

/* From what is leaked and nothing points to; from the block itself when that leads nowhere. */
static int search_leaked(struct trail *t)
{
	struct sp_region *r = sp_index_region(&t->mk.h->index, t->target);
	struct sp_extent e;

	t->is_loose = true;
	sp_mark_each(&t->mk, SP_CODE_LEAKED, begin_elsewhere);
	search(t);
	if (!t->err && !t->holders.nr && r && sp_region_extent(r, t->target, &e)) {
		begin_at(&t->mk, &e);
		search(t);
	}
	return t->err;
}

/* ---- chains ---- */

/* A chain is found from its end: the last steps, and behind the gap those before, in a ring. */
struct walk {
	struct sp_heap_step near_block[NEAR_BLOCK], near_root[NEAR_ROOT];
	uint64_t nr;
};

static void walk_add(struct walk *w, const struct sp_heap_step *step)
{
	if (w->nr < NEAR_BLOCK)
		w->near_block[w->nr] = *step;
	else
		w->near_root[(w->nr - NEAR_BLOCK) % NEAR_ROOT] = *step;
	w->nr++;
}

static uint64_t value_at(const struct trail *t, uint64_t at, uint64_t otherwise)
{
	const struct sp_heap_source *src = t->mk.h->src;
	uint64_t value;

	if (at >= SP_HEAP_AT_WORDS)
		return (at - SP_HEAP_AT_WORDS) / sizeof(value) < src->nr_words
			   ? src->words[(at - SP_HEAP_AT_WORDS) / sizeof(value)]
			   : otherwise;
	return at < SP_ADDRESS_END && sp_heap_get_u64(t->mk.h->reader, at, &value) ? value : otherwise;
}

/* Pointers are read now, of what is kept: a list of a million blocks is a million places to read. */
static void walk_turn(const struct trail *t, const struct walk *w, struct sp_heap_chain *ret)
{
	uint64_t behind = w->nr > NEAR_BLOCK ? w->nr - NEAR_BLOCK : 0, kept = behind < NEAR_ROOT ? behind : NEAR_ROOT;

	*ret = (struct sp_heap_chain){.nr_left_out = behind - kept};
	for (uint64_t i = 0; i < kept; i++)
		ret->steps[ret->nr++] = w->near_root[(behind - 1 - i) % NEAR_ROOT];
	for (uint64_t i = w->nr - behind; i-- > 0;)
		ret->steps[ret->nr++] = w->near_block[i];
	for (unsigned i = 0; i + 1 < ret->nr; i++)
		ret->steps[i].to = value_at(t, ret->steps[i].at, ret->steps[i].block.addr);
}

/* From the block back to where the search began. Each place leads to one that was filled in before it. */
static void make_chain(const struct trail *t, const struct sp_heap_block *b, const struct holder *holder,
		       struct sp_heap_chain *ret)
{
	struct sp_heap_step step = {.at = holder->at, .to = holder->to, .block = *b};
	struct walk walk = {};

	walk_add(&walk, &step);
	while (step.at && sp_heap_find(t->mk.h, step.at, &step.block)) {
		struct sp_region *r = sp_index_region(&t->mk.h->index, step.block.addr);
		uint64_t from = r ? *place_of(t, r, step.block.addr) : 0;

		step.at = from == FROM_NOTHING ? 0 : from;
		walk_add(&walk, &step);
	}
	walk_turn(t, &walk, ret);
}

/* The block that a pointer stands in; a place outside of blocks is its own. */
static uint64_t holder_of(const struct trail *t, const struct holder *holder)
{
	struct sp_heap_block b;

	return sp_heap_find(t->mk.h, holder->at, &b) ? b.addr : holder->at;
}

static bool is_told(const struct trail *t, const struct holder *holder, const uint64_t *told, unsigned nr)
{
	uint64_t at = holder_of(t, holder);

	for (unsigned i = 0; i < nr; i++)
		if (told[i] == at)
			return true;
	return false;
}

static int make_chains(const struct trail *t, const struct sp_heap_block *b, struct sp_heap_chain *ret, unsigned max,
		       unsigned *ret_nr)
{
	uint64_t *told = calloc((size_t)max + 1, sizeof(*told));
	unsigned nr = 0;

	if (!told)
		return -ENOMEM;
	for (size_t i = 0; i < t->holders.nr && nr < max; i++) {
		const struct holder *holder = sp_vec_at(&t->holders, struct holder, i);

		if (is_told(t, holder, told, nr))
			continue;
		make_chain(t, b, holder, &ret[nr]);
		told[nr++] = holder_of(t, holder);
	}
	free(told);
	*ret_nr = nr;
	return 0;
}

/* ---- what may be asked ---- */

static int complain(const struct sp_heap *h, int rc, struct sp_why *why)
{
	if (rc != -ENOSPC)
		return rc;
	return sp_why_set(why, SP_FAULT_OURS, ENOSPC, "looking for pointers needs more than %llu MiB of memory",
			  (unsigned long long)(h->index.max_bytes >> 20));
}

int sp_heap_holders(struct sp_heap *h, const struct sp_heap_block *b, struct sp_heap_chain *ret_chains, unsigned max,
		    struct sp_heap_holders *ret, struct sp_why *why)
{
	const struct sp_heap_lost lost = h->lost; /* as marking found it */
	uint64_t charged = 0;
	struct trail t;
	int rc = trail_init(&t, h, &charged);

	t.target = b->addr;
	t.is_loose = b->class != SP_HEAP_REACHED;
	if (rc == 0)
		rc = b->class == SP_HEAP_LEAKED || b->class == SP_HEAP_INDIRECT ? search_leaked(&t) : search_roots(&t);
	if (rc == 0)
		rc = make_chains(&t, b, ret_chains, max, &ret->nr_chains);
	ret->nr_pointers = t.nr_pointers;
	trail_done(&t);
	h->index.bytes -= charged;
	h->lost = lost;
	return complain(h, rc, why);
}

int sp_heap_roots_of(struct sp_heap *h, const uint64_t *addrs, size_t nr, uint64_t *ret_at, struct sp_why *why)
{
	const struct sp_heap_lost lost = h->lost;
	uint64_t charged = 0;
	struct trail t;
	int rc = trail_init(&t, h, &charged);

	t.is_summary = true;
	if (rc == 0)
		rc = search_roots(&t);
	for (size_t i = 0; i < nr && rc == 0; i++) {
		struct sp_region *r = sp_index_region(&h->index, addrs[i]);

		ret_at[i] = r && sp_heap_find(h, addrs[i], &(struct sp_heap_block){}) ? *place_of(&t, r, addrs[i]) : 0;
	}
	trail_done(&t);
	h->index.bytes -= charged;
	h->lost = lost;
	return complain(h, rc, why);
}
