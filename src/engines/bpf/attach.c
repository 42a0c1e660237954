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

/* enum bpf_attach_type (uapi/linux/bpf.h): BPF_TRACE_UPROBE_MULTI, BPF_TRACE_UPROBE_SESSION */
#define TRACE_UPROBE_MULTI   48
#define TRACE_UPROBE_SESSION 57
#define UPROBE_MULTI_RETURN  1 /* BPF_F_UPROBE_MULTI_RETURN */
#define MAX_LINKS            4096

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

/* The answer of the kernel to a link of this type that cannot be made, for want of a file or of a process. */
static int try_link(int attach_type, uint32_t pid)
{
	const struct bpf_insn insns[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)attach_type);
	uint64_t offset = 0;
	struct link_create_multi a = {
	    .attach_type = (uint32_t)attach_type,
	    .path = (uintptr_t) "/",
	    .offsets = (uintptr_t)&offset,
	    .cnt = 1,
	    .pid = pid,
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "sp_probe", "GPL", insns, SP_ARRAY_SIZE(insns), &opts);

	if (fd < 0)
		return fd;
	a.prog_fd = (uint32_t)fd;
	int link = link_create(&a);
	if (link >= 0)
		close(link);
	close(fd);
	return link;
}

/*
 * A kernel that knows the type says that "/" is no file. The first ones (6.6 to 6.9) saw only the main thread of a
 * process; with the repair (46ba0e49b642 in Linux) came the refusal of pid -1.
 */
static bool has_links(int attach_type)
{
	return try_link(attach_type, 0) == -EBADF && try_link(attach_type, (uint32_t)-1) == -EINVAL;
}

enum sp_bpf_attach_mode sp_bpf_best_attach_mode(void)
{
	if (has_links(TRACE_UPROBE_SESSION))
		return SP_ATTACH_SESSION;
	return has_links(TRACE_UPROBE_MULTI) ? SP_ATTACH_MULTI : SP_ATTACH_PERF;
}

void sp_bpf_prepare_programs(const struct sp_bpf_programs *p)
{
	bpf_program__set_autoload(p->session, p->mode == SP_ATTACH_SESSION);
	bpf_program__set_autoload(p->enter, p->mode != SP_ATTACH_SESSION);
	bpf_program__set_autoload(p->ret, p->mode != SP_ATTACH_SESSION);
	if (p->mode == SP_ATTACH_PERF)
		return;
	bpf_program__set_expected_attach_type(p->session, (enum bpf_attach_type)TRACE_UPROBE_SESSION);
	bpf_program__set_expected_attach_type(p->enter, (enum bpf_attach_type)TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(p->ret, (enum bpf_attach_type)TRACE_UPROBE_MULTI);
	if (p->thrower)
		bpf_program__set_expected_attach_type(p->thrower, (enum bpf_attach_type)TRACE_UPROBE_MULTI);
}

void sp_bpf_links_init(struct sp_bpf_links *l)
{
	sp_vec_init(&l->fds, sizeof(int), MAX_LINKS);
	sp_vec_init(&l->objects, sizeof(struct bpf_link *), MAX_LINKS);
}

/* What is planted at once: one program at some of a file's sites. */
struct planting {
	const struct sp_bpf_object *object;
	const char *path;
	pid_t pid;
	struct bpf_program *prog;
	bool at_entries, at_returns; /* both: a session */
	bool (*is_wanted)(const struct sp_bpf_site *s);
};

/* What a link is made of. The kernel plants in this order. */
struct site_list {
	uint64_t *offsets, *cookies;
	uint32_t nr;
};

static void list_sites(const struct planting *p, bool returning, struct site_list *to)
{
	const struct sp_vec *sites = &p->object->sites;

	for (size_t i = 0; i < sites->nr; i++) {
		const struct sp_bpf_site *s = sp_vec_at(sites, struct sp_bpf_site, i);
		if (!p->is_wanted(s) || sp_bpf_site_returns(s) != returning)
			continue;
		to->offsets[to->nr] = s->offset;
		to->cookies[to->nr++] = s->cookie;
	}
}

/* One link for all of them. */
static int plant_multi(struct sp_bpf_links *l, const struct planting *p)
{
	size_t max = p->object->sites.nr;
	sp_autofree uint64_t *offsets = calloc(2 * max + 1, sizeof(*offsets));
	struct site_list list = {.offsets = offsets, .cookies = offsets + max};

	if (!offsets)
		return -ENOMEM;
	list_sites(p, false, &list); /* what takes blocks away before what adds them */
	list_sites(p, true, &list);
	if (!list.nr)
		return 0;
	struct link_create_multi a = {
	    .prog_fd = (uint32_t)bpf_program__fd(p->prog),
	    .attach_type = p->at_entries && p->at_returns ? TRACE_UPROBE_SESSION : TRACE_UPROBE_MULTI,
	    .path = (uintptr_t)p->path,
	    .offsets = (uintptr_t)list.offsets,
	    .cookies = (uintptr_t)list.cookies,
	    .cnt = list.nr,
	    .multi_flags = p->at_entries ? 0 : UPROBE_MULTI_RETURN,
	    .pid = (uint32_t)p->pid,
	};
	int fd = link_create(&a);
	if (fd < 0)
		return fd;
	int err = sp_vec_push(&l->fds, &fd);
	if (err)
		close(fd);
	return err;
}

/* One perf uprobe for each. */
static int plant_single(struct sp_bpf_links *l, const struct planting *p)
{
	const struct sp_vec *sites = &p->object->sites;

	for (size_t i = 0; i < sites->nr; i++) {
		const struct sp_bpf_site *s = sp_vec_at(sites, struct sp_bpf_site, i);
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = s->cookie, .retprobe = p->at_returns);
		if (!p->is_wanted(s))
			continue;
		struct bpf_link *link = bpf_program__attach_uprobe_opts(p->prog, p->pid, p->path, s->offset, &opts);
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

static bool is_thrower(const struct sp_bpf_site *s)
{
	return SP_COOKIE_KIND(s->cookie) == SP_KIND_THROW;
}

static bool is_no_thrower(const struct sp_bpf_site *s)
{
	return !is_thrower(s);
}

static int attach_object(struct sp_bpf_links *l, const struct sp_bpf_object *o, pid_t pid,
			 const struct sp_bpf_programs *p)
{
	bool sessions = p->mode == SP_ATTACH_SESSION;
	int (*plant)(struct sp_bpf_links *, const struct planting *) =
	    p->mode == SP_ATTACH_PERF ? plant_single : plant_multi;
	char path[64];

	/* The kernel follows this link to the very file, whatever name it has in which root, or none. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	/*
	 * Repairs before what needs them, returns before entries: nothing is seen by halves. With sessions one link a
	 * file does it all: each costs the wait for a grace period when it goes.
	 */
	const struct planting plantings[] = {
	    {o, path, pid, p->thrower, true, false, is_thrower},
	    {o, path, pid, sessions ? NULL : p->ret, false, true, sp_bpf_site_returns},
	    {o, path, pid, sessions ? p->session : p->enter, true, sessions, is_no_thrower},
	};
	int err = 0;
	for (size_t i = 0; i < SP_ARRAY_SIZE(plantings) && !err; i++)
		if (plantings[i].prog)
			err = plant(l, &plantings[i]);
	return err;
}

static int explain_ended(pid_t pid, struct sp_why *why)
{
	sp_why_set(why, SP_FAULT_TARGET, ESRCH, "cannot attach to %d: it has ended meanwhile", (int)pid);
	sp_why_hint(why, "what does not live long is watched from its first instruction on: seep trace -- CMD");
	return -ESRCH;
}

int sp_bpf_attach(struct sp_bpf_links *l, const struct sp_bpf_functions *f, pid_t pid, const struct sp_bpf_programs *p,
		  struct sp_why *why)
{
	for (size_t i = 0; i < f->objects.nr; i++) {
		int err = attach_object(l, sp_vec_at(&f->objects, struct sp_bpf_object, i), pid, p);
		if (err)
			return err == -ESRCH ? explain_ended(pid, why) : sp_bpf_explain(err, "plant probes", why);
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
			if (sp_thread_start(&threads[nr], fn, elem))
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
