// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    reads what each mapping of a process takes up (/proc/PID/smaps), and where its threads' stacks are.
 * Runs in: our process; an object is used by one thread at a time.
 * May not: change the target, or trust a name in it.
 * Owns:    the list it returns, until sp_smaps_done().
 * Fails by: -errno, with a reason where there is a struct sp_why. Bad lines are skipped.
 */
#ifndef SEEP_PROC_SMAPS_H
#define SEEP_PROC_SMAPS_H

#include "proc/proc.h"

/* Numbers of a mapping, in bytes; 0 where the kernel does not say. See proc_pid_smaps(5). */
#define SP_SMAP(X)                                                                                                     \
	X(resident, "Rss")                                                                                             \
	X(pss, "Pss") /* pages shared by N processes count as a part in N */                                           \
	X(shared_dirty, "Shared_Dirty")                                                                                \
	X(private_clean, "Private_Clean")                                                                              \
	X(private_dirty, "Private_Dirty")                                                                              \
	X(anonymous, "Anonymous")                                                                                      \
	X(swapped, "Swap")                                                                                             \
	X(huge_shared, "Shared_Hugetlb") /* huge pages are not in `resident` */                                        \
	X(huge_private, "Private_Hugetlb")

struct sp_smap {
	struct sp_mapping map; /* its path belongs to the list */
#define SP_SMAP_FIELD(name, key) uint64_t name;
	SP_SMAP(SP_SMAP_FIELD)
#undef SP_SMAP_FIELD
};

struct sp_smaps {
	struct sp_smap *list; /* sorted by start */
	size_t nr;
	uint64_t nr_refused; /* mappings beyond our room: 1 M, and 256 MiB of names */
	char *names;
};

sp_must_check int sp_smaps_parse(const char *text, size_t len, struct sp_smaps *ret);

/* The kernel walks the target's page tables for it, during which the target cannot map memory. */
sp_must_check int sp_proc_smaps(struct sp_proc *p, struct sp_smaps *ret, struct sp_why *why);
void sp_smaps_done(struct sp_smaps *s);

/* Where the writable data of a program or library is, its bss included. */
struct sp_data_range {
	uint64_t start, end;
};

/* Those of every ELF file that is mapped from its beginning, by address, into a vector of struct sp_data_range. */
sp_must_check int sp_proc_data_ranges(struct sp_proc *p, const struct sp_smaps *s, struct sp_vec *ret);

/*
 * The stack pointer of a thread that waits in the kernel (/proc/PID/task/TID/syscall); the thread is not stopped for
 * it. False: it runs just now, has ended, or is not for us to look at.
 */
bool sp_proc_tid_sp(struct sp_proc *p, pid_t tid, uint64_t *ret);

/* The thread's own name, printable; "" when it has ended. Returns buf. */
const char *sp_proc_tid_comm(struct sp_proc *p, pid_t tid, char *buf, size_t size);

/*
 * The devices of the file systems that live in memory (tmpfs, hugetlbfs), as st_dev has them, into a vector of
 * uint64_t: the target's own mounts, and those that the kernel keeps for memory without a file.
 */
sp_must_check int sp_proc_memory_devices(struct sp_proc *p, struct sp_vec *ret);

#endif
