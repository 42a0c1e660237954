// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    from looks at a machine's memory and its processes: what changed, whose it is, whether it still grows, and
 *          the one sentence that says so. Also vmstat's line.
 * Runs in: our process; an object is used by one thread at a time.
 * May not: do I/O, look at a clock, know where numbers come from.
 * Owns:    the processes' histories, bounded at birth.
 * Fails by: -ENOMEM. What finds no room is counted.
 */
#ifndef SEEP_TRIAGE_TRIAGE_H
#define SEEP_TRIAGE_TRIAGE_H

#include <sys/types.h>

#include "base/base.h"
#include "proc/system.h"

/* ---- where a machine's memory is: kinds that do not overlap, and their sum with `free` is the total ---- */

/*        id            key                   words, behind "of" or before "grew" */
#define SP_MEM(X)                                                                                                      \
	X(ANON, "anonymous", "anonymous memory")                                                                       \
	X(CACHE, "page_cache", "page cache")                                                                           \
	X(BUFFERS, "buffers", "buffers")                                                                               \
	X(SHMEM, "shared", "shared memory, tmpfs")                                                                     \
	X(SLAB_GIVES, "slab_reclaimable", "reclaimable slab")                                                          \
	X(SLAB, "slab_unreclaimable", "unreclaimable slab")                                                            \
	X(TABLES, "page_tables", "page tables")                                                                        \
	X(STACKS, "kernel_stacks", "kernel stacks")                                                                    \
	X(PERCPU, "per_cpu", "per-cpu memory")                                                                         \
	X(HUGE, "huge_pages", "huge page pool")                                                                        \
	X(LISTS, "free_lists", "free lists of CPUs")                                                                   \
	X(OTHER, "kernel_other", "other kernel memory")

enum sp_mem {
#define SP_MEM_ID(id, key, words) SP_MEM_##id,
	SP_MEM(SP_MEM_ID)
#undef SP_MEM_ID
	    SP_NR_MEM
};

const char *sp_mem_key(enum sp_mem kind);   /* for JSON */
const char *sp_mem_words(enum sp_mem kind); /* for people */

struct sp_machine {
	uint64_t total, free, available, swap_used, committed;
	uint64_t mem[SP_NR_MEM];
};

struct sp_machine sp_machine_of(const struct sp_meminfo *m);

/* ---- vmstat(8)'s line ---- */

/*     key, width of its column */
#define SP_VMSTAT(X)                                                                                                   \
	X(r, 2)                                                                                                        \
	X(b, 2)                                                                                                        \
	X(swpd, 6)                                                                                                     \
	X(free, 6)                                                                                                     \
	X(buff, 6)                                                                                                     \
	X(cache, 6) X(si, 4) X(so, 4) X(bi, 5) X(bo, 5) X(in, 4) X(cs, 4) X(us, 2) X(sy, 2) X(id, 2) X(wa, 2) X(st, 2)

enum sp_vmstat_column {
#define SP_VMSTAT_ID(name, width) SP_VMSTAT_##name,
	SP_VMSTAT(SP_VMSTAT_ID)
#undef SP_VMSTAT_ID
	    SP_NR_VMSTAT
};

/* Memory in KiB, rates per second, times in percent; as procps computes them, with its rounding. */
struct sp_vmstat_line {
	uint64_t v[SP_NR_VMSTAT];
};

/* `before` NULL: averages since boot, as vmstat's first line. elapsed_ns: between the two. */
struct sp_vmstat_line sp_vmstat_line_of(const struct sp_activity *before, const struct sp_activity *now,
					uint64_t elapsed_ns, const struct sp_meminfo *mem, uint64_t page_bytes);

/* ---- looks ---- */

struct sp_triage;

sp_must_check int sp_triage_new(size_t max_processes, struct sp_triage **ret);
void sp_triage_free(struct sp_triage *t); /* NULL is fine */

/* A look: begin, every process that is there, end. Processes that are not mentioned have ended. */
void sp_triage_begin(struct sp_triage *t, uint64_t now_ns, const struct sp_machine *m);
sp_must_check int sp_triage_process(struct sp_triage *t, const struct sp_ps *ps);
void sp_triage_end(struct sp_triage *t);

const struct sp_machine *sp_triage_first(const struct sp_triage *t); /* what everything is compared with */
const struct sp_machine *sp_triage_now(const struct sp_triage *t);
uint64_t sp_triage_span_ns(const struct sp_triage *t);
uint64_t sp_triage_refused(const struct sp_triage *t); /* processes of the last look that found no room */

/* ---- suspects ---- */

struct sp_suspect {
	struct sp_ps ps;
	int64_t growth_bytes; /* of anonymous memory with swap, since the first look; all of it when born later */
	double per_second;    /* robust slope over the watch; 0: not known */
	double confidence;    /* 0..1 that it rises at all */
	uint64_t seen_ns;     /* how long it has been looked at */
	uint64_t quiet_ns;    /* since it last grew; seen_ns: never */
	bool is_new;          /* born after the first look */
	bool is_growing;      /* it has grown, and its pause is not longer than its pauses were */
	bool is_steady;       /* and evenly, without falling back, nearly certainly so: what a leak looks like */
};

enum sp_suspect_sort { SP_SUSPECT_GROWTH, SP_SUSPECT_ANON, SP_SUSPECT_RSS, SP_SUSPECT_SWAP, SP_SUSPECT_PID };

/* Fills a vector of struct sp_suspect with every process, in order: by growth, steady ones first; largest first. */
sp_must_check int sp_triage_suspects(const struct sp_triage *t, enum sp_suspect_sort sort, struct sp_vec *ret);

/* ---- the verdict ---- */

/*        id             key                what to type next (%d: the process); "" for nothing */
#define SP_CAUSE(X)                                                                                                    \
	X(TOO_SHORT, "too_short", "seep top 3 10")                                                                     \
	X(NOTHING, "nothing", "")                                                                                      \
	X(EASED, "eased", "")                                                                                          \
	X(PROCESS, "process", "seep trace %d")                                                                         \
	X(SETTLED, "settled", "seep map %d")                                                                           \
	X(SLOW, "slow", "seep trace %d")                                                                               \
	X(CROWD, "crowd", "ps --ppid %d")                                                                              \
	X(SPREAD, "spread", "seep top 3 100")                                                                          \
	X(UNSEEN, "unseen", "")                                                                                        \
	X(RESERVED, "reserved", "seep map %d")                                                                         \
	X(CACHE, "page_cache", "")                                                                                     \
	X(SHMEM_MAPPED, "shared_mapped", "seep map %d")                                                                \
	X(SHMEM_ORPHAN, "shared_unmapped", "seep shm")                                                                 \
	X(SLAB_GIVES, "slab_reclaimable", "seep kernel")                                                               \
	X(SLAB, "slab_unreclaimable", "seep kernel")                                                                   \
	X(TABLES, "page_tables", "grep VmPTE /proc/[0-9]*/status | sort -nk2 | tail")                                  \
	X(STACKS, "kernel_stacks", "ps -eo nlwp,pid,comm --sort nlwp | tail")                                          \
	X(PERCPU, "per_cpu", "seep kernel --percpu")                                                                   \
	X(HUGE, "huge_pages", "grep -i huge /proc/meminfo")                                                            \
	X(OTHER, "kernel_other", "seep kernel")

enum sp_cause {
#define SP_CAUSE_ID(id, key, next) SP_CAUSE_##id,
	SP_CAUSE(SP_CAUSE_ID)
#undef SP_CAUSE_ID
	    SP_NR_CAUSE
};

struct sp_diagnosis {
	enum sp_cause cause;
	uint64_t span_ns;
	uint64_t noise_bytes; /* changes below this are said not to be any */
	int64_t free_bytes;   /* change of free, of what the cause took, of page cache and buffers together */
	int64_t amount_bytes;
	int64_t cache_bytes;
	int64_t total_bytes; /* change of the machine's own size */
	uint64_t available_bytes;
	bool has_who, has_steady, has_reserved;
	struct sp_suspect who;      /* one process, or the largest of several */
	struct sp_suspect steady;   /* another one that grows steadily; with SLOW it is `who` */
	struct sp_suspect reserved; /* one that took address space and did not touch it */
	uint64_t reserved_bytes;
	unsigned nr_members; /* CROWD: processes of this name */
	pid_t parent;        /* CROWD: who has most of them as children */
};

sp_must_check int sp_triage_judge(const struct sp_triage *t, struct sp_diagnosis *ret);

const char *sp_cause_key(enum sp_cause cause);

/* What the session knows besides: the limits and names that belong to a verdict. Strings printable, or NULL. */
struct sp_diagnosis_more {
	const char *cgroup; /* of `who`, or of `steady`; when `limit` says something */
	struct sp_cgroup_limit limit;
	const char *full_cgroup; /* one that is nearly full, whoever filled it */
	struct sp_cgroup_limit full;
	const char *slab; /* the slab cache that grew most */
	int64_t slab_bytes;
	unsigned waited_percent; /* of the watch, some task waited for memory */
};

/* The sentence, without a full stop; 1024 bytes are enough. Returns buf. */
const char *sp_triage_sentence(const struct sp_diagnosis *v, const struct sp_diagnosis_more *more, char *buf,
			       size_t size);

/* The command to type next; "" when there is none. Returns buf. */
const char *sp_triage_next(const struct sp_diagnosis *v, char *buf, size_t size);

/* "2.0 MiB/s", or "480.0 KiB/min" when a second is too short to say it. 24 bytes are enough. Returns buf. */
const char *sp_text_rate(char *buf, size_t size, double bytes_per_second);

#endif
