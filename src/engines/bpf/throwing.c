// SPDX-License-Identifier: Apache-2.0
/*
 * Functions that may throw (operator new of tcmalloc and its like), and how far they can be watched.
 *
 * While the kernel watches a function's return, its return address is one that no unwinder knows: an exception out of
 * it ends the program. Two ways out:
 *
 * SP_THROWING_REPAIR: where exceptions begin, a program puts the return addresses back (bpf/user.bpf.c, sp_throw). That
 * writes to the target's memory, which needs CAP_SYS_ADMIN and a kernel without lockdown (Secure Boot brings it).
 *
 * SP_THROWING_SMALL: with sessions, only calls that cannot fail are followed: small ones of a process without limits on
 * its memory, where the kernel gives memory away before it has it (overcommit). And no place is shared with tools that
 * watch other processes: others.c.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include "engines/bpf/impl.h"

/* bpf_probe_write_user(r10 - 8, r10 - 8, 0): libbpf's own probe (1.1) misreads the refusal of newer kernels. */
static bool can_write(void)
{
	const struct bpf_insn insns[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10},
	    {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8},
	    {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8},
	    {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1},
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 8},
	    {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_write_user},
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "sp_probe", "GPL", insns, SP_ARRAY_SIZE(insns), NULL);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* A small file of /proc as text. */
static bool read_text(int dirfd, const char *name, char *ret, size_t size)
{
	sp_autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return false;
	ret[n] = '\0';
	return true;
}

/* "Max address space         unlimited            unlimited            bytes" */
static bool is_unlimited(const char *limits, const char *name)
{
	const char *line = strstr(limits, name);

	if (!line)
		return false;
	line += strlen(name);
	return !strncmp(line + strspn(line, " "), "unlimited ", 10);
}

/* Will a small request for memory always be granted? */
static bool has_no_limits(const struct sp_proc *p)
{
	char text[4096];

	if (!read_text(AT_FDCWD, "/proc/sys/vm/overcommit_memory", text, sizeof(text)) || text[0] == '2')
		return false;
	return read_text(sp_proc_dirfd(p), "limits", text, sizeof(text)) && is_unlimited(text, "Max address space") &&
	       is_unlimited(text, "Max data size");
}

enum sp_bpf_throwing sp_bpf_throwing_find(const struct sp_proc *p)
{
	if (can_write())
		return SP_THROWING_REPAIR;
	if (sp_bpf_best_attach_mode() == SP_ATTACH_SESSION && has_no_limits(p))
		return SP_THROWING_SMALL;
	return SP_THROWING_NEVER;
}
