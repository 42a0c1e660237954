// SPDX-License-Identifier: Apache-2.0
/*
 * Probes of other tools in the files that we watch, and keeping out of their way.
 *
 * The kernel keeps one list of watchers for each place in a file, whatever processes they are for. When a process meets
 * its breakpoint, all of the list are asked, and one that is meant for another process has its return watched all the
 * same (uprobe_prog_run() says 0, not "ignore"). So a function that may throw, whose return we must not watch because
 * we could not repair the stack, ends the program after all when somebody watches the same place elsewhere: such
 * functions get a place of their own.
 *
 * Only links say where they are (Linux 6.8): what older tools plant cannot be seen.
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engines/bpf/impl.h"

#define LINK_TYPE_UPROBE_MULTI 12 /* BPF_LINK_TYPE_UPROBE_MULTI */
#define MAX_LINKS              65536
#define MAX_OFFSETS            1024

/* The part of struct bpf_link_info for an uprobe.multi link; older headers lack it. */
struct multi_info {
	uint32_t type, id, prog_id, pad;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t path_size, count, flags, pid;
};

struct multi_link {
	struct multi_info info;
	char path[4096];
	uint64_t offsets[MAX_OFFSETS];
};

static bool read_link(uint32_t id, struct multi_link *ret)
{
	uint32_t len = sizeof(ret->info);

	sp_autoclose int fd = bpf_link_get_fd_by_id(id);
	ret->path[0] = '\0';
	ret->info = (struct multi_info){
	    .path = (uintptr_t)ret->path,
	    .path_size = sizeof(ret->path),
	    .offsets = (uintptr_t)ret->offsets,
	    .count = MAX_OFFSETS,
	};
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &ret->info, &len) || ret->info.type != LINK_TYPE_UPROBE_MULTI)
		return false;
	if (ret->info.count > MAX_OFFSETS)
		ret->info.count = MAX_OFFSETS;
	return true;
}

static bool has_offset(const struct multi_link *l, uint64_t offset)
{
	for (uint32_t i = 0; i < l->info.count; i++)
		if (l->offsets[i] == offset)
			return true;
	return false;
}

/* Another root names a file by another path, so the names' last parts must do. */
static bool is_in_file(const struct multi_link *l, int fd)
{
	char link[64], path[4096];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	const char *a = strrchr(l->path, '/'), *b = strrchr(path, '/');
	return a && b && !strcmp(a, b);
}

static void mark_taken(struct sp_bpf_object *o, const struct multi_link *l)
{
	for (size_t i = 0; i < o->sites.nr; i++) {
		struct sp_bpf_site *s = sp_vec_at(&o->sites, struct sp_bpf_site, i);
		if (has_offset(l, s->offset))
			s->taken |= SP_TAKEN_PLACE;
		if (has_offset(l, s->entry))
			s->taken |= SP_TAKEN_ENTRY;
	}
}

void sp_bpf_mark_taken(struct sp_bpf_functions *f, pid_t target)
{
	sp_autofree struct multi_link *l = malloc(sizeof(*l));
	uint32_t id = 0;

	for (unsigned n = 0; l && n < MAX_LINKS && !bpf_link_get_next_id(id, &id); n++) {
		if (!read_link(id, l) || l->info.pid == (uint32_t)target) /* there all are asked by right */
			continue;
		for (size_t i = 0; i < f->objects.nr; i++) {
			struct sp_bpf_object *o = sp_vec_at(&f->objects, struct sp_bpf_object, i);
			if (is_in_file(l, o->fd))
				mark_taken(o, l);
		}
	}
}
