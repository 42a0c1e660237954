// SPDX-License-Identifier: Apache-2.0
/*
 * The agent: what happens in the target at each call of an allocator function. entry.S calls this; all of it is one
 * translation unit, position independent, without libc, TLS, system calls or registers other than the general ones.
 *
 * Rules:
 * 1. A block is added after the allocator has returned and taken out before the allocator frees it, so a reused address
 *    is never matched wrongly. realloc: taken out, put back when it failed.
 * 2. Allocator functions that call each other are recorded twice; the outer one's record is the later one, at the same
 *    address. Mappings that an allocator makes for itself are not recorded.
 * 3. Every function here may be interrupted by a signal whose handler enters the agent again, never returns here, or
 *    forks. Nothing is locked; what is left half done is found and dropped by the next call.
 * 4. The agent may never fail loudly: it has no way to, and what it could not do is counted.
 */
#include "blob.h"

#include "check.h"
#include "inside.h"
#include "ring.h"
#include "sample.h"
#include "store.h"

#define MAP_FIXED    0x10 /* uapi/asm-generic/mman-common.h */
#define MAP_STACK    0x20000
#define MREMAP_FIXED 2    /* uapi/linux/mman.h */
#define MAX_ERRNO    4095 /* results of mmap from -4095 on are errors */
#define EXPORT       __attribute__((used, visibility("hidden")))
#define UNTIL_HERE   __atomic_signal_fence(__ATOMIC_SEQ_CST) /* for a handler on this thread */

/* ---- the caller's path ---- */

/* An event of this thread is having its stack walked: is it interrupted by us, or was it left by a longjmp? */
static COLD bool is_busy(const struct sp_agent_thread *t, const struct sp_walk *at, uint64_t hi)
{
	uint64_t busy = t->busy;

	if (busy < at->sp || busy >= hi) /* its frame is gone */
		return false;
	struct bounds b = bounds_of(at->sp - 8, hi);
	return find_agent_frame(at, &b, busy + sizeof(struct sp_agent_call), true) != INSIDE_NOT;
}

static inline uint32_t path_of_caller(struct sp_agent_thread *t, uint64_t fs, const struct sp_agent_call *c,
				      uint64_t bp)
{
	struct sp_walk at = {.pc = c->return_address, .sp = (uint64_t)(c + 1), .bp = bp};

	if (UNLIKELY(!t)) {
		count_lost(t, SP_LOST_THREAD_STATE);
		return SP_AGENT_NODE_NONE;
	}
	uint64_t hi = stack_end(t, fs, at.sp);
	if (UNLIKELY(!hi))
		return foreign_path(t, fs, &at);
	if (UNLIKELY(t->busy) && is_busy(t, &at, hi)) {
		count_lost(t, SP_LOST_NESTED);
		return SP_AGENT_NODE_NONE;
	}
	t->busy = (uint64_t)c;
	UNTIL_HERE;
	uint32_t node = stack_path(t, &at, hi);
	check_path(t, node, &at, hi);
	UNTIL_HERE;
	t->busy = 0;
	if (UNLIKELY(!node))
		count_lost(t, SP_LOST_PATHS_FULL);
	return node;
}

/* ---- allocations ---- */

/* Saturating, so that a product that overflows is not taken for something small (the call will fail). */
static inline uint64_t product(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}

static inline uint64_t requested_size(const struct sp_agent_call *c)
{
	if (LIKELY(c->hook->kind == SP_KIND_MALLOC))
		return c->args[c->hook->size_arg & 3];
	if (c->hook->kind == SP_KIND_CALLOC)
		return product(c->args[0], c->args[1]);
	if (c->hook->kind == SP_KIND_REALLOCA)
		return product(c->args[1], c->args[2]);
	return c->args[c->hook->size_arg & 3];
}

INLINE void record(const struct sp_agent_call *c, uint64_t addr, uint64_t bp)
{
	uint64_t fs = thread_pointer();
	struct sp_agent_thread *t = thread_of(fs);
	struct sp_agent_value v = {.size = requested_size(c), .mean = c->mean};

	v.node = path_of_caller(t, fs, c, bp);
	v.tick = LOAD(&header()->tick);
	put_block(t, addr, &v);
	if (LIKELY(t))
		t->nr_allocs++;
}

/* The original has returned. */
EXPORT void sp_agent_alloc_done(const struct sp_agent_call *c, uint64_t bp)
{
	uint64_t addr = c->result;

	if (UNLIKELY(c->hook->kind == SP_KIND_POSIX))
		addr = (uint32_t)addr ? 0 : LOAD((const uint64_t *)c->args[0]);
	if (LIKELY(addr && sp_agent_ctl.active)) /* again: a handler may have forked, and this be the child */
		record(c, addr, bp);
}

/* Sampled mode: not 0 when this call is to be recorded; entry.S has found that it may be. */
EXPORT uint64_t sp_agent_choose(const struct sp_agent_call *c)
{
	struct sp_agent_thread *t = thread_of(thread_pointer());

	if (!t) {
		count_lost(t, SP_LOST_THREAD_STATE);
		return 0;
	}
	return is_chosen(t, requested_size(c)) ? LOAD(&header()->mean) : 0;
}

/* operator new whose nothrow twin found no memory, or has none: this call is not followed. */
EXPORT void sp_agent_not_followed(void)
{
	count_lost(thread_of(thread_pointer()), SP_LOST_THROWING);
}

/* ---- frees ---- */

EXPORT void sp_agent_forget(uint64_t addr)
{
	struct sp_agent_value v;

	take_block(addr, &v);
}

/* ---- realloc ---- */

/* False: nothing to follow. */
EXPORT bool sp_agent_realloc_begin(struct sp_agent_call *c)
{
	bool is_sampled = LOAD(&header()->mode) != SP_AGENT_EXACT;

	c->mean = is_sampled ? sp_agent_choose(c) : 0;
	c->is_recorded = !is_sampled || c->mean;
	c->has_old = c->args[0] && take_block(c->args[0], &c->old);
	return c->is_recorded || c->has_old;
}

static COLD void put_back(const struct sp_agent_call *c)
{
	uint64_t addr = c->args[0], now = LOAD(&header()->tick);
	uint64_t *word;

	put_block(thread_of(thread_pointer()), addr, &c->old);
	word = shadow_find(addr);
	if (word && (uint32_t)now - c->old.tick > SP_AGENT_BIRTH_MASK / 2 && !sp_agent_word_is_in_hash(LOAD(word)))
		STORE(word, sp_agent_word_old(LOAD(word), c->old.tick));
}

EXPORT void sp_agent_realloc_done(const struct sp_agent_call *c, uint64_t bp)
{
	if (!sp_agent_ctl.active)
		return;
	if (c->result && c->is_recorded)
		record(c, c->result, bp);
	else if (!c->result && c->has_old && requested_size(c)) /* of size 0: it was freed */
		put_back(c);
}

/* ---- mappings ---- */

/* What the call takes away may have been known as a place for stacks. */
static void forget_mapping(const struct sp_agent_call *c)
{
	if (c->hook->kind != SP_KIND_MMAP || c->args[3] & MAP_FIXED)
		stacks_forget(c->args[0], c->args[1]);
	if (c->hook->kind == SP_KIND_MREMAP && c->args[3] & MREMAP_FIXED)
		stacks_forget(c->old.size, c->args[2]); /* entry.S keeps the fifth argument there */
}

/* False: nothing to follow. */
EXPORT bool sp_agent_map_begin(const struct sp_agent_call *c, uint64_t bp)
{
	struct sp_walk at = {.pc = c->return_address, .sp = (uint64_t)(c + 1), .bp = bp};
	uint64_t fs = thread_pointer();
	struct sp_agent_thread *t = thread_of(fs);

	forget_mapping(c);
	if (c->hook->kind == SP_KIND_MMAP && c->args[3] & MAP_STACK)
		return false;
	struct bounds b = foreign_bounds(t, fs, at.sp - 8, t != NULL);
	if (is_inner_call(&at, &b))
		return false;
	if (c->hook->kind != SP_KIND_MMAP) /* now: as soon as it is gone another thread may get the range */
		ring_put(t, SP_AGENT_EV_UNMAP, c->hook->fn, c->args[0], c->args[1], SP_AGENT_NODE_NONE);
	return true;
}

/* Where one call in so many is recorded, the mapping calls are among them. */
static bool is_map_chosen(struct sp_agent_thread *t)
{
	if (!LOAD(&header()->is_regular))
		return true;
	if (!t)
		count_lost(t, SP_LOST_THREAD_STATE);
	return t && is_chosen(t, 0);
}

EXPORT void sp_agent_map_done(const struct sp_agent_call *c, uint64_t bp)
{
	uint64_t fs = thread_pointer();
	struct sp_agent_thread *t = thread_of(fs);
	uint32_t kind = c->hook->kind, fn = c->hook->fn;
	bool has_failed = kind == SP_KIND_MUNMAP ? (uint32_t)c->result != 0 : c->result >= (uint64_t)-MAX_ERRNO;

	if (!sp_agent_ctl.active)
		return;
	if (has_failed && kind != SP_KIND_MMAP)
		ring_put(t, SP_AGENT_EV_UNDO, fn, 0, 0, SP_AGENT_NODE_NONE);
	else if (!has_failed && kind != SP_KIND_MUNMAP && is_map_chosen(t))
		ring_put(t, SP_AGENT_EV_MAP, fn, c->result, c->args[kind == SP_KIND_MREMAP ? 2 : 1],
			 path_of_caller(t, fs, c, bp));
}

/* ---- libraries that come and go ---- */

#define RT_DELETE 2 /* <link.h> */

/*
 * The dynamic linker is about to change, or has changed, what is loaded. Our side looks as soon as it can; until then
 * it must be able to tell what was called before from what was called after, so a tick begins here.
 */
EXPORT void sp_agent_loader(void)
{
	const uint32_t *state = (const uint32_t *)sp_agent_config.loader_state;
	struct sp_agent_header *h = header();
	bool is_first = !LOAD(&h->loader_tick), is_ahead = LOAD(&h->tick) - LOAD(&h->clock) >= SP_AGENT_MAX_AHEAD;

	if (!is_first && state && LOAD(state) != RT_DELETE)
		return;
	uint32_t now = is_ahead ? LOAD(&h->tick) + 1 : ADD(&h->tick, 1) + 1;
	STORE(is_first ? &h->loader_tick : &h->unload_tick, now);
	ADD(&h->nr_unknown, 1);
}

/* What entry.S knows of the layouts. */
#include "agent/arch/x86_64/offsets.h"

_Static_assert(offsetof(struct sp_agent_config, header) == CONFIG_HEADER, "entry.S");
_Static_assert(offsetof(struct sp_agent_config, areas) == CONFIG_AREAS, "entry.S");
_Static_assert(offsetof(struct sp_agent_config, thread_mask) == CONFIG_THREAD_MASK, "entry.S");
_Static_assert(offsetof(struct sp_agent_config, max_shadows) == CONFIG_MAX_SHADOWS, "entry.S");
_Static_assert(offsetof(struct sp_agent_config, flags) == CONFIG_FLAGS, "entry.S");
_Static_assert(offsetof(struct sp_agent_config, size_mask) == CONFIG_SIZE_MASK, "entry.S");
_Static_assert(offsetof(struct sp_agent_config, size_add) == CONFIG_SIZE_ADD, "entry.S");
_Static_assert(offsetof(struct sp_agent_ctl, active) == 0, "entry.S");
_Static_assert(offsetof(struct sp_agent_header, mode) == HEADER_MODE, "entry.S");
_Static_assert(offsetof(struct sp_agent_header, nr_filtered) == HEADER_NR_FILTERED, "entry.S");
_Static_assert(offsetof(struct sp_agent_hook, original) == 0, "entry.S");
_Static_assert(offsetof(struct sp_agent_hook, fallback) == HOOK_FALLBACK, "entry.S");
_Static_assert(offsetof(struct sp_agent_hook, kind) == HOOK_KIND, "entry.S");
_Static_assert(offsetof(struct sp_agent_hook, size_arg) == HOOK_SIZE_ARG, "entry.S");
_Static_assert(offsetof(struct sp_agent_thread, countdown) == THREAD_COUNTDOWN, "entry.S");
_Static_assert(offsetof(struct sp_agent_call, args) == CALL_ARGS, "entry.S");
_Static_assert(offsetof(struct sp_agent_call, result) == CALL_RESULT, "entry.S");
_Static_assert(offsetof(struct sp_agent_call, cookie) == CALL_COOKIE, "entry.S");
_Static_assert(offsetof(struct sp_agent_call, mean) == CALL_MEAN, "entry.S");
_Static_assert(offsetof(struct sp_agent_call, old) == CALL_OLD, "entry.S");
_Static_assert(offsetof(struct sp_agent_call, return_address) == CALL_BYTES, "entry.S");
_Static_assert(SP_KIND_MALLOC == KIND_MALLOC && SP_AGENT_EXACT == 0 && SP_AGENT_TINY == 1, "entry.S");
_Static_assert(SP_AGENT_CHUNKS == AREA_CHUNKS && SP_AGENT_SHADOW == AREA_SHADOW && SP_AGENT_FILTER == AREA_FILTER &&
		   SP_AGENT_THREAD_KEYS == AREA_THREAD_KEYS && SP_AGENT_THREADS == AREA_THREADS,
	       "entry.S");
_Static_assert(SP_AGENT_CHUNK_SHIFT == 25 && SP_AGENT_GRANULE_SHIFT == 5 && SP_AGENT_SHADOW_BYTES == 1 << 23 &&
		   SP_AGENT_NR_CHUNKS == 1 << 22 && SP_AGENT_IN_HASH == 0xffff && SP_AGENT_FILTER_BITS == 16 &&
		   SP_AGENT_THREAD_SHIFT == 16 && SP_THREAD_HASH == 0x9e3779b1u,
	       "entry.S");
