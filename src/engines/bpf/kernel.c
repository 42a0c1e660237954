// SPDX-License-Identifier: Apache-2.0
/* The bpf engine on the kernel itself: programs on the tracepoints of its allocators. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "bpf/kernel.skel.h"
#pragma GCC diagnostic pop
#include "engines/bpf/impl.h"

/* Everything is allocated at once here (see kernel.bpf.c): about 90 bytes a block, 1.1 KB a path. */
#define DEFAULT_BLOCKS (1 << 19)
#define DEFAULT_PATHS  (1 << 14)
#define TRACE_BUFFER   (1 << 24)

struct kernel {
	struct sp_engine engine;
	struct sp_kernel_bpf *skel;
	struct sp_bpf_store store;
	struct sp_engine_stats stats;
};

static void configure(struct kernel *k, const struct sp_engine_config *c)
{
	struct sp_kernel_bpf *s = k->skel;

	s->rodata->cfg_min_size = c->min_size;
	s->rodata->cfg_max_size = c->max_size ? c->max_size : UINT64_MAX;
	s->rodata->cfg_sample_rate = c->sample_rate;
	s->rodata->cfg_own_tgid = (uint32_t)getpid();
	s->rodata->cfg_missing_free = c->wa_missing_free;
	s->rodata->cfg_trace = c->on_event != NULL;
	s->rodata->cfg_page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

/* bcc's --percpu: per-cpu allocations instead of slab and pages. */
static void choose_programs(struct sp_kernel_bpf *s, bool percpu)
{
	struct bpf_program *slab[] = {s->progs.sp_kmalloc,    s->progs.sp_kfree,      s->progs.sp_cache_alloc,
				      s->progs.sp_cache_free, s->progs.sp_page_alloc, s->progs.sp_page_free};

	for (size_t i = 0; i < SP_ARRAY_SIZE(slab); i++)
		bpf_program__set_autoload(slab[i], !percpu);
	bpf_program__set_autoload(s->progs.sp_percpu_alloc, percpu);
	bpf_program__set_autoload(s->progs.sp_percpu_free, percpu);
}

static int size_maps(struct kernel *k, const struct sp_engine_config *c)
{
	int err = bpf_map__set_max_entries(k->skel->maps.blocks, sp_bpf_or_default(c->max_blocks, DEFAULT_BLOCKS));

	if (!err)
		err = bpf_map__set_max_entries(k->skel->maps.paths, sp_bpf_or_default(c->max_paths, DEFAULT_PATHS));
	if (!err && c->on_event)
		err = bpf_map__set_max_entries(k->skel->maps.events, TRACE_BUFFER);
	return err;
}

static int start(struct kernel *k, const struct sp_engine_config *c, struct sp_why *why)
{
	sp_cleanup(sp_bpf_types_close) struct sp_bpf_types types;
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	int err;

	libbpf_set_print(NULL);
	sp_bpf_types_open(&types);
	opts.btf_custom_path = sp_bpf_types_path(&types);
	k->skel = sp_kernel_bpf__open_opts(&opts);
	if (!k->skel)
		return sp_bpf_explain(-errno, "open the BPF programs", why);
	configure(k, c);
	choose_programs(k->skel, c->percpu);
	err = sp_bpf_types_fill(&types, k->skel->obj);
	if (!err)
		err = size_maps(k, c);
	if (!err)
		err = sp_kernel_bpf__load(k->skel);
	if (err)
		return sp_bpf_explain(err, "load the BPF programs", why);
	err = sp_bpf_store_open(&k->store, c, k->skel->maps.blocks, k->skel->maps.paths, k->skel->maps.events,
				k->skel->maps.lost, why);
	if (err)
		return err;
	err = sp_kernel_bpf__attach(k->skel);
	return err ? sp_bpf_explain(err, "attach to the kernel's tracepoints", why) : 0;
}

static void kernel_stop(struct sp_engine *e)
{
	struct kernel *k = (struct kernel *)e;

	if (!k)
		return;
	if (k->skel)
		sp_kernel_bpf__detach(k->skel);
	sp_bpf_store_close(&k->store);
	sp_kernel_bpf__destroy(k->skel);
	free(k);
}

static enum sp_engine_news kernel_poll(struct sp_engine *e, struct sp_ledger *l)
{
	sp_bpf_store_drain(&((struct kernel *)e)->store, l);
	return SP_NEWS_NONE;
}

static int kernel_read(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why)
{
	struct kernel *k = (struct kernel *)e;
	uint64_t missed = 0;
	struct bpf_program *p;

	bpf_object__for_each_program(p, k->skel->obj) if (bpf_program__autoload(p)) missed += sp_bpf_missed(p);
	sp_bpf_store_drain(&k->store, l);
	return sp_bpf_store_read(&k->store, l, missed, why);
}

static int kernel_fd(struct sp_engine *e)
{
	return sp_bpf_store_fd(&((struct kernel *)e)->store);
}

static uint64_t kernel_now_ns(struct sp_engine *e)
{
	(void)e;
	return sp_watch_now_ns();
}

static void kernel_stats(struct sp_engine *e, struct sp_engine_stats *ret)
{
	*ret = ((struct kernel *)e)->stats;
}

static const struct sp_engine_ops kernel_ops = {
    .name = "bpf",
    .fd = kernel_fd,
    .poll = kernel_poll,
    .read = kernel_read,
    .now_ns = kernel_now_ns,
    .stats = kernel_stats,
    .stop = kernel_stop,
};

int sp_bpf_kernel_start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	uint64_t start_ns = sp_watch_now_ns();
	struct kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->engine.ops = &kernel_ops;
	int err = start(k, c, why);
	if (err) {
		kernel_stop(&k->engine);
		return err;
	}
	k->stats.scale = c->sample_rate > 1 ? c->sample_rate : 1;
	k->stats.start_ns = sp_watch_now_ns() - start_ns;
	*ret = &k->engine;
	return 0;
}
