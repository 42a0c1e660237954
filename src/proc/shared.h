// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    reads what the machine shares: processes one by one, System V segments, mounts, who has which file open.
 * Runs in: our process, any thread.
 * May not: enter a namespace with the calling thread (a helper thread does), change anything.
 * Owns:    nothing after it returns, but what it gives to the caller.
 * Fails by: -errno; what the kernel hides is told from what is not there.
 */
#ifndef SEEP_PROC_SHARED_H
#define SEEP_PROC_SHARED_H

#include "proc/proc.h"

/* ---- processes, one by one ---- */

struct sp_process {
	pid_t pid;
	int dirfd; /* root/PID; good during the call */
	char comm[64];
	uint64_t start_time; /* as sp_proc_start_time() */
};

/*
 * Calls fn for every process but kernel threads and the dead; ones that end meanwhile are left out. A value other than
 * 0 from fn ends the walk and is returned.
 */
int sp_process_for_each(const struct sp_procfs *fs, int (*fn)(const struct sp_process *p, void *arg), void *arg);

/* One of them; pid 0: ourselves. -ESRCH: there is none, or it is dead. Close ret->dirfd. */
sp_must_check int sp_process_open(const struct sp_procfs *fs, pid_t pid, struct sp_process *ret);

/* Inode of its namespace "ipc", "mnt"...; 0: not readable for us. */
uint64_t sp_process_ns(const struct sp_process *p, const char *kind);

/* When it started, in seconds since 1970; -1: unknown (a fake tree without btime). */
int64_t sp_process_started_s(const struct sp_procfs *fs, const struct sp_process *p);

/* As sp_proc_maps(), of a process that was not opened for watching. -EACCES, -EPERM: not permitted. */
sp_must_check int sp_process_maps(const struct sp_process *p, struct sp_maps *ret);

/* ---- its descriptors ---- */

struct sp_open_file {
	int fd;
	const char *path; /* as the kernel names it, without " (deleted)" */
	bool deleted;
	uint64_t dev, inode, size, allocated; /* bytes */
	uint32_t uid;
	int64_t created_s, used_s; /* seconds since 1970, -1: unknown */
};

/*
 * Calls fn for every descriptor on a regular file. Nothing is opened and no file system is asked that might not answer
 * (AT_STATX_DONT_SYNC). -EACCES: not permitted.
 */
int sp_process_for_each_file(const struct sp_process *p, void (*fn)(const struct sp_open_file *f, void *arg),
			     void *arg);

/* The same for what is mapped at [start, end). -errno when map_files is not permitted or not there. */
sp_must_check int sp_process_mapped_file(const struct sp_process *p, const struct sp_mapping *m,
					 struct sp_open_file *ret);

/*
 * Has anybody at all, also one whose descriptors are hidden from us, the file at `path` (in p's root; device and inode
 * must agree) open or mapped for writing? 1: yes, 0: no, -errno: cannot be known. Asks for a lease on the file
 * (fcntl(2)), which the kernel gives only if nobody has, and gives it back at once: who opens it for writing just then
 * waits so long.
 */
int sp_process_file_has_writers(const struct sp_process *p, const char *path, uint64_t dev, uint64_t inode);

/* ---- System V shared memory ---- */

struct sp_sysv_shm {
	uint32_t key;
	uint32_t id;
	uint32_t mode; /* permissions, and SHM_DEST, SHM_LOCKED */
	uint32_t uid, gid, cuid, cgid;
	uint64_t size, resident, swapped; /* bytes */
	uint64_t nr_attached;
	pid_t creator, last;                       /* pids in our namespace; 0: outside it */
	int64_t attached_s, detached_s, changed_s; /* since 1970; 0: never */
};

/* Parses the text of /proc/sysvipc/shm into a vector of struct sp_sysv_shm; bad lines are skipped. */
sp_must_check int sp_sysv_shm_parse(const char *text, struct sp_vec *ret);

/*
 * Adds the segments of an ipc namespace to *ret: that of process `member`, 0: our own. -EPERM: not permitted to enter
 * it; -ENOENT: a kernel without System V shared memory.
 */
sp_must_check int sp_sysv_shm_read(const struct sp_procfs *fs, const struct sp_process *member, struct sp_vec *ret);

/* ---- mounts ---- */

struct sp_mount {
	uint64_t dev;
	const char *root;  /* what of the file system is mounted */
	const char *point; /* where, in the process' root */
	const char *type;
};

struct sp_mounts {
	struct sp_mount *list;
	size_t nr;
	char *text; /* owner of the strings */
};

/* Parses the text of a mountinfo file; bad lines are skipped. */
sp_must_check int sp_mounts_parse(const char *text, size_t len, struct sp_mounts *ret);
sp_must_check int sp_process_mounts(const struct sp_process *p, struct sp_mounts *ret);
void sp_mounts_done(struct sp_mounts *m);

/*
 * Calls fn for every regular file of a mount that is there for process p, and in its folders; other mounts below it are
 * not entered, links not followed. `path` is the file's in the process' root. Bounded: *ret_nr_skipped counts folders
 * that were too deep or could not be read. -ESTALE: another file system is mounted over it.
 */
int sp_mount_for_each_file(const struct sp_process *p, const struct sp_mount *m,
			   void (*fn)(const struct sp_open_file *f, void *arg), void *arg, uint64_t *ret_nr_skipped);

#endif
