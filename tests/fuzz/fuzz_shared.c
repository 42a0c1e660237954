// SPDX-License-Identifier: Apache-2.0
/* /proc/sysvipc/shm and mountinfo, whose folder names anybody may choose. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proc/shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_vec segments;
	struct sp_mounts m;
	char *text = malloc(size + 1);

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	sp_vec_init(&segments, sizeof(struct sp_sysv_shm), 64);
	assert(sp_sysv_shm_parse(text, &segments) == 0 && segments.nr <= 64);
	for (size_t i = 0; i < segments.nr; i++)
		assert(sp_vec_at(&segments, struct sp_sysv_shm, i)->creator >= 0);
	sp_vec_done(&segments);
	if (sp_mounts_parse(text, size, &m) == 0) {
		for (size_t i = 0; i < m.nr; i++)
			assert(strlen(m.list[i].root) + strlen(m.list[i].point) + strlen(m.list[i].type) <= size);
		sp_mounts_done(&m);
	}
	free(text);
	return 0;
}
