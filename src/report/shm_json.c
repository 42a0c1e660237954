// SPDX-License-Identifier: Apache-2.0
/* Shared memory as one JSON object. Every key is described in doc/json.md. */
#include "report/jsonw.h"
#include "report/shm.h"

static void put_seconds(struct sp_jsonw *w, const char *key, bool known, int64_t s)
{
	const struct timespec t = {.tv_sec = (time_t)s};

	if (known) {
		sp_jsonw_put_time(w, key, &t);
	} else {
		sp_jsonw_key(w, key);
		sp_jsonw_null(w);
	}
}

static void put_segment(struct sp_jsonw *w, const struct sp_shm_object *o)
{
	sp_jsonw_put_u64(w, "id", o->id);
	sp_jsonw_put_known_hex(w, "key", true, o->key);
	sp_jsonw_put_u64(w, "attached", o->nr_attached);
	sp_jsonw_put_known_u64(w, "creator", o->creator, (uint64_t)o->creator);
	sp_jsonw_put_bool(w, "creator_lives", o->creator_lives);
	sp_jsonw_put_known_u64(w, "last_pid", o->last, (uint64_t)o->last);
	put_seconds(w, "attached_at", o->attached_s > 0, o->attached_s);
	put_seconds(w, "detached_at", o->detached_s > 0, o->detached_s);
	sp_jsonw_put_u64(w, "ipc_namespace", o->ipc_ns);
}

static void put_holders(struct sp_jsonw *w, const struct sp_shm_object *o)
{
	sp_jsonw_key(w, "holders");
	sp_jsonw_array(w);
	for (size_t i = 0; i < o->nr_holders && !w->out->err; i++) {
		const struct sp_shm_holder *h = &o->holders[i];

		sp_jsonw_object(w);
		sp_jsonw_put_u64(w, "pid", (uint64_t)h->pid);
		sp_jsonw_put_string(w, "comm", h->comm);
		sp_jsonw_put_u64(w, "mappings", h->nr_maps);
		sp_jsonw_put_u64(w, "mapped_bytes", h->mapped);
		sp_jsonw_put_u64(w, "descriptors", h->nr_open);
		sp_jsonw_end(w);
	}
	sp_jsonw_end(w);
}

static void put_object(struct sp_jsonw *w, const struct sp_shm_object *o)
{
	bool is_sysv = o->kind == SP_SHM_SYSV;

	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "state", sp_shm_state_key(o->state));
	sp_jsonw_put_string(w, "type", sp_shm_kind_key(o->kind));
	sp_jsonw_put_string(w, "name", o->name);
	sp_jsonw_put_u64(w, "size", o->size);
	sp_jsonw_put_u64(w, "resident", o->resident);
	sp_jsonw_put_known_u64(w, "swapped", is_sysv, o->swapped);
	sp_jsonw_put_u64(w, "uid", o->uid);
	sp_jsonw_put_bool(w, "deleted", o->deleted);
	put_seconds(w, "created_at", o->created_s >= 0, o->created_s);
	put_seconds(w, "used_at", o->used_s >= 0, o->used_s);
	sp_jsonw_put_known_u64(w, "namespace_of", o->member, (uint64_t)o->member);
	sp_jsonw_put_known_u64(w, "device", !is_sysv, o->dev);
	sp_jsonw_put_known_u64(w, "inode", !is_sysv, o->inode);
	if (is_sysv)
		put_segment(w, o);
	put_holders(w, o);
	sp_jsonw_end(w);
}

int sp_report_shm_json(FILE *stream, const struct sp_shm *s)
{
	struct sp_out out = {.stream = stream};
	struct sp_jsonw w;

	sp_jsonw_init(&w, &out);
	sp_jsonw_object(&w);
	sp_jsonw_put_kind(&w, "shared_memory");
	put_seconds(&w, "time", true, s->now_s);
	sp_jsonw_key(&w, "totals");
	sp_jsonw_object(&w);
	sp_jsonw_put_u64(&w, "objects", s->nr);
	sp_jsonw_put_u64(&w, "bytes", s->total_bytes);
	sp_jsonw_put_u64(&w, "leaked_objects", s->nr_leaked);
	sp_jsonw_put_u64(&w, "leaked_bytes", s->leaked_bytes);
	sp_jsonw_end(&w);
	sp_jsonw_key(&w, "objects");
	sp_jsonw_array(&w);
	for (size_t i = 0; i < s->nr && !out.err; i++)
		put_object(&w, &s->list[i]);
	sp_jsonw_end(&w);
	sp_jsonw_key(&w, "unseen");
	sp_jsonw_object(&w);
	sp_jsonw_put_u64(&w, "processes", s->nr_hidden_processes);
	sp_jsonw_put_u64(&w, "namespaces", s->nr_hidden_ns);
	sp_jsonw_put_u64(&w, "skipped", s->nr_skipped);
	sp_jsonw_put_bool(&w, "other_containers", s->others_exist);
	sp_jsonw_end(&w);
	sp_jsonw_end(&w);
	sp_jsonw_line(&w);
	return sp_out_finish(&out);
}
