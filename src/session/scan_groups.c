// SPDX-License-Identifier: Apache-2.0
/* Groups of a scan: see scan_groups.h. */
#include "session/scan_groups.h"

#include <errno.h>
#include <string.h>

#include "symbolize/symbolize.h"

enum { MAX_GROUPS = 1 << 16, MAX_LISTED = 1 << 24, MIN_TEXT = 4 };

int sp_scan_groups_init(struct sp_scan_groups *s, bool list, struct sp_proc *proc)
{
	*s = (struct sp_scan_groups){.list = list, .proc = proc};
	sp_vec_init(&s->bins, sizeof(struct sp_scan_bin), MAX_GROUPS);
	sp_vec_init(&s->groups, sizeof(struct sp_scan_group), MAX_GROUPS);
	sp_vec_init(&s->listed, sizeof(struct sp_scan_listed), MAX_LISTED);
	sp_u64map_init(&s->index, MAX_GROUPS);
	if (!proc)
		return 0;
	s->ranges = calloc(SP_SCAN_RANGES, sizeof(*s->ranges));
	s->range_bins = calloc(SP_SCAN_RANGES, sizeof(*s->range_bins));
	return s->ranges && s->range_bins ? 0 : -ENOMEM;
}

void sp_scan_groups_done(struct sp_scan_groups *s)
{
	sp_vec_done(&s->bins);
	sp_vec_done(&s->groups);
	sp_vec_done(&s->listed);
	sp_u64map_done(&s->index);
	free(s->addresses);
	free(s->types);
	free(s->ranges);
	free(s->range_bins);
	*s = (struct sp_scan_groups){0};
}

/* At least four printable ones, up to a NUL or the end of what was read. */
void sp_scan_text(const struct sp_heap_look *look, char *ret)
{
	char raw[SP_HEAP_HEAD_MAX + 1];
	uint32_t cp;
	size_t len = 0, n;

	memcpy(raw, look->head, look->nr_head);
	raw[look->nr_head] = '\0';
	ret[0] = '\0';
	while (raw[len] && (n = sp_text_decode((const unsigned char *)raw + len, &cp)) && cp >= ' ' && cp != 127)
		len += n;
	/* a sequence that the end of what was read cuts is no reason */
	if (len < MIN_TEXT || (raw[len] && len + 3 < look->nr_head))
		return;
	memcpy(ret, raw, len);
	ret[len] = '\0';
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static bool is_alike(const struct sp_scan_bin *b, const struct sp_heap_block *block, uint64_t vtable)
{
	return b->g.class == block->class && b->g.size == block->size && b->vtable == vtable;
}

static int add_bin(struct sp_scan_groups *s, const struct sp_heap_block *b, const struct sp_heap_look *look,
		   uint64_t key)
{
	struct sp_scan_bin bin = {.g = {.class = b->class, .size = b->size, .example = b->addr},
				  .vtable = look->vtable};

	memcpy(bin.rtti, look->type, sizeof(bin.rtti));
	sp_scan_text(look, bin.text);
	int rc = sp_vec_push(&s->bins, &bin);
	return rc == 0 ? sp_u64map_set(&s->index, key, s->bins.nr) : rc;
}

/* Number of the bin for a block; -ENOSPC: there is no room for another. */
static int64_t bin_of(struct sp_scan_groups *s, const struct sp_heap_block *b, const struct sp_heap_look *look)
{
	uint64_t key = mix(mix(mix(1, b->class), b->size), look->vtable);

	for (;; key++) {
		const uint64_t *found = sp_u64map_find(&s->index, key);

		if (!found) {
			int rc = add_bin(s, b, look, key);
			return rc < 0 ? rc : (int64_t)s->bins.nr - 1;
		}
		if (is_alike(sp_vec_at(&s->bins, struct sp_scan_bin, *found - 1), b, look->vtable))
			return (int64_t)*found - 1;
	}
}

/* Looks up the blocks that have gathered, and adds them to their groups. */
static void add_resident(struct sp_scan_groups *s)
{
	if (!s->proc || !s->nr_ranges)
		return;
	if (sp_proc_resident(s->proc, s->ranges, s->nr_ranges) < 0) {
		s->proc = NULL;
		return;
	}
	for (size_t i = 0; i < s->nr_ranges; i++)
		sp_vec_at(&s->bins, struct sp_scan_bin, s->range_bins[i])->g.resident_bytes += s->ranges[i].resident;
	s->nr_ranges = 0;
}

static void ask_resident(struct sp_scan_groups *s, const struct sp_heap_block *b, uint32_t bin)
{
	if (!s->proc)
		return;
	if (s->nr_ranges == SP_SCAN_RANGES)
		add_resident(s);
	s->ranges[s->nr_ranges] = (struct sp_range){.addr = b->addr, .size = b->size};
	s->range_bins[s->nr_ranges++] = bin;
}

struct gather {
	struct sp_scan_groups *s;
	const struct sp_heap *h;
	const struct sp_scan_owners *owners;
};

static int by_address(const void *key, const void *element)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct sp_block *)element)->addr;

	return (a > b) - (a < b);
}

const struct sp_block *sp_scan_owner(const struct sp_scan_owners *owners, uint64_t addr)
{
	return owners && owners->nr ? bsearch(&addr, owners->list, owners->nr, sizeof(*owners->list), by_address)
				    : NULL;
}

static int take_block(const struct sp_heap_block *b, void *arg)
{
	struct gather *g = arg;
	struct sp_scan_groups *s = g->s;
	struct sp_heap_look look;

	s->sums[b->class].bytes += b->size;
	s->sums[b->class].blocks++;
	const struct sp_block *owner = sp_scan_owner(g->owners, b->addr);
	if (owner) {
		g->owners->ret_classes[owner - g->owners->list] = b->class;
		return 0;
	}
	if (b->class != SP_HEAP_LEAKED && b->class != SP_HEAP_INDIRECT && b->class != SP_HEAP_POSSIBLE)
		return 0;
	sp_heap_look(g->h, b, &look);
	int64_t n = bin_of(s, b, &look);
	if (n == -ENOSPC) {
		s->nr_ungrouped++;
		return 0;
	}
	if (n < 0)
		return (int)n;
	struct sp_scan_bin *bin = sp_vec_at(&s->bins, struct sp_scan_bin, n);
	bin->g.bytes += b->size;
	bin->g.blocks++;
	ask_resident(s, b, (uint32_t)n);
	if (!s->list)
		return 0;
	struct sp_scan_listed listed = {.addr = b->addr, .bin = (uint32_t)n};
	int rc = sp_vec_push(&s->listed, &listed);
	s->nr_unlisted += rc == -ENOSPC;
	return rc == -ENOSPC ? 0 : rc;
}

int sp_scan_groups_gather(struct sp_scan_groups *s, const struct sp_heap *h, const struct sp_scan_owners *owners)
{
	struct gather g = {.s = s, .h = h, .owners = owners};

	int rc = sp_heap_for_each(h, take_block, &g);
	add_resident(s);
	return rc;
}

static int by_bin(const void *a, const void *b)
{
	const struct sp_scan_listed *x = a, *y = b;

	if (x->bin != y->bin)
		return x->bin < y->bin ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Each group's addresses in a row. */
static int make_lists(struct sp_scan_groups *s)
{
	size_t at = 0;

	if (!s->list)
		return 0;
	s->addresses = calloc(s->listed.nr + 1, sizeof(*s->addresses));
	if (!s->addresses)
		return -ENOMEM;
	if (s->listed.nr)
		qsort(s->listed.data, s->listed.nr, sizeof(struct sp_scan_listed), by_bin);
	for (size_t i = 0; i < s->listed.nr; i++)
		s->addresses[i] = sp_vec_at(&s->listed, struct sp_scan_listed, i)->addr;
	for (size_t i = 0; i < s->bins.nr; i++) {
		struct sp_scan_group *g = &sp_vec_at(&s->bins, struct sp_scan_bin, i)->g;

		g->list = s->addresses + at;
		while (at < s->listed.nr && sp_vec_at(&s->listed, struct sp_scan_listed, at)->bin == i)
			at++;
		g->nr_list = (size_t)(s->addresses + at - g->list);
	}
	return 0;
}

/* How bad a class is. */
static unsigned rank(enum sp_heap_class class)
{
	return class == SP_HEAP_LEAKED ? 0 : class == SP_HEAP_INDIRECT ? 1 : 2;
}

static int by_weight(const void *a, const void *b)
{
	const struct sp_scan_group *x = a, *y = b;

	if (x->class != y->class)
		return rank(x->class) < rank(y->class) ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->example < y->example ? -1 : x->example > y->example;
}

int sp_scan_groups_finish(struct sp_scan_groups *s)
{
	int rc = make_lists(s);

	s->types = calloc(s->bins.nr + 1, SP_HEAP_TYPE_MAX);
	if (rc == 0 && !s->types)
		rc = -ENOMEM;
	for (size_t i = 0; i < s->bins.nr && rc == 0; i++) {
		struct sp_scan_bin *bin = sp_vec_at(&s->bins, struct sp_scan_bin, i);
		char *buf = s->types + i * SP_HEAP_TYPE_MAX;

		if (bin->rtti[0])
			bin->g.type = sp_symbolize_type(bin->rtti, buf, SP_HEAP_TYPE_MAX);
		bin->g.text = bin->text[0] ? bin->text : NULL;
		rc = sp_vec_push(&s->groups, &bin->g);
	}
	if (rc == 0 && s->groups.nr)
		qsort(s->groups.data, s->groups.nr, sizeof(struct sp_scan_group), by_weight);
	return rc;
}
