// SPDX-License-Identifier: Apache-2.0
/* seep top as JSON, an object a look. Every key is described in doc/json.md. */
#include "report/jsonw.h"
#include "report/report.h"
#include "report/top.h"

#define NS_PER_MS 1000000u

static const char *const vmstat_keys[SP_NR_VMSTAT] = {
#define KEY(name, width) #name,
    SP_VMSTAT(KEY)
#undef KEY
};

static void put_vmstat(struct sp_jsonw *w, const struct sp_vmstat_line *line)
{
	sp_jsonw_key(w, "vmstat");
	sp_jsonw_object(w);
	for (unsigned i = 0; i < SP_NR_VMSTAT; i++)
		sp_jsonw_put_u64(w, vmstat_keys[i], line->v[i]);
	sp_jsonw_end(w);
}

static void put_memory(struct sp_jsonw *w, const struct sp_machine *m)
{
	sp_jsonw_key(w, "memory");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "total", m->total);
	sp_jsonw_put_u64(w, "free", m->free);
	sp_jsonw_put_u64(w, "available", m->available);
	sp_jsonw_put_u64(w, "swap_used", m->swap_used);
	sp_jsonw_put_u64(w, "committed", m->committed);
	for (unsigned i = 0; i < SP_NR_MEM; i++)
		sp_jsonw_put_u64(w, sp_mem_key((enum sp_mem)i), m->mem[i]);
	sp_jsonw_end(w);
}

static void put_change(struct sp_jsonw *w, const struct sp_top_view *v)
{
	sp_jsonw_key(w, "change");
	sp_jsonw_object(w);
	sp_jsonw_put_i64(w, "free", (int64_t)(v->now.free - v->first.free));
	sp_jsonw_put_i64(w, "swap_used", (int64_t)(v->now.swap_used - v->first.swap_used));
	for (unsigned i = 0; i < SP_NR_MEM; i++)
		sp_jsonw_put_i64(w, sp_mem_key((enum sp_mem)i), (int64_t)(v->now.mem[i] - v->first.mem[i]));
	sp_jsonw_end(w);
}

static void put_pressure(struct sp_jsonw *w, const struct sp_top_view *v)
{
	sp_jsonw_key(w, "pressure");
	if (!v->has_pressure) {
		sp_jsonw_null(w);
		return;
	}
	sp_jsonw_object(w);
	sp_jsonw_key(w, "some_percent");
	sp_jsonw_fixed(w, v->some_percent, 2);
	sp_jsonw_key(w, "all_percent");
	sp_jsonw_fixed(w, v->full_percent, 2);
	sp_jsonw_end(w);
}

static void put_process(struct sp_jsonw *w, const struct sp_top_row *row)
{
	const struct sp_suspect *s = &row->suspect;

	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "pid", (uint64_t)s->ps.pid);
	sp_jsonw_put_u64(w, "ppid", (uint64_t)s->ps.ppid);
	sp_jsonw_put_string(w, "comm", row->comm);
	sp_jsonw_put_string(w, "command", row->command);
	sp_jsonw_put_string(w, "cgroup", row->cgroup[0] ? row->cgroup : NULL);
	sp_jsonw_put_i64(w, "growth_bytes", s->growth_bytes);
	sp_jsonw_put_i64(w, "bytes_per_minute", (int64_t)(s->per_second * 60));
	sp_jsonw_key(w, "confidence");
	sp_jsonw_fixed(w, s->confidence, 3);
	sp_jsonw_put_string(w, "trend", s->growth_bytes > 0 ? sp_top_trend_word(s) : NULL);
	sp_jsonw_put_u64(w, "anon_bytes", s->ps.anon_bytes);
	sp_jsonw_put_u64(w, "rss_bytes", s->ps.rss_bytes);
	sp_jsonw_put_known_u64(w, "pss_bytes", row->has_pss, row->pss_bytes);
	sp_jsonw_put_u64(w, "swap_bytes", s->ps.swap_bytes);
	sp_jsonw_put_u64(w, "seen_ms", s->seen_ns / NS_PER_MS);
	sp_jsonw_put_u64(w, "quiet_ms", s->quiet_ns / NS_PER_MS);
	sp_jsonw_put_bool(w, "new", s->is_new);
	sp_jsonw_end(w);
}

static void put_processes(struct sp_jsonw *w, const struct sp_top_view *v)
{
	sp_jsonw_put_u64(w, "processes_seen", v->nr_processes);
	sp_jsonw_put_u64(w, "processes_matching", v->nr_matching);
	sp_jsonw_key(w, "processes");
	sp_jsonw_array(w);
	for (size_t i = 0; i < v->nr_rows; i++)
		put_process(w, &v->rows[i]);
	sp_jsonw_end(w);
}

static void put_slabs(struct sp_jsonw *w, const struct sp_top_view *v)
{
	sp_jsonw_key(w, "slabs");
	sp_jsonw_array(w);
	for (size_t i = 0; i < v->nr_slabs; i++) {
		sp_jsonw_object(w);
		sp_jsonw_put_string(w, "name", v->slabs[i].name);
		sp_jsonw_put_i64(w, "growth_bytes", v->slabs[i].growth_bytes);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_cgroups(struct sp_jsonw *w, const struct sp_top_view *v)
{
	sp_jsonw_key(w, "full_cgroups");
	sp_jsonw_array(w);
	for (size_t i = 0; i < v->nr_cgroups; i++) {
		const struct sp_cgroup_limit *l = &v->cgroups[i].limit;

		sp_jsonw_object(w);
		sp_jsonw_put_string(w, "name", v->cgroups[i].name);
		sp_jsonw_put_u64(w, "limit_bytes", l->limit_bytes);
		sp_jsonw_put_u64(w, "used_bytes", l->used_bytes);
		sp_jsonw_put_u64(w, "reclaimable_bytes", l->reclaimable_bytes);
		sp_jsonw_put_u64(w, "oom_kills", l->oom_kills);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_verdict(struct sp_jsonw *w, const struct sp_top_view *v)
{
	const struct sp_diagnosis *verdict = &v->verdict;

	sp_jsonw_key(w, "verdict");
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "cause", sp_cause_key(verdict->cause));
	sp_jsonw_put_known_u64(w, "pid", verdict->has_who, (uint64_t)verdict->who.ps.pid);
	sp_jsonw_put_i64(w, "amount_bytes", verdict->amount_bytes);
	sp_jsonw_put_known_u64(w, "steady_pid", verdict->has_steady, (uint64_t)verdict->steady.ps.pid);
	sp_jsonw_put_u64(w, "noise_bytes", verdict->noise_bytes);
	sp_jsonw_put_string(w, "sentence", v->sentence);
	sp_jsonw_put_string(w, "next", v->next[0] ? v->next : NULL);
	sp_jsonw_end(w);
}

int sp_report_top_json(FILE *stream, const struct sp_top_view *v, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_jsonw w;

	(void)o;
	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "top");
	sp_jsonw_put_time(&w, "time", &v->time);
	sp_jsonw_put_u64(&w, "look", v->nr_look);
	sp_jsonw_put_bool(&w, "fresh", v->is_fresh);
	sp_jsonw_put_bool(&w, "last", v->is_last);
	sp_jsonw_put_u64(&w, "interval_ms", v->interval_ns / NS_PER_MS);
	sp_jsonw_put_u64(&w, "span_ms", v->span_ns / NS_PER_MS);
	put_vmstat(&w, &v->line);
	put_memory(&w, &v->now);
	put_change(&w, v);
	put_pressure(&w, v);
	put_processes(&w, v);
	put_slabs(&w, v);
	put_cgroups(&w, v);
	put_verdict(&w, v);
	sp_jsonw_key(&w, "lost");
	sp_jsonw_object(&w);
	if (v->nr_lost)
		sp_jsonw_put_u64(&w, "processes", v->nr_lost);
	sp_jsonw_end(&w);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
