// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    reads what /proc and the cgroup files say of the whole machine: memory, activity, pressure, slab, processes.
 * Runs in: our process; an object is used by one thread at a time.
 * May not: change anything; follow what a process names (its paths are only names here).
 * Owns:    descriptors and tables of the objects made here.
 * Fails by: -errno, with a reason where there is a struct sp_why. A file that this kernel lacks is not a failure.
 */
#ifndef SEEP_PROC_SYSTEM_H
#define SEEP_PROC_SYSTEM_H

#include "proc/proc.h"

/* ---- /proc/meminfo, in bytes; 0 where the kernel does not say ---- */

#define SP_MEMINFO(X)                                                                                                  \
	X(total, "MemTotal")                                                                                           \
	X(free, "MemFree")                                                                                             \
	X(available, "MemAvailable") /* since 3.14; before it: free + buffers + page cache */                          \
	X(buffers, "Buffers")                                                                                          \
	X(cached, "Cached") /* with shmem */                                                                           \
	X(anon, "AnonPages")                                                                                           \
	X(anon_huge, "AnonHugePages") /* of anon */                                                                    \
	X(shmem, "Shmem")                                                                                              \
	X(slab_reclaimable, "SReclaimable")                                                                            \
	X(slab_unreclaimable, "SUnreclaim")                                                                            \
	X(kernel_stack, "KernelStack")                                                                                 \
	X(page_tables, "PageTables")                                                                                   \
	X(sec_page_tables, "SecPageTables")                                                                            \
	X(percpu, "Percpu")                                                                                            \
	X(hugetlb, "Hugetlb") /* since 4.13; before it: pages of the default size */                                   \
	X(swap_total, "SwapTotal")                                                                                     \
	X(swap_free, "SwapFree")                                                                                       \
	X(committed, "Committed_AS")

struct sp_meminfo {
#define SP_MEMINFO_FIELD(name, key) uint64_t name;
	SP_MEMINFO(SP_MEMINFO_FIELD)
#undef SP_MEMINFO_FIELD
	uint64_t free_lists; /* free, on the lists that each CPU keeps for itself (/proc/zoneinfo): not in free */
};

/* Pages on the per-CPU lists of all zones. */
uint64_t sp_zoneinfo_parse(const char *text);

/* -EINVAL: no MemTotal or no MemFree. */
sp_must_check int sp_meminfo_parse(const char *text, struct sp_meminfo *ret);
sp_must_check int sp_meminfo_read(const struct sp_procfs *fs, struct sp_meminfo *ret, struct sp_why *why);

/* ---- what vmstat(8) counts: /proc/stat, /proc/vmstat, /proc/uptime; counters since boot ---- */

struct sp_activity {
	uint64_t user, nice, sys, idle, iowait, irq, softirq, steal, guest, guest_nice; /* clock ticks of all CPUs */
	uint64_t interrupts, switches;
	uint64_t running, blocked; /* tasks, now */
	uint64_t paged_in_kb, paged_out_kb;
	uint64_t swapped_in_pages, swapped_out_pages;
	uint64_t uptime_ms;
};

/* -EINVAL: no line of the CPUs. */
sp_must_check int sp_activity_parse(const char *stat, const char *vmstat, const char *uptime, struct sp_activity *ret);
sp_must_check int sp_activity_read(const struct sp_procfs *fs, struct sp_activity *ret, struct sp_why *why);

/* ---- /proc/pressure/memory ---- */

struct sp_pressure {
	bool known;                /* false: a kernel before 4.20, or one started without it */
	uint64_t some_us, full_us; /* waited since boot: some tasks, all tasks */
};

struct sp_pressure sp_pressure_parse(const char *text);
struct sp_pressure sp_pressure_read(const struct sp_procfs *fs);

/* ---- /proc/slabinfo: root only ---- */

struct sp_slab {
	char name[32];
	uint64_t bytes; /* of its slabs, used and free objects */
};

enum { SP_SLAB_MAX = 4096 };

/* Fills a vector of struct sp_slab. Lines that are none are skipped. */
sp_must_check int sp_slabs_parse(const char *text, struct sp_vec *ret);
/* -ENOENT, -EACCES: not to be had here. */
sp_must_check int sp_slabs_read(const struct sp_procfs *fs, struct sp_vec *ret);

/* ---- memory cgroups ---- */

struct sp_cgroups; /* where they are mounted, and every path seen */

enum { SP_CGROUPS_MAX = 4096, SP_CGROUP_NONE = 0 };

/* A kernel without memory cgroups gives an object that knows none. */
sp_must_check int sp_cgroups_open(const struct sp_procfs *fs, struct sp_cgroups **ret, struct sp_why *why);
void sp_cgroups_close(struct sp_cgroups *c); /* NULL is fine */

/* The number of a process' memory cgroup; SP_CGROUP_NONE: none, gone, outside our cgroup namespace, too many. */
unsigned sp_cgroup_of(struct sp_cgroups *c, pid_t pid);
unsigned sp_cgroups_nr(const struct sp_cgroups *c);                      /* numbers are 1 ... nr */
const char *sp_cgroup_path(const struct sp_cgroups *c, unsigned cgroup); /* as the kernel has it; "" for none */
const char *sp_cgroup_label(const struct sp_cgroups *c,
			    unsigned cgroup); /* printable: "docker:12 digits", "x.service" */
uint64_t sp_cgroups_refused(const struct sp_cgroups *c);

/* The label of a path: which container or service it is, in at most size - 1 bytes. Returns buf. */
const char *sp_cgroup_label_of(const char *path, char *buf, size_t size);

struct sp_cgroup_limit {
	uint64_t limit_bytes;       /* of the ancestor-or-self with the least room */
	uint64_t used_bytes;        /* charged there */
	uint64_t reclaimable_bytes; /* of them, file pages that are not in use: given back before anybody is killed */
	uint64_t oom_kills;
};

/* False: no limit on it nor on any of its ancestors. */
bool sp_cgroup_limit_read(const struct sp_cgroups *c, unsigned cgroup, struct sp_cgroup_limit *ret);

/* ---- the table of processes ---- */

struct sp_ps {
	pid_t pid, ppid;
	uint64_t start_time; /* field 22 of stat */
	uint64_t virtual_bytes, rss_bytes;
	uint64_t anon_bytes;   /* resident, private to the process or shared with its forks */
	uint64_t shared_bytes; /* resident pages of files and of shared memory */
	uint64_t shmem_bytes;  /* of them, shared memory; looked up when they have changed by much */
	uint64_t swap_bytes;   /* looked up while swap is in use */
	uint64_t data_bytes;   /* private writable address space, touched or not */
	unsigned cgroup;
	char comm[16]; /* as the kernel has it: any byte */
};

struct sp_ps_table;

enum { SP_PS_MAX = 65536 };

/* `cgroups` (NULL: not asked for) must outlive the table. */
sp_must_check int sp_ps_open(const struct sp_procfs *fs, struct sp_cgroups *cgroups, struct sp_ps_table **ret,
			     struct sp_why *why);
void sp_ps_close(struct sp_ps_table *t); /* NULL is fine */

/*
 * Brings the table up to date. What has not changed since the scan before costs one small file; a process that ends
 * meanwhile is left out. with_swap: swap is in use.
 */
sp_must_check int sp_ps_scan(struct sp_ps_table *t, bool with_swap, struct sp_why *why);
size_t sp_ps_nr(const struct sp_ps_table *t);
const struct sp_ps *sp_ps_at(const struct sp_ps_table *t, size_t i); /* in no order */
uint64_t sp_ps_refused(const struct sp_ps_table *t);                 /* processes that the last scan had no room for */

/* The command line (or the name in brackets), printable; "" when it has ended. Returns buf. */
const char *sp_ps_describe(const struct sp_ps_table *t, pid_t pid, char *buf, size_t size);

/* Its proportional set size from smaps_rollup (Linux 4.14); false: not to be had. Walks the process' page tables. */
bool sp_ps_pss(const struct sp_ps_table *t, pid_t pid, uint64_t *ret_bytes);

#endif
