// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    sorts a process' mappings into segments (stack, heap, data...), adds them up, compares two looks, and says
 * in one sentence where the process' memory is and whether that can leak. Runs in: our process, any thread. May not: do
 * I/O, know where its numbers come from, call anything leaked. Owns:    the list it returns, until sp_segments_done().
 * Its rows point into what they were made from. Fails by: -ENOMEM.
 */
#ifndef SEEP_SEGMENTS_SEGMENTS_H
#define SEEP_SEGMENTS_SEGMENTS_H

#include "base/base.h"
#include "proc/smaps.h"

/* Can memory of a kind be lost by a mistake of the program? */
enum sp_can_leak {
	SP_CAN_LEAK_NO,
	SP_CAN_LEAK_YES,
	SP_CAN_LEAK_SPACE, /* address space only: the kernel takes the pages back when it needs them */
};

/* id, key, name, can it leak, who frees it. The order is that of reports. */
#define SP_SEGMENTS(X)                                                                                                 \
	X(HEAP, "heap", "heap", YES, "the program, by free(); the top goes back to the kernel")                        \
	X(MALLOC, "malloc", "malloc's mappings", YES, "the program, by free()")                                        \
	X(ANON, "anonymous", "anonymous maps", YES, "whoever called mmap(), by munmap()")                              \
	X(SHARED, "shared", "shared memory", YES, "its last user; may outlive the process: seep shm")                  \
	X(STACK, "stack", "stack", NO, "functions that return")                                                        \
	X(THREAD_STACK, "thread_stack", "thread stacks", NO, "the thread's end, if it is joined or detached")          \
	X(DATA, "data", "data and bss", NO, "nobody: its size is fixed")                                               \
	X(READONLY, "readonly", "read-only", NO, "nobody: code and constants of files")                                \
	X(FILE, "file", "mapped files", SPACE, "whoever called mmap(), by munmap()")                                   \
	X(DEVICE, "device", "device memory", SPACE, "its driver")                                                      \
	X(RESERVED, "reserved", "reserved", SPACE, "whoever called mmap(); nothing is in it")                          \
	X(KERNEL, "kernel", "vdso", NO, "the kernel")

enum sp_segment_kind {
#define SP_SEGMENT_ENUM(id, key, name, leak, freed) SP_SEGMENT_##id,
	SP_SEGMENTS(SP_SEGMENT_ENUM)
#undef SP_SEGMENT_ENUM
	    SP_NR_SEGMENTS
};

const char *sp_segment_key(enum sp_segment_kind k);  /* for JSON */
const char *sp_segment_name(enum sp_segment_kind k); /* for people */
enum sp_can_leak sp_segment_can_leak(enum sp_segment_kind k);
const char *sp_segment_freed_by(enum sp_segment_kind k);

/* ---- what else is known of the process ---- */

struct sp_segment_thread {
	pid_t tid;
	uint64_t sp; /* 0: not known */
};

/* Memory that belongs to an allocator. */
struct sp_segment_region {
	uint64_t start, end;
	const char *owner; /* "glibc" */
};

struct sp_segment_facts {
	const struct sp_segment_thread *threads; /* by sp */
	size_t nr_threads;
	const struct sp_segment_region *regions; /* by start */
	size_t nr_regions;
	const struct sp_data_range *data; /* of programs and libraries, by start */
	size_t nr_data;
	const uint64_t *memory_devices; /* file systems that live in memory, by st_dev */
	size_t nr_memory_devices;
};

/* ---- segments ---- */

struct sp_segment {
	const struct sp_smap *smap;
	enum sp_segment_kind kind;
	pid_t tid;           /* whose stack it is; 0: nobody's */
	const char *owner;   /* the allocator that has most of it; NULL: none that is known */
	uint64_t owned;      /* bytes of address space that belong to it */
	bool is_new;         /* not there at the look before */
	int64_t growth;      /* of what is resident or swapped, since the look before */
	int64_t growth_size; /* of address space */
};

struct sp_segment_sum {
	uint64_t nr, size, resident, pss, unique, dirty, swapped,
	    huge; /* bytes but for nr; unique: of this process alone */
	int64_t growth, growth_size;
};

struct sp_segments {
	struct sp_segment *list; /* by address */
	size_t nr;
	struct sp_segment_sum sums[SP_NR_SEGMENTS], total;
};

/* `smaps` and the facts' strings must outlive *ret. */
sp_must_check int sp_segments_of(const struct sp_smaps *smaps, const struct sp_segment_facts *facts,
				 struct sp_segments *ret);
void sp_segments_done(struct sp_segments *s);

/* Fills in what has grown against an earlier look at the same process. */
void sp_segments_compare(struct sp_segments *now, const struct sp_segments *before);

/* ---- the verdict ---- */

/* What the allocators hold, together. */
struct sp_segment_heap {
	bool is_known;                    /* somebody understood the heap */
	uint64_t used, free;              /* bytes in blocks in use; free inside */
	uint64_t held;                    /* bytes of its regions in memory */
	uint64_t used_held;               /* of them, under blocks in use */
	bool has_growth;                  /* the next two are known */
	int64_t growth_used, growth_held; /* since the look before */
	const char *name;                 /* "glibc"; of several, the largest */
};

/* id, key, commands to type next (%d: the process): when it is what there is most of, when it is what grew */
#define SP_SEGMENT_CAUSE(X)                                                                                            \
	X(NOTHING, "nothing", "", "")                                                                                  \
	X(HEAP, "heap", "seep scan %d", "seep trace %d")                                                               \
	X(IDLE_HEAP, "idle_heap", "", "")                                                                              \
	X(HEAP_UNKNOWN, "heap_unknown", "seep trace %d", "seep trace %d")                                              \
	X(ANON, "anonymous", "seep trace --growth %d", "seep trace --growth %d")                                       \
	X(SHARED, "shared", "seep shm", "seep shm")                                                                    \
	X(STACKS, "stacks", "ls /proc/%d/task | wc -l", "ls /proc/%d/task | wc -l")                                    \
	X(FIXED, "fixed", "", "")                                                                                      \
	X(FILES, "files", "", "")                                                                                      \
	X(RESERVED, "reserved", "", "")

enum sp_segment_cause {
#define SP_SEGMENT_CAUSE_ENUM(id, key, next, grown) SP_SEGMENT_IS_##id,
	SP_SEGMENT_CAUSE(SP_SEGMENT_CAUSE_ENUM)
#undef SP_SEGMENT_CAUSE_ENUM
	    SP_NR_SEGMENT_CAUSES
};

struct sp_segment_verdict {
	enum sp_segment_cause cause;
	bool is_growth;    /* about what grew, not about what there is */
	uint64_t amount;   /* bytes that it is about */
	uint64_t reserved; /* address space without memory, when it is most of what there is */
	uint64_t span_ns;  /* between the looks; 0: only one */
};

/* span_ns: between the two looks that were compared; 0: there was one. `heap` may be unknown. */
struct sp_segment_verdict sp_segments_judge(const struct sp_segments *s, const struct sp_segment_heap *heap,
					    uint64_t span_ns);
const char *sp_segment_cause_key(enum sp_segment_cause c);

/* The sentence, without a full stop; 512 bytes are enough. Returns buf. */
const char *sp_segments_sentence(const struct sp_segment_verdict *v, const struct sp_segments *s,
				 const struct sp_segment_heap *heap, char *buf, size_t size);

/* The command to type next; "" when there is none. Returns buf. */
const char *sp_segments_next(const struct sp_segment_verdict *v, pid_t pid, char *buf, size_t size);

#endif
