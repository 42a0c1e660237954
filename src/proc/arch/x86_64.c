// SPDX-License-Identifier: Apache-2.0
/* x86-64: int3, and the program counter through the user area. */
#include "proc/arch/arch.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static const size_t RIP = offsetof(struct user_regs_struct, rip);

static int get_pc(pid_t pid, uint64_t *ret)
{
	errno = 0; /* PEEK returns the value, -1 too */
	long v = ptrace(PTRACE_PEEKUSER, pid, RIP, 0);
	int err = errno;

	if (err)
		return -err;
	*ret = (uint64_t)v;
	return 0;
}

static int set_pc(pid_t pid, uint64_t pc)
{
	return ptrace(PTRACE_POKEUSER, pid, RIP, pc) < 0 ? -errno : 0;
}

const struct sp_proc_arch sp_proc_arch = {
    .trap = {0xcc}, /* int3 */
    .trap_len = 1,
    .trap_advance = 1,
    .elf_machine = EM_X86_64,
    .get_pc = get_pc,
    .set_pc = set_pc,
};
