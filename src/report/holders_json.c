// SPDX-License-Identifier: Apache-2.0
/* The holders of a block as one JSON object on one line. Every key is described in doc/json.md. */
#include "report/holders.h"
#include "report/json.h"
#include "report/scan_parts.h"

static const char *kind_of(enum sp_place_kind kind)
{
	static const char *const names[SP_NR_PLACES] = {
	    [SP_PLACE_NOTHING] = "nothing",
	    [SP_PLACE_VARIABLE] = "variable",
	    [SP_PLACE_THREAD_VARIABLE] = "thread_variable",
	    [SP_PLACE_KEY] = "pthread_key",
	    [SP_PLACE_THREAD] = "thread",
	    [SP_PLACE_STACK] = "stack",
	    [SP_PLACE_REGISTER] = "register",
	    [SP_PLACE_KERNEL] = "kernel",
	    [SP_PLACE_MAPPING] = "mapping",
	};

	return kind < SP_NR_PLACES ? names[kind] : NULL;
}

void sp_jsonw_place(struct sp_jsonw *w, const char *key, const struct sp_place *p)
{
	char text[600];
	struct sp_words words = {text, sizeof(text), 0};

	sp_report_place(&words, p);
	sp_jsonw_key(w, key);
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "kind", kind_of(p->kind));
	sp_jsonw_put_string(w, "text", text);
	sp_jsonw_put_known_hex(w, "address", p->address, p->address);
	sp_jsonw_put_known_u64(w, "tid", p->tid, (uint64_t)p->tid);
	sp_jsonw_put_string(w, "thread", p->thread);
	sp_jsonw_put_string(w, "name", p->name);
	sp_jsonw_put_u64(w, "offset", p->offset);
	sp_jsonw_put_string(w, "module", p->module);
	sp_jsonw_put_known_u64(w, "key", p->kind == SP_PLACE_KEY, p->key);
	sp_jsonw_key(w, "frame");
	if (p->frame.address)
		sp_report_json_frame(w, &p->frame);
	else
		sp_jsonw_null(w);
	sp_jsonw_end(w);
}

static void put_block(struct sp_jsonw *w, const struct sp_held_block *b, bool is_at_known)
{
	sp_jsonw_object(w);
	sp_jsonw_put_known_u64(w, "at", is_at_known, b->at);
	sp_jsonw_key(w, "address");
	sp_jsonw_hex(w, b->block.addr);
	sp_jsonw_put_u64(w, "size", b->block.size);
	sp_jsonw_put_u64(w, "into", b->into);
	sp_jsonw_put_string(w, "class", sp_report_class(b->block.class));
	sp_jsonw_put_string(w, "type", b->type);
	sp_jsonw_put_string(w, "text", b->text);
	sp_jsonw_end(w);
}

static void put_chain(struct sp_jsonw *w, const struct sp_held_chain *c)
{
	sp_jsonw_object(w);
	sp_jsonw_place(w, "root", &c->place);
	sp_jsonw_put_u64(w, "left_out", c->nr_left_out);
	sp_jsonw_key(w, "blocks");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < c->nr_blocks; i++)
		put_block(w, &c->blocks[i], i && !(c->nr_left_out && i == SP_HEAP_CHAIN_STEPS / 2));
	sp_jsonw_end(w);
	sp_jsonw_end(w);
}

/* The block as a group of one, as the other diagnoses have them. */
static void put_group(struct sp_jsonw *w, const struct sp_holders *h)
{
	const struct sp_scan_group g = {.class = h->block.block.class,
					.bytes = h->block.block.size,
					.blocks = 1,
					.size = h->block.block.size,
					.type = h->block.type,
					.text = h->block.text,
					.example = h->block.block.addr};
	const struct sp_scan one = {.nr_scans = h->scan.nr_scans, .groups = &g, .nr_groups = 1};

	sp_jsonw_key(w, "groups");
	sp_jsonw_array(w);
	sp_jsonw_scan_groups(w, &one);
	sp_jsonw_end(w);
}

int sp_report_holders_json(FILE *stream, const struct sp_holders *h, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_jsonw w;

	(void)o;
	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "why");
	sp_jsonw_put_time(&w, "time", &h->scan.time);
	sp_jsonw_put_u64(&w, "pid", (uint64_t)h->scan.pid);
	sp_jsonw_put_string(&w, "comm", h->scan.comm);
	sp_jsonw_scan_facts(&w, &h->scan);
	sp_jsonw_key(&w, "address");
	sp_jsonw_hex(&w, h->block.block.addr + h->offset);
	sp_jsonw_put_u64(&w, "offset", h->offset);
	sp_jsonw_put_u64(&w, "pointers", h->nr_pointers);
	put_group(&w, h);
	sp_jsonw_key(&w, "chains");
	sp_jsonw_array(&w);
	for (unsigned i = 0; i < h->nr_chains && !out.err; i++)
		put_chain(&w, &h->chains[i]);
	sp_jsonw_end(&w);
	sp_jsonw_scan_lost(&w, "lost", &h->scan);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
