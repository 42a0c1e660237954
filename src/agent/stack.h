// SPDX-License-Identifier: Apache-2.0
/*
 * The call path of an event: predicted from the thread's last one, verified, and only the rest is walked.
 *
 * Walking by rows costs 8 ns a frame however well the rows are cached, because each load waits for the one before. So a
 * thread keeps its last walk: the frames, outermost first, and every word of the stack that the walk read.
 *
 *      frames   root  main  loop  parse  node        words   {slot, value} {slot, value} ...
 *                             ^ nr_words: those read on the way from here to the root
 *
 * An event at (pc, sp, bp):
 *   1. frames deeper than sp are gone;
 *   2. the words are compared with the stack, outermost first; frames behind the first one that differs are gone. No
 *      load waits for another here: half a nanosecond a word;
 *   3. walk from the event outwards by rows until a frame is the kept one: same pc, same sp, and the same bp where that
 *      is used further out before it is restored;
 *   4. keep the frames just walked above that one; each is a node of the tree below its caller's.
 *
 * Invariant: a kept frame and its words are all that a walk from there outwards depends on, so what is said is what a
 * whole walk would say. That is compared in the checking build (check.h). A key of (pc, sp) without the words was tried
 * and is too weak behind wrappers that everybody calls.
 *
 * Of a stack deeper than SP_AGENT_MAX_NEW frames the innermost ones are kept, below a root that says so; it is walked
 * anew when less than SP_MAX_FRAMES are left.
 *
 * Nothing is read outside [sp of the event, end of the thread's stack).
 *
 * Frames of the agent (an allocator function calls another one) are kept but are no part of a path.
 */
#ifndef SEEP_AGENT_STACK_H
#define SEEP_AGENT_STACK_H

#include "pure/step.h"
#include "unfinished.h"

enum {
	FRAME_NEEDS_BP = 1, /* the walk from here outwards depends on bp */
	FRAME_EXACT = 2,    /* pc is no return address */
};

struct bounds {
	uint64_t lo, size; /* readable: every word in [lo, lo + size + 8) */
};

INLINE bool read_word(const void *stack, uint64_t addr, uint64_t *ret)
{
	const struct bounds *b = stack;

	if (addr - b->lo > b->size)
		return false;
	*ret = LOAD((const uint64_t *)addr);
	return true;
}

INLINE struct bounds bounds_of(uint64_t lo, uint64_t hi)
{
	return (struct bounds){.lo = lo, .size = hi - 8 - lo};
}

/* The row for a frame, with ROW_GUESSED where it is one by the frame pointer for want of a better. */
INLINE uint64_t row_for(uint32_t number, const struct sp_walk *w)
{
	uint64_t row = row_find(number, w->is_exact ? w->pc : w->pc - 1);

	if (LIKELY(row))
		return row;
	header()->nr_unknown++; /* may lose a race: only its change matters */
	return ROW_GUESSED;     /* SP_ROW_NONE */
}

INLINE enum sp_step_end step(struct sp_walk *w, uint64_t row, const struct bounds *b)
{
	enum sp_step_end end = sp_step_out(w, ROW_KIND(row), ROW_CFA(row), ROW_RBP(row), read_word, b);

	return end == SP_STEP_ON && !w->pc ? sp_step_at_zero(w) : end;
}

/* ---- keeping frames ---- */

INLINE void add_word(struct sp_agent_thread *t, uint32_t *nr, uint64_t slot, uint64_t value)
{
	t->words[*nr] = (struct sp_agent_word){.slot = slot, .value = value};
	++*nr;
}

/* The words that led from s to its caller o, and whether that depended on bp. */
INLINE uint8_t add_words(struct sp_agent_thread *t, uint32_t *nr, const struct sp_agent_step *s,
			 const struct sp_agent_frame *o)
{
	uint32_t kind = ROW_KIND(s->row);
	int64_t rbp_off = kind == SP_ROW_NONE ? SP_ROW_RBP_BESIDE_RA : ROW_RBP(s->row);
	bool needs_bp = o->flags & FRAME_NEEDS_BP;

	if (kind == SP_ROW_SIG) {
		add_word(t, nr, s->sp + SP_UCONTEXT_RIP, o->pc);
		add_word(t, nr, s->sp + SP_UCONTEXT_RSP, o->sp);
		if (needs_bp)
			add_word(t, nr, s->sp + SP_UCONTEXT_RBP, o->bp);
		return 0;
	}
	add_word(t, nr, o->sp - 8, o->pc);
	if (kind == SP_ROW_RBP_DEREF) {
		add_word(t, nr, s->bp + (uint64_t)ROW_CFA(s->row), o->sp);
		if (needs_bp)
			add_word(t, nr, s->bp, o->bp);
		return FRAME_NEEDS_BP;
	}
	if (rbp_off != SP_ROW_RBP_SAME && needs_bp)
		add_word(t, nr, o->sp + 8 * (uint64_t)rbp_off, o->bp);
	if (kind == SP_ROW_RBP || kind == SP_ROW_NONE)
		return FRAME_NEEDS_BP;
	return rbp_off == SP_ROW_RBP_SAME && needs_bp ? FRAME_NEEDS_BP : 0;
}

/* The frame of step s as the next one behind the nr kept. `has_caller`: frame nr - 1 is where the step led. */
INLINE void keep_frame(struct sp_agent_thread *t, uint32_t nr, const struct sp_agent_step *s, bool has_caller)
{
	const struct sp_agent_frame *o = &t->frames[nr - 1];
	struct sp_agent_frame *f = &t->frames[nr];
	uint32_t nr_words = o->nr_words, node = o->node;
	uint8_t flags = FRAME_NEEDS_BP;

	if (has_caller)
		flags = add_words(t, &nr_words, s, o);
	if (!is_agent_code(s->pc))
		node = tree_child(node, s->row & ROW_GUESSED ? s->pc | SP_AGENT_PC_GUESSED : s->pc);
	f->sp = s->sp;
	f->pc = s->pc;
	f->bp = s->bp;
	f->node = node;
	f->nr_words = (uint16_t)nr_words;
	f->flags = flags | (s->row & ROW_EXACT ? FRAME_EXACT : 0);
}

/* ---- what is still true of the frames kept ---- */

INLINE uint64_t differs(const struct sp_agent_word *w)
{
	return LOAD((const uint64_t *)w->slot) ^ w->value;
}

/* How many words, outermost first, are still what they were. */
INLINE uint32_t nr_true_words(const struct sp_agent_word *w, uint32_t nr)
{
	uint32_t i = 0;

	for (; i + 4 <= nr; i += 4)
		if (UNLIKELY(differs(w + i) | differs(w + i + 1) | differs(w + i + 2) | differs(w + i + 3)))
			break;
	while (i < nr && !differs(w + i))
		i++;
	return i;
}

/* Steps 1 and 2. Frame 0 is the root, which is always there. */
INLINE uint32_t nr_true_frames(const struct sp_agent_thread *t, uint64_t sp)
{
	const struct sp_agent_frame *f = t->frames;
	uint32_t nr = t->nr_frames;

	while (nr > 1 && f[nr - 1].sp < sp)
		nr--;
	if (nr <= 1)
		return 1;
	uint32_t nr_words = f[nr - 1].nr_words, nr_true = nr_true_words(t->words, nr_words);
	if (LIKELY(nr_true == nr_words))
		return nr;
	while (nr > 1 && f[nr - 1].nr_words > nr_true)
		nr--;
	return nr;
}

INLINE bool is_kept(const struct sp_agent_frame *f, const struct sp_walk *w)
{
	return f->sp == w->sp && f->pc == w->pc && !(f->flags & FRAME_EXACT) == !w->is_exact &&
	       (!(f->flags & FRAME_NEEDS_BP) || f->bp == w->bp);
}

/* ---- the walk ---- */

/* Its outcome: frames kept so far, steps to be kept above them. */
struct walked {
	uint32_t nr_frames, nr_steps;
	bool has_caller; /* the outermost step led to the innermost frame */
	bool is_lasting; /* what the walk depended on is all in the frames and words */
	bool is_guessed; /* it led through code of which nothing is known */
};

static void set_root(struct sp_agent_thread *t, struct walked *r, uint32_t root, const struct sp_walk *w, bool at_zero)
{
	t->frames[0] = (struct sp_agent_frame){.node = root, .flags = FRAME_NEEDS_BP};
	t->frames[0].sp = w->sp;
	t->frames[0].bp = w->bp;
	r->nr_frames = 1;
	r->has_caller = at_zero;
}

/* Step 3. */
INLINE struct walked walk_out(struct sp_agent_thread *t, struct sp_walk *w, const struct bounds *b, uint32_t nr_kept)
{
	struct walked r = {.nr_frames = nr_kept, .has_caller = true, .is_lasting = true};
	uint32_t number = row_gen_number(t->gen);

	for (;; r.nr_steps++) {
		while (r.nr_frames > 1 && t->frames[r.nr_frames - 1].sp < w->sp)
			r.nr_frames--;
		if (r.nr_frames > 1 && is_kept(&t->frames[r.nr_frames - 1], w))
			return r;
		if (r.nr_steps == SP_AGENT_MAX_NEW) {
			set_root(t, &r, SP_AGENT_ROOT_CUT, w, false);
			return r;
		}
		struct sp_agent_step *s = &t->steps[r.nr_steps];
		s->sp = w->sp;
		s->pc = w->pc;
		s->bp = w->bp;
		s->row = row_for(number, w) | (w->is_exact ? ROW_EXACT : 0);
		r.is_guessed |= (s->row & ROW_GUESSED) != 0;
		enum sp_step_end end = step(w, s->row, b);
		if (LIKELY(end == SP_STEP_ON))
			continue;
		r.nr_steps++;
		r.is_lasting = end == SP_STEP_WHOLE || ROW_KIND(s->row) != SP_ROW_RBP_DEREF;
		set_root(t, &r, end == SP_STEP_WHOLE ? SP_AGENT_ROOT_WHOLE : SP_AGENT_ROOT_BROKEN, w,
			 ROW_KIND(s->row) != SP_ROW_END && !w->pc);
		return r;
	}
}

/* A path that says less than there was. */
static COLD void count_end(struct sp_agent_thread *t, uint32_t root)
{
	if (root != SP_AGENT_ROOT_WHOLE)
		count_lost(t, root == SP_AGENT_ROOT_CUT ? SP_LOST_STACK_CUT : SP_LOST_STACK_BROKEN);
}

/* How the path of the innermost of nr frames ends. */
INLINE uint32_t root_of(const struct sp_agent_thread *t, const struct walked *r, uint32_t nr)
{
	if (UNLIKELY(nr - 1 > SP_MAX_FRAMES))
		return SP_AGENT_ROOT_CUT;
	return UNLIKELY(r->is_guessed) ? SP_AGENT_ROOT_BROKEN : t->frames[0].node;
}

/* Step 4. */
INLINE uint32_t keep_steps(struct sp_agent_thread *t, const struct walked *r)
{
	uint32_t nr = r->nr_frames;

	for (uint32_t i = r->nr_steps; i-- > 0;) {
		keep_frame(t, nr, &t->steps[i], r->has_caller || i + 1 < r->nr_steps);
		nr++;
	}
	t->nr_frames = r->is_lasting && !r->is_guessed ? nr : 0;
	t->nr_new_frames += r->nr_steps;
	if (UNLIKELY(root_of(t, r, nr) != SP_AGENT_ROOT_WHOLE))
		count_end(t, root_of(t, r, nr));
	return t->frames[nr - 1].node;
}

/* Is there room for it, and are there as many frames as a path may have, if there are that many? */
INLINE bool is_good(const struct sp_agent_thread *t, const struct walked *r)
{
	if (t->frames[0].node == SP_AGENT_ROOT_CUT && r->nr_frames - 1 + r->nr_steps < SP_MAX_FRAMES)
		return false;
	return r->nr_frames + r->nr_steps <= SP_AGENT_MAX_STACK &&
	       t->frames[r->nr_frames - 1].nr_words + 3 * r->nr_steps <= SP_AGENT_MAX_WORDS;
}

/* The path to the frame at *at, of which the stack up to hi is readable. */
INLINE uint32_t stack_path(struct sp_agent_thread *t, const struct sp_walk *at, uint64_t hi)
{
	struct bounds b = bounds_of(at->sp - 8, hi);
	struct sp_walk w = *at;
	uint32_t gen = LOAD(&header()->gen);

	if (UNLIKELY(t->gen != gen || t->hi != hi)) {
		t->gen = gen;
		t->hi = hi;
		t->nr_frames = 0;
	}
	uint32_t nr = nr_true_frames(t, at->sp);
	t->nr_frames = 0; /* should this be left half way: there is nothing to trust */
	struct walked r = walk_out(t, &w, &b, nr);
	if (UNLIKELY(!is_good(t, &r))) {
		w = *at;
		r = walk_out(t, &w, &b, 1);
	}
	if (UNLIKELY(r.is_guessed)) {
		uint32_t node = leave_unfinished(t, r.nr_steps, at->sp, hi);
		if (node)
			return node;
	}
	return keep_steps(t, &r);
}

#endif
