// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    finds the machine's shared memory, who holds it, and what nobody holds any more.
 * Runs in: our process, one thread (a helper thread of proc/ visits other ipc namespaces).
 * May not: print, change or remove anything, say "leaked" of what it could not see.
 * Owns:    the list it returns, until sp_shm_done().
 * Fails by: -errno; what was not permitted is counted in the result.
 */
#ifndef SEEP_SHM_SHM_H
#define SEEP_SHM_SHM_H

#include "base/base.h"
#include "proc/proc.h"

/* What holds the memory together. One row a kind: id, key (in JSON and text), what it is. */
#define SP_SHM_KINDS(X)                                                                                                \
	X(SYSV, "sysv", "System V segment")                                                                            \
	X(POSIX, "posix", "POSIX shared memory: a file in /dev/shm")                                                   \
	X(TMPFS, "tmpfs", "another file in memory")                                                                    \
	X(HUGETLB, "hugetlb", "a file of huge pages")                                                                  \
	X(MEMFD, "memfd", "memory without a name, by memfd_create()")                                                  \
	X(DELETED, "deleted", "a file in memory whose name has been removed")

enum sp_shm_kind {
#define SP_SHM_KIND_ENUM(id, key, text) SP_SHM_##id,
	SP_SHM_KINDS(SP_SHM_KIND_ENUM)
#undef SP_SHM_KIND_ENUM
	    SP_NR_SHM_KINDS
};

/*
 * An ordinary file in memory is made to be opened by its name again. It counts as leaked when it is large and nobody
 * has read or written it for long. The default time is above a day because the kernel notes that a file has been read
 * only once a day (relatime).
 */
struct sp_shm_rule {
	uint64_t min_bytes; /* in memory */
	int64_t unused_s;
};

/* How it is held. The order is that of reports. */
#define SP_SHM_STATES(X)                                                                                               \
	X(LEAKED, "leaked", "nobody holds it and nobody will free it")                                                 \
	X(UNSEEN, "unseen", "nobody that we can see holds it")                                                         \
	X(OPEN, "open", "only descriptors hold it, nobody has it mapped")                                              \
	X(IDLE, "idle",                                                                                                \
	  "nobody holds it, but it has an owner: a living creator; or an ordinary file, small or used of late")        \
	X(MAPPED, "mapped", "mapped by somebody")

enum sp_shm_state {
#define SP_SHM_STATE_ENUM(id, key, text) SP_SHM_IS_##id,
	SP_SHM_STATES(SP_SHM_STATE_ENUM)
#undef SP_SHM_STATE_ENUM
	    SP_NR_SHM_STATES
};

struct sp_shm_holder {
	size_t object; /* its number in the list */
	pid_t pid;
	char comm[64];
	uint64_t mapped;           /* bytes of address space */
	unsigned nr_maps, nr_open; /* mappings, descriptors */
	unsigned look;             /* in which look it was last seen */
};

struct sp_shm_object {
	enum sp_shm_kind kind;
	enum sp_shm_state state;
	uint64_t dev, inode; /* of a file */
	uint64_t size, resident;
	uint64_t swapped;          /* SysV only: files in memory do not tell; their `resident` holds it, too */
	bool deleted;              /* its name is gone; SysV: destroyed with its last detach */
	uint32_t uid;              /* owner */
	int64_t created_s, used_s; /* seconds since 1970; -1: unknown */
	const char *name;          /* as it is called in its mount namespace; NULL for SysV */
	pid_t member;              /* a process in whose namespaces it was found; 0: in our own */

	/* SysV only */
	uint32_t id, key, mode;
	uint64_t ipc_ns, nr_attached;
	pid_t creator, last; /* 0: outside our pid namespace */
	bool creator_lives;
	int64_t attached_s, detached_s; /* 0: never */

	bool is_mapped, is_open;             /* by somebody, in one look or the other */
	const struct sp_shm_holder *holders; /* by pid */
	size_t nr_holders;
};

struct sp_shm {
	struct sp_shm_object *list; /* by state, then by memory held, largest first */
	size_t nr;
	uint64_t nr_leaked, leaked_bytes; /* bytes: resident and swapped */
	uint64_t total_bytes;
	int64_t now_s;

	/* What was not seen. */
	uint64_t nr_hidden_processes; /* their descriptors or mappings are not for us to read */
	uint64_t nr_hidden_ns;        /* namespaces that we may not enter */
	uint64_t nr_skipped;          /* folders not looked into, objects beyond our room */
	bool others_exist; /* we are in a pid namespace of our own: processes outside it may hold something */

	struct sp_shm_store *store;
};

/* Looks at everything. -errno with a reason. */
sp_must_check int sp_shm_look(const struct sp_procfs *fs, const struct sp_shm_rule *rule, struct sp_shm *ret,
			      struct sp_why *why);
void sp_shm_done(struct sp_shm *s);

const char *sp_shm_kind_key(enum sp_shm_kind k);
const char *sp_shm_state_key(enum sp_shm_state s);

#endif
