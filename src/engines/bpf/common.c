// SPDX-License-Identifier: Apache-2.0
/* What both modes of the bpf engine need: the machine's abilities, reasons of failures. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "engines/bpf/impl.h"

/* Capability numbers that older headers lack (uapi/linux/capability.h). */
#define CAP_NR_SYS_ADMIN 21
#define CAP_NR_PERFMON   38
#define CAP_NR_BPF       39

uint32_t sp_bpf_or_default(uint32_t wanted, uint32_t by_default)
{
	return wanted ? wanted : by_default;
}

uint64_t sp_bpf_missed(struct bpf_program *prog)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		return 0;
	return info.recursion_misses;
}

/* Effective capabilities of ourselves as a bit set. */
static uint64_t own_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

int sp_bpf_explain(int err, const char *doing, struct sp_why *why)
{
	sp_why_set(why, SP_FAULT_OURS, -err, "cannot %s: %s", doing, strerror(-err));
	switch (-err) {
	case EPERM:
	case EACCES:
		sp_why_hint(why, "run as root, or with the capabilities CAP_SYS_ADMIN and CAP_SYS_PTRACE; in a "
				 "container, its seccomp profile must allow bpf()");
		break;
	case ENOMEM:
	case E2BIG:
		sp_why_hint(why, "too little memory for the tables: lower --max-blocks or --max-paths");
		break;
	case EINVAL:
	case EOPNOTSUPP:
		sp_why_hint(why, "the kernel may be too old: user programs need Linux 5.17, kernel allocations 6.1");
		break;
	case ENOENT:
		sp_why_hint(why, "the kernel's tracepoints are found through tracefs: mount -t tracefs tracefs "
				 "/sys/kernel/tracing");
		break;
	default:
		break;
	}
	return err;
}

int sp_bpf_probe_machine(struct sp_why *why)
{
	uint64_t caps = own_capabilities();
	uint64_t enough = 1ULL << CAP_NR_BPF | 1ULL << CAP_NR_PERFMON;

	if (!(caps >> CAP_NR_SYS_ADMIN & 1) && (caps & enough) != enough) {
		sp_why_set(why, SP_FAULT_OURS, EPERM, "not permitted to use BPF: CAP_BPF and CAP_PERFMON are missing");
		sp_why_hint(why, "run as root (sudo), or give the program these capabilities");
		return -EPERM;
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		sp_why_set(why, SP_FAULT_OURS, ENOENT,
			   "this kernel does not describe its types (no /sys/kernel/btf/vmlinux), which BPF needs");
		sp_why_hint(why,
			    "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (any current distribution's), and in a "
			    "container mount /sys");
		return -ENOENT;
	}
	return 0;
}
