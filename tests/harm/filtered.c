// SPDX-License-Identifier: Apache-2.0
/*
 * filtered ACTION PROGRAM [ARG...]: runs a program under a seccomp filter. What memfd_create(2) gets: `errno` EPERM,
 * `kill` the process is killed, `allow` nothing (another call, which nobody makes, is filtered).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *action = argc > 2 ? argv[1] : "";
	unsigned answer = !strcmp(action, "kill") ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
	unsigned call = !strcmp(action, "allow") ? SYS_acct : SYS_memfd_create;
	struct sock_filter insns[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, answer),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(insns) / sizeof(insns[0]), .filter = insns};

	if (!action[0] || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("filtered");
		return 2;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
