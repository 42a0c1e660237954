// SPDX-License-Identifier: Apache-2.0
/*
 * Reads a target's memory, through /proc/PID/mem.
 *
 * Not process_vm_readv: that goes by number, and a number may be another process by now; container profiles filter it;
 * and it cannot read pages without read permission. A descriptor of mem stays with the address space it was opened for:
 * after the target's exec it reads nothing more, and a new one is opened through the directory descriptor.
 */
#include "proc/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

ssize_t sp_rmem_read_fd(void *fd, sp_raddr addr, void *buf, size_t len)
{
	ssize_t n;

	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	if (addr.v > (uint64_t)INT64_MAX - len) /* vsyscall; pread takes no such offset */
		return -EIO;
	do
		n = pread(*(int *)fd, buf, len, (off_t)addr.v);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t sp_proc_read_mem(struct sp_proc *p, sp_raddr addr, void *buf, size_t len)
{
	if (p->memfd < 0)
		return -EIO;

	ssize_t n = sp_rmem_read_fd(&p->memfd, addr, buf, len);
	if (n != 0 || !len || p->fake)
		return n;

	/* The address space is gone: exec or exit. */
	int fd = openat(p->dirfd, "mem", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		int err = errno;
		return err == ENOENT || sp_proc_has_ended(p) ? -ESRCH : -err;
	}
	sp_close_p(&p->memfd);
	p->memfd = fd;
	n = sp_rmem_read_fd(&p->memfd, addr, buf, len);
	return n ? n : -ESRCH;
}

static ssize_t read_proc(void *arg, sp_raddr addr, void *buf, size_t len)
{
	return sp_proc_read_mem(arg, addr, buf, len);
}

struct sp_rmem sp_proc_rmem(struct sp_proc *p)
{
	return (struct sp_rmem){.read = read_proc, .arg = p};
}

bool sp_rmem_get(const struct sp_rmem *mem, uint64_t addr, void *buf, size_t len)
{
	ssize_t n = mem->read(mem->arg, (sp_raddr){addr}, buf, len);

	return n >= 0 && (size_t)n == len;
}
