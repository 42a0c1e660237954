// SPDX-License-Identifier: Apache-2.0
/*
 * A family a row. All samples of a family stand together, whatever target they are of, as both formats want it.
 *
 * The number of series is bounded: a target has a series of each row, and `top` call paths, whose label `path` is a
 * hash of their frames: the same code has the same label in every run. Names of the target are in labels only, escaped.
 */
#include "serve/metrics.h"

#include <inttypes.h>
#include <stddef.h>

enum type { GAUGE, COUNTER };
enum unit { PLAIN, BYTES, SECONDS, SECONDS_OF_MS };

struct family {
	const char *name; /* without "_total" */
	enum type type;
	enum unit unit;
	size_t field;   /* a uint64_t of struct sp_sample, or of struct sp_sample_path */
	size_t present; /* another, not 0 where this one means something; SIZE_MAX: it always does */
	const char *help;
};

#define ALWAYS        SIZE_MAX
#define F(field)      offsetof(struct sp_sample, field)
#define P(field)      offsetof(struct sp_sample_path, field)
#define AT(s, offset) (*(const uint64_t *)((const char *)(s) + (offset)))

static const struct family of_targets[] = {
    {"seep_outstanding_bytes", GAUGE, BYTES, F(bytes), ALWAYS, "Allocated since the watch began and not freed."},
    {"seep_outstanding_blocks", GAUGE, PLAIN, F(blocks), ALWAYS,
     "Blocks allocated since the watch began and not freed."},
    {"seep_growing_bytes", GAUGE, BYTES, F(growing_bytes), ALWAYS,
     "Outstanding on call paths that add blocks all the time and never free them."},
    {"seep_growing_blocks", GAUGE, PLAIN, F(growing_blocks), ALWAYS,
     "Outstanding blocks of call paths that add blocks all the time and never free them."},
    {"seep_leaked_bytes", GAUGE, BYTES, F(leaked_bytes), F(has_leaked),
     "Nothing points to them any more, by the last scan; also from before the watch."},
    {"seep_leaked_blocks", GAUGE, PLAIN, F(leaked_blocks), F(has_leaked),
     "Blocks that nothing points to any more, by the last scan."},
    {"seep_scans", COUNTER, PLAIN, F(scans), ALWAYS, "Scans for blocks that nothing points to."},
    {"seep_scan_pause_seconds", GAUGE, SECONDS, F(scan_pause_ns), F(has_leaked),
     "The longest stop of the process by the last scan."},
    {"seep_call_paths", GAUGE, PLAIN, F(nr_call_paths), ALWAYS, "Call paths with outstanding blocks."},
    {"seep_looks", COUNTER, PLAIN, F(looks), ALWAYS, "Looks at the process."},
    {"seep_look_timestamp_seconds", GAUGE, SECONDS_OF_MS, F(time_ms), ALWAYS, "When the numbers were read."},
    {"seep_execs", COUNTER, PLAIN, F(execs), ALWAYS, "How often it became another program: the watch began anew."},
    {"seep_sampling_calls", GAUGE, PLAIN, F(scale), ALWAYS, "One call in so many is recorded and multiplied; 1: all."},
    {"seep_sampling_bytes", GAUGE, BYTES, F(sample_bytes), ALWAYS,
     "About one block in so many bytes is recorded and scaled up; 0: all."},
    {"seep_suppressed_bytes", GAUGE, BYTES, F(suppressed_bytes), ALWAYS, "Left out of all others, by --suppressions."},
    {"seep_pause_seconds", GAUGE, SECONDS, F(pause_ns), ALWAYS,
     "The longest stop of the process by watching; 0: none."},
    {"seep_start_seconds", GAUGE, SECONDS, F(start_ns), ALWAYS, "How long it took to begin the watch."},
    {"seep_watch_cpu_seconds", COUNTER, SECONDS, F(cpu_ns), ALWAYS, "CPU time of what watches this process."},
    {"seep_watch_memory_bytes", GAUGE, BYTES, F(own_bytes), ALWAYS, "Resident memory of what watches this process."},
    {"seep_watch_target_memory_bytes", GAUGE, BYTES, F(target_bytes), ALWAYS,
     "Memory that the watch takes inside the process."},
    {"seep_resident_bytes", GAUGE, BYTES, F(resident_bytes), F(resident_bytes), "Resident memory of the process."},
    {"seep_limit_bytes", GAUGE, BYTES, F(limit_bytes), F(limit_bytes),
     "Memory limit of the cgroup around it that has the least room."},
    {"seep_limit_used_bytes", GAUGE, BYTES, F(limit_used_bytes), F(limit_bytes), "Memory charged to that cgroup."},
};

static const struct family of_paths[] = {
    {"seep_path_outstanding_bytes", GAUGE, BYTES, P(bytes), ALWAYS, "Outstanding on this call path."},
    {"seep_path_outstanding_blocks", GAUGE, PLAIN, P(blocks), ALWAYS, "Outstanding blocks of this call path."},
    {"seep_path_growing_bytes", GAUGE, BYTES, P(growing_bytes), ALWAYS,
     "Outstanding on this call path when it only grows, else 0."},
    {"seep_path_growing_blocks", GAUGE, PLAIN, P(growing_blocks), ALWAYS,
     "Outstanding blocks of this call path when it only grows, else 0."},
    {"seep_path_leaked_bytes", GAUGE, BYTES, P(leaked_bytes), ALWAYS,
     "Outstanding on this call path with nothing pointing to them, by the last scan (--scan)."},
    {"seep_path_leaked_blocks", GAUGE, PLAIN, P(leaked_blocks), ALWAYS,
     "Blocks of this call path with nothing pointing to them, by the last scan (--scan)."},
};

static const struct {
	const char *key, *help;
} losses[SP_NR_LOST] = {
#define ROW(id, key, text) [SP_LOST_##id] = {key, text},
    SP_LOST(ROW)
#undef ROW
};

struct writer {
	struct sp_out out;
	const struct sp_metrics *m;
};

/* ---- pieces ---- */

static void put_label(struct sp_out *o, const char *name, const char *value)
{
	sp_out_printf(o, "%s=\"", name);
	for (const char *c = value; *c; c++) {
		if (*c == '\\' || *c == '"')
			sp_out_write(o, "\\", 1);
		if (*c == '\n')
			sp_out_puts(o, "\\n");
		else
			sp_out_write(o, c, 1);
	}
	sp_out_puts(o, "\"");
}

static const char *suffix(enum type type)
{
	return type == COUNTER ? "_total" : "";
}

/* In the older format a counter is called as its samples are. */
static void put_head(struct writer *w, const char *name, enum type type, const char *help)
{
	const char *of_name = w->m->is_openmetrics ? "" : suffix(type);

	sp_out_printf(&w->out, "# HELP %s%s %s\n", name, of_name, help);
	sp_out_printf(&w->out, "# TYPE %s%s %s\n", name, of_name, type == COUNTER ? "counter" : "gauge");
}

static void put_target(struct writer *w, const struct sp_metrics_target *t)
{
	sp_out_printf(&w->out, "pid=\"%d\",", (int)t->pid);
	put_label(&w->out, "comm", t->comm);
}

static void put_value(struct writer *w, enum unit unit, uint64_t value)
{
	if (unit == SECONDS)
		sp_out_printf(&w->out, " %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000, value % 1000000000);
	else if (unit == SECONDS_OF_MS)
		sp_out_printf(&w->out, " %" PRIu64 ".%03" PRIu64 "\n", value / 1000, value % 1000);
	else
		sp_out_printf(&w->out, " %" PRIu64 "\n", value);
}

static void put_own(struct writer *w, const char *name, enum type type, const char *help, uint64_t value)
{
	put_head(w, name, type, help);
	sp_out_printf(&w->out, "%s%s", name, suffix(type));
	put_value(w, PLAIN, value);
}

/* ---- families ---- */

static void put_family(struct writer *w, const struct family *f)
{
	put_head(w, f->name, f->type, f->help);
	for (size_t i = 0; i < w->m->nr; i++) {
		const struct sp_metrics_target *t = &w->m->list[i];

		if (!t->sample || (f->present != ALWAYS && !AT(t->sample, f->present)))
			continue;
		sp_out_printf(&w->out, "%s%s{", f->name, suffix(f->type));
		put_target(w, t);
		sp_out_puts(&w->out, "}");
		put_value(w, f->unit, AT(t->sample, f->field));
	}
}

static void put_path_labels(struct writer *w, const struct sp_metrics_target *t, const struct sp_sample_path *p)
{
	put_target(w, t);
	sp_out_printf(&w->out, ",path=\"%016" PRIx64 "\",", p->id);
	put_label(&w->out, "function", p->function);
}

static void put_path_family(struct writer *w, const struct family *f)
{
	put_head(w, f->name, f->type, f->help);
	for (size_t i = 0; i < w->m->nr; i++) {
		const struct sp_metrics_target *t = &w->m->list[i];

		for (uint64_t n = 0; t->sample && n < t->sample->nr_paths; n++) {
			sp_out_printf(&w->out, "%s{", f->name);
			put_path_labels(w, t, &t->sample->paths[n]);
			sp_out_puts(&w->out, "}");
			put_value(w, f->unit, AT(&t->sample->paths[n], f->field));
		}
	}
}

static void put_path_names(struct writer *w)
{
	put_head(w, "seep_path_info", GAUGE, "What a call path is called: source or module, and its stack.");
	for (size_t i = 0; i < w->m->nr; i++) {
		const struct sp_metrics_target *t = &w->m->list[i];

		for (uint64_t n = 0; t->sample && n < t->sample->nr_paths; n++) {
			sp_out_puts(&w->out, "seep_path_info{");
			put_path_labels(w, t, &t->sample->paths[n]);
			sp_out_puts(&w->out, ",");
			put_label(&w->out, "place", t->sample->paths[n].place);
			sp_out_puts(&w->out, ",");
			put_label(&w->out, "stack", t->sample->paths[n].stack);
			sp_out_puts(&w->out, "} 1\n");
		}
	}
}

static void put_lost(struct writer *w)
{
	put_head(w, "seep_lost", COUNTER, "What was not seen, by kind (doc/json.md explains them).");
	for (size_t i = 0; i < w->m->nr; i++) {
		const struct sp_metrics_target *t = &w->m->list[i];

		for (unsigned n = 0; t->sample && n < SP_NR_LOST; n++) {
			sp_out_puts(&w->out, "seep_lost_total{");
			put_target(w, t);
			sp_out_printf(&w->out, ",kind=\"%s\"}", losses[n].key);
			put_value(w, PLAIN, t->sample->lost[n]);
		}
	}
}

static void put_up(struct writer *w)
{
	put_head(w, "seep_up", GAUGE, "1: the process is being watched.");
	for (size_t i = 0; i < w->m->nr; i++) {
		sp_out_puts(&w->out, "seep_up{");
		put_target(w, &w->m->list[i]);
		sp_out_printf(&w->out, "} %d\n", w->m->list[i].is_up);
	}
	put_head(w, "seep_watch_failures", COUNTER, "How often the process could not be watched.");
	for (size_t i = 0; i < w->m->nr; i++) {
		sp_out_puts(&w->out, "seep_watch_failures_total{");
		put_target(w, &w->m->list[i]);
		sp_out_puts(&w->out, "}");
		put_value(w, PLAIN, w->m->list[i].failures);
	}
	put_head(w, "seep_down_info", GAUGE, "Why the process is not watched.");
	for (size_t i = 0; i < w->m->nr; i++) {
		if (!w->m->list[i].reason)
			continue;
		sp_out_puts(&w->out, "seep_down_info{");
		put_target(w, &w->m->list[i]);
		sp_out_puts(&w->out, ",");
		put_label(&w->out, "reason", w->m->list[i].reason);
		sp_out_puts(&w->out, "} 1\n");
	}
}

static void put_engines(struct writer *w)
{
	put_head(w, "seep_engine_info", GAUGE, "The engine that watches the process.");
	for (size_t i = 0; i < w->m->nr; i++) {
		if (!w->m->list[i].sample)
			continue;
		sp_out_puts(&w->out, "seep_engine_info{");
		put_target(w, &w->m->list[i]);
		sp_out_puts(&w->out, ",");
		put_label(&w->out, "engine", w->m->list[i].sample->engine);
		sp_out_puts(&w->out, "} 1\n");
	}
}

static void put_server(struct writer *w)
{
	put_head(w, "seep_build_info", GAUGE, "Version of seep.");
	sp_out_puts(&w->out, "seep_build_info{version=\"" SEEP_VERSION "\"} 1\n");
	put_own(w, "seep_targets", GAUGE, "Processes that are to be watched.", w->m->nr);
	put_own(w, "seep_targets_refused", GAUGE, "Processes that --max-targets has no room for.", w->m->nr_refused);
	put_own(w, "seep_http_requests", COUNTER, "Requests.", w->m->requests);
	put_own(w, "seep_http_refusals", COUNTER, "Requests that were refused.", w->m->refusals);
	put_own(w, "seep_http_connections", GAUGE, "Connections that are open.", w->m->connections);
}

int sp_metrics_write(FILE *out, const struct sp_metrics *m)
{
	struct writer w = {.out = {.stream = out}, .m = m};

	put_server(&w);
	put_up(&w);
	put_engines(&w);
	for (size_t i = 0; i < SP_ARRAY_SIZE(of_targets); i++)
		put_family(&w, &of_targets[i]);
	put_lost(&w);
	for (size_t i = 0; i < SP_ARRAY_SIZE(of_paths); i++)
		put_path_family(&w, &of_paths[i]);
	put_path_names(&w);
	if (m->is_openmetrics)
		sp_out_puts(&w.out, "# EOF\n");
	return sp_out_finish(&w.out);
}
