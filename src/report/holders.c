// SPDX-License-Identifier: Apache-2.0
/*
 * seep why's own text: the sentence, a chain a paragraph, how sure it is.
 *
 *	03:00:41  app (pid 12512): 64 bytes at 0x5581c0 (app::Session) are held by 2 pointers
 *
 *	  1  variable sessions+0x8 [app]
 *	       -> 4.0 KiB at 0x5581d0
 *	       +0x118 -> 64 bytes at 0x5581c0   app::Session
 */
#include "report/holders.h"

#include <inttypes.h>
#include <string.h>

#include "report/notes.h"
#include "report/scan_parts.h"

/* ---- a place ---- */

static void put_thread(struct sp_words *w, const struct sp_place *p)
{
	if (!p->tid)
		return;
	sp_words_add(w, "thread %d", (int)p->tid);
	if (p->thread)
		sp_words_add(w, " (%s)", p->thread);
	sp_words_add(w, ", ");
}

static void put_offset(struct sp_words *w, uint64_t offset)
{
	if (offset)
		sp_words_add(w, "+0x%" PRIx64, offset);
}

static void put_variable(struct sp_words *w, const struct sp_place *p, const char *what)
{
	if (p->name) {
		sp_words_add(w, "%s %s", what, p->name);
		put_offset(w, p->offset);
		sp_words_add(w, " [%s]", p->module);
	} else {
		sp_words_add(w, "%s without a name in %s+0x%" PRIx64, what, p->module, p->offset);
	}
}

static void put_stack(struct sp_words *w, const struct sp_place *p)
{
	const struct sp_frame *f = &p->frame;
	const char *slash = f->file ? strrchr(f->file, '/') : NULL;

	if (!f->address) {
		sp_words_add(w, "stack at 0x%" PRIx64, p->address);
		return;
	}
	if (f->function)
		sp_words_add(w, "stack of %s+0x%" PRIx64, f->function, f->offset);
	else
		sp_words_add(w, "stack of 0x%" PRIx64, f->module ? f->module_offset : f->address);
	if (f->module)
		sp_words_add(w, " [%s]", f->module);
	if (f->file && f->line)
		sp_words_add(w, " %s:%u", slash ? slash + 1 : f->file, f->line);
}

static void put_mapping(struct sp_words *w, const struct sp_place *p)
{
	char name[256];

	sp_words_add(w, "mapping %s", p->name ? sp_text_printable(name, sizeof(name), p->name) : "without a file");
	put_offset(w, p->offset);
}

void sp_report_place(struct sp_words *w, const struct sp_place *p)
{
	put_thread(w, p);
	switch (p->kind) {
	case SP_PLACE_NOTHING:
		sp_words_add(w, "nothing: leaked");
		return;
	case SP_PLACE_VARIABLE:
		put_variable(w, p, "variable");
		return;
	case SP_PLACE_THREAD_VARIABLE:
		put_variable(w, p, "thread-local variable");
		return;
	case SP_PLACE_KEY:
		sp_words_add(w, "pthread key %u", p->key);
		return;
	case SP_PLACE_THREAD:
		sp_words_add(w, "its control block");
		put_offset(w, p->offset);
		return;
	case SP_PLACE_STACK:
		put_stack(w, p);
		return;
	case SP_PLACE_REGISTER:
		sp_words_add(w, "register %s", p->name);
		return;
	case SP_PLACE_KERNEL:
		sp_words_add(w, "the kernel, which keeps it for the program (epoll, timers)");
		return;
	case SP_PLACE_MAPPING:
	case SP_NR_PLACES:
		put_mapping(w, p);
		return;
	}
}

/* ---- the sentence ---- */

static void put_size(struct sp_page *p, const struct sp_held_block *b)
{
	if (b->block.size < 10000)
		sp_out_printf(&p->out, "%" PRIu64 " bytes", b->block.size);
	else
		sp_out_puts(&p->out, SP_BYTES(b->block.size));
	sp_out_printf(&p->out, " at 0x%" PRIx64, b->block.addr);
}

static void put_look(struct sp_page *p, const struct sp_held_block *b)
{
	char printable[256];

	if (b->type)
		sp_out_printf(&p->out, "   %s", sp_text_printable(printable, sizeof(printable), b->type));
	if (b->text)
		sp_out_printf(&p->out, "   \"%s\"", sp_text_printable(printable, sizeof(printable), b->text));
}

static bool is_lost(const struct sp_holders *h)
{
	return h->block.block.class == SP_HEAP_LEAKED || h->block.block.class == SP_HEAP_INDIRECT;
}

static void put_verdict(struct sp_page *p, const struct sp_holders *h)
{
	const char *scans = h->scan.nr_scans > 1 ? "" : " (one scan)";

	if (is_lost(h)) {
		sp_page_put(p, SP_PAINT_GROWS, "leaked");
		sp_out_printf(&p->out, "%s: %s\n", scans,
			      h->block.block.class == SP_HEAP_INDIRECT ? "only leaked blocks lead to it"
			      : h->nr_chains ? "only what it points to itself leads back to it"
					     : "nothing points to it");
		return;
	}
	if (!h->nr_chains) {
		sp_out_puts(&p->out, "possible: no pointer to it was seen, but not everything was\n");
		return;
	}
	bool is_possible = h->block.block.class == SP_HEAP_POSSIBLE;
	sp_page_put(p, SP_PAINT_BOLD, is_possible ? "possible" : "held");
	sp_out_printf(&p->out, " by %" PRIu64 " pointer%s%s\n", h->nr_pointers, sp_plural(h->nr_pointers),
		      is_possible ? ", each chain through the middle of a block" : "");
}

static void put_head(struct sp_page *p, const struct sp_holders *h)
{
	char clock[SP_CLOCK_SIZE];

	sp_page_put(p, SP_PAINT_BOLD, sp_report_time(clock, &h->scan.time, p->o));
	sp_out_printf(&p->out, "  %s (pid %d): ", h->scan.comm, (int)h->scan.pid);
	put_size(p, &h->block);
	put_look(p, &h->block);
	sp_out_puts(&p->out, h->block.type || h->block.text ? "   " : ", ");
	put_verdict(p, h);
	if (h->offset)
		sp_out_printf(&p->out, "          0x%" PRIx64 " is 0x%" PRIx64 " bytes into it\n",
			      h->block.block.addr + h->offset, h->offset);
}

/* ---- chains ---- */

enum { SHOWN = 4 }; /* steps at each end of a long chain */

static void put_step(struct sp_page *p, const struct sp_held_block *b, bool is_first)
{
	sp_out_puts(&p->out, "       ");
	if (is_first)
		sp_out_puts(&p->out, "-> ");
	else
		sp_out_printf(&p->out, "+0x%" PRIx64 " -> ", b->at);
	put_size(p, b);
	if (b->into)
		sp_out_printf(&p->out, ", 0x%" PRIx64 " bytes into it", b->into);
	put_look(p, b);
	sp_out_puts(&p->out, "\n");
}

static void put_chain(struct sp_page *p, unsigned number, const struct sp_held_chain *c)
{
	char text[600];
	struct sp_words w = {text, sizeof(text), 0};

	sp_report_place(&w, &c->place);
	sp_out_printf(&p->out, "  %u  %s\n", number, text);
	bool is_long = c->nr_blocks > 2 * SHOWN + 1;
	for (unsigned i = 0; i < c->nr_blocks; i++) {
		if (is_long && i == SHOWN) {
			i = c->nr_blocks - SHOWN;
			sp_out_printf(&p->out, "       ... %" PRIu64 " more blocks ...\n",
				      c->nr_left_out + c->nr_blocks - 2 * SHOWN);
		}
		put_step(p, &c->blocks[i], i == 0);
	}
	sp_out_puts(&p->out, "\n");
}

int sp_report_holders(FILE *out, const struct sp_holders *h, const struct sp_report_options *o)
{
	struct sp_page p = {.out = {.stream = out}, .o = o};

	put_head(&p, h);
	sp_out_puts(&p.out, "\n");
	for (unsigned i = 0; i < h->nr_chains; i++)
		put_chain(&p, i + 1, &h->chains[i]);
	sp_page_scan_foot(&p, &h->scan);
	return sp_out_finish(&p.out);
}
