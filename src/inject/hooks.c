// SPDX-License-Identifier: Apache-2.0
/* Plans hooks and writes everything of them but the jumps, while the target runs. */
#include "inject/hooks.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	UNKNOWN_SIZE = 256, /* bytes of a function whose size nobody knows that are looked at */
	LARGEST_FUNCTION = 1 << 16,
	LARGEST_TEXT = 64 << 20, /* that is searched for jumps */
};

int sp_inject_hooks_new(struct sp_inject *in, struct sp_inject_hooks **ret, struct sp_why *why)
{
	struct sp_inject_hooks *h = calloc(1, sizeof(*h));

	if (!h)
		return sp_inject_no_memory(why);
	h->in = in;
	sp_vec_init(&h->modules, sizeof(struct sp_hook_module), SP_HOOKS_MAX_MODULES);
	sp_vec_init(&h->hooks, sizeof(struct sp_hook), SP_HOOKS_MAX);
	*ret = h;
	return 0;
}

static void drop_text(struct sp_inject_hooks *h)
{
	for (size_t i = 0; i < h->modules.nr; i++) {
		struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, i);
		free(m->text);
		m->text = NULL;
	}
}

void sp_inject_hooks_free(struct sp_inject_hooks *h)
{
	if (!h)
		return;
	drop_text(h);
	for (size_t i = 0; i < h->modules.nr; i++)
		sp_close_p(&sp_vec_at(&h->modules, struct sp_hook_module, i)->fd);
	for (size_t i = 0; i < h->hooks.nr; i++)
		free(sp_vec_at(&h->hooks, struct sp_hook, i)->bytes);
	sp_vec_done(&h->hooks);
	sp_vec_done(&h->modules);
	free(h);
}

size_t sp_inject_hooks_nr(const struct sp_inject_hooks *h)
{
	return h->hooks.nr;
}

void sp_inject_hook_plan(const struct sp_inject_hooks *h, size_t nr, struct sp_inject_plan *ret)
{
	const struct sp_hook *k = sp_vec_at(&h->hooks, struct sp_hook, nr);
	uint64_t base = h->is_prepared ? sp_hook_base(h, k) : 0;

	*ret = (struct sp_inject_plan){.place = {k->r.function + k->r.place}, .at = k->r.at};
	if (base) {
		ret->desc.v = base + SP_HOOK_DESC_AT;
		ret->trampoline.v = base + SP_HOOK_CODE_AT;
	}
}

/* ---- the file behind the function ---- */

static int open_module(struct sp_inject_hooks *h, const struct sp_mapping *map, struct sp_why *why)
{
	struct sp_hook_module m = {.start = map->start, .end = map->end, .offset = map->offset};

	m.fd = sp_proc_open_mapping(h->in->p, map, why);
	if (m.fd < 0)
		return m.fd;
	size_t len = m.end - m.start;
	if (len <= LARGEST_TEXT && (m.text = malloc(len)) && sp_inject_read(h->in, m.start, m.text, len) < 0) {
		free(m.text);
		m.text = NULL;
	}
	int rc = sp_vec_push(&h->modules, &m);
	if (rc < 0) {
		free(m.text);
		close(m.fd);
		return sp_inject_no_memory(why);
	}
	return (int)h->modules.nr - 1;
}

/* The number of the module, or -errno. */
static int find_module(struct sp_inject_hooks *h, const struct sp_inject_hook *hook, struct sp_why *why)
{
	struct sp_maps maps;
	uint64_t addr = hook->function.v;

	for (size_t i = 0; i < h->modules.nr; i++) {
		const struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, i);
		if (addr >= m->start && addr < m->end)
			return (int)i;
	}
	int rc = sp_proc_maps(h->in->p, &maps, why);
	if (rc < 0)
		return rc;
	const struct sp_mapping *map = sp_maps_find(&maps, addr);
	if (map && (map->prot & SP_PROT_X) && map->inode && !(map->prot & SP_PROT_SHARED))
		rc = open_module(h, map, why);
	else
		rc = sp_why_set(why, SP_FAULT_TARGET, ENOENT, "%s is not in the code of a file (0x%llx)", hook->name,
				(unsigned long long)addr);
	sp_maps_done(&maps);
	return rc;
}

/* ---- is the code as it should be? ---- */

static int refuse_changed(struct sp_inject_hooks *h, const char *name, uint64_t addr, const uint8_t *now,
			  struct sp_why *why)
{
	uint64_t to = sp_relocate_jump_target(addr, now);
	struct sp_inject_mark mark;
	int rc;

	if (now[0] == 0xcc) {
		rc = sp_why_set(why, SP_FAULT_TARGET, EBUSY, "%s has a breakpoint of another tool in it", name);
		sp_why_hint(why,
			    "end that tool (bpftrace, perf, a debugger, seep --engine bpf), or use --engine bpf too");
		return rc;
	}
	if (to && sp_inject_read(h->in, to & ~4095ull, &mark, sizeof(mark)) == 0 && mark.magic == SP_INJECT_MAGIC) {
		rc = sp_why_set(why, SP_FAULT_TARGET, EBUSY, "%s has a hook of an earlier run of seep", name);
		sp_why_hint(why, "seep detach %d", (int)h->in->pid);
		return rc;
	}
	rc = sp_why_set(why, SP_FAULT_TARGET, EBUSY, "%s is not what its file says: %s", name,
			to ? "another tool has hooked it" : "somebody changed its code");
	sp_why_hint(why, "end the other tool, or use --engine bpf");
	return rc;
}

/* The function's first bytes, as far as a hook may touch them, are the file's. */
static int check_unchanged(struct sp_inject_hooks *h, const char *name, uint64_t addr, const uint8_t *file, size_t nr,
			   struct sp_why *why)
{
	uint8_t now[SP_HOOK_MAX_MOVED + SP_HOOK_JUMP_BYTES] = {};

	nr = nr < SP_HOOK_MAX_MOVED ? nr : SP_HOOK_MAX_MOVED;
	ssize_t n = sp_inject_read_some(h->in, addr, now, nr + SP_HOOK_JUMP_BYTES);
	if (n < (ssize_t)nr)
		return sp_inject_refuse_gone(h->in, why);
	for (size_t i = 0; i < nr; i++)
		if (now[i] != file[i]) /* of a jump, perhaps only the distance differs */
			return refuse_changed(h, name, addr + (i && now[i - 1] == 0xe9 ? i - 1 : i),
					      now + (i && now[i - 1] == 0xe9 ? i - 1 : i), why);
	return 0;
}

/* ---- planning ---- */

static int read_function(struct sp_inject_hooks *h, struct sp_hook *k, struct sp_why *why)
{
	const struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, k->module);
	uint64_t addr = k->spec.function.v;
	size_t want = k->spec.size ? k->spec.size : UNKNOWN_SIZE;

	want = want < SP_HOOK_MAX_MOVED + SP_HOOK_JUMP_BYTES ? SP_HOOK_MAX_MOVED + SP_HOOK_JUMP_BYTES : want;
	want = want < LARGEST_FUNCTION ? want : LARGEST_FUNCTION;
	want = want < m->end - addr ? want : m->end - addr;
	k->bytes = malloc(want);
	if (!k->bytes)
		return sp_inject_no_memory(why);
	ssize_t n = pread(m->fd, k->bytes, want, (off_t)(m->offset + (addr - m->start)));
	if (n <= 0)
		return sp_why_set(why, SP_FAULT_TARGET, EIO, "the file of %s cannot be read", k->name);
	k->nr_bytes = (size_t)n;
	return 0;
}

static struct sp_code code_of(const struct sp_hook *k)
{
	return (struct sp_code){.address = k->spec.function.v,
				.bytes = k->bytes,
				.nr = k->nr_bytes,
				.size = k->spec.size,
				.nr_args = k->spec.nr_args};
}

static int refuse_code(const struct sp_hook *k, const char *reason, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_TARGET, ENOTSUP, "%s cannot be hooked: %s", k->name, reason);

	sp_why_hint(why, "watch from outside: --engine bpf");
	return rc;
}

static int plan(struct sp_inject_hooks *h, struct sp_hook *k, struct sp_why *why)
{
	const char *reason = "unknown";
	int rc = find_module(h, &k->spec, why);

	if (rc < 0)
		return rc;
	k->module = (size_t)rc;
	struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, k->module);
	rc = read_function(h, k, why);
	if (rc == 0)
		rc = check_unchanged(h, k->name, k->spec.function.v, k->bytes, k->nr_bytes, why);
	if (rc < 0)
		return rc;
	struct sp_code code = code_of(k);
	if (sp_relocate_plan(&code, &k->r, &reason) < 0)
		return refuse_code(k, reason, why);
	uint64_t start = k->r.function;
	if (m->text && sp_relocate_is_reached(m->text, m->end - m->start, m->start, start + 1, start + k->r.covered))
		return refuse_code(k, "code elsewhere jumps into its first instructions", why);
	k->slot = m->nr_hooks++;
	return 0;
}

int sp_inject_hook_add(struct sp_inject_hooks *h, const struct sp_inject_hook *hook, struct sp_why *why)
{
	struct sp_hook k = {.spec = *hook};

	if (h->is_prepared)
		return sp_why_set(why, SP_FAULT_OURS, EINVAL, "%s comes too late", hook->name);
	for (size_t i = 0; i < h->hooks.nr; i++)
		if (sp_vec_at(&h->hooks, struct sp_hook, i)->spec.function.v == hook->function.v)
			return -EEXIST;
	snprintf(k.name, sizeof(k.name), "%s", hook->name);
	k.spec.name = NULL; /* the caller's */
	int rc = sp_vec_reserve(&h->hooks, h->hooks.nr + 1);
	if (rc < 0)
		return sp_inject_no_memory(why);
	k.spec.name = k.name;
	rc = plan(h, &k, why);
	k.spec.name = NULL;
	if (rc == 0)
		rc = sp_vec_push(&h->hooks, &k);
	if (rc < 0) {
		free(k.bytes);
		return rc;
	}
	return (int)h->hooks.nr - 1;
}

/* ---- writing ---- */

static int map_region(struct sp_inject_hooks *h, struct sp_hook_module *m, struct sp_why *why)
{
	sp_raddr at;

	m->region_bytes = (SP_INJECT_MARK_BYTES + m->nr_hooks * SP_HOOK_BYTES + 4095) & ~4095ull;
	int rc = sp_inject_map_near(h->in, (sp_raddr){m->start}, m->end - m->start, m->region_bytes,
				    SP_PROT_R | SP_PROT_X, &at, why);
	if (rc == 0)
		m->region = at.v;
	return rc;
}

static void put_word(uint8_t *at, uint64_t word)
{
	memcpy(at, &word, sizeof(word));
}

/* Stub, descriptor and trampoline into their place in the region's copy. */
static int build(struct sp_inject_hooks *h, struct sp_hook *k, uint8_t *region, uint64_t region_at, struct sp_why *why)
{
	uint64_t base = sp_hook_base(h, k);
	uint8_t *to = region + (base - region_at);
	struct sp_code code = code_of(k);

	int rc = sp_relocate_encode(&code, base + SP_HOOK_CODE_AT, &k->r);
	if (rc < 0)
		return refuse_code(k, rc == -ERANGE ? "what it refers to is too far away" : strerror(-rc), why);
	memset(to, 0xcc, SP_HOOK_BYTES);
	if (!sp_relocate_stub(&k->r, base, base + SP_HOOK_DESC_AT, k->spec.entry.v, to, SP_HOOK_STUB_BYTES))
		return refuse_code(k, "its stub does not fit", why);
	memcpy(to + SP_HOOK_CODE_AT, k->r.code, k->r.code_bytes);
	memcpy(to + SP_HOOK_DESC_AT, k->spec.desc, SP_INJECT_DESC_BYTES);
	put_word(to + SP_HOOK_DESC_AT, base + SP_HOOK_CODE_AT);
	if (k->spec.fallback >= 0 && (size_t)k->spec.fallback < h->hooks.nr) {
		const struct sp_hook *f = sp_vec_at(&h->hooks, struct sp_hook, (size_t)k->spec.fallback);
		put_word(to + SP_HOOK_DESC_AT + sizeof(uint64_t), sp_hook_base(h, f) + SP_HOOK_CODE_AT);
	}
	return 0;
}

static int write_region(struct sp_inject_hooks *h, size_t module, struct sp_why *why)
{
	const struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, module);
	struct sp_inject_mark mark;

	sp_autofree uint8_t *region = calloc(1, m->region_bytes);
	if (!region)
		return sp_inject_no_memory(why);
	sp_inject_mark_fill(h->in, SP_INJECT_NEAR, m->region_bytes, 0, &mark);
	memcpy(region, &mark, sizeof(mark));
	for (size_t i = 0; i < h->hooks.nr; i++) {
		struct sp_hook *k = sp_vec_at(&h->hooks, struct sp_hook, i);
		int rc = k->module == module ? build(h, k, region, m->region, why) : 0;
		if (rc < 0)
			return rc;
	}
	int rc = sp_inject_write(h->in, (sp_raddr){m->region}, region, m->region_bytes);
	sp_inject_fault_point(SP_FAULT_POINT_NEAR_WRITTEN);
	return rc < 0 ? sp_inject_refuse_write(h->in, -rc, why) : 0;
}

int sp_inject_hooks_prepare(struct sp_inject_hooks *h, struct sp_why *why)
{
	int rc = 0;

	drop_text(h);
	for (size_t i = 0; rc == 0 && i < h->modules.nr; i++) {
		struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, i);
		if (m->nr_hooks)
			rc = map_region(h, m, why);
	}
	for (size_t i = 0; rc == 0 && i < h->modules.nr; i++)
		if (sp_vec_at(&h->modules, struct sp_hook_module, i)->nr_hooks)
			rc = write_region(h, i, why);
	h->is_prepared = rc == 0;
	return rc;
}
