// SPDX-License-Identifier: Apache-2.0
/* Why a target cannot be entered, in words. */
#include "inject/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sp_inject_no_memory(struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
}

int sp_inject_refuse_gone(struct sp_inject *in, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "process %d has ended, or executes another program now",
			  (int)in->pid);
}

int sp_inject_refuse_turn(struct sp_inject *in, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_TARGET, EBUSY,
			    "another run of seep is at work in process %d and does not end", (int)in->pid);

	sp_why_hint(why,
		    "/proc/locks names who holds the lock on /proc/%d; try again, or watch from outside: --engine bpf",
		    (int)in->pid);
	return rc;
}

int sp_inject_refuse_write(struct sp_inject *in, int err, struct sp_why *why)
{
	if (err == ESRCH)
		return sp_inject_refuse_gone(in, why);
	int rc = sp_why_set(why, SP_FAULT_TARGET, err, "the memory of process %d cannot be written: %s", (int)in->pid,
			    strerror(err));
	sp_why_hint(why, "does the kernel forbid it (proc_mem.force_override=)? Watch from outside: --engine bpf");
	return rc;
}

bool sp_inject_status_u64(struct sp_inject *in, pid_t tid, const char *key, int base, uint64_t *ret)
{
	char text[64];
	char *end;

	if (!sp_proc_tid_status(in->p, tid, key, text, sizeof(text)))
		return false;
	uint64_t v = strtoull(text, &end, base);
	if (end == text)
		return false;
	*ret = v;
	return true;
}

pid_t sp_inject_tracer(struct sp_inject *in)
{
	struct sp_vec tids;
	uint64_t tracer = 0;

	sp_vec_init(&tids, sizeof(pid_t), SP_INJECT_MAX_TASKS);
	if (sp_proc_tids(in->p, &tids) == 0)
		for (size_t i = 0; !tracer && i < tids.nr; i++)
			if (!sp_inject_status_u64(in, *sp_vec_at(&tids, pid_t, i), "TracerPid", 10, &tracer))
				tracer = 0;
	sp_vec_done(&tids);
	return (pid_t)tracer;
}

/* What its own status file calls another process; "?" when it cannot be read. */
static void name_of(pid_t pid, char *buf, size_t size)
{
	struct sp_proc *p;

	snprintf(buf, size, "?");
	if (sp_proc_open(NULL, pid, &p, NULL) < 0)
		return;
	snprintf(buf, size, "%s", sp_proc_comm(p));
	sp_proc_close(p);
}

int sp_inject_refuse_ptrace(struct sp_inject *in, int err, struct sp_why *why)
{
	pid_t tracer = err == EPERM ? sp_inject_tracer(in) : 0;
	char name[64];
	int rc;

	if (tracer) {
		name_of(tracer, name, sizeof(name));
		rc = sp_why_set(why, SP_FAULT_TARGET, EBUSY,
				"cannot enter process %d: process %d (%s) traces it, and the kernel allows one tracer",
				(int)in->pid, (int)tracer, name);
		sp_why_hint(why, "end or detach %s, or watch from outside: --engine bpf", name);
		return rc;
	}
	if (err == ESRCH)
		return sp_inject_refuse_gone(in, why);
	if (err == EBUSY)
		return sp_inject_refuse_turn(in, why);
	rc = sp_why_set(why, SP_FAULT_TARGET, err, "cannot enter process %d: ptrace: %s", (int)in->pid, strerror(err));
	if (err == EPERM)
		sp_why_hint(why, "ptrace is forbidden here (kernel.yama.ptrace_scope, a security module, or a"
				 " container's seccomp profile); run as root on the host, or --engine bpf");
	return rc;
}
