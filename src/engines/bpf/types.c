// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's types, cut down to those that our programs name.
 *
 * libbpf relocates the programs by the kernel's BTF: some 5 MB that it reads, copies and indexes for a dozen structs, a
 * third of the time that attaching takes. So those structs are picked out of it here and given to libbpf in its place.
 * What a member points to does not matter to relocating: all pointers become void *. Enums lose their values, which
 * none of our programs asks for. The format: Documentation/bpf/btf.rst, uapi/linux/btf.h.
 *
 * What cannot be read so is no failure: then libbpf gets the whole.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/u64map.h"
#include "engines/bpf/impl.h"

#define KERNEL_TYPES  "/sys/kernel/btf/vmlinux"
#define MAX_BYTES     (256U << 20)
#define MARK_EVERY    64 /* types: where each 64th begins is remembered */
#define MAX_MARKS     (1 << 18)
#define MAX_NAMES     4096
#define MAX_KNOWN     65536
#define MAX_NESTED    64
#define MAX_MODIFIERS 32

struct cut {
	const uint8_t *types;
	uint32_t types_len;
	const char *strings;
	uint32_t strings_len; /* the last byte is 0 */
	struct sp_vec names;  /* const char *: sorted */
	struct sp_vec marks;  /* uint32_t: offset in types */
	struct sp_u64map ids; /* of the kernel's types -> of ours */
	uint32_t nr;          /* types in all; the first is 1 */
	struct btf *ret;
};

/* How long what follows a struct btf_type is. -1: a kind that we do not know. */
static int64_t tail_bytes(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (int64_t)btf_vlen(t) * (int64_t)sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return (int64_t)btf_vlen(t) * (int64_t)sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return (int64_t)btf_vlen(t) * (int64_t)sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return (int64_t)btf_vlen(t) * (int64_t)sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return (int64_t)btf_vlen(t) * (int64_t)sizeof(struct btf_var_secinfo);
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	default:
		return -1;
	}
}

/* The type at *offset, which moves on to the next; NULL: the end, or no type. */
static const struct btf_type *next_type(const struct cut *c, uint32_t *offset)
{
	const struct btf_type *t = (const void *)(c->types + *offset);
	int64_t bytes;

	if (c->types_len - *offset < sizeof(*t))
		return NULL;
	bytes = tail_bytes(t);
	if (bytes < 0 || bytes > (int64_t)(c->types_len - *offset - sizeof(*t)))
		return NULL;
	*offset += (uint32_t)sizeof(*t) + (uint32_t)bytes;
	return t;
}

static const char *string_at(const struct cut *c, uint32_t offset)
{
	return offset < c->strings_len ? c->strings + offset : "";
}

static const struct btf_type *type_by_id(const struct cut *c, uint32_t id)
{
	const struct btf_type *t = NULL;

	if (!id || id > c->nr)
		return NULL;
	uint32_t offset = *sp_vec_at(&c->marks, uint32_t, (id - 1) / MARK_EVERY);
	for (uint32_t i = 0; i <= (id - 1) % MARK_EVERY; i++) {
		t = next_type(c, &offset);
		if (!t)
			return NULL;
	}
	return t;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of all structs of our programs; what is only ours is not found in the kernel and does no harm. */
static int collect_names(struct cut *c, const struct btf *ours)
{
	for (uint32_t id = 1; id < btf__type_cnt(ours); id++) {
		const struct btf_type *t = btf__type_by_id(ours, id);
		const char *name = btf__name_by_offset(ours, t->name_off);

		if (!btf_is_composite(t) || !name || !*name)
			continue;
		int err = sp_vec_push(&c->names, &name);
		if (err)
			return err;
	}
	if (!c->names.nr)
		return -EINVAL;
	qsort(c->names.data, c->names.nr, c->names.elem_size, compare_names);
	return 0;
}

static bool is_wanted(const struct cut *c, const char *name)
{
	return *name && bsearch(&name, c->names.data, c->names.nr, c->names.elem_size, compare_names);
}

static int add_type(struct cut *c, uint32_t id, unsigned depth);

/* The members' types have to be there before the struct. Returns the id, -errno. */
static int add_members(struct cut *c, const struct btf_type *t, unsigned depth)
{
	const struct btf_member *m = btf_members(t);
	const char *name = string_at(c, t->name_off);
	sp_autofree int *types = calloc(btf_vlen(t) + 1U, sizeof(*types));

	if (!types)
		return -ENOMEM;
	for (unsigned i = 0; i < btf_vlen(t); i++) {
		types[i] = add_type(c, m[i].type, depth + 1);
		if (types[i] < 0)
			return types[i];
	}
	int id = btf_is_struct(t) ? btf__add_struct(c->ret, name, t->size) : btf__add_union(c->ret, name, t->size);
	for (unsigned i = 0; i < btf_vlen(t) && id > 0; i++) {
		int err = btf__add_field(c->ret, string_at(c, m[i].name_off), types[i], btf_member_bit_offset(t, i),
					 btf_member_bitfield_size(t, i));
		if (err)
			return err;
	}
	return id;
}

/* A struct whose insides nobody asks for keeps its size. */
static int add_composite(struct cut *c, const struct btf_type *t, unsigned depth)
{
	const char *name = string_at(c, t->name_off);

	if (!*name || is_wanted(c, name))
		return add_members(c, t, depth);
	return btf_is_struct(t) ? btf__add_struct(c->ret, name, t->size) : btf__add_union(c->ret, name, t->size);
}

static int add_array(struct cut *c, const struct btf_array *a, unsigned depth)
{
	int element = add_type(c, a->type, depth + 1);
	int index = element < 0 ? element : add_type(c, a->index_type, depth + 1);

	return index < 0 ? index : btf__add_array(c->ret, index, element, a->nelems);
}

static int add_new(struct cut *c, const struct btf_type *t, unsigned depth)
{
	const char *name = string_at(c, t->name_off);

	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		return btf__add_int(c->ret, name, t->size, btf_int_encoding(t));
	case BTF_KIND_FLOAT:
		return btf__add_float(c->ret, name, t->size);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return btf__add_enum(c->ret, name, t->size);
	case BTF_KIND_PTR:
		return btf__add_ptr(c->ret, 0);
	case BTF_KIND_ARRAY:
		return add_array(c, btf_array(t), depth);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return add_composite(c, t, depth);
	default: /* nothing else can be in a struct */
		return -EINVAL;
	}
}

/* Our id of a type of the kernel's, without its typedefs and qualifiers. -errno. */
static int add_type(struct cut *c, uint32_t id, unsigned depth)
{
	const struct btf_type *t = type_by_id(c, id);

	for (int i = 0; t && i < MAX_MODIFIERS && (btf_is_mod(t) || btf_is_typedef(t)); i++) {
		id = t->type;
		t = type_by_id(c, id);
	}
	if (!t || depth > MAX_NESTED)
		return -EINVAL;
	const uint64_t *known = sp_u64map_find(&c->ids, id);
	if (known)
		return (int)*known;
	int added = add_new(c, t, depth);
	if (added <= 0)
		return added < 0 ? added : -EINVAL;
	int err = sp_u64map_set(&c->ids, id, (uint64_t)added);
	return err ? err : added;
}

/* Marks where types begin, and collects the ids of those that are wanted. */
static int look_through(struct cut *c, struct sp_vec *wanted)
{
	uint32_t offset = 0;

	for (;; c->nr++) {
		uint32_t begin = offset;
		const struct btf_type *t = next_type(c, &offset);
		int err = 0;

		if (!t)
			return begin == c->types_len ? 0 : -EINVAL;
		if (c->nr % MARK_EVERY == 0)
			err = sp_vec_push(&c->marks, &begin);
		if (!err && btf_is_composite(t) && is_wanted(c, string_at(c, t->name_off)))
			err = sp_vec_push(wanted, &(uint32_t){c->nr + 1});
		if (err)
			return err;
	}
}

/* Where types and strings are. */
static int read_header(struct cut *c, const uint8_t *data, size_t size)
{
	const struct btf_header *h = (const void *)data;

	if (size < sizeof(*h) || h->magic != BTF_MAGIC || h->hdr_len < sizeof(*h) || h->hdr_len > size)
		return -EINVAL;
	size -= h->hdr_len;
	if (h->type_off > size || h->type_len > size - h->type_off || h->str_off > size ||
	    h->str_len > size - h->str_off || !h->str_len || h->type_off % 4 || h->hdr_len % 4)
		return -EINVAL;
	c->types = data + h->hdr_len + h->type_off;
	c->types_len = h->type_len;
	c->strings = (const char *)data + h->hdr_len + h->str_off;
	c->strings_len = h->str_len;
	return c->strings[c->strings_len - 1] ? -EINVAL : 0;
}

static int cut_out(struct cut *c, const struct btf *ours, struct sp_vec *wanted)
{
	int err = collect_names(c, ours);

	if (!err)
		err = look_through(c, wanted);
	if (err)
		return err;
	c->ret = btf__new_empty();
	if (!c->ret)
		return -ENOMEM;
	for (size_t i = 0; i < wanted->nr; i++) {
		int id = add_type(c, *sp_vec_at(wanted, uint32_t, i), 0);
		if (id < 0)
			return id;
	}
	return 0;
}

int sp_bpf_types_cut(const void *data, size_t size, const struct btf *ours, struct btf **ret)
{
	struct cut c = {0};
	struct sp_vec wanted;
	int err = read_header(&c, data, size);

	*ret = NULL;
	if (err)
		return err;
	sp_vec_init(&c.names, sizeof(const char *), MAX_NAMES);
	sp_vec_init(&c.marks, sizeof(uint32_t), MAX_MARKS);
	sp_vec_init(&wanted, sizeof(uint32_t), MAX_NAMES);
	sp_u64map_init(&c.ids, MAX_KNOWN);
	err = cut_out(&c, ours, &wanted);
	if (err)
		btf__free(c.ret);
	else
		*ret = c.ret;
	sp_u64map_done(&c.ids);
	sp_vec_done(&wanted);
	sp_vec_done(&c.marks);
	sp_vec_done(&c.names);
	return err;
}

/* ---- the kernel's file, and the one that libbpf reads ---- */

struct kernel_types {
	void *data;
	size_t size;
	bool is_mapped; /* Linux 6.16 and later: nothing is copied */
};

static int read_whole(int fd, uint8_t *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)done);
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int kernel_types_open(struct kernel_types *k)
{
	sp_autoclose int fd = open(KERNEL_TYPES, O_RDONLY | O_CLOEXEC);
	struct stat st;

	*k = (struct kernel_types){0};
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (st.st_size <= 0 || st.st_size > MAX_BYTES)
		return -EFBIG;
	k->size = (size_t)st.st_size;
	k->data = mmap(NULL, k->size, PROT_READ, MAP_PRIVATE, fd, 0);
	k->is_mapped = k->data != MAP_FAILED;
	if (k->is_mapped)
		return 0;
	k->data = malloc(k->size);
	return k->data ? read_whole(fd, k->data, k->size) : -ENOMEM;
}

static void kernel_types_close(struct kernel_types *k)
{
	if (k->is_mapped)
		munmap(k->data, k->size);
	else
		free(k->data);
}

static int write_whole(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

void sp_bpf_types_open(struct sp_bpf_types *t)
{
	t->fd = memfd_create("seep: types", MFD_CLOEXEC);
	(void)snprintf(t->path, sizeof(t->path), "/proc/self/fd/%d", t->fd);
}

const char *sp_bpf_types_path(const struct sp_bpf_types *t)
{
	return t->fd < 0 ? NULL : t->path;
}

int sp_bpf_types_fill(struct sp_bpf_types *t, const struct bpf_object *o)
{
	struct kernel_types k;
	struct btf *few = NULL;
	int err = 0;

	if (t->fd < 0)
		return 0;
	err = kernel_types_open(&k);
	if (!err) {
		const void *data = k.data;
		uint32_t size = (uint32_t)k.size;
		if (!sp_bpf_types_cut(k.data, k.size, bpf_object__btf(o), &few))
			data = btf__raw_data(few, &size);
		err = data ? write_whole(t->fd, data, size) : -ENOMEM;
	}
	btf__free(few);
	kernel_types_close(&k);
	return err;
}

void sp_bpf_types_close(struct sp_bpf_types *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}
