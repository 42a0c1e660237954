// SPDX-License-Identifier: Apache-2.0
/* Bytes of a terminal: whatever is pasted, pressed or sent by a strange one, cut at any place. */
#include <assert.h>
#include <string.h>

#include "cli/top_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how many bytes a read() gives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const pid_t pids[] = {10, 20, 30};
	struct sp_top_keys k = {0};
	size_t step = size ? data[0] % 16 + 1 : 1;

	for (size_t at = 1; at < size; at += step) {
		size_t nr = size - at < step ? size - at : step;

		sp_top_keys_take(&k, (const char *)data + at, nr, pids, SP_ARRAY_SIZE(pids));
		assert(memchr(k.filter, '\0', sizeof(k.filter)) && k.show.filter == k.filter);
		assert(k.show.sort <= SP_SUSPECT_PID);
		assert(!k.selected || k.selected == 10 || k.selected == 20 || k.selected == 30);
	}
	return 0;
}
