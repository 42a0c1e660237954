// SPDX-License-Identifier: Apache-2.0
/* A whole ELF file with symbols and DWARF. What elfutils makes of it is its own affair; what we make of that is ours.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "symbolize/object.h"

#define NR_FRAMES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nothing_there(void *ctx, const char *path)
{
	(void)ctx;
	if (strstr(path, "/../"))
		__builtin_trap();
	return -ENOENT;
}

static void ask(struct sp_object *o, uint64_t vaddr)
{
	struct sp_object_frame frames[NR_FRAMES];
	uint64_t start, sum = 0;
	unsigned nr = sp_object_frames(o, vaddr, frames, NR_FRAMES, &start);

	if (nr < 1 || nr > NR_FRAMES || start > vaddr)
		__builtin_trap();
	for (unsigned i = 0; i < nr; i++) {
		sum += frames[i].name ? strlen(frames[i].name) : 0;
		sum += frames[i].file ? strlen(frames[i].file) : 0;
	}
	__asm__ volatile("" ::"r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t bytes_left = 16 << 20, vaddr;
	const struct sp_debug_search search = {.open_in_target = nothing_there};
	const struct sp_object_options opt = {.search = &search, .debug_bytes_left = &bytes_left};
	struct sp_object *o;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (sp_object_open(fd, "/usr/bin/app", &opt, &o) < 0)
		return 0;
	for (uint64_t off = 0; off < size; off += 1 + size / 64) {
		if (sp_object_vaddr(o, off, &vaddr))
			ask(o, vaddr);
	}
	ask(o, 0);
	ask(o, UINT64_MAX);
	sp_object_close(o);
	return 0;
}
