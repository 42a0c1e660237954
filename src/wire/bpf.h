// SPDX-License-Identifier: Apache-2.0
/* What the BPF programs and the bpf engine say to each other. Fixed layouts, checked on the engine's side. */
#ifndef SEEP_WIRE_BPF_H
#define SEEP_WIRE_BPF_H

#include "wire/fns.h"
#include "wire/lost.h"
#include "wire/rows.h"

#ifdef __bpf__
typedef __u64 sp_w64;
typedef __u32 sp_w32;
#else
#include <stdint.h>
typedef uint64_t sp_w64;
typedef uint32_t sp_w32;
#endif

/* A probe's cookie: everything a program must know of the function it sits on. */
#define SP_COOKIE(fn, kind, size_arg) ((sp_w64)(fn) | (sp_w64)(kind) << 8 | (sp_w64)(size_arg) << 16)
#define SP_COOKIE_FN(c)               ((sp_w32)((c)&0xff))
#define SP_COOKIE_KIND(c)             ((sp_w32)((c) >> 8 & 0xff))
#define SP_COOKIE_SIZE_ARG(c)         ((sp_w32)((c) >> 16 & 0xff))

/*
 * Map `blocks`: key -> block. The key is the address; in a process, the number of programs that it has executed is
 * mixed into the upper byte (where addresses have none), so that a block of the program before is never taken for one
 * of the present program at the same address.
 */
#define SP_BLOCK_KEY(addr, nr_execs) ((addr) ^ (sp_w64)((nr_execs)&0xff) << 56)

struct sp_bpf_block {
	sp_w64 size;
	sp_w64 birth_ns;
	sp_w64 path; /* key in `paths`, 0: unknown */
	sp_w32 fn;
	sp_w32 pad;
};

enum {
	SP_PATH_CUT = 1,     /* deeper than SP_MAX_FRAMES */
	SP_PATH_BROKEN = 2,  /* ended before the outermost frame */
	SP_PATH_UNKNOWN = 4, /* stopped at code that the tables do not have yet */
};

/* Map `paths`: hash of the pcs -> the pcs. */
struct sp_bpf_path {
	sp_w64 check; /* a second, independent hash: equal keys with another check are a collision */
	sp_w32 nr;
	sp_w32 flags; /* SP_PATH_* */
	sp_w64 pcs[SP_MAX_FRAMES];
};

/* Map `ranges`, mapped by the engine: struct sp_row_range of the target's executable mappings, in two halves; one is in
 * use while the other is rewritten. */

/* Map `ctl`, one element, mapped by the engine. */
struct sp_bpf_ctl {
	sp_w32 gen;          /* of the tables: one more with each publication; its lowest bit is the half in use */
	sp_w32 nr_ranges[2]; /* in each half */
	sp_w32 active;       /* 0: programs do nothing */
	sp_w64 exec_ns;      /* when the target last became another program; older blocks are void */
	sp_w64 nr_unknown;   /* pcs outside all ranges: time to read the maps again */
	sp_w32 tgid;         /* of the target in the initial pid namespace; 0 until the first hit */
	sp_w32 nr_execs;
	sp_w32 asked;       /* the gen in which the engine was asked to look at the mappings */
	sp_w32 stacks_left; /* how many SP_BEV_STACK may be sent until the tables change again */
	sp_w64 loader_ns;   /* when the dynamic linker first did something since the engine's last look; 0: nothing */
	sp_w32 nr_runs;     /* of faulted pages, ever (bpf/growth.bpf.h) */
	sp_w32 pad;
	sp_w64 unload_ns; /* when it last began to take something away since then; 0: it did not */
	sp_w64 r_debug;   /* where it says what it does: struct r_debug (<link.h>); 0: not known */
};

/* Map `row_cache`, mapped by the engine: see bpf/walk.bpf.h. */
#define SP_ROW_CACHE_BITS 16
#define SP_ROW_CACHE_GENS 16 /* publications that its entries tell apart */

/* Events in the ring buffer: mappings and execs (always), and every call for `memleak -t`. */
enum sp_bpf_event_kind {
	SP_BEV_MMAP = 1,   /* addr, size: a new mapping */
	SP_BEV_UNMAP,      /* addr, size: about to go (at entry: nobody can have got the range yet) */
	SP_BEV_UNMAP_UNDO, /* the last UNMAP of this thread failed */
	SP_BEV_STACK,      /* struct sp_bpf_stack: a walk to be finished by the engine */
	SP_BEV_LOOK,       /* a walk met code outside all ranges: time to look at the mappings */
	SP_BEV_EXEC,       /* the target has become another program */
	SP_BEV_ENTER,      /* size */
	SP_BEV_ALLOC,      /* addr, size */
	SP_BEV_FREE,       /* addr, size */
};

struct sp_bpf_event {
	sp_w64 time_ns;
	sp_w64 addr, size;
	sp_w64 path;
	sp_w32 pid, tid;
	sp_w32 kind, fn;
	sp_w32 cpu, pad;
	char comm[16];
};

/*
 * A call path that goes through code mapped a moment ago, of which the tables know nothing yet: what has been walked,
 * and the stack from there on. The engine looks at the mappings and finishes the walk.
 */
#define SP_STACK_BYTES 8192
struct sp_bpf_stack {
	struct sp_bpf_event event; /* .path: the key that blocks name it by */
	sp_w64 sp, bp;             /* at the last of the pcs */
	sp_w32 nr;
	sp_w32 is_exact; /* the last pc is no return address */
	sp_w32 len;      /* of bytes that could be read */
	sp_w32 pad;
	sp_w64 pcs[SP_MAX_FRAMES];
	unsigned char bytes[SP_STACK_BYTES]; /* from sp upwards */
};

#ifndef __bpf__
_Static_assert(sizeof(struct sp_bpf_stack) == 72 + 32 + 8 * SP_MAX_FRAMES + SP_STACK_BYTES, "layout shared with BPF");
_Static_assert(sizeof(struct sp_bpf_block) == 32, "layout shared with BPF");
_Static_assert(sizeof(struct sp_bpf_path) == 16 + 8 * SP_MAX_FRAMES, "layout shared with BPF");
_Static_assert(sizeof(struct sp_bpf_ctl) == 80, "layout shared with BPF");
_Static_assert(sizeof(struct sp_bpf_event) == 72, "layout shared with BPF");
#endif

#endif
