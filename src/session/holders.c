// SPDX-License-Identifier: Apache-2.0
/*
 * The order of things:
 *
 *	1. a scan		which class the block has; when it is leaked, a second one after a while must agree
 *	2. chains		shortest ones, from the snapshot of the last scan
 *	3. reads		first words of each block on the way; stacks that chains begin in
 *	4. release		the snapshot goes
 *	5. names
 */
#include "session/holders.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "session/places.h"

#define ADDRESS_END ((uint64_t)1 << 47) /* of user addresses */

/* What was read of a block on the way. */
struct looked {
	char type[SP_HEAP_TYPE_MAX], text[SP_HEAP_HEAD_MAX + 1];
};

struct sp_holders_store {
	struct sp_scan_store *scan;
	struct sp_places *places;
	struct sp_symbolizer *symbolizer;
	bool is_sure; /* two scans call it leaked */
	struct sp_heap_chain raw[SP_HOLDERS_MAX];
	struct sp_held_chain chains[SP_HOLDERS_MAX];
	struct sp_held_block blocks[SP_HOLDERS_MAX][SP_HEAP_CHAIN_STEPS];
	struct looked looked[SP_HOLDERS_MAX][SP_HEAP_CHAIN_STEPS], looked_block;
};

/* ---- an address that is no block in use ---- */

static const char *kind_of(const struct sp_mapping *m)
{
	if (m->prot & SP_PROT_X)
		return "code";
	if (!strcmp(m->path, "[stack]"))
		return "the main thread's stack";
	return m->path[0] ? "a mapping of a file" : "memory that the program has mapped itself, or a thread's stack";
}

static int refuse(struct sp_holders_store *s, uint64_t addr, struct sp_why *why)
{
	const struct sp_heap *heap = sp_scan_heap(s->scan);
	const struct sp_mapping *m = sp_maps_find(&sp_scan_source(s->scan)->maps, addr);
	struct sp_heap_block b;

	sp_why_hint(why, "addresses of blocks: seep scan --list, seep trace --list");
	if (addr >= ADDRESS_END || !m)
		return sp_why_set(why, SP_FAULT_TARGET, EFAULT, "nothing is mapped at 0x%" PRIx64 " in %d", addr,
				  (int)sp_scan_pid(s->scan));
	if (sp_heap_at(heap, addr, &b))
		return sp_why_set(why, SP_FAULT_TARGET, ENOENT,
				  "0x%" PRIx64 " is in no block in use: freed, or the allocator's own (%" PRIu64
				  " bytes at 0x%" PRIx64 ")",
				  addr, b.size, b.addr);
	for (size_t i = 0; i < sp_heap_nr_regions(heap); i++) {
		struct sp_heap_region_info r;

		sp_heap_region_info(heap, i, &r);
		if (addr >= r.start && addr < r.end)
			return sp_why_set(why, SP_FAULT_TARGET, ENOENT, "0x%" PRIx64 " is the allocator's own memory",
					  addr);
	}
	return sp_why_set(why, SP_FAULT_TARGET, ENOENT, "0x%" PRIx64 " is in no heap that seep knows: it is in %s%s%s",
			  addr, kind_of(m), m->path[0] == '/' ? ", " : "", m->path[0] == '/' ? m->path : "");
}

/* ---- looking ---- */

static bool is_lost(const struct sp_heap_block *b)
{
	return b->class == SP_HEAP_LEAKED || b->class == SP_HEAP_INDIRECT;
}

static int look(struct sp_holders_store *s, const struct sp_holders_options *o, struct sp_heap_block *ret,
		struct sp_why *why)
{
	int rc = sp_scan_look(s->scan, why);

	if (rc < 0)
		return rc;
	return sp_heap_find(sp_scan_heap(s->scan), o->address, ret) ? 0 : refuse(s, o->address, why);
}

static int look_until_sure(struct sp_holders_store *s, const struct sp_holders_options *o, struct sp_heap_block *ret,
			   struct sp_why *why)
{
	int rc = look(s, o, ret, why);

	if (rc < 0 || !is_lost(ret))
		return rc;
	sp_scan_rest(s->scan);
	sp_scan_wait(s->scan);
	rc = look(s, o, ret, why);
	s->is_sure = rc == 0 && is_lost(ret);
	return rc;
}

static void read_block(const struct sp_heap *h, const struct sp_heap_block *b, struct looked *ret)
{
	struct sp_heap_look look;
	char name[SP_HEAP_TYPE_MAX];

	sp_heap_look(h, b, &look);
	sp_scan_text(&look, ret->text);
	if (look.type[0] && sp_symbolize_type(look.type, name, sizeof(name)))
		memcpy(ret->type, name, sizeof(name));
}

/* All that has to be read while the snapshot is there. */
static int read_chains(struct sp_holders_store *s, const struct sp_holders *h)
{
	const struct sp_heap *heap = sp_scan_heap(s->scan);
	int rc = sp_places_new(sp_scan_source(s->scan), &s->places);

	read_block(heap, &h->block.block, &s->looked_block);
	for (unsigned i = 0; i < h->nr_chains && rc == 0; i++) {
		const struct sp_heap_chain *c = &s->raw[i];

		for (unsigned k = 0; k < c->nr; k++)
			read_block(heap, &c->steps[k].block, &s->looked[i][k]);
		rc = sp_places_note(s->places, c->steps[0].at);
	}
	return rc;
}

static int find(struct sp_holders_store *s, const struct sp_holders_options *o, struct sp_holders *ret,
		struct sp_why *why)
{
	unsigned max = o->top && o->top < SP_HOLDERS_MAX ? o->top : SP_HOLDERS_MAX;
	struct sp_heap_holders found = {};
	int rc = look_until_sure(s, o, &ret->block.block, why);

	if (rc == 0)
		rc = sp_heap_holders(sp_scan_heap(s->scan), &ret->block.block, s->raw, max, &found, why);
	if (rc < 0)
		return rc;
	ret->offset = o->address - ret->block.block.addr;
	ret->nr_chains = found.nr_chains;
	ret->nr_pointers = found.nr_pointers;
	return read_chains(s, ret);
}

/* ---- names ---- */

static void fill_block(const struct sp_heap_step *step, const struct sp_heap_step *before, const struct looked *looked,
		       struct sp_held_block *ret)
{
	*ret = (struct sp_held_block){.block = step->block,
				      .at = before ? step->at - before->block.addr : 0,
				      .into = step->to - step->block.addr,
				      .type = looked->type[0] ? looked->type : NULL,
				      .text = looked->text[0] ? looked->text : NULL};
}

static void fill_chain(struct sp_holders_store *s, unsigned i)
{
	const struct sp_heap_chain *c = &s->raw[i];
	struct sp_held_chain *ret = &s->chains[i];

	*ret = (struct sp_held_chain){.blocks = s->blocks[i], .nr_blocks = c->nr, .nr_left_out = c->nr_left_out};
	sp_places_name(s->places, c->steps[0].at, &ret->place);
	for (unsigned k = 0; k < c->nr; k++)
		fill_block(&c->steps[k], k ? &c->steps[k - 1] : NULL, &s->looked[i][k], &s->blocks[i][k]);
	/* where steps were left out the block before is not the one that points here */
	if (c->nr_left_out)
		s->blocks[i][SP_HEAP_CHAIN_STEPS / 2].at = UINT64_MAX;
}

static int name(struct sp_holders_store *s, const struct sp_holders_options *o, struct sp_holders *ret,
		struct sp_why *why)
{
	const struct sp_heap_step here = {.to = ret->block.block.addr, .block = ret->block.block};
	int rc = sp_symbolizer_open(sp_scan_proc(s->scan), &o->symbolize, &s->symbolizer, why);

	if (rc == 0)
		rc = sp_places_open(s->places, s->symbolizer, why);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < ret->nr_chains; i++)
		fill_chain(s, i);
	fill_block(&here, NULL, &s->looked_block, &ret->block);
	ret->chains = s->chains;
	return 0;
}

int sp_holders_run(const struct sp_holders_options *o, sp_scan_notice_fn notice, void *arg,
		   struct sp_holders_store **ret_store, struct sp_holders *ret, struct sp_why *why)
{
	struct sp_holders_store *s = calloc(1, sizeof(*s));
	struct sp_holders h = {};
	int rc = s ? sp_scan_open(&o->scan, notice, arg, &s->scan, why) : -ENOMEM;

	if (rc == 0)
		rc = find(s, o, &h, why);
	if (rc == 0) {
		sp_scan_let_go(s->scan);
		sp_scan_facts(s->scan, &h.scan);
		h.scan.nr_scans = s->is_sure ? 2 : 1;
		rc = name(s, o, &h, why);
	}
	if (rc < 0) {
		sp_holders_free(s);
		return sp_why_set(why, SP_FAULT_OURS, -rc, "cannot look for holders: %s", strerror(-rc));
	}
	*ret = h;
	*ret_store = s;
	return 0;
}

void sp_holders_free(struct sp_holders_store *s)
{
	if (!s)
		return;
	sp_places_free(s->places);
	sp_symbolizer_close(s->symbolizer);
	sp_scan_free(s->scan);
	free(s);
}
