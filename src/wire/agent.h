// SPDX-License-Identifier: Apache-2.0
/*
 * What our process and the agent (agent/, runs in the target) say to each other: layouts of what lies in the target.
 *
 *   code region      private, anonymous            data region      one memfd, MAP_SHARED
 *  +------------------------------+ 0             +----------------------------+ 0
 *  | mark (wire/inject.h)         |               | struct sp_agent_header     |
 *  | struct sp_agent_config       | R-X           | areas: see enum            |
 *  | text, constants              |               |  sp_agent_area; where they |
 *  +------------------------------+ code_bytes    |  are stands in the config  |
 *  | struct sp_agent_ctl, a page  | R--,          |                            |
 *  |                              | WIPEONFORK    |                            |
 *  +------------------------------+               +----------------------------+ data_bytes
 *
 * Our side writes the code region through /proc/PID/mem, config and ctl too, so nothing in it is writable for the
 * target. In a child of fork ctl reads as zeroes and every hook passes straight on. The data region is NOT
 * MADV_DONTFORK: a child that fork made in a signal handler which had interrupted the agent goes on in it once, and
 * must find its memory. (What the memfd holds is given back by punching a hole when the watch ends, whoever still maps
 * it. Its pages are made when they are first touched: with vm.overcommit_memory=2, or in a full cgroup, that might
 * fail and would kill the target; there our side makes all of them beforehand.)
 *
 * Our side reads the data region as something a hostile target writes: each value is copied once and checked.
 */
#ifndef SEEP_WIRE_AGENT_H
#define SEEP_WIRE_AGENT_H

#ifdef __bpf__
#error not for BPF programs
#endif
#include <stdint.h>

#include "wire/fns.h"
#include "wire/inject.h"
#include "wire/lost.h"
#include "wire/rows.h"

#define SP_AGENT_MAGIC      0x746e6567612d7073ull /* of the data region's header */
#define SP_AGENT_VERSION    1
#define SP_AGENT_MEMFD      "seep" /* begins the memfd's name; sp_inject_memfd_name() */
#define SP_AGENT_PAGE       4096
#define SP_AGENT_NR_ENTRIES (SP_KIND_MREMAP + 1) /* one a kind (wire/fns.h); kinds without one: 0 */

/*
 * A hook's descriptor; r11 points to it when the agent is entered through one of its entries, everything else is as at
 * the hooked function's own entry.
 */
struct sp_agent_hook {
	uint64_t original; /* the trampoline: call it and the hooked function runs */
	uint64_t fallback; /* SP_KIND_NEW: the same of its nothrow twin; 0: none, the call is counted and passed on */
	uint32_t fn;       /* enum sp_fn */
	uint8_t kind;      /* enum sp_fn_kind */
	uint8_t size_arg;
	uint16_t reserved;
	uint64_t reserved2;
};

/* ---- the code region ---- */

/* The areas of the data region, in this order, each at a page boundary; sizes follow from struct sp_agent_limits. */
enum sp_agent_area {
	SP_AGENT_RANGES,     /* struct sp_row_range, two halves of SP_AGENT_MAX_RANGES */
	SP_AGENT_ROWS,       /* struct sp_row[max_rows] */
	SP_AGENT_ROW_CACHE,  /* uint64_t[1 << SP_AGENT_ROW_CACHE_BITS] */
	SP_AGENT_STACKS,     /* uint64_t, two halves of SP_AGENT_MAX_STACKS: sp_agent_stack() */
	SP_AGENT_UNFINISHED, /* struct sp_agent_unfinished[SP_AGENT_NR_UNFINISHED] */
	SP_AGENT_NODES,      /* struct sp_agent_node[max_nodes] */
	SP_AGENT_INDEX,      /* uint32_t[]: hash tables of node numbers, see agent/tree.h */
	SP_AGENT_KEYS,       /* uint64_t[1 << hash_bits]: addresses of the blocks in the hash */
	SP_AGENT_VALUES,     /* struct sp_agent_value[1 << hash_bits] */
	SP_AGENT_FILTER,     /* uint8_t[1 << SP_AGENT_FILTER_BITS] */
	SP_AGENT_RING,       /* struct sp_agent_event[1 << SP_AGENT_RING_BITS] */
	SP_AGENT_THREAD_KEYS,
	SP_AGENT_THREADS, /* struct sp_agent_thread, each in SP_AGENT_THREAD_BYTES */
	SP_AGENT_CHUNKS,  /* uint32_t[SP_AGENT_NR_CHUNKS]: number of the chunk's shadow, 0: none */
	SP_AGENT_SHADOW,  /* shadows of SP_AGENT_SHADOW_BYTES; number 0 is not used */
	SP_AGENT_NR_AREAS
};

/* What our side decides about sizes. */
struct sp_agent_limits {
	uint32_t max_rows;
	uint32_t max_nodes;   /* of the calling-context tree, at most SP_AGENT_MAX_NODES */
	uint32_t hash_bits;   /* slots of the hash, SP_AGENT_MIN_HASH_BITS to 28 */
	uint32_t thread_bits; /* slots for threads, 4 to 12 */
	uint32_t max_shadows; /* 0: no shadow, all blocks are in the hash */
	uint32_t reserved;
};

#define SP_AGENT_MAX_RANGES     4096
#define SP_AGENT_MAX_STACKS     16384 /* mappings that may hold one */
#define SP_AGENT_ROW_CACHE_BITS 14
#define SP_AGENT_ROW_CACHE_GENS 15 /* publications that its entries tell apart: numbers 1 to 15 */
#define SP_AGENT_MAX_NODES      (1u << 22)
#define SP_AGENT_MIN_HASH_BITS  10
#define SP_AGENT_FILTER_BITS    16
#define SP_AGENT_RING_BITS      15

/* Flags of the config. */
enum {
	/* Two blocks may begin in one granule of 32 bytes. Not so in glibc, whose smallest chunk has 32 bytes. */
	SP_AGENT_TINY = 1,
};

struct sp_agent_config {
	struct sp_inject_mark mark;
	uint64_t magic; /* SP_AGENT_MAGIC */
	uint32_t version;
	uint32_t flags;
	uint64_t code, code_end; /* of the region's text, to know the agent's own frames by */
	uint64_t header;         /* the data region in the target */
	uint64_t data_end;
	uint64_t areas[SP_AGENT_NR_AREAS]; /* addresses */
	uint64_t main_lo, main_hi;         /* where the main thread's stack is, or may grow to */
	uint32_t thread_mask;              /* slots - 1 */
	uint32_t hash_mask;                /* groups of SP_AGENT_GROUP slots - 1 */
	uint32_t max_nodes;
	uint32_t max_shadows;
	uint32_t max_rows;
	uint32_t index_max_bits; /* of the largest table of node numbers */
	/* How a call counts against the interval to the next sampled one: (size & size_mask) + size_add. */
	uint64_t size_mask, size_add; /* by bytes: all ones and 1; by calls: 0 and 1 */
	uint64_t loader_state;        /* address of r_debug.r_state; 0: not known */
	uint64_t reserved[7];
};

/* The page behind the text. Zeroed in children of fork. */
struct sp_agent_ctl {
	uint32_t active; /* 0: every hook passes on */
	uint32_t reserved[15];
};

/* What the build makes of the agent (tools/embed-agent.c). Config and ctl are zeroes in it. */
struct sp_agent_blob {
	const uint8_t *bytes;
	uint32_t code_bytes; /* whole pages; ctl is the page after them */
	uint32_t nr_rows;
	const struct sp_row *rows;             /* of its own code, pc 0 is the region's beginning */
	uint32_t entries[SP_AGENT_NR_ENTRIES]; /* offset of the entry for each kind; 0: not for hooks */
};

#define SP_AGENT_MAX_CODE_BYTES (32u << 10)

/* ---- the header of the data region ---- */

enum sp_agent_mode {
	SP_AGENT_EXACT,   /* every block */
	SP_AGENT_SAMPLED, /* a block now and then, by chance or one in so many */
};

/* Why the agent went from exact to sampled, or sampled less, by itself. */
enum sp_agent_degraded {
	SP_AGENT_DEGRADED_NOT,
	SP_AGENT_DEGRADED_SHADOW, /* no room for the shadow of a part of the heap */
	SP_AGENT_DEGRADED_HASH,   /* the hash is full */
};

#define SP_AGENT_TICK_NS 10000000ull /* unit of birth times */
/* What the dynamic linker does begins a tick of its own, so that births are before it or after it. */
#define SP_AGENT_MAX_AHEAD 16
#define SP_AGENT_MAX_MEAN  (1ull << 40)

struct sp_agent_header {
	uint64_t magic;
	uint32_t version;
	uint32_t watcher_pid; /* who watches, and its start time (field 22 of stat) */
	uint64_t watcher_start;
	uint64_t watcher_pid_ns;
	struct sp_agent_limits limits;
	uint64_t pad[1];

	/* Written by our side, read at each event. A line of its own. */
	uint32_t
	    tick; /* time since the watch began, in SP_AGENT_TICK_NS, from 1 on; never 0; the agent may add to it */
	uint32_t mode; /* enum sp_agent_mode; the agent may change it from exact to sampled */
	uint64_t mean; /* of the intervals between sampled calls, at most 1 << 40; the agent may double it */
	uint32_t gen;  /* of the row tables: one more with each publication; its lowest bit is the half in use */
	uint32_t nr_ranges[2];    /* in each half */
	uint32_t is_regular;      /* intervals are of calls, `mean` on the average; else by chance, Poisson */
	uint64_t ring_tail;       /* events that our side has taken */
	uint32_t stacks_gen;      /* one more with each publication of mappings; its lowest bit is the half in use */
	uint32_t nr_stacks[2];    /* in each half */
	uint32_t clock;           /* the tick by the clock; that above may be SP_AGENT_MAX_AHEAD more */
	uint64_t unfinished_tail; /* walks that our side has taken */

	/* Written by the agent, seldom. */
	uint32_t nr_nodes;         /* given out, number 0 included */
	uint32_t index_bits;       /* the table of node numbers in use */
	uint32_t nr_shadows;       /* given out, number 0 included */
	uint32_t nr_filtered;      /* blocks that are in the hash and counted in the filter */
	uint32_t degraded;         /* enum sp_agent_degraded */
	uint32_t loader_tick;      /* when the dynamic linker first acted since our side looked; 0: it has not */
	uint32_t unload_tick;      /* until when libraries went after that; 0: none did */
	uint64_t nr_unknown;       /* pcs outside all ranges: time to look at the mappings */
	uint64_t nr_foreign;       /* events on a stack in no known mapping: time to look at them */
	uint64_t nr_unmapped;      /* mappings about to go or to be replaced */
	uint64_t ring_head;        /* events begun */
	uint64_t unfinished_head;  /* walks begun to be left */
	uint64_t nr_differences;   /* checking build: stacks that were not what a full walk says */
	uint64_t nr_checked;       /* checking build: stacks compared */
	uint64_t lost[SP_NR_LOST]; /* of threads without state of their own */
};

/* ---- live blocks: the shadow ---- */

/*
 * One word for each granule of 32 bytes, in shadows of chunks of 32 MB. What a word says:
 *
 *     63        42 41        26 25          3  2  1   0
 *    +------------+------------+-------------+---+------+
 *    |    node    |    size    |    birth    |old| where|
 *    +------------+------------+-------------+---+------+
 *
 * 0: no block begins here. size < SP_AGENT_IN_HASH: one does, `where` * 8 bytes after the granule's beginning; birth in
 * ticks (modulo 2^23), or, when `old`, in units of 2^SP_AGENT_OLD_SHIFT ticks. Else: the blocks that begin here are in
 * the hash, `node` says how many.
 */
#define SP_AGENT_CHUNK_SHIFT   25
#define SP_AGENT_GRANULE_SHIFT 5
#define SP_AGENT_ADDRESS_BITS  47
#define SP_AGENT_NR_CHUNKS     (1u << (SP_AGENT_ADDRESS_BITS - SP_AGENT_CHUNK_SHIFT))
#define SP_AGENT_SHADOW_BYTES  (8u << (SP_AGENT_CHUNK_SHIFT - SP_AGENT_GRANULE_SHIFT))
#define SP_AGENT_IN_HASH       0xffffu
#define SP_AGENT_BIRTH_BITS    23
#define SP_AGENT_OLD_SHIFT     9 /* units of 5 s, for 497 days: all that 32 bits of ticks can say */

/* ---- live blocks: the hash ---- */

/*
 * Groups of SP_AGENT_GROUP keys, a cache line each; a block is in one of two groups (pure/agent.h). A key is the
 * block's address, 0: free. In its low bits:
 */
#define SP_AGENT_GROUP 8
enum {
	SP_AGENT_KEY_BUSY = 1,     /* the value is being written */
	SP_AGENT_KEY_FILTERED = 2, /* found by the filter; else by its granule's word or, without shadow, always */
};
#define SP_AGENT_KEY_FLAGS 7ull

struct sp_agent_value {
	uint64_t size;
	uint32_t node;
	uint32_t tick;
	uint64_t mean; /* of the sampling that chose it, as in the header; 0: it is one of all */
};

/* ---- call paths: the calling-context tree ---- */

/* Numbers of nodes that are roots. Paths end there, and the root says how. */
enum sp_agent_root {
	SP_AGENT_NODE_NONE,       /* no path is known */
	SP_AGENT_ROOT_WHOLE,      /* the outermost frame was reached */
	SP_AGENT_ROOT_BROKEN,     /* ended before it */
	SP_AGENT_ROOT_CUT,        /* deeper than could be kept */
	SP_AGENT_ROOT_UNFINISHED, /* struct sp_agent_unfinished has the path of this node */
	SP_AGENT_NR_ROOTS
};

struct sp_agent_node {
	uint32_t parent; /* smaller than its own number: walks to the root end */
	uint32_t ready;  /* not 0 when the rest is written */
	uint64_t pc;     /* return address, or where a signal came; SP_AGENT_PC_GUESSED */
};

#define SP_AGENT_PC_GUESSED (1ull << 63) /* nothing is known of this code: what follows outwards is a guess */
#define SP_AGENT_PC_MASK    ((1ull << SP_AGENT_ADDRESS_BITS) - 1)

/* ---- mapping events ---- */

enum sp_agent_event_kind {
	SP_AGENT_EV_NONE,
	SP_AGENT_EV_MAP,   /* addr, size: a new mapping */
	SP_AGENT_EV_UNMAP, /* addr, size: about to go */
	SP_AGENT_EV_UNDO,  /* the last UNMAP of this thread failed */
};

struct sp_agent_event {
	uint64_t seq; /* 1 + the event's number, written last; another value: not there yet */
	uint64_t addr, size;
	uint32_t node;
	uint32_t tick;
	uint32_t kind; /* enum sp_agent_event_kind */
	uint32_t fn;
	uint32_t thread; /* 1 + number of the thread's slot; 0: it has none */
	uint32_t reserved[5];
};

/* ---- walks that come to code of which nothing is known (agent/unfinished.h) ---- */

#define SP_AGENT_NR_UNFINISHED 256
#define SP_AGENT_STACK_BYTES   8192

struct sp_agent_unfinished {
	uint64_t seq;      /* 1 + the record's number, written last; another value: not there yet */
	uint64_t sp, bp;   /* at the last of the pcs */
	uint32_t node;     /* SP_AGENT_NODE_NONE: nothing */
	uint32_t nr;       /* pcs */
	uint32_t len;      /* bytes of the stack */
	uint32_t is_exact; /* the last pc is no return address */
	uint64_t pcs[SP_MAX_FRAMES];
	uint64_t stack[SP_AGENT_STACK_BYTES / 8]; /* from sp upwards */
};

/* ---- threads ---- */

#define SP_AGENT_MAX_STACK    512  /* frames kept of a thread's last walk */
#define SP_AGENT_MAX_WORDS    1300 /* words of the stack that they were read from */
#define SP_AGENT_MAX_NEW      255  /* frames of one walk */
#define SP_AGENT_THREAD_SHIFT 16
#define SP_AGENT_THREAD_BYTES (1u << SP_AGENT_THREAD_SHIFT)

/* A frame of the last walk; see agent/stack.h. */
struct sp_agent_frame {
	uint64_t sp, pc, bp;
	uint32_t node;
	uint16_t nr_words; /* of the frames outwards of it, and its own */
	uint8_t flags;
	uint8_t reserved;
};

struct sp_agent_word {
	uint64_t slot, value;
};

/* A frame that has just been walked. */
struct sp_agent_step {
	uint64_t sp, pc, bp;
	uint64_t row; /* as in the row cache, and flags: agent/stack.h */
};

struct sp_agent_thread {
	/* written by our side */
	uint64_t lo; /* from here to the thread pointer its stack is mapped; 0: not known yet */
	uint64_t reserved;
	/* the agent's own */
	int64_t countdown; /* to the next sampled call */
	uint64_t random;
	uint64_t busy;        /* sp of the event whose stack is being walked; 0: none */
	uint64_t inside;      /* sp of the call of an allocator function that is under way; 0: none */
	uint64_t is_counting; /* countdown has been drawn */
	uint64_t hi;          /* of the stack that the frames are of */
	uint32_t gen;         /* of the rows that they were walked with */
	uint32_t nr_frames;
	uint64_t nr_allocs, nr_frees, nr_new_frames;
	uint64_t lost[SP_NR_LOST];
	struct sp_agent_frame frames[SP_AGENT_MAX_STACK]; /* outermost first */
	struct sp_agent_word words[SP_AGENT_MAX_WORDS];
	struct sp_agent_step steps[SP_AGENT_MAX_NEW + 1];
	uint64_t nr_foreign;             /* walks on other stacks begun; agent/foreign.h */
	uint64_t foreign[SP_MAX_FRAMES]; /* the pcs of the last one */
};

_Static_assert(sizeof(struct sp_agent_hook) == 32, "layout shared with the agent");
_Static_assert(sizeof(struct sp_agent_value) == 24, "layout shared with the agent");
_Static_assert(sizeof(struct sp_agent_node) == 16, "layout shared with the agent");
_Static_assert(sizeof(struct sp_agent_event) == 64, "layout shared with the agent");
_Static_assert(sizeof(struct sp_agent_frame) == 32, "layout shared with the agent");
_Static_assert(sizeof(struct sp_agent_ctl) == 64, "layout shared with the agent");
_Static_assert(sizeof(struct sp_agent_config) <= 512, "as much room as agent.ld leaves");
_Static_assert(sizeof(struct sp_agent_thread) <= SP_AGENT_THREAD_BYTES, "a thread's state fits in its place");
_Static_assert(sizeof(struct sp_agent_header) <= SP_AGENT_PAGE, "areas begin at the next page");
_Static_assert(SP_AGENT_MAX_NODES == 1u << 22, "as many as a shadow word can name");

#endif
