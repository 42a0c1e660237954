// SPDX-License-Identifier: Apache-2.0
/* Parts of a view as JSON that several reports have. Every key is described in doc/json.md. */
#include "report/json.h"

static const char *const lost_keys[SP_NR_LOST] = {
#define LOST_KEY(id, key, text) [SP_LOST_##id] = key,
    SP_LOST(LOST_KEY)
#undef LOST_KEY
};

void sp_report_json_frame(struct sp_jsonw *w, const struct sp_frame *f)
{
	sp_jsonw_object(w);
	sp_jsonw_put_string(w, "function", f->function);
	sp_jsonw_put_known_u64(w, "offset", f->function && f->address, f->offset);
	sp_jsonw_put_string(w, "module", f->module);
	sp_jsonw_put_string(w, "module_path", f->module_path);
	sp_jsonw_put_string(w, "build_id", f->build_id);
	sp_jsonw_put_known_hex(w, "module_offset", f->module, f->module_offset);
	sp_jsonw_put_string(w, "file", f->file);
	sp_jsonw_put_known_u64(w, "line", f->line, f->line);
	sp_jsonw_put_known_hex(w, "address", f->address, f->address);
	sp_jsonw_put_bool(w, "inlined", f->inlined);
	sp_jsonw_end(w);
}

void sp_report_json_totals(struct sp_jsonw *w, const struct sp_view *v)
{
	sp_jsonw_key(w, "totals");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", v->total_bytes);
	sp_jsonw_put_u64(w, "blocks", v->total_blocks);
	sp_jsonw_put_u64(w, "paths", v->total_paths);
	sp_jsonw_end(w);
	sp_jsonw_key(w, "suppressed");
	sp_jsonw_object(w);
	sp_jsonw_put_u64(w, "bytes", v->suppressed_bytes);
	sp_jsonw_put_u64(w, "blocks", v->suppressed_blocks);
	sp_jsonw_put_u64(w, "paths", v->suppressed_paths);
	sp_jsonw_end(w);
}

void sp_report_json_lost(struct sp_jsonw *w, const struct sp_view *v)
{
	sp_jsonw_key(w, "lost");
	sp_jsonw_object(w);
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		if (v->lost[i])
			sp_jsonw_put_u64(w, lost_keys[i], v->lost[i]);
	sp_jsonw_end(w);
}
