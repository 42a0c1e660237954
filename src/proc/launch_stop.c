// SPDX-License-Identifier: Apache-2.0
/*
 * From the exec event to the moment when everything is mapped and relocated and no constructor has run.
 *
 * Dynamic linkers call an empty function for debuggers, _dl_debug_state, whenever their list changes, and then say in
 * r_debug.r_state whether the list is complete (<link.h>). glibc calls it with RT_ADD before it maps the libraries and
 * with RT_CONSISTENT after it has relocated them, in front of their constructors; musl only the second time. So:
 *   1. at the exec event the dynamic linker is mapped and untouched: find the function by its dynamic symbols;
 *   2. a breakpoint there, and one at the program's entry so that a dynamic linker that never calls it cannot run away;
 *   3. at each hit: consistent? Take both out, set the pc back, done. Else step over and go on.
 * A program without dynamic linker, or one whose linker has no such symbol, stays at its exec event: nothing of it has
 * run.
 *
 * What did not do: a stop at the entry point alone (constructors of libraries have run by then, with their
 * allocations), LD_PRELOAD (changes what is looked at, useless for static programs).
 */
#include "proc/arch/arch.h"
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

struct breakpoint {
	uint64_t addr;
	long original; /* the aligned word around it */
	bool is_in;
};

struct loader {
	struct sp_launch *l;
	struct sp_rmem mem;
	struct sp_auxv aux;
	uint64_t r_debug;       /* glibc's own symbol; 0: none */
	uint64_t debug_pointer; /* musl's variable that points to it; 0: none */
	bool saw_add;
	struct breakpoint state, entry;
};

/* A child that was killed meanwhile is no error here: waiting for it will say so. */
static int resume(const struct sp_launch *l, int request, int sig)
{
	return ptrace(request, l->pid, 0, sig) < 0 && errno != ESRCH ? -errno : 0;
}

/* Waits for a change of the child. -ESRCH: it ended. */
static int wait_once(struct sp_launch *l, int *ret_status)
{
	pid_t pid;

	do
		pid = waitpid(l->pid, ret_status, __WALL);
	while (pid < 0 && errno == EINTR);
	if (pid < 0) {
		int err = errno;
		l->has_ended = err == ECHILD; /* SIGCHLD is ignored, the kernel has reaped it */
		return err == ECHILD ? -ESRCH : -err;
	}
	if (WIFEXITED(*ret_status) || WIFSIGNALED(*ret_status)) {
		l->has_ended = true;
		l->is_stopped = false;
		l->status = *ret_status;
		return -ESRCH;
	}
	return 0;
}

int sp_launch_wait(struct sp_launch *l, int request, int *ret_status)
{
	int status;

	for (;;) {
		int rc = wait_once(l, &status);
		if (rc < 0)
			return rc;
		int sig = WSTOPSIG(status), event = status >> 16;
		if (sig == SIGTRAP && event != PTRACE_EVENT_STOP)
			break;
		/* A group stop (Ctrl-Z) lasts until SIGCONT; any other signal is delivered. */
		bool is_group_stop = event == PTRACE_EVENT_STOP && sig != SIGTRAP;
		rc = is_group_stop ? resume(l, PTRACE_LISTEN, 0) : resume(l, request, event ? 0 : sig);
		if (rc < 0)
			return rc;
	}
	*ret_status = status;
	return 0;
}

int sp_launch_step(struct sp_launch *l, int request, int sig, int *ret_status)
{
	int rc = resume(l, request, sig);

	return rc ? rc : sp_launch_wait(l, request, ret_status);
}

/* ptrace writes aligned words; the trap never crosses one. */
static int poke(const struct loader *ld, uint64_t addr, long word)
{
	return ptrace(PTRACE_POKEDATA, ld->l->pid, addr & ~7ull, word) < 0 ? -errno : 0;
}

static int put_in(const struct loader *ld, struct breakpoint *bp)
{
	long word;

	errno = 0;
	bp->original = ptrace(PTRACE_PEEKDATA, ld->l->pid, bp->addr & ~7ull, 0);
	int err = errno;
	if (err)
		return -err;
	word = bp->original;
	memcpy((char *)&word + (bp->addr & 7), sp_proc_arch.trap, sp_proc_arch.trap_len);
	int rc = poke(ld, bp->addr, word);
	bp->is_in = rc == 0;
	return rc;
}

static int take_out(const struct loader *ld, struct breakpoint *bp)
{
	int rc = bp->is_in ? poke(ld, bp->addr, bp->original) : 0;

	bp->is_in = false;
	return rc;
}

/* True when r_debug at addr is in use and says so; a copy not yet relocated into use has version 0. */
static bool read_state(struct loader *ld, uint64_t addr, int *ret)
{
	struct sp_r_debug debug;

	if (!addr || !sp_rmem_get(&ld->mem, addr, &debug, sizeof(debug)) || debug.version < 1 || !debug.map)
		return false;
	*ret = debug.state;
	return true;
}

/*
 * The libraries are there and relocated. r_debug may have moved: a program with a copy relocation for _r_debug gets a
 * copy in its own data, to which DT_DEBUG points then. With glibc the list must have been seen in the making, or the
 * consistency is that of audit libraries (LD_AUDIT), which are loaded before everything.
 */
static bool is_complete(struct loader *ld)
{
	uint64_t places[3] = {ld->r_debug, 0, 0};
	bool consistent = false;
	int state;

	if (ld->debug_pointer)
		(void)sp_rmem_get(&ld->mem, ld->debug_pointer, &places[1], sizeof(places[1]));
	if (sp_link_map_debug(&ld->mem, &ld->aux, &places[2]) < 0)
		places[2] = 0;
	for (size_t i = 0; i < SP_ARRAY_SIZE(places); i++) {
		if (!read_state(ld, places[i], &state))
			continue;
		consistent |= state == 0;
		ld->saw_add |= state != 0;
	}
	return consistent && (ld->saw_add || !ld->r_debug);
}

/* Runs the instruction under the breakpoint, which stays in. */
static int step_over(struct loader *ld)
{
	int status;

	int rc = take_out(ld, &ld->state);
	if (rc == 0)
		rc = sp_launch_step(ld->l, PTRACE_SINGLESTEP, 0, &status);
	return rc ? rc : put_in(ld, &ld->state);
}

/* One stop. 1: there; 0: go on, *ret_signal is the signal to deliver; -errno. */
static int handle_stop(struct loader *ld, int *ret_signal)
{
	uint64_t pc;

	int rc = sp_proc_arch.get_pc(ld->l->pid, &pc);
	if (rc < 0)
		return rc;
	pc -= sp_proc_arch.trap_advance;
	*ret_signal = 0;
	if (pc != ld->entry.addr && pc != ld->state.addr) {
		*ret_signal = SIGTRAP; /* somebody else's */
		return 0;
	}
	rc = sp_proc_arch.set_pc(ld->l->pid, pc);
	if (rc < 0)
		return rc;
	if (pc == ld->entry.addr || is_complete(ld))
		return 1;
	return step_over(ld);
}

static int run(struct loader *ld)
{
	int status, sig = 0, rc = 0;

	while (rc == 0) {
		rc = sp_launch_step(ld->l, PTRACE_CONT, sig, &status);
		if (rc == 0)
			rc = handle_stop(ld, &sig);
	}
	if (ld->l->has_ended)
		return -ESRCH;
	int rc_state = take_out(ld, &ld->state), rc_entry = take_out(ld, &ld->entry);
	if (rc < 0)
		return rc;
	return rc_state ? rc_state : rc_entry;
}

/* -ENOENT: no dynamic linker that we could follow; the exec event is the place to stay. */
static int find_loader(struct loader *ld, int dirfd)
{
	struct sp_image img;
	Elf64_Ehdr eh;

	int rc = sp_auxv_read(dirfd, &ld->aux);
	if (rc < 0 || !ld->aux.base || !ld->aux.entry || sp_image_from_header(&ld->mem, ld->aux.base, &img) < 0)
		return -ENOENT;
	if (!sp_rmem_get(&ld->mem, ld->aux.base, &eh, sizeof(eh)) || eh.e_machine != sp_proc_arch.elf_machine)
		return -ENOENT;
	if (sp_dynsym_find(&ld->mem, &img, "_dl_debug_state", &ld->state.addr) < 0)
		return -ENOENT;
	if (sp_dynsym_find(&ld->mem, &img, "_r_debug", &ld->r_debug) < 0)
		ld->r_debug = 0;
	if (sp_dynsym_find(&ld->mem, &img, "_dl_debug_addr", &ld->debug_pointer) < 0)
		ld->debug_pointer = 0;
	ld->entry.addr = ld->aux.entry;
	return 0;
}

int sp_launch_to_constructors(struct sp_launch *l)
{
	struct loader ld = {.l = l};

	sp_autoclose int dirfd = sp_procfs_open_pid(NULL, l->pid);
	if (dirfd < 0)
		return dirfd;
	sp_autoclose int memfd = openat(dirfd, "mem", O_RDONLY | O_CLOEXEC);
	ld.mem = (struct sp_rmem){.read = sp_rmem_read_fd, .arg = &memfd};
	/* Not readable (an executable without read permission) or without a loader: it stays where it is. */
	if (memfd < 0 || find_loader(&ld, dirfd) < 0)
		return 0;
	int rc = put_in(&ld, &ld.state);
	if (rc == 0)
		rc = put_in(&ld, &ld.entry);
	return rc ? rc : run(&ld);
}
