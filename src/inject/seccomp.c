// SPDX-License-Identifier: Apache-2.0
/*
 * May a thread make the calls that we want of it? Its own seccomp filters are asked, by running them here: a call that
 * is not allowed might kill the target. Filters belong to threads, so it is asked of the one that will make the calls.
 */
#include "inject/impl.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { MAX_INSNS = 32768 /* of one filter: BPF_MAXINSNS is 4096 */, MAX_FILTERS = 1024 };

static const struct {
	uint64_t nr;
	const char *name;
} NAMES[] = {
    {SYS_mmap, "mmap"},
    {SYS_munmap, "munmap"},
    {SYS_madvise, "madvise"},
    {SYS_memfd_create, "memfd_create"},
    {SYS_close, "close"},
    {SYS_clone, "clone"},
    {SYS_wait4, "wait4"},
    {SYS_mprotect, "mprotect"},
    {SYS_exit_group, "exit_group"},
};

static const char *name_of(uint64_t nr)
{
	for (size_t i = 0; i < SP_ARRAY_SIZE(NAMES); i++)
		if (NAMES[i].nr == nr)
			return NAMES[i].name;
	return "a system call";
}

static int refuse_call(struct sp_inject *in, uint64_t nr, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_TARGET, EPERM,
			    "cannot enter process %d: its seccomp filter does not allow %s as we need it", (int)in->pid,
			    name_of(nr));

	sp_why_hint(why, "watch it from outside: --engine bpf");
	return rc;
}

static int refuse_unreadable(struct sp_inject *in, int err, struct sp_why *why)
{
	int rc = sp_why_set(
	    why, SP_FAULT_TARGET, EPERM,
	    "cannot enter process %d: it filters its system calls (seccomp), and the filter cannot be read: %s",
	    (int)in->pid, strerror(err));

	if (err == EACCES)
		sp_why_hint(why, "reading it takes CAP_SYS_ADMIN; or watch from outside: --engine bpf");
	else
		sp_why_hint(why, "watch it from outside: --engine bpf");
	return rc;
}

/* 0: all allowed. */
static int ask(struct sp_inject *in, const struct sock_filter *insns, size_t nr_insns,
	       const struct sp_inject_call *calls, size_t nr, uint64_t pc, struct sp_why *why)
{
	for (size_t i = 0; i < nr; i++) {
		struct seccomp_data data = {
		    .nr = (int)calls[i].nr, .arch = sp_inject_arch.audit_arch, .instruction_pointer = pc};
		uint32_t answer;
		memcpy(data.args, calls[i].args, sizeof(data.args));
		if (sp_filter_run(insns, nr_insns, &data, &answer) < 0)
			return refuse_unreadable(in, EINVAL, why);
		answer &= SECCOMP_RET_ACTION_FULL;
		if (answer != SECCOMP_RET_ALLOW && answer != SECCOMP_RET_LOG)
			return refuse_call(in, calls[i].nr, why);
	}
	return 0;
}

int sp_seccomp_check(struct sp_inject *in, pid_t tid, const struct sp_inject_call *calls, size_t nr, uint64_t pc,
		     struct sp_why *why)
{
	uint64_t mode = 0;

	if (!sp_inject_status_u64(in, tid, "Seccomp", 10, &mode) || mode == SECCOMP_MODE_DISABLED)
		return 0;
	if (mode == SECCOMP_MODE_STRICT)
		return refuse_call(in, calls[0].nr, why);
	sp_autofree struct sock_filter *insns = calloc(MAX_INSNS, sizeof(*insns));
	if (!insns)
		return sp_inject_no_memory(why);
	for (uint64_t i = 0; i < MAX_FILTERS; i++) {
		long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, NULL);
		if (n > 0 && n <= MAX_INSNS)
			n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, insns);
		int err = n < 0 ? errno : n > MAX_INSNS ? E2BIG : 0;
		if (err == ENOENT && i > 0)
			return 0;
		int rc = err ? refuse_unreadable(in, err, why) : ask(in, insns, (size_t)n, calls, nr, pc, why);
		if (rc < 0)
			return rc;
	}
	return refuse_unreadable(in, E2BIG, why);
}
