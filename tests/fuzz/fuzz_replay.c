// SPDX-License-Identifier: Apache-2.0
/* Recordings: whatever they hold, replay ends, with a reason or with a ledger that can be asked. */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engines/engines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is in the ledger has to agree with itself. */
static void check_ledger(const struct sp_ledger *l)
{
	uint64_t blocks = 0;
	struct sp_vec sums, list;

	sp_vec_init(&sums, sizeof(struct sp_path_sum), SIZE_MAX);
	sp_vec_init(&list, sizeof(struct sp_block), SIZE_MAX);
	assert(!sp_ledger_paths(l, NULL, SP_SORT_GROWTH, &sums));
	assert(!sp_ledger_blocks(l, true, 0, NULL, &list));
	for (size_t i = 0; i < sums.nr; i++) {
		const struct sp_path_sum *s = sp_vec_at(&sums, struct sp_path_sum, i);
		unsigned nr = 0;

		assert(s->old_freed <= s->old_seen);
		assert(s->path == SP_NO_PATH || sp_ledger_path_pcs(l, s->path, &nr));
		blocks += s->blocks;
	}
	assert(blocks == list.nr);
	sp_vec_done(&sums);
	sp_vec_done(&list);
}

static void play(struct sp_engine *e, struct sp_ledger *l)
{
	struct sp_why why = {0};
	struct sp_frame frames[4];
	int err;

	do {
		(void)e->ops->poll(e, l);
		err = e->ops->read(e, l, &why);
		check_ledger(l);
	} while (!err);
	assert(sp_why_is_set(&why) && why.what[0]);
	assert(e->ops->poll(e, l) == SP_NEWS_END || e->ops->poll(e, l) == SP_NEWS_END);
	assert(sp_symbolize(e->ops->symbolizer(e), 0x1000, true, frames, 4) <= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[64];
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct sp_engine_config c = {.replay_file = name};
	struct sp_ledger_limits limits = {.max_blocks = 50, .max_paths = 20};
	struct sp_engine *e = NULL;
	struct sp_ledger *l = NULL;
	struct sp_why why = {0};

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	assert(!sp_ledger_new(&limits, &l));
	if (sp_engine_replay.start(&c, &e, &why))
		assert(sp_why_is_set(&why) && !e);
	else
		play(e, l);
	sp_engine_replay.stop(e);
	sp_ledger_free(l);
	close(fd);
	return 0;
}
