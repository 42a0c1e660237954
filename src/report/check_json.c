// SPDX-License-Identifier: Apache-2.0
/* A check as one JSON object on one line. Every key is described in doc/json.md. */
#include "report/check.h"
#include "report/holders.h"
#include "report/json.h"
#include "report/scan_parts.h"

static const char *const words[SP_NR_CLASSES] = {
#define WORD(id, word, text) word,
    SP_CLASSES(WORD)
#undef WORD
};

static void put_evidence(struct sp_jsonw *w, const struct sp_check *c, const struct sp_check_path *p)
{
	const struct sp_verdict *v = &p->path->verdict;

	sp_jsonw_key(w, "evidence");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "scans", p->class == SP_CLASS_GROWING ? 0 : c->scan.nr_scans);
	sp_jsonw_put_u64(w, "held_blocks", p->held_blocks);
	sp_jsonw_key(w, "bytes_per_second");
	sp_jsonw_fixed(w, v->trend.slope, 1);
	sp_jsonw_key(w, "confidence");
	sp_jsonw_fixed(w, v->confidence, 3);
	sp_jsonw_put_u64(w, "old_seen", v->old_seen);
	sp_jsonw_put_u64(w, "old_freed", v->old_freed);
	sp_jsonw_end(w);
}

static void put_holders(struct sp_jsonw *w, const struct sp_check_path *p)
{
	sp_jsonw_key(w, "holders");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < p->nr_holders; i++) {
		sp_jsonw_object(w);
		sp_jsonw_put_u64(w, "bytes", p->holders[i].bytes);
		sp_jsonw_put_u64(w, "blocks", p->holders[i].blocks);
		sp_jsonw_put_u64(w, "of_blocks", p->nr_asked);
		sp_jsonw_place(w, "root", &p->holders[i].place);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_path(struct sp_jsonw *w, const struct sp_check *c, const struct sp_check_path *p)
{
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "class", words[p->class]);
	sp_jsonw_put_u64(w, "bytes", p->bytes);
	sp_jsonw_put_u64(w, "blocks", p->blocks);
	if (c->has_resident)
		sp_jsonw_put_u64(w, "resident", p->resident_bytes);
	sp_jsonw_put_known_u64(w, "size", false, 0);
	sp_jsonw_put_string(w, "type", NULL);
	sp_jsonw_key(w, "frames");
	sp_jsonw_array(w);
	for (unsigned i = 0; i < p->path->nr_frames; i++)
		sp_report_json_frame(w, &p->path->frames[i]);
	sp_jsonw_end(w);
	put_evidence(w, c, p);
	put_holders(w, p);
	sp_jsonw_end(w);
}

static void put_groups(struct sp_jsonw *w, const struct sp_check *c)
{
	sp_jsonw_key(w, "groups");
	sp_jsonw_array(w);
	for (size_t i = 0; i < c->nr_paths && !w->out->err; i++)
		put_path(w, c, &c->paths[i]);
	sp_jsonw_scan_groups(w, &c->scan);
	sp_jsonw_end(w);
}

int sp_report_check_json(FILE *stream, const struct sp_check *c, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	char sentence[SP_CHECK_SENTENCE];
	struct sp_jsonw w;

	(void)o;
	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "check");
	sp_jsonw_put_time(&w, "time", &c->view->time);
	sp_jsonw_put_u64(&w, "pid", (uint64_t)c->view->pid);
	sp_jsonw_put_string(&w, "comm", c->view->comm);
	sp_jsonw_put_string(&w, "engine", c->view->engine);
	sp_jsonw_put_string(&w, "verdict", sp_check_has_leak(c) ? "leak" : sp_check_is_blind(c) ? "unknown" : "none");
	sp_jsonw_put_string(&w, "sentence", sp_report_check_sentence(c, sentence));
	sp_jsonw_put_u64(&w, "watched_ms", c->watched_ns / 1000000);
	sp_jsonw_scan_facts(&w, &c->scan);
	put_groups(&w, c);
	sp_jsonw_put_u64(&w, "steady_paths", c->nr_steady);
	sp_jsonw_put_u64(&w, "unknown_paths", c->nr_unknown);
	sp_jsonw_put_u64(&w, "mistakes", c->scan.nr_mistakes);
	sp_jsonw_key(&w, "suppressed");
	sp_jsonw_object(&w);
	sp_jsonw_put_u64(&w, "bytes", c->suppressed.bytes);
	sp_jsonw_put_u64(&w, "blocks", c->suppressed.blocks);
	sp_jsonw_put_u64(&w, "paths", c->nr_suppressed);
	sp_jsonw_end(&w);
	sp_jsonw_put_string(&w, "holders_why", c->holders_why[0] ? c->holders_why : NULL);
	sp_report_json_lost(&w, c->view);
	sp_jsonw_scan_lost(&w, "scan_lost", &c->scan);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
