// SPDX-License-Identifier: Apache-2.0
/*
 * Reads and writes the target's memory through /proc/PID/mem.
 *
 * The descriptor belongs to the address space it was opened for: after an exec it reads and writes nothing, so that a
 * new program is never touched in the place of the old one.
 */
#include "inject/impl.h"

#include <errno.h>
#include <unistd.h>

ssize_t sp_inject_read_some(struct sp_inject *in, uint64_t addr, void *buf, size_t len)
{
	ssize_t n;

	if (addr > (uint64_t)INT64_MAX - len)
		return -EIO;
	do
		n = pread(in->memfd, buf, len, (off_t)addr);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int sp_inject_read(struct sp_inject *in, uint64_t addr, void *buf, size_t len)
{
	ssize_t n = sp_inject_read_some(in, addr, buf, len);

	return n >= 0 && (size_t)n == len ? 0 : -EIO;
}

int sp_inject_write(struct sp_inject *in, sp_raddr addr, const void *buf, size_t len)
{
	size_t done = 0;

	if (addr.v > (uint64_t)INT64_MAX - len)
		return -EIO;
	while (done < len) {
		ssize_t n = pwrite(in->memfd, (const char *)buf + done, len - done, (off_t)(addr.v + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ESRCH;
		done += (size_t)n;
	}
	return 0;
}
