// SPDX-License-Identifier: Apache-2.0
/* What the kernel writes of the machine, slab caches and cgroups, with names that anybody may choose. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proc/system.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_meminfo(const char *text)
{
	struct sp_meminfo m;
	struct sp_pressure p = sp_pressure_parse(text);

	if (!sp_meminfo_parse(text, &m))
		assert(m.total);
	(void)sp_zoneinfo_parse(text);
	assert(p.known || !p.full_us);
}

/* The three files that sp_activity_parse() takes: the text, cut at two lines of dashes. */
static void check_activity(char *text)
{
	char *files[3] = {text, text, text};
	struct sp_activity a = {0};

	for (int i = 1; i < 3; i++) {
		char *cut = strstr(files[i - 1], "\n---\n");

		if (!cut)
			break;
		*cut = '\0';
		files[i] = cut + 5;
	}
	(void)!sp_activity_parse(files[0], files[1], files[2], &a);
}

static void check_slabs(const char *text)
{
	struct sp_vec slabs;

	sp_vec_init(&slabs, sizeof(struct sp_slab), 16);
	assert(!sp_slabs_parse(text, &slabs));
	for (size_t i = 0; i < slabs.nr; i++)
		assert(memchr(sp_vec_at(&slabs, struct sp_slab, i)->name, '\0', sizeof(((struct sp_slab *)0)->name)));
	sp_vec_done(&slabs);
}

static void check_label(const char *path)
{
	char label[48], small[3];

	sp_cgroup_label_of(path, label, sizeof(label));
	for (const char *s = label; *s; s++)
		assert((unsigned char)*s >= ' ' && *s != 0x7f);
	assert(strlen(sp_cgroup_label_of(path, small, sizeof(small))) < sizeof(small));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_meminfo(text);
	check_slabs(text);
	check_label(text);
	check_activity(text);
	free(text);
	return 0;
}
