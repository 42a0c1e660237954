// SPDX-License-Identifier: Apache-2.0
/* The bpf engine's entry in the list of engines: on a process or, without one, on the kernel. */
#include <errno.h>

#include "engines/bpf/impl.h"

static int probe(const struct sp_engine_config *c, struct sp_why *why)
{
	if (c->sample_bytes) {
		sp_why_set(why, SP_FAULT_USAGE, EINVAL, "engine bpf cannot sample by bytes");
		sp_why_hint(why, "--sample-rate N records one call in N");
		return -EINVAL;
	}
	return sp_bpf_probe_machine(why);
}

static int start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	return c->target ? sp_bpf_user_start(c, ret, why) : sp_bpf_kernel_start(c, ret, why);
}

/* The rest of the ops is in what start() returns. */
const struct sp_engine_ops sp_engine_bpf = {.name = "bpf", .probe = probe, .start = start};
