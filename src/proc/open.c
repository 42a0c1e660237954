// SPDX-License-Identifier: Apache-2.0
/* Opens a target, or says in one line why it cannot be watched and what to do. */
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

/* PROC_PID_INIT_INO of include/linux/proc_ns.h; the same since 3.8. */
static const uint64_t INITIAL_PID_NS = 0xeffffffc;

static bool is_gone(int err)
{
	return err == ESRCH || err == ENOENT;
}

static int refuse_ended(const struct sp_proc *p, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "cannot attach to %d%s%s%s: it ended meanwhile", (int)p->pid,
			  p->comm[0] ? " (" : "", p->comm, p->comm[0] ? ")" : "");
}

/*
 * Nothing in /proc. It may still exist: with hidepid=2 others' processes are hidden, and a pid may have been copied
 * from a container or into one.
 */
static int refuse_absent(const struct sp_procfs *fs, pid_t pid, struct sp_why *why)
{
	char hint[512];
	int rc;

	if (!sp_procfs_is_fake(fs) && (kill(pid, 0) == 0 || errno == EPERM)) {
		rc = sp_why_set(why, SP_FAULT_TARGET, EACCES,
				"cannot attach to %d: not permitted: it exists, but %s is mounted with hidepid",
				(int)pid, sp_procfs_root(fs));
		sp_why_hint(why, "run as root");
		return rc;
	}
	rc = sp_why_set(why, SP_FAULT_TARGET, ESRCH, "cannot attach to %d: no such process", (int)pid);
	if (sp_proc_inner_hint(fs, pid, hint, sizeof(hint)))
		sp_why_hint(why, "%s", hint);
	else if (sp_proc_ns(fs, 0, "pid") && sp_proc_ns(fs, 0, "pid") != INITIAL_PID_NS)
		sp_why_hint(why, "we are in a pid namespace of our own (a container), where processes outside of it"
				 " cannot be seen: run seep on the host");
	return rc;
}

static int refuse_kernel_thread(const struct sp_procfs *fs, const struct sp_proc *p, struct sp_why *why)
{
	char hint[512];
	int rc = sp_why_set(why, SP_FAULT_TARGET, EINVAL, "cannot attach to %d (%s): it is a thread of the kernel",
			    (int)p->pid, p->comm);

	/* Low pids copied from a container are kernel threads here. */
	if (sp_proc_inner_hint(fs, p->pid, hint, sizeof(hint)))
		sp_why_hint(why, "%s", hint);
	sp_why_hint(why, "'seep kernel' watches what the kernel allocates");
	return rc;
}

static int refuse_zombie(const struct sp_proc *p, const struct sp_stat *st, struct sp_why *why)
{
	int rc;

	if (st->state == 'Z' && st->nr_threads > 1) {
		rc = sp_why_set(
		    why, SP_FAULT_TARGET, ESRCH,
		    "cannot attach to %d (%s): its main thread has ended, which hides the memory of the rest",
		    (int)p->pid, p->comm);
		return rc;
	}
	rc = sp_why_set(why, SP_FAULT_TARGET, ESRCH, "cannot attach to %d (%s): it has ended (a zombie)", (int)p->pid,
			p->comm);
	sp_why_hint(why, "nothing of it is left but its exit status, which its parent %d has not fetched yet",
		    (int)st->ppid);
	return rc;
}

/* A thread's id is shown by top -H and opens in /proc, although it is not listed there. */
static int check_is_leader(const struct sp_proc *p, struct sp_why *why)
{
	sp_autofree char *status = NULL;
	size_t len;

	int rc = sp_proc_read_file(p->dirfd, "status", 1 << 20, &status, &len);
	if (rc == -ENOENT && p->fake)
		return 0;
	if (rc < 0)
		return is_gone(-rc) ? refuse_ended(p, why)
				    : sp_why_set(why, SP_FAULT_OURS, -rc, "cannot read the status of %d: %s",
						 (int)p->pid, strerror(-rc));
	const char *tgid = sp_status_find(status, "Tgid");
	long leader = tgid ? strtol(tgid, NULL, 10) : p->pid;
	if (leader == p->pid)
		return 0;
	rc = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "%d (%s) is a thread, not a process", (int)p->pid, p->comm);
	sp_why_hint(why, "it belongs to process %ld; use that", leader);
	return rc;
}

static int check_state(const struct sp_procfs *fs, struct sp_proc *p, struct sp_why *why)
{
	struct sp_stat st;

	int rc = sp_stat_read(p->dirfd, &st);
	if (rc < 0)
		return is_gone(-rc) ? refuse_ended(p, why)
				    : sp_why_set(why, SP_FAULT_OURS, -rc, "cannot read the state of %d: %s",
						 (int)p->pid, strerror(-rc));
	sp_text_printable(p->comm, sizeof(p->comm), st.comm);
	p->start_time = st.start_time;
	if (sp_stat_is_kernel_thread(&st))
		return refuse_kernel_thread(fs, p, why);
	if (sp_stat_is_dead(&st))
		return refuse_zombie(p, &st, why);
	return check_is_leader(p, why);
}

/* The permission to read a target's memory is the one everything else needs too (PTRACE_MODE_ATTACH). */
static int open_memory(const struct sp_procfs *fs, struct sp_proc *p, struct sp_why *why)
{
	p->memfd = openat(p->dirfd, "mem", O_RDONLY | O_CLOEXEC);
	if (p->memfd >= 0)
		return 0;
	int err = errno;
	if (p->fake && err == ENOENT)
		return 0;
	if (is_gone(err) || sp_proc_has_ended(p))
		return refuse_ended(p, why);
	if (err == EACCES || err == EPERM)
		return sp_proc_explain_denied(fs, p->dirfd, p->pid, err, why);
	return sp_why_set(why, SP_FAULT_OURS, err, "cannot open the memory of %d: %s", (int)p->pid, strerror(err));
}

/* A file that runs but may not be read is no reason to refuse: memory is readable, which was checked before. */
static int check_class(const struct sp_proc *p, struct sp_why *why)
{
	unsigned char ident[EI_NIDENT] = {};

	sp_autoclose int fd = sp_proc_open_regular(p->dirfd, "exe");
	if (fd == -ENOENT && !p->fake)
		return refuse_ended(p, why);
	if (fd < 0 || pread(fd, ident, sizeof(ident), 0) != sizeof(ident))
		return 0;
	if (memcmp(ident, ELFMAG, SELFMAG) != 0 || ident[EI_CLASS] != ELFCLASS32)
		return 0;
	int rc = sp_why_set(why, SP_FAULT_TARGET, ENOEXEC, "cannot attach to %d (%s): it is a 32-bit program",
			    (int)p->pid, p->comm);
	sp_why_hint(why, "seep watches 64-bit programs only");
	return rc;
}

/*
 * A pidfd is made from a number, the directory descriptor is the process itself. When stat still reads through the
 * directory after the pidfd was made (check_state does), the number cannot have been given to another process between.
 */
static void open_pidfd(struct sp_proc *p)
{
	if (!p->fake)
		p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
}

static int check_identity(const struct sp_procfs *fs, pid_t pid, struct sp_why *why)
{
	pid_t self = sp_procfs_self(fs);
	int rc;

	if (pid <= 0)
		return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "cannot attach to %d: no such process", (int)pid);
	if (!sp_procfs_is_fake(fs) && self != getpid()) {
		rc = sp_why_set(why, SP_FAULT_OURS, EINVAL, "%s belongs to another pid namespace than seep itself",
				sp_procfs_root(fs));
		sp_why_hint(why, "mount our own: mount -t proc proc %s", sp_procfs_root(fs));
		return rc;
	}
	if (pid == self) {
		rc = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "cannot attach to %d: that is seep itself", (int)pid);
		sp_why_hint(why, "name another process");
		return rc;
	}
	return 0;
}

static int open_all(const struct sp_procfs *fs, struct sp_proc *p, struct sp_why *why)
{
	p->dirfd = sp_procfs_open_pid(fs, p->pid);
	if (p->dirfd < 0)
		return is_gone(-p->dirfd) ? refuse_absent(fs, p->pid, why)
					  : sp_why_set(why, SP_FAULT_OURS, -p->dirfd, "cannot open %s/%d: %s",
						       sp_procfs_root(fs), (int)p->pid, strerror(-p->dirfd));
	open_pidfd(p);
	int rc = check_state(fs, p, why);
	if (rc == 0)
		rc = open_memory(fs, p, why);
	return rc ? rc : check_class(p, why);
}

int sp_proc_open(const struct sp_procfs *fs, pid_t pid, struct sp_proc **ret, struct sp_why *why)
{
	int rc = check_identity(fs, pid, why);
	if (rc < 0)
		return rc;

	struct sp_proc *p = calloc(1, sizeof(*p));
	if (!p)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	*p = (struct sp_proc){.pid = pid, .dirfd = -1, .pidfd = -1, .memfd = -1, .fake = sp_procfs_is_fake(fs)};
	p->root = strdup(sp_procfs_root(fs));
	rc = p->root ? open_all(fs, p, why) : sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	if (rc < 0) {
		sp_proc_close(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void sp_proc_close(struct sp_proc *p)
{
	if (!p)
		return;
	sp_close_p(&p->memfd);
	sp_close_p(&p->pidfd);
	sp_close_p(&p->dirfd);
	free(p->root);
	free(p);
}
