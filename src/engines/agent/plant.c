// SPDX-License-Identifier: Apache-2.0
/* The agent's code in the target, and which functions lead to it. */
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "agent/agent.blob.h"
#include "engines/agent/impl.h"

#define MAX_HOOKED       512
#define MAIN_STACK_BYTES (1ull << 30) /* the main thread's stack, when its limit says nothing */

void sp_agent_planted_init(struct sp_agent_planted *pl)
{
	*pl = (struct sp_agent_planted){0};
	sp_vec_init(&pl->hooked, sizeof(struct sp_agent_hooked), MAX_HOOKED);
}

void sp_agent_planted_done(struct sp_agent_planted *pl)
{
	sp_vec_done(&pl->hooked);
	free(sp_take_ptr(pl->allocator));
}

/* ---- which functions ---- */

/* One to be hooked. */
struct wanted {
	enum sp_fn fn;
	uint64_t addr, size, dev, inode;
	int nr; /* of its hook; negative: none */
};

struct search {
	const struct sp_maps *maps;
	struct sp_agent_wants *wants;
};

/* The smallest chunk of glibc's malloc is 32 bytes; nobody else has this name. */
static bool is_glibc(struct sp_elf *e)
{
	const char *const name = "__libc_pvalloc";
	struct sp_elf_symbol s = {0};

	return sp_elf_find_symbols(e, &name, 1, &s) == 1;
}

/* sp_watch_take */
static int take(const struct sp_watch_found *f, void *arg)
{
	struct search *s = arg;
	struct wanted w = {.fn = f->fn,
			   .addr = sp_watch_address(s->maps, f->module, f->symbol->offset),
			   .size = f->symbol->size,
			   .dev = f->module->dev,
			   .inode = f->module->inode,
			   .nr = -1};

	if (sp_watch_fn(f->fn)->kind == SP_KIND_THROW || !w.addr)
		return 0;
	if (f->fn == SP_FN_MALLOC)
		s->wants->is_tiny = !is_glibc(f->elf);
	for (size_t i = 0; i < s->wants->list.nr; i++)
		if (sp_vec_at(&s->wants->list, struct wanted, i)->addr == w.addr) /* another name: mmap64, cfree */
			return 0;
	return sp_vec_push(&s->wants->list, &w);
}

/*
 * glibc's dynamic linker passes an empty function for debuggers (r_debug.r_brk) when it has changed, or is about to
 * change, what is loaded. musl's never takes anything away.
 */
static int take_loader(struct sp_agent_wants *w, struct sp_proc *p, const struct sp_maps *maps)
{
	struct wanted l = {.fn = SP_FN_LOADER, .nr = -1};
	sp_raddr debug;

	if (sp_proc_r_debug(p, &debug) || sp_proc_read_mem(p, (sp_raddr){debug.v + offsetof(struct r_debug, r_brk)},
							   &l.addr, sizeof(l.addr)) != sizeof(l.addr))
		return 0;
	const struct sp_mapping *m = sp_maps_find(maps, l.addr);
	if (!m || !m->inode || !(m->prot & SP_PROT_X) || !sp_watch_is_linker(m->path))
		return 0;
	l.dev = makedev(m->dev_major, m->dev_minor);
	l.inode = m->inode;
	return sp_vec_push(&w->list, &l);
}

int sp_agent_wants_find(struct sp_agent_wants *w, const struct sp_engine_config *c, const struct sp_maps *maps,
			struct sp_why *why)
{
	struct search s = {.maps = maps, .wants = w};

	*w = (struct sp_agent_wants){0};
	sp_vec_init(&w->list, sizeof(struct wanted), MAX_HOOKED);
	int err = sp_watch_functions(c, maps, take, &s, &w->allocator, why);
	if (!err)
		err = take_loader(w, c->target, maps);
	if (err)
		sp_agent_wants_done(w);
	return err;
}

void sp_agent_wants_done(struct sp_agent_wants *w)
{
	sp_vec_done(&w->list);
	free(sp_take_ptr(w->allocator));
}

/* The one that does the same but returns NULL instead of throwing. */
static enum sp_fn nothrow_twin(enum sp_fn fn)
{
	switch (fn) {
	case SP_FN_NEW:
		return SP_FN_NEW_NOTHROW;
	case SP_FN_NEW_ARRAY:
		return SP_FN_NEW_ARRAY_NOTHROW;
	case SP_FN_NEW_ALIGNED:
		return SP_FN_NEW_ALIGNED_NOTHROW;
	case SP_FN_NEW_ARRAY_ALIGNED:
		return SP_FN_NEW_ARRAY_ALIGNED_NOTHROW;
	default:
		return SP_NR_FNS;
	}
}

static const struct wanted *find_wanted(const struct sp_agent_wants *wants, enum sp_fn fn)
{
	for (size_t i = 0; i < wants->list.nr; i++) {
		const struct wanted *w = sp_vec_at(&wants->list, struct wanted, i);
		if (w->fn == fn)
			return w;
	}
	return NULL;
}

/* Registers that carry arguments: at most these. */
static unsigned nr_args(enum sp_fn_kind kind)
{
	switch (kind) {
	case SP_KIND_MMAP:
		return 6;
	case SP_KIND_MREMAP:
		return 5;
	case SP_KIND_CALLOC:
	case SP_KIND_MUNMAP:
		return 2;
	case SP_KIND_LOADER:
		return 0;
	default:
		return 3; /* size, alignment, nothrow; block, size, alignment */
	}
}

static bool is_hooked(const struct sp_agent_planted *pl, const struct wanted *w)
{
	for (size_t i = 0; i < pl->hooked.nr; i++) {
		const struct sp_agent_hooked *h = sp_vec_at(&pl->hooked, struct sp_agent_hooked, i);
		if (h->addr == w->addr && h->dev == w->dev && h->inode == w->inode)
			return true;
	}
	return false;
}

static int plan_one(const struct sp_agent_planted *pl, const struct sp_agent_wants *wants, struct wanted *w,
		    struct sp_inject_hooks *h, struct sp_why *why)
{
	const struct sp_watch_fn *fn = sp_watch_fn(w->fn);
	const struct wanted *twin = find_wanted(wants, nothrow_twin(w->fn));
	bool has_twin = twin && twin->nr >= 0;
	enum sp_fn_kind kind = fn->kind == SP_KIND_NEW && !has_twin ? SP_KIND_PASSED : fn->kind;
	struct sp_agent_hook desc = {.fn = w->fn, .kind = (uint8_t)kind, .size_arg = (uint8_t)fn->size_arg};
	struct sp_inject_hook hook = {.name = fn->symbol,
				      .function = {w->addr},
				      .size = w->size,
				      .nr_args = nr_args(fn->kind),
				      .entry = {pl->code + sp_agent_blob.entries[kind]},
				      .fallback = kind == SP_KIND_NEW ? twin->nr : -1};

	_Static_assert(sizeof(desc) <= SP_INJECT_DESC_BYTES, "a hook's descriptor fits");
	memcpy(hook.desc, &desc, sizeof(desc));
	w->nr = sp_inject_hook_add(h, &hook, why);
	return w->nr < 0 ? w->nr : 0;
}

/* Without this one changes are seen a second later: no reason not to watch. */
static bool is_optional(const struct wanted *w)
{
	return w->fn == SP_FN_LOADER;
}

/* What has been planned will be there. */
static int note_hooked(struct sp_agent_planted *pl, const struct sp_agent_wants *wants)
{
	int err = 0;

	for (size_t i = 0; i < wants->list.nr && !err; i++) {
		const struct wanted *w = sp_vec_at(&wants->list, struct wanted, i);
		const struct sp_agent_hooked k = {
		    .addr = w->addr, .dev = w->dev, .inode = w->inode, .is_loader = w->fn == SP_FN_LOADER};
		if (w->nr >= 0)
			err = sp_vec_push(&pl->hooked, &k);
	}
	return err;
}

/* Twins first, because the others name them. */
int sp_agent_plan(struct sp_agent_planted *pl, struct sp_agent_wants *wants, struct sp_inject_hooks *h,
		  struct sp_why *why)
{
	int err = 0;

	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < wants->list.nr && !err; i++) {
			struct wanted *w = sp_vec_at(&wants->list, struct wanted, i);
			if ((sp_watch_fn(w->fn)->kind == SP_KIND_NEW) == (round == 1) && !is_hooked(pl, w))
				err = plan_one(pl, wants, w, h, is_optional(w) ? NULL : why);
			if (err && is_optional(w))
				err = 0;
		}
	if (err)
		return err;
	free(pl->allocator);
	pl->allocator = sp_take_ptr(wants->allocator);
	return note_hooked(pl, wants);
}

int sp_agent_hooks_apply(struct sp_agent_planted *pl, struct sp_inject_hooks *h, struct sp_why *why)
{
	struct sp_inject_pause pause = {0};

	if (!sp_inject_hooks_nr(h))
		return 0;
	int err = sp_inject_hooks_apply(h, &pause, why);
	if (pause.max_ns > pl->max_pause_ns)
		pl->max_pause_ns = pause.max_ns;
	return err;
}

/* ---- the code region ---- */

static void fill_mark(struct sp_inject *in, struct sp_inject_mark *ret)
{
	sp_inject_mark_fill(in, SP_INJECT_CODE, sp_agent_blob.code_bytes + SP_AGENT_PAGE,
			    sp_agent_blob.code_bytes + offsetof(struct sp_agent_ctl, active), ret);
}

static int refuse_write(int err, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_OURS, -err, "cannot write the agent: %s", strerror(-err));
}

int sp_agent_code_map(struct sp_agent_planted *pl, struct sp_inject *in, struct sp_why *why)
{
	const struct sp_agent_blob *blob = &sp_agent_blob;
	sp_raddr at;
	int err =
	    sp_inject_map_near(in, (sp_raddr){0}, 0, blob->code_bytes + SP_AGENT_PAGE, SP_PROT_R | SP_PROT_X, &at, why);

	if (err)
		return err;
	struct sp_inject_mark mark;
	fill_mark(in, &mark);
	err = sp_inject_write(in, at, &mark, sizeof(mark)); /* at once: by it the guard finds the region */
	if (err)
		return refuse_write(err, why);
	pl->code = at.v;
	uint64_t ctl = at.v + blob->code_bytes;
	struct sp_inject_call calls[] = {
	    {.nr = SYS_mprotect, .args = {ctl, SP_AGENT_PAGE, PROT_READ}},
	    {.nr = SYS_madvise, .args = {ctl, SP_AGENT_PAGE, MADV_WIPEONFORK}},
	};
	err = sp_inject_calls(in, calls, SP_ARRAY_SIZE(calls), why);
	for (size_t i = 0; i < SP_ARRAY_SIZE(calls) && !err; i++)
		if (calls[i].ret)
			err = sp_why_set(why, SP_FAULT_TARGET, (int)-calls[i].ret,
					 "the target may not prepare memory for the agent: %s",
					 strerror((int)-calls[i].ret));
	return err;
}

static void find_main_stack(struct sp_agent_config *c, struct sp_proc *p, const struct sp_maps *maps)
{
	uint64_t limit = sp_proc_limit(p, "Max stack size");

	if (limit > MAIN_STACK_BYTES)
		limit = MAIN_STACK_BYTES;
	for (size_t i = 0; i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		if (strcmp(m->path, "[stack]") != 0)
			continue;
		uint64_t lowest = m->end > limit ? m->end - limit : 0;
		c->main_hi = m->end;
		c->main_lo = lowest < m->start ? lowest : m->start;
	}
}

static uint64_t loader_state(struct sp_proc *p)
{
	sp_raddr debug;

	return sp_proc_r_debug(p, &debug) ? 0 : debug.v + offsetof(struct r_debug, r_state);
}

int sp_agent_code_write(const struct sp_agent_planted *pl, struct sp_inject *in, struct sp_proc *p,
			const struct sp_maps *maps, const struct sp_agent_rules *rules, const struct sp_agent_data *d,
			struct sp_why *why)
{
	const struct sp_agent_blob *blob = &sp_agent_blob;
	struct sp_agent_config config = {.flags = rules->is_tiny ? SP_AGENT_TINY : 0,
					 .code = pl->code,
					 .code_end = pl->code + blob->code_bytes,
					 .size_mask = rules->is_by_calls ? 0 : ~0ull,
					 .size_add = 1,
					 .loader_state = loader_state(p)};

	sp_agent_config_place(&config, &d->limits, d->addr);
	find_main_stack(&config, p, maps);
	fill_mark(in, &config.mark);
	int err = sp_inject_write(in, (sp_raddr){pl->code + sizeof(config)}, blob->bytes + sizeof(config),
				  blob->code_bytes - sizeof(config));
	if (!err)
		err = sp_inject_write(in, (sp_raddr){pl->code}, &config, sizeof(config));
	return err ? refuse_write(err, why) : 0;
}

int sp_agent_code_set_active(const struct sp_agent_planted *pl, struct sp_inject *in, bool active, struct sp_why *why)
{
	const uint32_t word = active;
	uint64_t at = pl->code + sp_agent_blob.code_bytes + offsetof(struct sp_agent_ctl, active);
	int err = sp_inject_write(in, (sp_raddr){at}, &word, sizeof(word));

	return err ? refuse_write(err, why) : 0;
}

uint32_t sp_agent_code_rows(const struct sp_row **ret)
{
	*ret = sp_agent_blob.rows;
	return sp_agent_blob.nr_rows;
}

uint64_t sp_agent_code_end(const struct sp_agent_planted *pl)
{
	return pl->code + sp_agent_blob.code_bytes;
}

bool sp_agent_code_is_there(const struct sp_agent_planted *pl, struct sp_proc *p)
{
	struct sp_agent_config c;

	return sp_proc_read_mem(p, (sp_raddr){pl->code}, &c, sizeof(c)) == sizeof(c) &&
	       c.mark.magic == SP_INJECT_MAGIC && c.mark.owner_pid == (uint32_t)getpid() && c.code == pl->code;
}
