// SPDX-License-Identifier: Apache-2.0
/*
 * A heap profile in pprof's format (profile.proto, gzip): what `go tool pprof`, Pyroscope and Parca read. The message
 * is built whole, as protobuf-c wants it, from the view's own strings; nothing but the packed bytes is copied.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "report/out.h"
#include "report/profile.pb-c.h"
#include "report/report.h"

#define MOST       ((size_t)1 << 26) /* elements of one kind */
#define PAGE       ((uint64_t)4096)
#define GZIP_FRAME (15 + 16) /* zlib: largest window, gzip header */

typedef Sp__Pprof__Profile profile;

/* One list of the message: its elements stand still only when it is complete, so pointers to them are made last. */
struct list {
	struct sp_vec elems;
	void **pointers;
};

enum { STRINGS, SAMPLES, MAPPINGS, LOCATIONS, LINES, FUNCTIONS, NR_LISTS };

struct builder {
	struct list lists[NR_LISTS];
	struct sp_vec location_ids; /* uint64_t, of all samples */
	struct sp_vec values;       /* int64_t, two a sample */
	struct sp_vec next_same;    /* size_t, one a function: id of another with this name, 0: none */
	struct sp_u64map string_of; /* pointer -> index */
	struct sp_u64map location_of, mapping_of, function_of;
	Sp__Pprof__ValueType objects, space, bytes;
};

static int string_id(struct builder *b, const char *text, int64_t *ret)
{
	struct sp_vec *strings = &b->lists[STRINGS].elems;

	if (!text || !*text) {
		*ret = 0;
		return 0;
	}
	uint64_t *known = sp_u64map_find(&b->string_of, (uintptr_t)text);
	if (known) {
		*ret = (int64_t)*known;
		return 0;
	}
	int err = sp_u64map_set(&b->string_of, (uintptr_t)text, strings->nr);
	if (err)
		return err;
	*ret = (int64_t)strings->nr;
	return sp_vec_push(strings, &text);
}

/* One mapping a module and load bias; its limits grow with the addresses that are seen in it. */
static int mapping_id(struct builder *b, const struct sp_frame *f, uint64_t *ret)
{
	struct sp_vec *mappings = &b->lists[MAPPINGS].elems;
	uint64_t bias = f->address - f->module_offset, key = bias ^ (uintptr_t)f->module_path,
		 page = f->address & -PAGE;

	*ret = 0;
	if (!f->module_path)
		return 0;
	uint64_t *known = sp_u64map_find(&b->mapping_of, key);
	if (known) {
		Sp__Pprof__Mapping *m = sp_vec_at(mappings, Sp__Pprof__Mapping, *known - 1);
		m->memory_start = page < m->memory_start ? page : m->memory_start;
		m->memory_limit = page + PAGE > m->memory_limit ? page + PAGE : m->memory_limit;
		m->file_offset = m->memory_start - bias;
		*ret = *known;
		return 0;
	}
	Sp__Pprof__Mapping m = SP__PPROF__MAPPING__INIT;
	m.id = *ret = mappings->nr + 1;
	m.memory_start = page;
	m.memory_limit = page + PAGE;
	m.file_offset = page - bias;
	m.has_functions = m.has_filenames = m.has_line_numbers = m.has_inline_frames = true;
	int err = string_id(b, f->module_path, &m.filename);
	if (!err)
		err = string_id(b, f->build_id, &m.build_id);
	if (!err)
		err = sp_vec_push(mappings, &m);
	return err ? err : sp_u64map_set(&b->mapping_of, key, m.id);
}

/* The function of this name in this file: files may have static functions of one name. */
static uint64_t find_function(const struct builder *b, const struct sp_frame *f, int64_t filename)
{
	const struct sp_vec *functions = &b->lists[FUNCTIONS].elems;
	uint64_t *first = sp_u64map_find(&b->function_of, (uintptr_t)f->function);

	for (size_t id = first ? (size_t)*first : 0; id; id = *sp_vec_at(&b->next_same, size_t, id - 1))
		if (sp_vec_at(functions, Sp__Pprof__Function, id - 1)->filename == filename)
			return id;
	return 0;
}

static int function_id(struct builder *b, const struct sp_frame *f, uint64_t *ret)
{
	struct sp_vec *functions = &b->lists[FUNCTIONS].elems;
	Sp__Pprof__Function fn = SP__PPROF__FUNCTION__INIT;
	int err = string_id(b, f->file, &fn.filename);

	if (err)
		return err;
	*ret = find_function(b, f, fn.filename);
	if (*ret)
		return 0;
	uint64_t *first = sp_u64map_find(&b->function_of, (uintptr_t)f->function);
	size_t next = first ? (size_t)*first : 0;
	fn.id = *ret = functions->nr + 1;
	err = string_id(b, f->function, &fn.name);
	if (!err)
		err = string_id(b, f->raw_function ? f->raw_function : f->function, &fn.system_name);
	if (!err)
		err = sp_vec_push(functions, &fn);
	if (!err)
		err = sp_vec_push(&b->next_same, &next);
	return err ? err : sp_u64map_set(&b->function_of, (uintptr_t)f->function, fn.id);
}

static int add_lines(struct builder *b, Sp__Pprof__Location *loc, const struct sp_frame *f, unsigned nr)
{
	int err = 0;

	for (unsigned i = 0; i < nr && !err; i++) {
		Sp__Pprof__Line line = SP__PPROF__LINE__INIT;
		if (!f[i].function)
			continue;
		line.line = f[i].line;
		err = function_id(b, &f[i], &line.function_id);
		if (!err)
			err = sp_vec_push(&b->lists[LINES].elems, &line);
		loc->n_line += !err;
	}
	return err;
}

/* The nr source-level frames of one address. Frames that stand for none have address 0 and are told by their name. */
static int location_id(struct builder *b, const struct sp_frame *f, unsigned nr, uint64_t *ret)
{
	struct sp_vec *locations = &b->lists[LOCATIONS].elems;
	uint64_t key = f->address ? f->address : (uintptr_t)f->function;
	uint64_t *known = sp_u64map_find(&b->location_of, key);

	if (known) {
		*ret = *known;
		return 0;
	}
	Sp__Pprof__Location loc = SP__PPROF__LOCATION__INIT;
	loc.id = *ret = locations->nr + 1;
	loc.address = f->address;
	int err = mapping_id(b, &f[nr - 1], &loc.mapping_id);
	if (!err)
		err = add_lines(b, &loc, f, nr);
	if (!err)
		err = sp_vec_push(locations, &loc);
	return err ? err : sp_u64map_set(&b->location_of, key, loc.id);
}

static int add_sample(struct builder *b, const struct sp_view_path *p)
{
	Sp__Pprof__Sample sample = SP__PPROF__SAMPLE__INIT;
	const int64_t values[] = {p->sum.blocks > INT64_MAX ? INT64_MAX : (int64_t)p->sum.blocks,
				  p->sum.bytes > INT64_MAX ? INT64_MAX : (int64_t)p->sum.bytes};
	int err = 0;

	for (unsigned i = 0, nr; i < p->nr_frames && !err; i += nr) {
		uint64_t id = 0;
		for (nr = 1; i + nr < p->nr_frames && p->frames[i + nr - 1].inlined; nr++)
			;
		err = location_id(b, &p->frames[i], nr, &id);
		if (!err)
			err = sp_vec_push(&b->location_ids, &id);
		sample.n_location_id += !err;
	}
	for (size_t i = 0; i < SP_ARRAY_SIZE(values) && !err; i++)
		err = sp_vec_push(&b->values, &values[i]);
	sample.n_value = SP_ARRAY_SIZE(values);
	return err ? err : sp_vec_push(&b->lists[SAMPLES].elems, &sample);
}

/* What the view does not show, so that the totals are right. */
static int add_rest(struct builder *b, const struct sp_view *v)
{
	static const struct sp_frame rest = {.function = "[call paths not shown]"};
	struct sp_view_path p = {.frames = &rest, .nr_frames = 1};
	uint64_t bytes = 0, blocks = 0;

	for (size_t i = 0; i < v->nr_paths; i++) {
		bytes += v->paths[i].sum.bytes;
		blocks += v->paths[i].sum.blocks;
	}
	if (v->total_bytes <= bytes)
		return 0;
	p.sum.bytes = v->total_bytes - bytes;
	p.sum.blocks = v->total_blocks > blocks ? v->total_blocks - blocks : 0;
	return add_sample(b, &p);
}

static int value_type(struct builder *b, Sp__Pprof__ValueType *t, const char *type, const char *unit)
{
	*t = (Sp__Pprof__ValueType)SP__PPROF__VALUE_TYPE__INIT;
	int err = string_id(b, type, &t->type);

	return err ? err : string_id(b, unit, &t->unit);
}

/* Lists are complete: from indices to pointers. */
static int make_pointers(struct list *l)
{
	l->pointers = calloc(l->elems.nr + 1, sizeof(void *));
	if (!l->pointers)
		return -ENOMEM;
	for (size_t i = 0; i < l->elems.nr; i++)
		l->pointers[i] = (char *)l->elems.data + i * l->elems.elem_size;
	return 0;
}

static int connect_lists(struct builder *b)
{
	uint64_t *ids = b->location_ids.data;
	int64_t *values = b->values.data;
	int err = 0;

	for (unsigned i = 0; i < NR_LISTS && !err; i++)
		err = make_pointers(&b->lists[i]);
	if (err)
		return err;
	Sp__Pprof__Line **lines = (Sp__Pprof__Line **)b->lists[LINES].pointers;
	for (size_t i = 0; i < b->lists[LOCATIONS].elems.nr; i++) {
		Sp__Pprof__Location *loc = sp_vec_at(&b->lists[LOCATIONS].elems, Sp__Pprof__Location, i);
		loc->line = lines;
		lines += loc->n_line;
	}
	for (size_t i = 0; i < b->lists[SAMPLES].elems.nr; i++) {
		Sp__Pprof__Sample *s = sp_vec_at(&b->lists[SAMPLES].elems, Sp__Pprof__Sample, i);
		s->location_id = ids;
		s->value = values;
		ids += s->n_location_id;
		values += s->n_value;
	}
	return 0;
}

static void builder_init(struct builder *b)
{
	static const size_t sizes[NR_LISTS] = {
	    [STRINGS] = sizeof(char *),
	    [SAMPLES] = sizeof(Sp__Pprof__Sample),
	    [MAPPINGS] = sizeof(Sp__Pprof__Mapping),
	    [LOCATIONS] = sizeof(Sp__Pprof__Location),
	    [LINES] = sizeof(Sp__Pprof__Line),
	    [FUNCTIONS] = sizeof(Sp__Pprof__Function),
	};

	for (unsigned i = 0; i < NR_LISTS; i++)
		sp_vec_init(&b->lists[i].elems, sizes[i], MOST);
	sp_vec_init(&b->location_ids, sizeof(uint64_t), MOST);
	sp_vec_init(&b->values, sizeof(int64_t), MOST);
	sp_vec_init(&b->next_same, sizeof(size_t), MOST);
	sp_u64map_init(&b->string_of, MOST);
	sp_u64map_init(&b->location_of, MOST);
	sp_u64map_init(&b->mapping_of, MOST);
	sp_u64map_init(&b->function_of, MOST);
}

static void builder_done(struct builder *b)
{
	for (unsigned i = 0; i < NR_LISTS; i++) {
		sp_vec_done(&b->lists[i].elems);
		free(b->lists[i].pointers);
	}
	sp_vec_done(&b->location_ids);
	sp_vec_done(&b->values);
	sp_vec_done(&b->next_same);
	sp_u64map_done(&b->string_of);
	sp_u64map_done(&b->location_of);
	sp_u64map_done(&b->mapping_of);
	sp_u64map_done(&b->function_of);
}

/* The format wants "" as the first string. */
static int build(struct builder *b, const struct sp_view *v)
{
	static const char *const empty = "";
	int err = sp_vec_push(&b->lists[STRINGS].elems, &empty);

	if (!err)
		err = value_type(b, &b->objects, "inuse_objects", "count");
	if (!err)
		err = value_type(b, &b->space, "inuse_space", "bytes");
	if (!err)
		err = value_type(b, &b->bytes, "space", "bytes");
	for (size_t i = 0; i < v->nr_paths && !err; i++)
		err = add_sample(b, &v->paths[i]);
	if (!err)
		err = add_rest(b, v);
	return err ? err : connect_lists(b);
}

/* gzip, into a buffer of the caller's to free. */
static int compress_bytes(const uint8_t *raw, size_t len, uint8_t **ret, size_t *ret_len)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)raw, .avail_in = (uInt)len};

	if (len > UINT32_MAX)
		return -EFBIG;
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_FRAME, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	uLong bound = deflateBound(&z, len);
	uint8_t *out = malloc(bound);
	z.next_out = out;
	z.avail_out = (uInt)bound;
	int r = out && bound <= UINT32_MAX ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
	*ret_len = z.total_out;
	deflateEnd(&z);
	if (r != Z_STREAM_END) {
		free(out);
		return -ENOMEM;
	}
	*ret = out;
	return 0;
}

static int pack(struct builder *b, const struct sp_view *v, struct sp_out *out)
{
	profile p = SP__PPROF__PROFILE__INIT;
	Sp__Pprof__ValueType *types[] = {&b->objects, &b->space};
	uint8_t *gzip = NULL;
	size_t gzip_len = 0;

	p.n_sample_type = SP_ARRAY_SIZE(types);
	p.sample_type = types;
	p.n_sample = b->lists[SAMPLES].elems.nr;
	p.sample = (Sp__Pprof__Sample **)b->lists[SAMPLES].pointers;
	p.n_mapping = b->lists[MAPPINGS].elems.nr;
	p.mapping = (Sp__Pprof__Mapping **)b->lists[MAPPINGS].pointers;
	p.n_location = b->lists[LOCATIONS].elems.nr;
	p.location = (Sp__Pprof__Location **)b->lists[LOCATIONS].pointers;
	p.n_function = b->lists[FUNCTIONS].elems.nr;
	p.function = (Sp__Pprof__Function **)b->lists[FUNCTIONS].pointers;
	p.n_string_table = b->lists[STRINGS].elems.nr;
	p.string_table = b->lists[STRINGS].elems.data;
	p.time_nanos = v->time.tv_sec * 1000000000LL + v->time.tv_nsec;
	p.period_type = &b->bytes;
	p.period = 1;
	p.default_sample_type = b->space.type;
	size_t len = sp__pprof__profile__get_packed_size(&p);
	uint8_t *raw = malloc(len + 1);
	if (!raw)
		return -ENOMEM;
	sp__pprof__profile__pack(&p, raw);
	int err = compress_bytes(raw, len, &gzip, &gzip_len);
	if (!err)
		sp_out_write(out, (const char *)gzip, gzip_len);
	free(gzip);
	free(raw);
	return err;
}

int sp_report_pprof(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct builder b = {0};

	(void)o;
	builder_init(&b);
	int err = build(&b, v);
	if (!err)
		err = pack(&b, v, &out);
	builder_done(&b);
	return err ? err : sp_out_finish(&out);
}
