// SPDX-License-Identifier: Apache-2.0
/*
 * The allocator models on heaps that lie: the first byte chooses a small heap made by hand, the rest spoils it, twelve
 * bytes a word: which of the words that are not zero, and what it becomes (of the first four bits: as it is, or an
 * address in one of the mappings).
 */
#include "../unit/heap_images.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t value_of(const struct image *im, uint64_t word)
{
	const struct image_mapping *m = &im->mappings[(word >> 4) % im->nr_mappings];

	return word % 16 < 8 ? word >> 4 : m->start + (word >> 8) % m->size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t hot[SP_ARRAY_SIZE(image_makers)][IMAGE_MAX_HOT];
	static size_t nr_hot[SP_ARRAY_SIZE(image_makers)];
	struct sp_why why = {0};
	struct sp_heap *h;

	if (!size)
		return 0;
	size_t which = data[0] % SP_ARRAY_SIZE(image_makers);
	struct image *im = image_makers[which]();
	if (!nr_hot[which])
		nr_hot[which] = image_hot(im, hot[which]);
	for (data++, size--; size >= 12; data += 12, size -= 12) {
		uint32_t nth;
		uint64_t word;

		memcpy(&nth, data, sizeof(nth));
		memcpy(&word, data + 4, sizeof(word));
		image_set(im, hot[which][nth % nr_hot[which]], value_of(im, word));
	}
	if (sp_heap_open(&im->src, NULL, &h, &why) == 0) {
		if (sp_heap_mark(h, &why) < 0)
			abort(); /* these heaps are small: nothing of ours can run out */
		sp_heap_close(h);
	}
	image_free(im);
	return 0;
}
