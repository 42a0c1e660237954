// SPDX-License-Identifier: Apache-2.0
/* Could we enter? Everything that can say no is asked before anything is done. */
#include "inject/impl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* What entering, watching and leaving ask of the target, with arguments as they will be. */
static const struct sp_inject_call NEEDED[] = {
    {.nr = SYS_mmap,
     .args = {1 << 20, SP_MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
	      ~0ull, 0}},
    {.nr = SYS_mmap,
     .args = {1 << 20, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ull, 0}},
    {.nr = SYS_mmap, .args = {0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, 100, 0}},
    {.nr = SYS_madvise, .args = {1 << 20, 4096, MADV_DONTDUMP}},
    {.nr = SYS_madvise, .args = {1 << 20, 4096, MADV_DONTFORK}},
    {.nr = SYS_madvise, .args = {1 << 20, 4096, MADV_WIPEONFORK}},
    {.nr = SYS_mprotect, .args = {1 << 20, 4096, PROT_READ}},
    {.nr = SYS_munmap, .args = {1 << 20, 4096}},
    {.nr = SYS_memfd_create, .args = {1 << 20, MFD_CLOEXEC | MFD_ALLOW_SEALING}},
    {.nr = SYS_close, .args = {100}},
    {.nr = SYS_rt_sigprocmask, .args = {SIG_SETMASK, 1 << 20, 0, 8}},
};

static int refuse_shadow_stack(struct sp_inject *in, struct sp_why *why)
{
	int rc =
	    sp_why_set(why, SP_FAULT_TARGET, ENOTSUP,
		       "cannot enter process %d: it runs with a shadow stack, which hooks would upset", (int)in->pid);

	sp_why_hint(why, "watch it from outside: --engine bpf");
	return rc;
}

static int try_thread(struct sp_inject *in, void *arg)
{
	struct sp_arch_regs regs = {};
	struct sp_why *why = arg;
	struct sp_task t = {};

	int rc = sp_calls_stop_suitable(in, &t, &regs, why);
	if (rc < 0)
		return rc;
	rc = sp_seccomp_check(in, t.tid, NEEDED, SP_ARRAY_SIZE(NEEDED), in->slack.addr + SP_INJECT_MARK_BYTES, why);
	sp_task_resume(in, &t);
	return rc;
}

static int probe(struct sp_inject *in, struct sp_why *why)
{
	char features[64];

	if (sp_inject_tracer(in))
		return sp_inject_refuse_ptrace(in, EPERM, why);
	if (sp_proc_tid_status(in->p, in->pid, "x86_Thread_features", features, sizeof(features)) &&
	    strstr(features, "shstk"))
		return refuse_shadow_stack(in, why);
	int rc = sp_slack_need(in, why);
	return rc ? rc : sp_inject_session(in, try_thread, why);
}

int sp_inject_probe(struct sp_proc *p, struct sp_why *why)
{
	struct sp_inject *in;

	int rc = sp_inject_open(p, NULL, &in, why);
	if (rc < 0)
		return rc;
	rc = sp_inject_turn_take(in); /* who traces it then is none of us */
	if (rc < 0) {
		rc = sp_inject_refuse_ptrace(in, -rc, why);
	} else {
		rc = probe(in, why);
		sp_inject_turn_give(in);
	}
	sp_inject_close(in);
	return rc;
}
