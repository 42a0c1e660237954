// SPDX-License-Identifier: Apache-2.0
/*
 * The agent's tables in the hands of a target that writes what it likes. An input is a list of edits: area, place in it
 * (in words) and the word that stands there; area SP_AGENT_NR_AREAS is the header.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engines/agent/impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EDIT_BYTES = 1 + 3 + 8, MAX_EDITS = 2048, NOW = 500 };

static const struct sp_agent_limits LIMITS = {
    .max_rows = 64, .max_nodes = 4096, .hash_bits = 10, .thread_bits = 4, .max_shadows = 3};

static void edit(const struct sp_agent_data *d, const uint8_t *at)
{
	unsigned area = at[0] % (SP_AGENT_NR_AREAS + 1);
	uint64_t place = at[1] | (uint64_t)at[2] << 8 | (uint64_t)at[3] << 16, word;
	bool is_header = area == SP_AGENT_NR_AREAS;
	uint64_t bytes = is_header ? sizeof(*d->header) : sp_agent_area_bytes(&LIMITS, (enum sp_agent_area)area);
	uint64_t begin = is_header ? 0 : d->offsets[area];

	memcpy(&word, at + 4, sizeof(word));
	(void)!pwrite(d->fd, &word, sizeof(word), (off_t)(begin + place * sizeof(word) % bytes));
}

static void read_blocks(const struct sp_agent_reading *r)
{
	assert(sp_ledger_begin(r->ledger, 10000000000) == 0);
	assert(sp_agent_blocks_read(r) == 0);
	assert(sp_ledger_end(r->ledger) == 0);
}

/* All that reads them, in the order of a watch. */
static void read_all(struct sp_agent_data *d, struct sp_unwind *unwind, struct sp_ledger *ledger)
{
	const struct sp_engine_config config = {0};
	const struct sp_agent_rules rules = {.mode = SP_AGENT_EXACT, .mean = SP_AGENT_DEFAULT_MEAN};
	struct sp_agent_threads *threads = calloc(1, sizeof(*threads));
	struct sp_agent_unfinished_reader walks = {0};
	struct sp_agent_events events;
	struct sp_agent_paths paths;
	uint64_t lost[SP_NR_LOST];
	const struct sp_maps maps = {0};
	const struct sp_agent_reading r = {.data = d,
					   .paths = &paths,
					   .ledger = ledger,
					   .config = &config,
					   .rules = &rules,
					   .begin_ns = 1000000000,
					   .now = NOW};

	assert(threads);
	sp_agent_paths_init(&paths, NULL);
	sp_agent_events_init(&events);
	sp_agent_unfinished_finish(&walks, d, unwind, &paths, 1);
	sp_agent_events_drain(&events, &r, 1);
	read_blocks(&r);
	sp_agent_threads_update(threads, d, &maps);
	sp_agent_threads_lost(threads, d, lost);
	read_blocks(&r);
	sp_agent_events_done(&events);
	sp_agent_paths_done(&paths);
	free(threads);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("seep", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct sp_ledger *ledger;
	struct sp_unwind *unwind;
	struct sp_agent_data d;

	assert(fd >= 0 && sp_agent_data_open(&d, fd, &LIMITS, false) == 0);
	assert(sp_unwind_new(LIMITS.max_rows, &unwind) == 0 && sp_ledger_new(NULL, &ledger) == 0);
	for (size_t i = 0; i < MAX_EDITS && (i + 1) * EDIT_BYTES <= size; i++)
		edit(&d, data + i * EDIT_BYTES);
	read_all(&d, unwind, ledger);
	sp_ledger_free(ledger);
	sp_unwind_free(unwind);
	sp_agent_data_done(&d);
	return 0;
}
