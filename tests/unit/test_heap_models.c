// SPDX-License-Identifier: Apache-2.0
/* The allocator models on small heaps made by hand, right ones and spoiled ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "heap_images.h"

static struct sp_heap *open_heap(const struct image *im)
{
	struct sp_why why = {0};
	struct sp_heap *h;

	assert_int_equal(sp_heap_open(&im->src, NULL, &h, &why), 0);
	return h;
}

static bool is_used(const struct sp_heap *h, uint64_t addr)
{
	struct sp_heap_block b;

	return sp_heap_find(h, addr, &b) && b.addr == addr;
}

static void test_each_model_finds_the_blocks_of_its_allocator(void **state)
{
	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(image_makers); i++) {
		struct image *im = image_makers[i]();
		struct sp_heap *h = open_heap(im);

		assert_int_equal(sp_heap_nr_models(h), 1);
		const struct sp_heap_model_info *info = sp_heap_model_info(h, 0);
		assert_string_equal(info->gave_up, "");
		assert_string_equal(info->name, im->model);
		assert_int_equal(info->used_blocks, im->nr_used);
		for (unsigned k = 0; k < im->nr_used; k++)
			if (!is_used(h, im->used[k]))
				fail_msg("%s, picture %zu: block %u is not in use", im->model, i, k);
		for (unsigned k = 0; k < im->nr_freed; k++)
			if (is_used(h, im->freed[k]))
				fail_msg("%s, picture %zu: block %u is not free", im->model, i, k);
		sp_heap_close(h);
		image_free(im);
	}
}

/* ---- spoiled ---- */

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static uint64_t some_word(struct image *im, uint64_t *random)
{
	uint64_t r = next_random(random);
	const struct image_mapping *m = &im->mappings[(r >> 8) % im->nr_mappings];

	switch (r % 4) {
	case 0:
		return m->start + (r >> 16) % m->size;
	case 1:
		return m->start + ((r >> 16) % m->size & ~UINT64_C(4095));
	case 2:
		return (r >> 16) % 4096;
	default:
		return r;
	}
}

static void spoil(struct image *im, const uint64_t *hot, size_t nr_hot, uint64_t seed)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15u, old;

	for (uint64_t n = seed % 8; n < 8; n++) {
		uint64_t addr = hot[next_random(&random) % nr_hot];
		memcpy(&old, image_at(im, addr), sizeof(old));
		image_set(im, addr, seed % 3 ? some_word(im, &random) : old ^ UINT64_C(1) << next_random(&random) % 64);
	}
}

static void test_spoiled_heaps_neither_break_nor_hold_up_a_model(void **state)
{
	uint64_t hot[IMAGE_MAX_HOT];

	(void)state;
	alarm(100); /* a walk that does not end is a failure */
	for (size_t i = 0; i < SP_ARRAY_SIZE(image_makers); i++) {
		size_t nr_hot = 0;

		for (uint64_t seed = 1; seed <= 60; seed++) {
			struct image *im = image_makers[i]();

			if (!nr_hot)
				nr_hot = image_hot(im, hot);
			im->src.is_live = seed % 2;
			spoil(im, hot, nr_hot, seed);
			sp_heap_close(open_heap(im));
			image_free(im);
		}
	}
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_model_finds_the_blocks_of_its_allocator),
	    cmocka_unit_test(test_spoiled_heaps_neither_break_nor_hold_up_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
