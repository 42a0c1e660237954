// SPDX-License-Identifier: Apache-2.0
/*
 * The memory of a hostile target: program headers, dynamic section, link map, hash tables and symbols. The input is
 * mapped at one address; everything else is unreadable.
 */
#include <assert.h>
#include <elf.h>
#include <string.h>

#include "proc/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BASE = 0x10000 };

struct image {
	const uint8_t *bytes;
	size_t size;
	unsigned long nr_reads;
};

static ssize_t read_image(void *arg, sp_raddr addr, void *buf, size_t len)
{
	struct image *img = arg;

	img->nr_reads++;
	if (addr.v < BASE || addr.v - BASE >= img->size)
		return -1;
	size_t left = img->size - (size_t)(addr.v - BASE);
	if (len > left)
		len = left;
	memcpy(buf, img->bytes + (addr.v - BASE), len);
	return (ssize_t)len;
}

static void count(uint64_t dynamic, void *arg)
{
	(void)dynamic;
	++*(int *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image bytes = {.bytes = data, .size = size};
	struct sp_rmem mem = {.read = read_image, .arg = &bytes};
	struct sp_auxv aux = {.phdr = BASE + 64, .phnum = 4, .phent = sizeof(Elf64_Phdr)};
	struct sp_image img;
	uint64_t addr;
	int nr = 0;

	int rc = sp_link_map_walk(&mem, &aux, count, &nr);
	assert(rc < 0 || (rc == nr && nr <= SP_LINK_MAP_MAX));
	if (sp_image_from_header(&mem, BASE, &img) == 0) {
		(void)!sp_dynsym_find(&mem, &img, "_dl_debug_state", &addr);
		(void)!sp_dynsym_find(&mem, &img, "a", &addr);
	}
	sp_auxv_parse(data, size, &aux);
	nr = 0;
	rc = sp_link_map_walk(&mem, &aux, count, &nr);
	assert(rc < 0 || rc == nr);
	assert(bytes.nr_reads < 1000000);
	return 0;
}
