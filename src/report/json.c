// SPDX-License-Identifier: Apache-2.0
/* One JSON object a report, on one line. Every key is described in doc/json.md: change both, and the schema. */
#include <inttypes.h>
#include <string.h>

#include "report/json.h"
#include "report/notes.h"

#define NS_PER_MS 1000000u

static uint64_t age_ms(const struct sp_view *v, uint64_t birth_ns)
{
	return v->now_ns > birth_ns ? (v->now_ns - birth_ns) / NS_PER_MS : 0;
}

static void put_list(struct sp_jsonw *w, const struct sp_view *v, const struct sp_block *list, size_t nr)
{
	sp_jsonw_key(w, "list");
	sp_jsonw_array(w);
	for (size_t i = 0; i < nr && !w->out->err; i++) {
		sp_jsonw_object(w);
		sp_jsonw_put_known_hex(w, "address", true, list[i].addr);
		sp_jsonw_put_u64(w, "size", list[i].size);
		sp_jsonw_put_u64(w, "age_ms", age_ms(v, list[i].birth_ns));
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_sum(struct sp_jsonw *w, const struct sp_view *v, const struct sp_path_sum *s)
{
	sp_jsonw_put_u64(w, "bytes", s->bytes);
	sp_jsonw_put_u64(w, "blocks", s->blocks);
	sp_jsonw_put_u64(w, "error_bytes", s->error_bytes);
	sp_jsonw_put_u64(w, "error_blocks", s->error_blocks);
	sp_jsonw_put_i64(w, "growth_bytes", s->growth_bytes);
	sp_jsonw_put_i64(w, "growth_blocks", s->growth_blocks);
	sp_jsonw_put_i64(w, "total_growth_bytes", s->total_growth_bytes);
	sp_jsonw_put_u64(w, "oldest_ms", age_ms(v, s->oldest_birth_ns));
	sp_jsonw_key(w, "survival");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "seen", s->old_seen);
	sp_jsonw_put_u64(w, "freed", s->old_freed);
	sp_jsonw_end(w);
}

static void put_found(struct sp_jsonw *w, const char *key, const struct sp_found_sum *sum)
{
	sp_jsonw_key(w, key);
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", sum->bytes);
	sp_jsonw_put_u64(w, "blocks", sum->blocks);
	sp_jsonw_end(w);
}

/* What the last scan of a recording said. */
static void put_scan(struct sp_jsonw *w, const struct sp_view *v)
{
	if (!v->has_found)
		return;
	sp_jsonw_key(w, "scan");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "age_ms", age_ms(v, v->found.now_ns));
	sp_jsonw_key(w, "pause_ms");
	sp_jsonw_fixed(w, (double)v->found.pause_ns / NS_PER_MS, 3);
	put_found(w, "leaked", &v->found.sums[SP_FOUND_LEAKED]);
	put_found(w, "indirect", &v->found.sums[SP_FOUND_INDIRECT]);
	put_found(w, "possible", &v->found.sums[SP_FOUND_POSSIBLE]);
	sp_jsonw_end(w);
}

static void put_path(struct sp_jsonw *w, const struct sp_view *v, const struct sp_view_path *p, bool show_list)
{
	sp_jsonw_object(w);
	if (v->is_growth) {
		sp_jsonw_put_string(w, "growth", p->is_faults ? "faulted" : "mapped");
		sp_jsonw_put_known_u64(w, "pages", p->is_faults, sp_report_pages(p->sum.bytes));
	}
	put_sum(w, v, &p->sum);
	if (v->has_resident)
		sp_jsonw_put_u64(w, "resident", p->resident_bytes);
	if (v->has_found)
		put_found(w, "leaked", &p->unreached);
	sp_jsonw_key(w, "frames");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < p->nr_frames; i++)
		sp_report_json_frame(w, &p->frames[i]);
	sp_jsonw_end(w);
	if (show_list && (p->list || !v->list))
		put_list(w, v, p->list, p->list ? p->nr_list : 0);
	sp_jsonw_end(w);
}

static void put_head(struct sp_jsonw *w, const struct sp_view *v)
{
	sp_jsonw_put_kind(w, "outstanding");
	sp_jsonw_put_time(w, "time", &v->time);
	sp_jsonw_put_string(w, "engine", v->engine);
	sp_jsonw_put_u64(w, "pid", (uint64_t)v->pid);
	sp_jsonw_put_string(w, "comm", v->comm);
	sp_jsonw_put_bool(w, "kernel", v->is_kernel);
	sp_jsonw_put_u64(w, "report", v->nr_report);
	sp_jsonw_put_bool(w, "last", v->is_last);
	sp_jsonw_put_bool(w, "target_ended", v->target_ended);
	sp_jsonw_put_u64(w, "interval_ms", v->interval_ns / NS_PER_MS);
	sp_jsonw_put_u64(w, "scale", v->scale);
	sp_jsonw_put_u64(w, "sample_bytes", v->sample_bytes);
	sp_jsonw_key(w, "filter");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "older_ms", v->filter.min_age_ns / NS_PER_MS);
	sp_jsonw_put_u64(w, "min_size", v->filter.min_size);
	sp_jsonw_put_known_u64(w, "max_size", v->filter.max_size, v->filter.max_size);
	sp_jsonw_end(w);
	sp_report_json_totals(w, v);
	put_scan(w, v);
	if (!v->is_growth)
		return;
	sp_jsonw_key(w, "growth");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "mapped_bytes", v->total_bytes - v->fault_bytes);
	sp_jsonw_put_u64(w, "faulted_bytes", v->fault_bytes);
	sp_jsonw_end(w);
}

int sp_report_json(FILE *stream, const struct sp_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_jsonw w;

	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	put_head(&w, v);
	sp_jsonw_key(&w, "paths");
	sp_jsonw_array(&w);
	for (size_t i = 0; i < v->nr_paths && !out.err; i++)
		put_path(&w, v, &v->paths[i], o->show_list);
	sp_jsonw_end(&w);
	if (o->show_list && v->list)
		put_list(&w, v, v->list, v->nr_list);
	sp_report_json_lost(&w, v);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
