// SPDX-License-Identifier: Apache-2.0
/* Two scans must agree: a block whose only pointer was on its way from one place to another is leaked in one of them.
 */
#include "heap/mark.h"

struct confirm {
	struct sp_marker mk; /* first: passed as one */
	const struct sp_heap *earlier;
	uint64_t nr_spared;
};

static bool is_confirmed(const struct confirm *c, const struct sp_extent *e)
{
	struct sp_heap_block b;

	return sp_heap_find(c->earlier, e->start, &b) && b.addr == e->start && b.size == sp_extent_usable(e) &&
	       (b.class == SP_HEAP_LEAKED || b.class == SP_HEAP_INDIRECT);
}

static void spare(struct sp_marker *mk, const struct sp_extent *e)
{
	struct confirm *c = (struct confirm *)mk;

	if (is_confirmed(c, e))
		return;
	c->nr_spared++;
	sp_mark_grey(mk, e, SP_CODE_REACHED);
}

int sp_heap_confirm(struct sp_heap *h, const struct sp_heap *earlier, uint64_t *ret_spared)
{
	struct confirm c = {.earlier = earlier};
	int rc = sp_marker_init(&c.mk, h);

	if (rc == 0) {
		c.mk.phase = SP_PHASE_SPARE;
		sp_mark_each(&c.mk, SP_CODE_LEAKED, spare);
		sp_mark_each(&c.mk, SP_CODE_INDIRECT, spare);
		sp_mark_drain(&c.mk);
		*ret_spared = c.nr_spared;
	}
	sp_marker_done(&c.mk);
	return rc;
}
