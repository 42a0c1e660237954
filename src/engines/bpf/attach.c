// SPDX-License-Identifier: Apache-2.0
/*
 * Planting probes and taking them away.
 *
 * uprobe.multi (kernel 6.6) plants all probes of a file at once; removing a perf uprobe takes the kernel about a tenth
 * of a second each, a multi link some 30 ms whatever it holds. libbpf has an interface for it from 1.3 on; the system
 * call underneath works with any, so it is used directly: one code path.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

#include "engines/bpf/impl.h"

#define TRACE_UPROBE_MULTI  48 /* BPF_TRACE_UPROBE_MULTI, enum bpf_attach_type (uapi/linux/bpf.h of 6.6) */
#define UPROBE_MULTI_RETURN 1  /* BPF_F_UPROBE_MULTI_RETURN */
#define MAX_LINKS           4096

/* The part of union bpf_attr for BPF_LINK_CREATE of an uprobe.multi link; older headers lack it. */
struct link_create_multi {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};

static int link_create(struct link_create_multi *a)
{
	int fd = (int)syscall(__NR_bpf, BPF_LINK_CREATE, a, sizeof(*a));

	return fd < 0 ? -errno : fd;
}

void sp_bpf_want_uprobe_multi(struct bpf_program *prog)
{
	bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)TRACE_UPROBE_MULTI);
}

/* A kernel that knows the link type looks at the path first and says that "/" is no file. */
bool sp_bpf_has_uprobe_multi(void)
{
	const struct bpf_insn insns[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)TRACE_UPROBE_MULTI);
	uint64_t offset = 0;
	struct link_create_multi a = {
	    .attach_type = TRACE_UPROBE_MULTI,
	    .path = (uintptr_t) "/",
	    .offsets = (uintptr_t)&offset,
	    .cnt = 1,
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "sp_probe", "GPL", insns, SP_ARRAY_SIZE(insns), &opts);

	if (fd < 0)
		return false;
	a.prog_fd = (uint32_t)fd;
	int link = link_create(&a);
	if (link >= 0)
		close(link);
	close(fd);
	return link == -EBADF;
}

void sp_bpf_links_init(struct sp_bpf_links *l)
{
	sp_vec_init(&l->fds, sizeof(int), MAX_LINKS);
	sp_vec_init(&l->objects, sizeof(struct bpf_link *), MAX_LINKS);
}

/* One link for all sites of a file, entries or returns. */
static int attach_multi(struct sp_bpf_links *l, const struct sp_bpf_object *o, const char *path, pid_t pid,
			struct bpf_program *prog, bool returns)
{
	sp_autofree uint64_t *offsets = calloc(2 * o->sites.nr + 1, sizeof(*offsets));
	uint64_t *cookies = offsets + o->sites.nr;
	uint32_t nr = 0;

	if (!offsets)
		return -ENOMEM;
	for (size_t i = 0; i < o->sites.nr; i++) {
		const struct sp_bpf_site *s = sp_vec_at(&o->sites, struct sp_bpf_site, i);
		if (returns && !s->has_return)
			continue;
		offsets[nr] = s->offset;
		cookies[nr++] = s->cookie;
	}
	if (!nr)
		return 0;
	struct link_create_multi a = {
	    .prog_fd = (uint32_t)bpf_program__fd(prog),
	    .attach_type = TRACE_UPROBE_MULTI,
	    .path = (uintptr_t)path,
	    .offsets = (uintptr_t)offsets,
	    .cookies = (uintptr_t)cookies,
	    .cnt = nr,
	    .multi_flags = returns ? UPROBE_MULTI_RETURN : 0,
	    .pid = (uint32_t)pid,
	};
	int fd = link_create(&a);
	if (fd < 0)
		return fd;
	int err = sp_vec_push(&l->fds, &fd);
	if (err)
		close(fd);
	return err;
}

static int attach_single(struct sp_bpf_links *l, const struct sp_bpf_object *o, const char *path, pid_t pid,
			 struct bpf_program *prog, bool returns)
{
	for (size_t i = 0; i < o->sites.nr; i++) {
		const struct sp_bpf_site *s = sp_vec_at(&o->sites, struct sp_bpf_site, i);
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = s->cookie, .retprobe = returns);
		if (returns && !s->has_return)
			continue;
		struct bpf_link *link = bpf_program__attach_uprobe_opts(prog, pid, path, s->offset, &opts);
		if (!link)
			return -errno;
		int err = sp_vec_push(&l->objects, &link);
		if (err) {
			bpf_link__destroy(link);
			return err;
		}
	}
	return 0;
}

static int attach_object(struct sp_bpf_links *l, const struct sp_bpf_object *o, pid_t pid, bool multi,
			 struct bpf_program *enter, struct bpf_program *ret)
{
	__typeof__(attach_multi) *attach = multi ? attach_multi : attach_single;
	char path[64];

	/* The kernel follows this link to the very file, whatever name it has in which root, or none. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	/* Returns first: an entry that is seen has a return that is seen. */
	int err = attach(l, o, path, pid, ret, true);
	return err ? err : attach(l, o, path, pid, enter, false);
}

int sp_bpf_attach(struct sp_bpf_links *l, const struct sp_bpf_functions *f, pid_t pid, bool multi,
		  struct bpf_program *enter, struct bpf_program *ret, struct sp_why *why)
{
	for (size_t i = 0; i < f->objects.nr; i++) {
		const struct sp_bpf_object *o = sp_vec_at(&f->objects, struct sp_bpf_object, i);
		int err = attach_object(l, o, pid, multi, enter, ret);
		if (err)
			return sp_bpf_explain(err, "plant probes", why);
	}
	return 0;
}

static void *close_link(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

static void *destroy_link(void *arg)
{
	bpf_link__destroy(*(struct bpf_link **)arg);
	return NULL;
}

/* Runs fn on every element, each in a thread of its own where that can be had: the waits overlap. */
static void for_all_at_once(struct sp_vec *v, void *(*fn)(void *))
{
	pthread_t threads[32];

	for (size_t i = 0; i < v->nr;) {
		size_t nr = 0;
		for (; i < v->nr && nr < SP_ARRAY_SIZE(threads); i++) {
			void *elem = (char *)v->data + i * v->elem_size;
			if (pthread_create(&threads[nr], NULL, fn, elem))
				fn(elem);
			else
				nr++;
		}
		while (nr)
			pthread_join(threads[--nr], NULL);
	}
	sp_vec_clear(v);
}

void sp_bpf_links_done(struct sp_bpf_links *l)
{
	for_all_at_once(&l->fds, close_link);
	for_all_at_once(&l->objects, destroy_link);
	sp_vec_done(&l->fds);
	sp_vec_done(&l->objects);
}
