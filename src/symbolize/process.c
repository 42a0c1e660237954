// SPDX-License-Identifier: Apache-2.0
/*
 * The symbolizer of a process. Who may explain an address, the first that can:
 *   1. an ELF file mapped there now as code
 *   2. the perf map of a JIT, when anonymous code is there now
 *   3. an ELF file that was mapped there when we last looked, and is not any more
 *   4. the perf map, when what is there now is no code (JITs that take turns between writable and executable)
 *   5. the name of the mapping, or "[jit]" for code of which nothing is known
 * Opening lists the mappings and opens the files of code; nothing of a file is read before an address in it is asked.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "symbolize/process.h"

#define HOST_DEBUG_DIR "/usr/lib/debug"
#define MAX_DEBUG_BYTES                                                                                                \
	(16ull << 30) /* of all files together: they are read into memory unless only root writes them */

struct process {
	struct sp_symbolizer s;
	struct sp_images images;
	struct sp_jit jit;
	struct sp_debug_search search;
	struct sp_object_options object_options;
	uint64_t debug_bytes_left;
};

static int open_in_target(void *ctx, const char *path)
{
	return sp_proc_open_path(ctx, path, NULL);
}

/* ---- frames of an ELF file ---- */

static void set_image(const struct sp_image *image, struct sp_frame *f)
{
	f->module = image->name;
	f->module_path = image->path;
	f->build_id = image->build_id;
}

static const char *intern_file(struct process *p, const struct sp_object_frame *of)
{
	char path[PATH_MAX];
	const char *file = of->file;
	int n;

	if (!file || !of->dir)
		return sp_names_add(&p->s.names, file);
	while (file[0] == '.' && file[1] == '/')
		file += 2;
	n = snprintf(path, sizeof(path), "%s/%s", of->dir, file);
	return sp_names_add(&p->s.names, n > 0 && (size_t)n < sizeof(path) ? path : of->file);
}

static void set_object_frame(struct process *p, const struct sp_object_frame *of, struct sp_frame *f)
{
	sp_symbolizer_set_function(&p->s, f, of->name);
	f->file = intern_file(p, of);
	f->line = f->file ? of->line : 0;
	f->inlined = of->inlined;
}

static unsigned resolve_object(struct process *p, struct sp_object *o, uint64_t vaddr, bool is_return,
			       const struct sp_image *image, struct sp_frame *ret, unsigned max)
{
	struct sp_object_frame frames[SP_FRAMES_MAX];
	uint64_t start;
	unsigned nr = sp_object_frames(o, vaddr, frames, max < SP_FRAMES_MAX ? max : SP_FRAMES_MAX, &start);

	for (unsigned i = 0; i < nr; i++) {
		set_image(image, &ret[i]);
		ret[i].module_offset = vaddr + is_return;
		set_object_frame(p, &frames[i], &ret[i]);
		if (frames[nr - 1].name)
			ret[i].offset = vaddr + is_return - start;
	}
	return nr;
}

/* 0: the file is not ELF. An ELF file that does not cover the address gives its name only. */
static unsigned resolve_region(struct process *p, const struct sp_region *r, uint64_t pc, bool is_return,
			       struct sp_frame *ret, unsigned max)
{
	struct sp_object *o;
	uint64_t vaddr;

	if (!r || r->image == SP_NO_IMAGE)
		return 0;
	o = sp_images_object(&p->images, r->image, r, &p->object_options);
	if (!o)
		return 0;
	const struct sp_image *image = sp_vec_at(&p->images.images, struct sp_image, r->image);
	if (sp_object_vaddr(o, pc - r->start + r->offset, &vaddr))
		return resolve_object(p, o, vaddr, is_return, image, ret, max);
	set_image(image, ret);
	return 1;
}

/* ---- frames of anything else ---- */

static unsigned resolve_jit(struct process *p, uint64_t pc, bool is_return, struct sp_frame *ret)
{
	const char *name;
	const struct sp_perfmap_entry *e = sp_jit_find(&p->jit, pc, &name);

	if (!e)
		return 0;
	ret->module = sp_names_add(&p->s.names, "[jit]");
	ret->module_offset = pc + is_return;
	ret->offset = pc + is_return - e->start;
	ret->raw_function = ret->function = sp_names_add(&p->s.names, name);
	return 1;
}

static unsigned resolve_mapping(struct process *p, const struct sp_region *code, uint64_t pc, struct sp_frame *ret)
{
	const struct sp_mapping *m = sp_maps_find(&p->images.maps, pc);

	if (code && code->image != SP_NO_IMAGE) {
		set_image(sp_vec_at(&p->images.images, struct sp_image, code->image), ret);
	} else if (m && m->path[0]) {
		const char *slash = m->path[0] == '/' ? strrchr(m->path, '/') : NULL;

		ret->module = sp_names_add(&p->s.names, slash && slash[1] ? slash + 1 : m->path);
		ret->module_path = sp_names_add(&p->s.names, m->path);
	} else if (code) {
		ret->module = sp_names_add(&p->s.names, "[jit]");
		ret->module_offset = ret->address;
	}
	return 1;
}

static unsigned resolve(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret, unsigned max,
			bool *ret_keep)
{
	struct process *p = (struct process *)s;
	uint32_t tenant = address >> SP_TENANT_SHIFT;
	uint64_t plain = address & (((uint64_t)1 << SP_TENANT_SHIFT) - 1), pc = plain - is_return;
	const struct sp_region *code = sp_images_find_live(&p->images, pc, tenant);
	bool is_code = sp_region_find(&p->images.live, pc) != NULL;

	for (unsigned i = 0; i < max; i++)
		ret[i].address = plain;
	unsigned nr = resolve_region(p, code, pc, is_return, ret, max);
	if (!nr && code)
		nr = resolve_jit(p, pc, is_return, ret);
	if (!nr)
		nr = resolve_region(p, sp_images_find_dead(&p->images, pc, tenant), pc, is_return, ret, max);
	if (!nr && !is_code)
		nr = resolve_jit(p, pc, is_return, ret);
	if (nr)
		return nr;
	*ret_keep = false;                                  /* a later look at the perf map may know it */
	if (!code && (is_code || tenant == SP_TENANT_NONE)) /* somebody else is there now */
		return 1;
	return resolve_mapping(p, code, pc, ret);
}

/* ---- variables ---- */

#define MAX_MODULES_BACK 64 /* data follows its code, but another file may have been mapped between them */

/* The file of a region and by how much it is displaced. NULL: none that can be read. */
static struct sp_object *object_of(struct process *p, const struct sp_region *r, uint64_t *ret_bias)
{
	struct sp_object *o = NULL;
	uint64_t vaddr;

	if (r && r->image != SP_NO_IMAGE)
		o = sp_images_object(&p->images, r->image, r, &p->object_options);
	if (!o || !sp_object_vaddr(o, r->offset, &vaddr))
		return NULL;
	*ret_bias = r->start - vaddr;
	return o;
}

static void set_variable(struct process *p, const struct sp_region *r, uint64_t vaddr,
			 const struct sp_object_variable *v, struct sp_variable *ret)
{
	const struct sp_image *image = sp_vec_at(&p->images.images, struct sp_image, r->image);

	*ret = (struct sp_variable){
	    .name = sp_symbolizer_demangled(&p->s, v->name),
	    .offset = vaddr - v->start,
	    .size = v->size,
	    .module = image->name,
	    .module_path = image->path,
	    .module_offset = vaddr,
	};
}

static bool variable(struct sp_symbolizer *s, uint64_t address, struct sp_variable *ret)
{
	struct process *p = (struct process *)s;
	unsigned left = MAX_MODULES_BACK;
	struct sp_object_variable v;
	uint64_t bias;

	for (size_t i = p->images.live.nr; i-- > 0 && left;) {
		const struct sp_region *r = sp_vec_at(&p->images.live, struct sp_region, i);

		if (r->start > address)
			continue;
		left--;
		struct sp_object *o = object_of(p, r, &bias);
		if (!o || !sp_object_variable(o, address - bias, false, &v))
			continue;
		set_variable(p, r, address - bias, &v, ret);
		return true;
	}
	return false;
}

static bool thread_variable(struct sp_symbolizer *s, uint64_t module, uint64_t offset, struct sp_variable *ret)
{
	struct process *p = (struct process *)s;
	const struct sp_region *r = sp_region_find(&p->images.live, module);
	struct sp_object_variable v;
	uint64_t bias;
	struct sp_object *o = object_of(p, r, &bias);

	if (!o || !sp_object_variable(o, offset, true, &v))
		return false;
	set_variable(p, r, offset, &v, ret);
	return true;
}

static uint64_t tls_bytes(struct sp_symbolizer *s, uint64_t module, uint64_t *ret_align)
{
	struct process *p = (struct process *)s;
	uint64_t bias;
	const struct sp_object *o = object_of(p, sp_region_find(&p->images.live, module), &bias);

	return o ? sp_object_tls_bytes(o, ret_align) : 0;
}

/* ---- who was there when ---- */

static bool bind(struct sp_symbolizer *s, uint64_t *pcs, unsigned nr, uint64_t when_ns)
{
	struct sp_images *im = &((struct process *)s)->images;
	bool is_shared = false;

	for (unsigned i = 0; i < nr && (im->nr_tenants || im->unsure.nr); i++)
		if (!(pcs[i] >> SP_TENANT_SHIFT)) /* else it is no address of a program */
			pcs[i] |= (uint64_t)sp_images_tenant(im, pcs[i] - 1, when_ns, &is_shared) << SP_TENANT_SHIFT;
	return is_shared;
}

static void unsure(struct sp_symbolizer *s, uint64_t from_ns, uint64_t until_ns)
{
	sp_images_unsure(&((struct process *)s)->images, from_ns, until_ns);
}

static uint64_t nr_unseen(const struct sp_symbolizer *s)
{
	const struct sp_images *im = &((const struct process *)s)->images;

	return im->unseen.nr + im->nr_unseen_more;
}

static uint64_t epoch(const struct sp_symbolizer *s, uint64_t when_ns)
{
	return sp_images_epoch(&((const struct process *)s)->images, when_ns);
}

/* ---- life ---- */

static bool refresh(struct sp_symbolizer *s, uint64_t changed_ns)
{
	struct process *p = (struct process *)s;
	bool has_changed;

	sp_jit_refresh(&p->jit);
	return sp_images_refresh(&p->images, changed_ns, &has_changed, NULL) == 0 && has_changed;
}

static void close_process(struct sp_symbolizer *s)
{
	struct process *p = (struct process *)s;

	sp_images_done(&p->images);
	sp_jit_done(&p->jit);
	sp_debuginfod_close(p->search.servers);
	free(p);
}

static const struct sp_symbolizer_ops ops = {
    .resolve = resolve,
    .refresh = refresh,
    .variable = variable,
    .thread_variable = thread_variable,
    .tls_bytes = tls_bytes,
    .unsure = unsure,
    .nr_unseen = nr_unseen,
    .bind = bind,
    .epoch = epoch,
    .close = close_process,
};

static void init(struct process *p, struct sp_proc *proc, const struct sp_symbolize_options *opt)
{
	sp_symbolizer_init(&p->s, &ops);
	sp_images_init(&p->images, proc, &p->s.names);
	sp_jit_init(&p->jit, proc);
	p->search = (struct sp_debug_search){
	    .open_in_target = open_in_target,
	    .ctx = proc,
	    .host_dir = HOST_DEBUG_DIR,
	};
	p->debug_bytes_left = MAX_DEBUG_BYTES;
	p->object_options = (struct sp_object_options){
	    .search = &p->search,
	    .debug_bytes_left = &p->debug_bytes_left,
	    .no_lines = opt && opt->no_lines,
	};
	if (opt && opt->debuginfod)
		p->search.servers = sp_debuginfod_open();
}

int sp_symbolizer_open(struct sp_proc *proc, const struct sp_symbolize_options *opt, struct sp_symbolizer **ret,
		       struct sp_why *why)
{
	struct process *p = calloc(1, sizeof(*p));
	bool has_changed;
	int err;

	if (!p)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "cannot read symbols: out of memory");
	init(p, proc, opt);
	err = sp_images_refresh(&p->images, 0, &has_changed, why);
	if (err)
		sp_symbolizer_close(&p->s);
	else
		*ret = &p->s;
	return err;
}
