// SPDX-License-Identifier: Apache-2.0
/* /proc/PID/maps, smaps and stat as a hostile process, or a broken kernel, might show them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proc/priv.h"
#include "proc/smaps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_maps(const struct sp_maps *m)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct sp_mapping *x = &m->list[i];

		assert(x->start < x->end);
		assert(!i || m->list[i - 1].start <= x->start);
		assert(strlen(x->path) < SIZE_MAX);
		const struct sp_mapping *found = sp_maps_find(m, x->start);
		assert(found && found->start == x->start);
	}
	assert(!sp_maps_find(m, UINT64_MAX));
}

static void check_stat(const char *text)
{
	struct sp_stat st;

	if (sp_stat_parse(text, &st) < 0)
		return;
	assert(memchr(st.comm, '\0', sizeof(st.comm)));
	assert(st.state);
	(void)sp_stat_is_dead(&st);
	(void)sp_stat_is_kernel_thread(&st);
}

static void check_smaps(const struct sp_smaps *s)
{
	for (size_t i = 0; i < s->nr; i++) {
		assert(s->list[i].map.start < s->list[i].map.end);
		assert(!i || s->list[i - 1].map.start <= s->list[i].map.start);
		assert(strlen(s->list[i].map.path) < SIZE_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_smaps s;
	struct sp_maps m;
	char *text = malloc(size + 1);

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_stat(text);
	(void)sp_status_find(text, "NSpid");
	if (sp_maps_parse(text, size, &m) == 0) {
		check_maps(&m);
		sp_maps_done(&m);
	}
	if (sp_smaps_parse(text, size, &s) == 0) {
		check_smaps(&s);
		sp_smaps_done(&s);
	}
	free(text);
	return 0;
}
