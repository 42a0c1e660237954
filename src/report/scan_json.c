// SPDX-License-Identifier: Apache-2.0
/* A scan as one JSON object on one line. Every key is described in doc/json.md. */
#include "report/scan_parts.h"

/* Milliseconds with three digits behind the point. */
static void put_ms(struct sp_jsonw *w, const char *key, uint64_t ns)
{
	sp_jsonw_key(w, key);
	sp_jsonw_fixed(w, (double)ns / 1e6, 3);
}

static void put_sum(struct sp_jsonw *w, const char *key, const struct sp_scan_sum *sum)
{
	sp_jsonw_key(w, key);
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", sum->bytes);
	sp_jsonw_put_u64(w, "blocks", sum->blocks);
	sp_jsonw_end(w);
}

static void put_list(struct sp_jsonw *w, const struct sp_scan_group *g)
{
	sp_jsonw_key(w, "list");
	sp_jsonw_array(w);
	for (size_t i = 0; i < g->nr_list && !w->out->err; i++) {
		sp_jsonw_object(w);
		sp_jsonw_key(w, "address");
		sp_jsonw_hex(w, g->list[i]);
		sp_jsonw_put_u64(w, "size", g->size);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_group(struct sp_jsonw *w, const struct sp_scan *s, const struct sp_scan_group *g)
{
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "class", sp_report_class(g->class));
	sp_jsonw_put_u64(w, "bytes", g->bytes);
	sp_jsonw_put_u64(w, "blocks", g->blocks);
	sp_jsonw_put_u64(w, "size", g->size);
	if (s->has_resident)
		sp_jsonw_put_u64(w, "resident", g->resident_bytes);
	sp_jsonw_put_string(w, "type", g->type);
	sp_jsonw_key(w, "frames");
	sp_jsonw_array(w);
	sp_jsonw_end(w);
	sp_jsonw_key(w, "evidence");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "scans", s->nr_scans);
	sp_jsonw_put_string(w, "text", g->text);
	sp_jsonw_key(w, "example");
	sp_jsonw_hex(w, g->example);
	sp_jsonw_end(w);
	if (g->list)
		put_list(w, g);
	sp_jsonw_end(w);
}

static void put_models(struct sp_jsonw *w, const struct sp_scan *s)
{
	sp_jsonw_key(w, "models");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < s->nr_models; i++) {
		const struct sp_heap_model_info *m = &s->models[i];

		sp_jsonw_object(w);
		sp_jsonw_put_string(w, "name", m->name);
		sp_jsonw_put_u64(w, "used_bytes", m->used_bytes);
		sp_jsonw_put_u64(w, "used_blocks", m->used_blocks);
		sp_jsonw_put_u64(w, "free_bytes", m->free_bytes);
		sp_jsonw_put_u64(w, "region_bytes", m->region_bytes);
		sp_jsonw_put_string(w, "gave_up", m->gave_up[0] ? m->gave_up : NULL);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

/* Each key only when it is not zero, as in every report. */
void sp_jsonw_scan_lost(struct sp_jsonw *w, const char *key, const struct sp_scan *s)
{
	const struct {
		const char *key;
		uint64_t n;
	} rows[] = {{"away_bytes", s->lost.away_bytes},
		    {"unreadable_bytes", s->lost.unreadable_bytes},
		    {"unjudged_bytes", s->lost.unjudged_bytes},
		    {"threads_unknown", s->lost.threads_unknown},
		    {"spared", s->nr_spared},
		    {"unlisted", s->nr_unlisted},
		    {"ungrouped", s->nr_ungrouped}};

	sp_jsonw_key(w, key);
	sp_jsonw_object(w);
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		if (rows[i].n)
			sp_jsonw_put_u64(w, rows[i].key, rows[i].n);
	sp_jsonw_end(w);
}

void sp_jsonw_scan_facts(struct sp_jsonw *w, const struct sp_scan *s)
{
	put_ms(w, "pause_ms", s->pause_ns);
	put_ms(w, "scan_ms", s->read_ns);
	put_ms(w, "held_ms", s->held_ns);
	sp_jsonw_put_u64(w, "cost_bytes", s->cost_bytes);
	sp_jsonw_put_u64(w, "kept_out_bytes", s->kept_out_bytes);
	sp_jsonw_put_u64(w, "scans", s->nr_scans);
	sp_jsonw_key(w, "racy");
	sp_jsonw_bool(w, s->is_racy);
	sp_jsonw_put_string(w, "racy_why", s->racy_why[0] ? s->racy_why : NULL);
	sp_jsonw_key(w, "totals");
	sp_jsonw_object(w);
	for (int c = SP_HEAP_UNJUDGED; c <= SP_HEAP_INDIRECT; c++)
		put_sum(w, sp_report_class((enum sp_heap_class)c), &s->sums[c]);
	sp_jsonw_end(w);
	put_models(w, s);
}

void sp_jsonw_scan_groups(struct sp_jsonw *w, const struct sp_scan *s)
{
	for (size_t i = 0; i < s->nr_groups && !w->out->err; i++)
		put_group(w, s, &s->groups[i]);
}

int sp_report_scan_json(FILE *stream, const struct sp_scan *s, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_jsonw w;

	(void)o;
	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "scan");
	sp_jsonw_put_time(&w, "time", &s->time);
	sp_jsonw_put_u64(&w, "pid", (uint64_t)s->pid);
	sp_jsonw_put_string(&w, "comm", s->comm);
	sp_jsonw_scan_facts(&w, s);
	sp_jsonw_key(&w, "groups");
	sp_jsonw_array(&w);
	sp_jsonw_scan_groups(&w, s);
	sp_jsonw_end(&w);
	sp_jsonw_scan_lost(&w, "lost", s);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
