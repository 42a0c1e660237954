// SPDX-License-Identifier: Apache-2.0
/*
 * Marking: what it works with. Inside the room only.
 *
 * Work is done a window (256 KiB) at a time and not a block at a time, because the memory is somebody else's: a read
 * costs a system call. A pointer to an unreached block makes it grey and queues its window; a window that comes to its
 * turn has gathered many grey blocks by then, is read once, and its grey blocks are looked at until none is left. A
 * window with few of them is read block by block, small ones a page at a time through a cache. The queue holds each
 * window at most once, so nothing overflows and no block is forgotten, whatever the shape of the graph. A list is the
 * shape where each block makes one other grey: the block that was made grey last is looked at next, so that nobody
 * searches for it.
 */
#ifndef SEEP_HEAP_MARK_H
#define SEEP_HEAP_MARK_H

#include "heap/index.h"

enum sp_phase {
	SP_PHASE_REACH,     /* from roots: UNREACHED, MAYBE -> REACHED; by a pointer into the middle -> MAYBE */
	SP_PHASE_POSSIBLE,  /* from the MAYBE: UNREACHED -> POSSIBLE */
	SP_PHASE_REFERENCE, /* between unreached blocks: UNREACHED -> MAYBE */
	SP_PHASE_INDIRECT,  /* from leaked blocks: MAYBE -> INDIRECT */
	SP_PHASE_RING,      /* from one block of a ring: the same, and LEAKED -> INDIRECT */
	SP_PHASE_SPARE,     /* from blocks that were not leaked after all: LEAKED, INDIRECT -> REACHED */
	SP_PHASE_TRAIL,     /* trail.c: changes no code, sp_trail_take() hears of each pointer */
};

/* Blocks of a window that are read one by one: a read costs about as much as copying 20 KiB. */
enum { SP_WINDOW_FEW = 6 };

/* Pages that have been read: page_cache.c. Begins as {}. */
struct sp_page_cache {
	bool is_asked_for;
	size_t nr;       /* lines; 0: no room */
	uint64_t *pages; /* the address of the page in each line, 0: none */
	unsigned char *lines;
};

/* The bytes of the page at an address, good until the next call; NULL: no cache, or it cannot be read. */
const unsigned char *sp_page_cache_get(struct sp_page_cache *c, struct sp_heap *h, uint64_t page);
void sp_page_cache_done(struct sp_page_cache *c, struct sp_heap *h);

/* A stretch of roots. */
struct sp_root {
	uint64_t start, end;
};

struct sp_marker {
	struct sp_heap *h;
	enum sp_phase phase;
	uint64_t current; /* the block that is being looked at, 0: none */
	uint64_t leader;  /* SP_PHASE_RING */
	struct sp_region *last;
	uint64_t *queue; /* of windows: number of the region << 32 | number of the window */
	size_t queue_cap, queue_first, queue_nr;
	const struct sp_window *now;    /* that is being worked on */
	uint64_t fresh;                 /* the block in it that was made grey last, 0: none */
	unsigned char *window, *stream; /* SP_WINDOW bytes each */
	struct sp_page_cache cache;
};

sp_must_check int sp_marker_init(struct sp_marker *mk, struct sp_heap *h);
void sp_marker_done(struct sp_marker *mk);

/* Every word of a stretch of memory, of a list; the list's words stand at `at` and behind it. */
void sp_mark_range(struct sp_marker *mk, uint64_t start, uint64_t end);
void sp_mark_words(struct sp_marker *mk, const uint64_t *words, size_t nr, uint64_t at);

/* A word that is as good as a pointer to the beginning, wherever into the block it leads. */
void sp_mark_good_word(struct sp_marker *mk, uint64_t word, uint64_t at);

/* Makes the extent's block grey with this code and queues it. */
void sp_mark_grey(struct sp_marker *mk, const struct sp_extent *e, uint8_t code);

/* Every word of a block; the part of it in window `number` is at `loaded` unless that is NULL. */
void sp_mark_block(struct sp_marker *mk, const struct sp_extent *e, const unsigned char *loaded, size_t number);

/* The bytes of a window: good until the next one is loaded. */
const unsigned char *sp_mark_load(struct sp_marker *mk, struct sp_region *r, size_t number);

/* Looks at grey blocks until there is none. */
void sp_mark_drain(struct sp_marker *mk);

/* ---- each.c ---- */

/* Every extent with this code, by address; fn may change codes. */
typedef void (*sp_extent_fn)(struct sp_marker *mk, const struct sp_extent *e);
void sp_mark_each(struct sp_marker *mk, enum sp_code code, sp_extent_fn fn);
void sp_mark_each_in(struct sp_marker *mk, struct sp_region *r, enum sp_code code, sp_extent_fn fn);

/* ---- roots.c ---- */

enum sp_roots {
	SP_ROOTS_LASTING = 1, /* variables, control blocks of threads, what the kernel keeps */
	SP_ROOTS_STACKS = 2,  /* stacks as far as they can be told, and registers: here today */
	SP_ROOTS_ALL = 3,
};

/* Memory that may point to blocks and is not a block: struct sp_root, by address, disjoint; regions not cut out yet. */
sp_must_check int sp_roots_find(struct sp_heap *h, enum sp_roots which, struct sp_vec *ret);

/* ---- classify.c ---- */

/* Looks at all roots, in the marker's phase. */
sp_must_check int sp_mark_roots(struct sp_marker *mk, enum sp_roots which);

/* ---- trail.c ---- */

/*
 * A pointer to the block of `e` stands at `at`. is_good: it means the block wherever into it it leads. e->end may be
 * missing when ptr is the block's beginning.
 */
void sp_trail_take(struct sp_marker *mk, const struct sp_extent *e, uint64_t ptr, uint64_t at, bool is_good);

/* ---- interior.c ---- */

/* Whether a vtable may be there: in pages of a file that are not written to, with room before it for its head. */
bool sp_interior_is_constant(const struct sp_heap *h, uint64_t addr);

/* Whether a pointer into the middle is of a kind that means the whole block (see there). `e` contains ptr. */
bool sp_interior_is_good(struct sp_heap *h, const struct sp_extent *e, uint64_t ptr);

#endif
