// SPDX-License-Identifier: Apache-2.0
/* A process' cgroup file and the mounts, on a tree on disk: paths that anybody may name, hierarchies of both versions.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proc/system.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void put(const char *name, const void *bytes, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

static void make(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert(!mkdir(path, 0700));
}

static void remove_tree(void)
{
	static const char *const names[] = {"12/cgroup",
					    "self/mountinfo",
					    "m/cgroup.controllers",
					    "m/memory.max",
					    "m/memory.current",
					    "12",
					    "self",
					    "m",
					    ""};
	char path[128];

	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)!remove(path);
	}
}

static void make_tree(void)
{
	if (*dir)
		return;
	snprintf(dir, sizeof(dir), "/tmp/seep-fuzz-XXXXXX");
	assert(mkdtemp(dir));
	make("12");
	make("self");
	make("m");
	put("m/cgroup.controllers", "memory\n", 7);
	put("m/memory.max", "100\n", 4);
	put("m/memory.current", "10\n", 3);
	atexit(remove_tree);
}

/* First line: mountinfo (the mount point is always ours); the rest: the process' cgroup file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size ? memchr(data, '\n', size) : NULL;
	size_t first = cut ? (size_t)(cut - data) : size;
	struct sp_procfs fs = {.root = dir, .fake = true, .prefix = dir};
	struct sp_cgroups *c = NULL;
	struct sp_cgroup_limit l;
	unsigned n;

	make_tree();
	put("self/mountinfo", data, first);
	put("12/cgroup", data + first, size - first);
	assert(!sp_cgroups_open(&fs, &c, NULL));
	n = sp_cgroup_of(c, 12);
	assert(n <= sp_cgroups_nr(c));
	if (sp_cgroup_limit_read(c, n, &l))
		assert(l.limit_bytes == 100 && l.used_bytes == 10);
	assert(!n || sp_cgroup_path(c, n)[0] == '/');
	sp_cgroups_close(c);
	return 0;
}
