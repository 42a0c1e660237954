// SPDX-License-Identifier: Apache-2.0
/* Bytes of a terminal on the screen of seep trace: whatever is pasted, pressed or sent by a strange one, cut anywhere.
 */
#include <assert.h>
#include <string.h>

#include "cli/live_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how many bytes a read() gives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t ids[] = {10, 20, 30};
	const struct sp_live_shown shown = {.ids = ids, .nr = SP_ARRAY_SIZE(ids), .page_rows = 2};
	struct sp_live_keys k = {0};
	size_t step = size ? data[0] % 16 + 1 : 1;
	char text[2048];

	for (size_t at = 1; at < size; at += step) {
		size_t nr = size - at < step ? size - at : step;

		sp_live_keys_take(&k, (const char *)data + at, nr, &shown);
		assert(memchr(k.filter, '\0', sizeof(k.filter)));
		assert(k.sort <= SP_SORT_AGE && k.page <= SP_LIVE_EXPORT);
		assert(sp_live_keys_row(&k, ids, SP_ARRAY_SIZE(ids)) < SP_ARRAY_SIZE(ids));
		assert(strlen(sp_live_keys_foot(&k, text, sizeof(text))) < sizeof(text));
	}
	return 0;
}
