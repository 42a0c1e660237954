// SPDX-License-Identifier: Apache-2.0
/* The bpf engine's entry in the list of engines: on a process or, without one, on the kernel. */
#include <errno.h>

#include "engines/bpf/impl.h"
#include "inject/inject.h"

/* A probe in the middle of what a hook has replaced would hurt the target. */
static int check_hooks(struct sp_proc *p, struct sp_why *why)
{
	struct sp_inject_leftovers found = {0};
	pid_t pid = sp_proc_pid(p);

	if (sp_inject_leftovers_find(p, &found, NULL) || !found.nr_patches)
		return 0;
	if (found.is_owner_alive) {
		sp_why_set(why, SP_FAULT_TARGET, EBUSY, "process %d is being watched by process %d already", (int)pid,
			   (int)found.owner_pid);
		sp_why_hint(why, "end process %d first", (int)found.owner_pid);
	} else {
		sp_why_set(why, SP_FAULT_TARGET, EBUSY, "process %d has hooks of a run of seep that was killed",
			   (int)pid);
		sp_why_hint(why, "seep detach %d takes them out", (int)pid);
	}
	return -EBUSY;
}

static int probe(const struct sp_engine_config *c, struct sp_why *why)
{
	if (c->sample_bytes) {
		sp_why_set(why, SP_FAULT_USAGE, EINVAL, "engine bpf cannot sample by bytes");
		sp_why_hint(why, "--sample-rate N records one call in N");
		return -EINVAL;
	}
	int err = sp_bpf_probe_machine(why);
	return err || !c->target || c->is_held ? err : check_hooks(c->target, why);
}

static int start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	return c->target ? sp_bpf_user_start(c, ret, why) : sp_bpf_kernel_start(c, ret, why);
}

/* The rest of the ops is in what start() returns. */
const struct sp_engine_ops sp_engine_bpf = {.name = "bpf", .probe = probe, .start = start};
