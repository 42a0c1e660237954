// SPDX-License-Identifier: Apache-2.0
/* What launch needs to know of a CPU: one table, one file of it for each CPU. */
#ifndef SEEP_PROC_ARCH_ARCH_H
#define SEEP_PROC_ARCH_ARCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sp_proc_arch {
	uint8_t trap[4];       /* the breakpoint instruction */
	size_t trap_len;       /* its bytes; never crosses an aligned word */
	uint64_t trap_advance; /* how far behind its address the pc stands when it was hit */
	uint16_t elf_machine;

	/* Of a stopped child of ours; 0 or -errno. */
	int (*get_pc)(pid_t pid, uint64_t *ret);
	int (*set_pc)(pid_t pid, uint64_t pc);
};

extern const struct sp_proc_arch sp_proc_arch;

#endif
