// SPDX-License-Identifier: Apache-2.0
/* A process' segments as JSON, an object a look. Every key is described in doc/json.md. */
#include "report/jsonw.h"
#include "report/map.h"

#define NS_PER_MS 1000000u

static void put_sum(struct sp_jsonw *w, const struct sp_map_view *v, const struct sp_segment_sum *s)
{
	sp_jsonw_put_u64(w, "maps", s->nr);
	sp_jsonw_put_u64(w, "size", s->size);
	sp_jsonw_put_u64(w, "resident", s->resident);
	sp_jsonw_put_u64(w, "pss", s->pss);
	sp_jsonw_put_u64(w, "unique", s->unique);
	sp_jsonw_put_u64(w, "dirty", s->dirty);
	sp_jsonw_put_u64(w, "swapped", s->swapped);
	sp_jsonw_put_u64(w, "huge", s->huge);
	if (v->nr_look == 1)
		return;
	sp_jsonw_put_i64(w, "growth", s->growth);
	sp_jsonw_put_i64(w, "growth_size", s->growth_size);
}

static const char *leak_key(enum sp_can_leak l)
{
	static const char *const keys[] = {
	    [SP_CAN_LEAK_NO] = "no", [SP_CAN_LEAK_YES] = "yes", [SP_CAN_LEAK_SPACE] = "address_space"};

	return keys[l];
}

static void put_segments(struct sp_jsonw *w, const struct sp_map_view *v)
{
	sp_jsonw_key(w, "segments");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < SP_NR_SEGMENTS; i++) {
		if (!v->segments->sums[i].nr)
			continue;
		sp_jsonw_object(w);
		sp_jsonw_put_string(w, "segment", sp_segment_key(i));
		put_sum(w, v, &v->segments->sums[i]);
		sp_jsonw_put_string(w, "can_leak", leak_key(sp_segment_can_leak(i)));
		sp_jsonw_put_string(w, "freed_by", sp_segment_freed_by(i));
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_map(struct sp_jsonw *w, const struct sp_map_view *v, const struct sp_segment *seg)
{
	const struct sp_smap *s = seg->smap;
	char prot[5];

	sp_jsonw_object(w);
	sp_jsonw_put_known_hex(w, "start", true, s->map.start);
	sp_jsonw_put_known_hex(w, "end", true, s->map.end);
	sp_jsonw_put_string(w, "mode", sp_map_prot_text(s->map.prot, prot));
	sp_jsonw_put_string(w, "segment", sp_segment_key(seg->kind));
	sp_jsonw_put_string(w, "path", *s->map.path ? s->map.path : NULL);
	sp_jsonw_put_bool(w, "deleted", s->map.deleted);
	sp_jsonw_put_known_u64(w, "tid", seg->tid, (uint64_t)seg->tid);
	sp_jsonw_put_string(w, "owner", seg->owner);
	sp_jsonw_put_u64(w, "owned", seg->owned);
	sp_jsonw_put_u64(w, "size", s->map.end - s->map.start);
	sp_jsonw_put_u64(w, "resident", s->resident);
	sp_jsonw_put_u64(w, "pss", s->pss);
	sp_jsonw_put_u64(w, "anonymous", s->anonymous);
	sp_jsonw_put_u64(w, "dirty", s->private_dirty + s->shared_dirty);
	sp_jsonw_put_u64(w, "swapped", s->swapped);
	sp_jsonw_put_u64(w, "huge", s->huge_private + s->huge_shared);
	if (v->nr_look > 1) {
		sp_jsonw_put_bool(w, "new", seg->is_new);
		sp_jsonw_put_i64(w, "growth", seg->growth);
		sp_jsonw_put_i64(w, "growth_size", seg->growth_size);
	}
	sp_jsonw_end(w);
}

static void put_maps(struct sp_jsonw *w, const struct sp_map_view *v)
{
	sp_jsonw_key(w, "maps");
	sp_jsonw_array(w);
	for (size_t i = 0; i < v->segments->nr && !w->out->err; i++)
		put_map(w, v, &v->segments->list[i]);
	sp_jsonw_end(w);
}

static void put_heap(struct sp_jsonw *w, const struct sp_map_heap *h)
{
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "allocator", h->name);
	sp_jsonw_put_u64(w, "used_bytes", h->used_bytes);
	sp_jsonw_put_u64(w, "used_blocks", h->used_blocks);
	sp_jsonw_put_u64(w, "free_bytes", h->free_bytes);
	sp_jsonw_put_u64(w, "free_blocks", h->free_blocks);
	sp_jsonw_put_u64(w, "region_bytes", h->region_bytes);
	sp_jsonw_put_u64(w, "regions", h->nr_regions);
	sp_jsonw_put_u64(w, "held_bytes", h->held_bytes);
	sp_jsonw_put_u64(w, "used_held_bytes", h->used_held_bytes);
	if (h->has_growth) {
		sp_jsonw_put_i64(w, "growth_used_bytes", h->growth_used_bytes);
		sp_jsonw_put_i64(w, "growth_used_blocks", h->growth_used_blocks);
		sp_jsonw_put_i64(w, "growth_held_bytes", h->growth_held_bytes);
	}
	sp_jsonw_put_string(w, "not_understood", h->gave_up[0] ? h->gave_up : NULL);
	sp_jsonw_end(w);
}

static void put_heaps(struct sp_jsonw *w, const struct sp_map_view *v)
{
	if (!v->has_heap)
		return;
	sp_jsonw_key(w, "heaps");
	sp_jsonw_array(w);
	for (size_t i = 0; i < v->nr_heaps; i++)
		put_heap(w, &v->heaps[i]);
	sp_jsonw_end(w);
	sp_jsonw_put_string(w, "heaps_why", v->heap_why[0] ? v->heap_why : NULL);
}

static void put_verdict(struct sp_jsonw *w, const struct sp_map_view *v)
{
	sp_jsonw_key(w, "verdict");
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "cause", sp_segment_cause_key(v->verdict.cause));
	sp_jsonw_put_bool(w, "growth", v->verdict.is_growth);
	sp_jsonw_put_u64(w, "amount_bytes", v->verdict.amount);
	sp_jsonw_put_u64(w, "untouched_bytes", v->verdict.reserved);
	sp_jsonw_put_string(w, "sentence", v->sentence);
	sp_jsonw_put_string(w, "next", v->next[0] ? v->next : NULL);
	sp_jsonw_end(w);
}

int sp_report_map_json(FILE *stream, const struct sp_map_view *v, const struct sp_report_map_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_jsonw w;

	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "map");
	sp_jsonw_put_time(&w, "time", &v->time);
	sp_jsonw_put_u64(&w, "pid", (uint64_t)v->pid);
	sp_jsonw_put_string(&w, "comm", v->comm);
	sp_jsonw_put_u64(&w, "look", v->nr_look);
	sp_jsonw_put_bool(&w, "last", v->is_last);
	sp_jsonw_put_u64(&w, "interval_ms", v->interval_ns / NS_PER_MS);
	sp_jsonw_put_u64(&w, "took_ms", v->took_ns / NS_PER_MS);
	sp_jsonw_put_u64(&w, "threads", v->nr_threads);
	sp_jsonw_key(&w, "total");
	sp_jsonw_object(&w);
	put_sum(&w, v, &v->segments->total);
	sp_jsonw_end(&w);
	put_segments(&w, v);
	if (o->list)
		put_maps(&w, v);
	put_heaps(&w, v);
	put_verdict(&w, v);
	sp_jsonw_key(&w, "lost");
	sp_jsonw_object(&w);
	if (v->nr_lost)
		sp_jsonw_put_u64(&w, "mappings", v->nr_lost);
	if (v->nr_threads_unknown)
		sp_jsonw_put_u64(&w, "thread_stacks", v->nr_threads_unknown);
	sp_jsonw_end(&w);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
