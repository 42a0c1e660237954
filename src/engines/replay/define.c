// SPDX-License-Identifier: Apache-2.0
/* The records that define: target, sample, module, frame, path. */
#include <stdlib.h>
#include <string.h>

#include "engines/replay/impl.h"

int sp_replay_take_target(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	uint64_t pid = 0;
	int err = sp_replay_number(r, "PID", w[1], INT32_MAX, &pid, why);

	(void)nr;
	if (err)
		return err;
	if (r->has_target)
		return sp_replay_bad(&r->in, why, "a second target");
	r->has_target = true;
	r->pid = (pid_t)pid;
	sp_text_printable(r->comm, sizeof(r->comm), sp_replay_known(w[2]) ? w[2] : "");
	return 0;
}

int sp_replay_take_sample(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	uint64_t n = 0;
	int err = sp_replay_number(r, "N", w[1], UINT32_MAX, &n, why);

	(void)nr;
	if (err)
		return err;
	if (!n || r->has_sample)
		return sp_replay_bad(&r->in, why, "%s", n ? "a second sample" : "N is 0");
	r->has_sample = true;
	r->scale = n;
	return 0;
}

/* CLOCK_REALTIME at 0 of the recording's clock. */
int sp_replay_take_epoch(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	(void)nr;
	return sp_replay_number(r, "NS", w[1], INT64_MAX, &r->epoch_ns, why);
}

int sp_replay_take_engine(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	(void)nr, (void)why;
	snprintf(r->recorded, sizeof(r->recorded), "%s", w[1]);
	return 0;
}

int sp_replay_take_bytes(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	(void)nr;
	return sp_replay_number(r, "BYTES", w[1], (uint64_t)1 << 40, &r->mean_bytes, why);
}

/* Says something only to those who read the file while it is written (unpack.c). */
int sp_replay_take_complete(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	(void)r, (void)w, (void)nr, (void)why;
	return 0;
}

/* NULL for "-". */
static int copy_word(const char *word, char **ret)
{
	char *copy = NULL;

	if (sp_replay_known(word)) {
		copy = strdup(word);
		if (!copy)
			return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int sp_replay_take_module(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	struct sp_replay_module m = {0};
	int err = sp_replay_any_number(r, "BIAS", w[3], &m.bias, why);

	(void)nr;
	if (err)
		return err;
	if (!sp_replay_known(w[1]))
		return sp_replay_bad(&r->in, why, "a module needs a name");
	err = copy_word(w[1], &m.name);
	if (!err)
		err = copy_word(w[2], &m.path);
	if (!err)
		err = copy_word(w[4], &m.build_id);
	if (!err)
		err = sp_vec_push(&r->modules, &m);
	if (!err)
		return 0;
	free(m.name);
	free(m.path);
	free(m.build_id);
	return sp_replay_failed(r, err, "module", why);
}

/* The newest of this name: an exec may bring another of the same. */
static const struct sp_replay_module *find_module(const struct sp_replay *r, const char *name)
{
	for (size_t i = r->modules.nr; i-- > 0;) {
		const struct sp_replay_module *m = sp_vec_at(&r->modules, struct sp_replay_module, i);

		if (!strcmp(m->name, name))
			return m;
	}
	return NULL;
}

static int frame_line(struct sp_replay *r, char **w, unsigned nr, struct sp_frame *f, struct sp_why *why)
{
	uint64_t line = 0;

	if (nr == 5)
		return 0;
	if (nr == 6 || (nr == 8 && strcmp(w[7], "inlined") != 0))
		return sp_replay_bad(&r->in, why, "frame takes ADDRESS FUNCTION OFFSET MODULE [FILE LINE [inlined]]");
	f->file = sp_replay_known(w[5]);
	f->inlined = nr == 8;
	if (sp_replay_number(r, "LINE", w[6], UINT32_MAX, &line, why))
		return -EINVAL;
	f->line = (unsigned)line;
	return 0;
}

int sp_replay_take_frame(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	struct sp_frame f = {.function = sp_replay_known(w[2]), .module = sp_replay_known(w[4])};
	const struct sp_replay_module *m = f.module ? find_module(r, f.module) : NULL;
	int err = sp_replay_address(r, "ADDRESS", w[1], &f.address, why);

	if (!err)
		err = sp_replay_any_number(r, "OFFSET", w[3], &f.offset, why);
	if (!err)
		err = frame_line(r, w, nr, &f, why);
	if (err)
		return err;
	f.raw_function = f.function;
	if (m) {
		f.module_path = m->path;
		f.build_id = m->build_id;
		f.module_offset = f.address - m->bias;
	}
	err = sp_symbolizer_add(r->symbolizer, &f);
	return err ? sp_replay_failed(r, err, "frame", why) : 0;
}

int sp_replay_take_path(struct sp_replay *r, char **w, unsigned nr, struct sp_why *why)
{
	uint64_t id = 0, pcs[SP_MAX_FRAMES] = {0};
	uint32_t ledger_id = SP_NO_PATH;
	int err = sp_replay_number(r, "ID", w[1], UINT32_MAX, &id, why);

	for (unsigned i = 2; i < nr && !err; i++)
		err = sp_replay_address(r, "ADDRESS", w[i], &pcs[i - 2], why);
	if (err)
		return err;
	if (sp_u64map_find(&r->paths, id))
		return sp_replay_bad(&r->in, why, "path %s was there before", w[1]);
	err = sp_ledger_path(r->ledger, pcs, nr - 2, &ledger_id);
	if (!err || err == -ENOSPC) /* a full ledger has counted it */
		err = sp_u64map_set(&r->paths, id, ledger_id);
	return err ? sp_replay_failed(r, err, "path", why) : 0;
}
