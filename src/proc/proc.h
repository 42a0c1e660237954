// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    the only reader of /proc: finds and opens a target, its mappings, modules in link order, memory, root.
 * Runs in: our process, any thread; one struct sp_proc is used by one thread at a time.
 * May not: change the target (launch.c excepted: it makes its own child).
 * Owns:    descriptors inside struct sp_proc.
 * Fails by: -errno with a reason in struct sp_why.
 */
#ifndef SEEP_PROC_PROC_H
#define SEEP_PROC_PROC_H

#include <sys/types.h>

#include "base/base.h"

struct sp_proc; /* an opened target */

/* Where /proc is; tests pass a tree on disk. NULL in calls below means "/proc". */
struct sp_procfs {
	const char *root;
	bool fake;          /* a tree on disk: no pidfd, no process_vm_readv, liveness not checked */
	const char *prefix; /* before mount points that this /proc names, in a tree on disk; NULL: nothing */
};

/*
 * Turns what the user typed (a pid, or a program's name as in /proc/PID/comm or the basename of its executable or of
 * argv[0]) into one pid. Several matches: refused, with the list of "pid command line" in why->hint. Never matches
 * ourselves, kernel threads or zombies by name.
 */
sp_must_check int sp_proc_find(const struct sp_procfs *fs, const char *pid_or_name, pid_t *ret, struct sp_why *why);

/*
 * All processes of that name, or (NULL) every one; pid_t, appended to *ret, in no order. Never ourselves, kernel
 * threads or zombies. -ENOSPC: more than *ret takes; -ENOMEM.
 */
sp_must_check int sp_proc_find_all(const struct sp_procfs *fs, const char *name, struct sp_vec *ret,
				   struct sp_why *why);

/*
 * Opens a target for watching. Refuses with a reason and a way out: no such process, ourselves, kernel thread, zombie,
 * 32-bit (ELF class of /proc/PID/exe), not permitted (which capability or sysctl), exited meanwhile.
 * Ownership of *ret goes to the caller: sp_proc_close().
 */
sp_must_check int sp_proc_open(const struct sp_procfs *fs, pid_t pid, struct sp_proc **ret, struct sp_why *why);
void sp_proc_close(struct sp_proc *p); /* NULL is fine */

pid_t sp_proc_pid(const struct sp_proc *p);
int sp_proc_pidfd(const struct sp_proc *p);           /* -1 in a fake tree or on a kernel without pidfd; poll()able */
int sp_proc_dirfd(const struct sp_proc *p);           /* /proc/PID, opened at sp_proc_open: survives pid reuse */
const char *sp_proc_comm(const struct sp_proc *p);    /* made printable; at most 63 bytes */
bool sp_proc_is_alive(struct sp_proc *p);             /* false once exited, zombie or gone */
uint64_t sp_proc_start_time(const struct sp_proc *p); /* field 22 of stat: with the pid, the process' identity */

/* The same of any process; pid 0 = ourselves. 0: no such process. */
uint64_t sp_proc_start_time_of(const struct sp_procfs *fs, pid_t pid);

/* Its name, printable, also of one that cannot be opened for watching; "?": no such process. Returns buf. */
const char *sp_proc_comm_of(const struct sp_procfs *fs, pid_t pid, char *buf, size_t size);

/* The namespace inode of "pid", "mnt", "user"..., 0 when unreadable. pid 0 = ourselves. */
uint64_t sp_proc_ns(const struct sp_procfs *fs, pid_t pid, const char *kind);

/* Resident set of the target in bytes (statm), 0 when unreadable. */
uint64_t sp_proc_rss_bytes(struct sp_proc *p);

/* The soft limit of that name in /proc/PID/limits ("Max stack size"); UINT64_MAX: none, or unreadable. */
uint64_t sp_proc_limit(struct sp_proc *p, const char *name);

/* Size of its address space, 0 when unreadable. */
uint64_t sp_proc_virtual_bytes(struct sp_proc *p);

/* Does the kernel refuse memory that it could not back (vm.overcommit_memory is 2)? */
bool sp_procfs_is_overcommit_strict(const struct sp_procfs *fs);

/* ---- mappings ---- */

enum { SP_PROT_R = 1, SP_PROT_W = 2, SP_PROT_X = 4, SP_PROT_SHARED = 8 };

struct sp_mapping {
	uint64_t start, end; /* [start, end) in the target */
	uint64_t offset;     /* in the file */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint8_t prot;     /* SP_PROT_* */
	bool deleted;     /* the path ended in " (deleted)", which is taken off */
	const char *path; /* "" for anonymous; "[heap]", "[vdso]"...; octal escapes undone; owned by the list */
};

struct sp_maps {
	struct sp_mapping *list; /* sorted by start */
	size_t nr;
	uint64_t hash; /* of the whole text: equal means unchanged */
	char *text;    /* owner of the paths */
};

/* Parses the text of a maps file. Hostile input is fine: bad lines are skipped, at most 1 M mappings. Takes no
 * ownership of text. */
sp_must_check int sp_maps_parse(const char *text, size_t len, struct sp_maps *ret);
sp_must_check int sp_proc_maps(struct sp_proc *p, struct sp_maps *ret, struct sp_why *why);
/* The same of any /proc directory, such as a snapshot's. -errno without a reason. */
sp_must_check int sp_maps_read(int proc_dirfd, struct sp_maps *ret);
void sp_maps_done(struct sp_maps *m);
const struct sp_mapping *sp_maps_find(const struct sp_maps *m, uint64_t addr);

/* ---- files of the target ---- */

/*
 * Opens the file behind a mapping: through the target's root with no link leading out of it, and only if device and
 * inode agree with the mapping; else through map_files (deleted, replaced, overlaid). Also "[vdso]": a memfd with
 * its bytes. Returns a read-only descriptor, or -errno.
 */
sp_must_check int sp_proc_open_mapping(struct sp_proc *p, const struct sp_mapping *m, struct sp_why *why);

/* Opens a path of the target, resolved inside its root (openat2 RESOLVE_IN_ROOT). Returns a descriptor or -errno. */
sp_must_check int sp_proc_open_path(struct sp_proc *p, const char *path, struct sp_why *why);

/* ---- modules: the ELF files of the target in the order in which the dynamic linker searches them ---- */

struct sp_module {
	uint64_t start, end;  /* lowest and highest mapped address of this file in one run of mappings */
	uint64_t file_offset; /* offset of the first mapping (0, nearly always) */
	uint64_t dev, inode;  /* identity of the file; 0, 0 for the vdso */
	bool deleted;
	bool is_exe; /* the file behind /proc/PID/exe */
	bool is_vdso;
	bool in_link_map; /* the dynamic linker knows it: a place in the search order */
	unsigned mapping; /* index of its first mapping in the sp_maps it was made from */
	const char *path; /* owned by the sp_maps */
};

struct sp_modules {
	struct sp_module *list; /* executable first, then link-map order, then by address what is in no link map */
	size_t nr;
};

/*
 * Every mapped ELF file with an executable mapping, plus the vdso. The order comes from the dynamic linker's own list
 * (DT_DEBUG, r_debug, l_next: glibc and musl); when it cannot be read (static, too early, hostile) by address.
 * `maps` must outlive *ret.
 */
sp_must_check int sp_proc_modules(struct sp_proc *p, const struct sp_maps *maps, struct sp_modules *ret);
void sp_modules_done(struct sp_modules *m);

/* Where the dynamic linker says what it is doing: struct r_debug (<link.h>). -ENOENT: static, or too early. */
sp_must_check int sp_proc_r_debug(struct sp_proc *p, sp_raddr *ret);

/* ---- memory ---- */

/* Reads up to len bytes; returns the number read (short at the first unreadable page) or -errno. */
ssize_t sp_proc_read_mem(struct sp_proc *p, sp_raddr addr, void *buf, size_t len);

/* ---- threads ---- */

/* The thread ids of the target (in our pid namespace), pushed to a vector of pid_t. -ESRCH: it has ended. */
sp_must_check int sp_proc_tids(struct sp_proc *p, struct sp_vec *ret);

/* The state letter of a thread (R, S, D, T, t, Z, X...); 0: no such thread. */
char sp_proc_tid_state(struct sp_proc *p, pid_t tid);

/* The text behind "Key:" in a thread's status file. False: no such thread or line. */
bool sp_proc_tid_status(struct sp_proc *p, pid_t tid, const char *key, char *buf, size_t size);

/* Opens a file of the target's /proc directory ("mem", "pagemap") with these open(2) flags. -errno. */
sp_must_check int sp_proc_open_file(struct sp_proc *p, const char *name, int flags);

struct sp_range {
	uint64_t addr, size;
	uint64_t resident; /* filled in: bytes of it on pages that are in physical memory */
};

/* Fills in `resident` of each range; cheapest in address order. A failure says nothing of any of them. */
sp_must_check int sp_proc_resident(struct sp_proc *p, struct sp_range *list, size_t nr);

/*
 * The same for lists that come one after the other: pages are looked at once, where one list goes on near the end of
 * the one before. What has changed meanwhile is then not seen.
 */
struct sp_residency;
sp_must_check int sp_residency_open(struct sp_proc *p, struct sp_residency **ret);
sp_must_check int sp_residency_of(struct sp_residency *r, struct sp_range *list, size_t nr);
void sp_residency_close(struct sp_residency *r); /* NULL is fine */

/* ---- pages ---- */

enum sp_page_kind {
	SP_PAGE_NONE,    /* nothing: never touched, or an untouched page of a file */
	SP_PAGE_OWN,     /* in memory, anonymous: the process wrote it */
	SP_PAGE_FILE,    /* in memory, a page of a file or of shared memory */
	SP_PAGE_SWAPPED, /* swapped out */
};

enum { SP_PAGEMAP_CACHE = 512 };

/* pagemap of one process, with the entries read last. */
struct sp_pagemap {
	int fd;
	unsigned nr;    /* entries */
	uint64_t first; /* number of the page of entries[0] */
	uint64_t entries[SP_PAGEMAP_CACHE];
};

/* proc_dirfd: /proc/PID. Needs the right to trace the process. 0 or -errno. */
sp_must_check int sp_pagemap_open(int proc_dirfd, struct sp_pagemap *ret);
void sp_pagemap_close(struct sp_pagemap *pm);
void sp_pagemap_forget(struct sp_pagemap *pm); /* read anew: the process has run */

/*
 * What the page at addr is, and where the run of pages of its kind ends: addr < *ret_end <= end. Touches no page. Where
 * nothing can be read: SP_PAGE_OWN up to end.
 */
enum sp_page_kind sp_pagemap_run(struct sp_pagemap *pm, uint64_t addr, uint64_t end, uint64_t *ret_end);

/* Is the page at addr a part of a huge one (mapped as such)? Before Linux 6.7 that cannot be told: false. */
bool sp_pagemap_is_huge(const struct sp_pagemap *pm, uint64_t addr);

/* ---- what the kernel keeps for the target ---- */

/*
 * Words that the target has given to the kernel and gets back from it: the data of its epoll registrations, the values
 * of its timers' signals. They may be the only pointers to its blocks. Appended to *ret (uint64_t); what cannot be read
 * is passed over. -ENOSPC: more than *ret takes; -ENOMEM.
 */
sp_must_check int sp_proc_kept_words(struct sp_proc *p, struct sp_vec *ret);

/* ---- launch: a child of ours that has its libraries mapped but has run none of their code ---- */

struct sp_launch; /* the stopped child */

/*
 * Forks and executes argv (PATH searched); stdin, stdout, stderr inherited; signal mask and handlers as at our start.
 * The child is stopped when the dynamic linker has mapped and relocated everything and no constructor has run
 * (breakpoint on _dl_debug_state, glibc and musl), or at its first instruction when static. It dies if we die before
 * sp_launch_resume(). Program not found or not executable: SP_FAULT_USAGE.
 * The child starts with an empty signal mask and SIGPIPE at its default; what else is ignored stays so
 * (launch_child.c). start, resume and close belong to one thread (ptrace does).
 */
sp_must_check int sp_launch_start(char *const argv[], struct sp_launch **ret, struct sp_why *why);
pid_t sp_launch_pid(const struct sp_launch *l);

/* Lets it run, untraced. Call once. */
sp_must_check int sp_launch_resume(struct sp_launch *l, struct sp_why *why);

/* Reaps it if it has ended: true, and *ret_status as from waitpid. Does not block. */
bool sp_launch_reap(struct sp_launch *l, int *ret_status);

/* Frees; a child still stopped is killed, a running one goes on. NULL is fine. */
void sp_launch_close(struct sp_launch *l);

#endif
