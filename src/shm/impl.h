// SPDX-License-Identifier: Apache-2.0
/* What the files of shm/ share. */
#ifndef SEEP_SHM_IMPL_H
#define SEEP_SHM_IMPL_H

#include "proc/shared.h"
#include "shm/shm.h"

enum {
	SP_SHM_MAX_OBJECTS = 1 << 20,
	SP_SHM_MAX_HOLDERS = 1 << 22,
	SP_SHM_MAX_NAMES = 1 << 28, /* bytes of names */
	SP_SHM_MAX_NS = 1 << 16,
};

struct sp_shm_store {
	const struct sp_procfs *fs;
	struct sp_vec objects;                            /* struct sp_shm_object */
	struct sp_vec holders;                            /* struct sp_shm_holder */
	struct sp_vec names;                              /* char *: owned */
	struct sp_u64map by_file;                         /* key of (dev, inode) -> object */
	struct sp_u64map by_segment;                      /* key of (ipc namespace, id) -> object */
	struct sp_u64map by_holder;                       /* key of (object, pid) -> holder */
	struct sp_u64map ipc_seen, mnt_seen, mounts_seen; /* as keys: namespaces; (dev, root) */
	struct sp_u64map devs; /* file systems in memory -> enum sp_shm_kind of their files */
	uint64_t own_ipc, own_mnt;
	unsigned look; /* 1, 2: how often holders have been looked for */
	uint64_t nr_hidden_processes, nr_hidden_ns, nr_skipped;
	int err; /* -ENOMEM: nothing more is added */
};

/* 64 bits of two; equal pairs give equal keys, others hardly ever. */
uint64_t sp_shm_key(uint64_t a, uint64_t b);

/* ---- objects.c ---- */

/* A copy that lives as long as the store; NULL: no room. */
const char *sp_shm_keep_name(struct sp_shm_store *s, const char *name);

/* The object of a file or segment; NULL: not there. The pointer is good until the next add. */
struct sp_shm_object *sp_shm_find_file(const struct sp_shm_store *s, uint64_t dev, uint64_t inode);
struct sp_shm_object *sp_shm_find_segment(const struct sp_shm_store *s, uint64_t ipc_ns, uint32_t id);

/* Adds a file unless it is there. */
void sp_shm_add_file(struct sp_shm_store *s, enum sp_shm_kind kind, const struct sp_open_file *f, pid_t member);
void sp_shm_add_segment(struct sp_shm_store *s, const struct sp_sysv_shm *seg, uint64_t ipc_ns, pid_t member);

/* Process p holds o: by a mapping of so many bytes, or by a descriptor (0). */
void sp_shm_add_holder(struct sp_shm_store *s, struct sp_shm_object *o, const struct sp_process *p, uint64_t mapped);

/* ---- namespaces.c: segments and files with names, from every namespace that some process is in ---- */

void sp_shm_collect_named(struct sp_shm_store *s);

/* ---- holders.c: who has what mapped or open; what only they know of is added ---- */

void sp_shm_collect_holders(struct sp_shm_store *s);

/* ---- judge.c ---- */

/* Says of every object how it is held. others_exist: as in struct sp_shm. */
void sp_shm_judge(struct sp_shm_store *s, const struct sp_shm_rule *rule, int64_t now_s, bool others_exist);

/* Gives each object its holders; none can be added afterwards. */
void sp_shm_hand_out_holders(struct sp_shm_store *s);

#endif
