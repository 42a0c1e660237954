// SPDX-License-Identifier: Apache-2.0
/* How much memory a target may have: its resource limits, and the kernel's way of refusing. */
#include "proc/priv.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* "Max address space         unlimited            unlimited            bytes": the soft limit comes first. */
uint64_t sp_proc_limit(struct sp_proc *p, const char *name)
{
	char text[4096];
	char *end;

	if (sp_proc_read_head(p->dirfd, "limits", text, sizeof(text)) <= 0)
		return UINT64_MAX;
	const char *line = strstr(text, name);
	if (!line)
		return UINT64_MAX;
	line += strlen(name);
	unsigned long long limit = strtoull(line, &end, 10);
	return end == line ? UINT64_MAX : limit;
}

uint64_t sp_proc_virtual_bytes(struct sp_proc *p)
{
	unsigned long long pages;
	uint64_t bytes;
	char text[128];

	if (sp_proc_read_head(p->dirfd, "statm", text, sizeof(text)) <= 0 || sscanf(text, "%llu", &pages) != 1 ||
	    __builtin_mul_overflow(pages, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
		return 0;
	return bytes;
}

bool sp_procfs_is_overcommit_strict(const struct sp_procfs *fs)
{
	char path[PATH_MAX], text[16];
	int n = snprintf(path, sizeof(path), "%s/sys/vm/overcommit_memory", sp_procfs_root(fs));

	return n > 0 && (size_t)n < sizeof(path) && sp_proc_read_head(AT_FDCWD, path, text, sizeof(text)) > 0 &&
	       text[0] == '2';
}
