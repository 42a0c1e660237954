// SPDX-License-Identifier: Apache-2.0
/* What the files of proc/ share among themselves. Not for other rooms. */
#ifndef SEEP_PROC_PRIV_H
#define SEEP_PROC_PRIV_H

#include "proc/proc.h"

struct sp_proc {
	char *root; /* where /proc is */
	bool fake;
	pid_t pid;
	int dirfd; /* root/PID */
	int pidfd; /* -1: none */
	int memfd; /* root/PID/mem; -1 only in a fake tree without that file */
	uint64_t start_time;
	char comm[64];
};

/* ---- reading files of /proc (read.c) ---- */

const char *sp_procfs_root(const struct sp_procfs *fs);
bool sp_procfs_is_fake(const struct sp_procfs *fs);

/* Our own pid as this /proc numbers it; 0 when it does not say. */
pid_t sp_procfs_self(const struct sp_procfs *fs);

/* A directory descriptor of root/PID, or -errno. */
sp_must_check int sp_procfs_open_pid(const struct sp_procfs *fs, pid_t pid);

/* A number of nothing but digits that fits a pid; 0: it is not one. */
pid_t sp_procfs_pid_of_name(const char *name);

/* The whole file, NUL-terminated, in one allocation. -EFBIG over max bytes. */
sp_must_check int sp_proc_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);

/* The first size - 1 bytes of a file, NUL-terminated. Returns their number or -errno. */
ssize_t sp_proc_read_head(int dirfd, const char *name, char *buf, size_t size);

/* The inode in a link of /proc/PID/ns; 0: not readable. */
uint64_t sp_proc_read_ns(int dirfd, const char *name);

/* ---- stat and status (status.c) ---- */

struct sp_stat {
	char comm[64]; /* as the kernel has it: any byte */
	char state;
	pid_t ppid;
	uint64_t flags, nr_threads, start_time;
};

sp_must_check int sp_stat_parse(const char *text, struct sp_stat *ret);
sp_must_check int sp_stat_read(int dirfd, struct sp_stat *ret);
bool sp_stat_is_kernel_thread(const struct sp_stat *st);
bool sp_stat_is_dead(const struct sp_stat *st);

/* The text behind "Key:" in a status file (up to the end of its line and beyond), NULL when it is not there. */
const char *sp_status_find(const char *status, const char *key);

/* "the command line", or the name in brackets when there is none: printable. Returns buf. */
const char *sp_proc_describe(int dirfd, const struct sp_stat *st, char *buf, size_t size);

/* ---- explanations (nspid.c, denied.c) ---- */

/*
 * Looks for processes that have this pid in a pid namespace below ours. True when there is one; *ret_text then says
 * "pid 7 of another pid namespace is seen here as 12345 (app); use that".
 */
bool sp_proc_inner_hint(const struct sp_procfs *fs, pid_t inner, char *ret_text, size_t size);

/* Why the kernel would not let us look into this process, into *why. Returns -err. */
int sp_proc_explain_denied(const struct sp_procfs *fs, int dirfd, pid_t pid, int err, struct sp_why *why);

/*
 * True when nothing is left to look at. Asked after a refusal: of a process that has just ended the kernel says
 * "permission denied" to everybody but root.
 */
bool sp_proc_has_ended(const struct sp_proc *p);

/* ---- files (files.c) ---- */

/*
 * Opens for reading what `name` (links followed) stands for, only when it is a regular file: a FIFO or a device of a
 * hostile target is never opened. Returns a descriptor or -errno (-EINVAL: another kind of file).
 */
sp_must_check int sp_proc_open_regular(int dirfd, const char *name);

/* Opens a regular file of the process whose /proc/PID this is, for reading, in its own root. A descriptor or -errno. */
sp_must_check int sp_proc_open_regular_in_root(int dirfd, const char *path);

/* Opens a folder of the process whose /proc/PID this is, for reading, in its own root. A descriptor or -errno. */
sp_must_check int sp_proc_open_folder_in_root(int dirfd, const char *path);

/* ---- texts of lines ---- */

/* A copy that parsers may change, with a NUL behind it; NULL: no memory. */
char *sp_proc_copy_text(const char *text, size_t len);

/* The next line, ended by a NUL instead of its newline; NULL: *text has come to end. *end must be writable. */
char *sp_proc_take_line(char **text, char *end);

/* ---- maps ---- */

/* Undoes the kernel's escapes of blanks, tabs, newlines and backslashes, in place. */
void sp_proc_unescape(char *path);

/*
 * "55f0-55f8 r-xp 00001000 fe:01 1234      /bin/cat", NUL-terminated; ret->path points into it and is changed in place.
 * False, and nothing changed: it is no such line.
 */
bool sp_maps_parse_line(char *line, struct sp_mapping *ret);

/* As sp_maps_parse(); takes ownership of text, which must have a NUL at text[len]. */
sp_must_check int sp_maps_parse_owned(char *text, size_t len, struct sp_maps *ret);

/* ---- somebody's memory through a function: a process, or the bytes of a test ---- */

struct sp_rmem {
	ssize_t (*read)(void *arg, sp_raddr addr, void *buf, size_t len); /* as sp_proc_read_mem() */
	void *arg;
};

/* All of len bytes or false. */
bool sp_rmem_get(const struct sp_rmem *mem, uint64_t addr, void *buf, size_t len);

/* Reads through a descriptor of /proc/PID/mem: for `read` with arg = int *. */
ssize_t sp_rmem_read_fd(void *fd, sp_raddr addr, void *buf, size_t len);

struct sp_rmem sp_proc_rmem(struct sp_proc *p);

/* ---- what the kernel told the program at its exec (auxv.c) ---- */

struct sp_auxv {
	uint64_t phdr, phnum, phent; /* program headers of the executable, in memory */
	uint64_t base;               /* of the dynamic linker; 0: none */
	uint64_t entry;              /* of the executable */
};

void sp_auxv_parse(const void *bytes, size_t len, struct sp_auxv *ret);
sp_must_check int sp_auxv_read(int dirfd, struct sp_auxv *ret);

/* ---- ELF images in memory (image.c, dynsym.c) ---- */

struct sp_image {
	uint64_t base;                 /* lowest address; 0 when unknown */
	uint64_t bias;                 /* add to a link-time address */
	uint64_t dynamic;              /* address of the dynamic section; 0: none */
	uint64_t nr_dyn;               /* entries at most */
	uint64_t data_start, data_end; /* what may be written of it, bss included; 0, 0: nothing */
};

/* From program headers in memory (the executable's, by its auxv); from an ELF header in memory. */
sp_must_check int sp_image_from_phdrs(const struct sp_rmem *mem, const struct sp_auxv *aux, struct sp_image *ret);
sp_must_check int sp_image_from_header(const struct sp_rmem *mem, uint64_t base, struct sp_image *ret);

/* The value of an entry of the dynamic section; false: no such entry. */
bool sp_image_dyn(const struct sp_rmem *mem, const struct sp_image *img, int64_t tag, uint64_t *ret);

/* The address of a defined symbol in the image's dynamic symbol table, by its hash tables. -ENOENT: not there. */
sp_must_check int sp_dynsym_find(const struct sp_rmem *mem, const struct sp_image *img, const char *name,
				 uint64_t *ret);

/* ---- the dynamic linker's list (link_map.c) ---- */

enum { SP_LINK_MAP_MAX = 10000 };

/* struct r_debug as the debugger interface of every libc has it (<link.h>), addresses as numbers. */
struct sp_r_debug {
	int32_t version, pad;
	uint64_t map;
	uint64_t brk;
	int32_t state; /* 0: RT_CONSISTENT */
	int32_t pad2;
};

/* Address of struct r_debug by the executable's DT_DEBUG. -ENOENT: static, or too early. */
sp_must_check int sp_link_map_debug(const struct sp_rmem *mem, const struct sp_auxv *aux, uint64_t *ret);

/*
 * Calls fn with the address of each object's dynamic section, in the list's order. Bounded and loop-safe: a hostile
 * list ends after SP_LINK_MAP_MAX objects. Returns how many calls were made, or -errno when there is no list.
 */
typedef void (*sp_link_map_fn)(uint64_t dynamic, void *arg);
int sp_link_map_walk(const struct sp_rmem *mem, const struct sp_auxv *aux, sp_link_map_fn fn, void *arg);

/* ---- launch (launch.c, launch_child.c, launch_stop.c) ---- */

struct sp_launch {
	pid_t pid;
	bool is_stopped; /* ptrace-stopped and ours to resume */
	bool has_ended;  /* reaped */
	int status;      /* as from waitpid, once has_ended */
};

/* The child's side between fork and exec: waits for a byte on sock, executes, writes errno to sock on failure. */
_Noreturn void sp_launch_child(char *const argv[], int sock);

/*
 * Waits until the child stops for a reason of its own (exec event, trap); signals that arrive meanwhile are delivered
 * and it goes on with `request` (PTRACE_CONT or PTRACE_SINGLESTEP). *ret_status as from waitpid. -ESRCH: it ended, is
 * reaped.
 */
sp_must_check int sp_launch_wait(struct sp_launch *l, int request, int *ret_status);

/* The same after resuming it with signal `sig` (0: none). */
sp_must_check int sp_launch_step(struct sp_launch *l, int request, int sig, int *ret_status);

/* Brings a child that stands at its exec event to the point before the first constructor. -ESRCH: it ended. */
sp_must_check int sp_launch_to_constructors(struct sp_launch *l);

#endif
