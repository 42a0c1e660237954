// SPDX-License-Identifier: Apache-2.0
/*
 * A scan as LeakSanitizer prints it (compiler-rt: lsan_common.cpp, LeakReport), for what reads that. Blocks that were
 * made before anybody watched have no stack: one frame says what is known of them instead.
 */
#include <inttypes.h>

#include "report/out.h"
#include "report/scan.h"

static void put_group(struct sp_out *out, const struct sp_scan_group *g)
{
	char type[256];

	sp_out_printf(out, "%s leak of %" PRIu64 " byte(s) in %" PRIu64 " object(s) allocated from:\n",
		      g->class == SP_HEAP_LEAKED ? "Direct" : "Indirect", g->bytes, g->blocks);
	sp_out_printf(out, "    #0 0x%012" PRIx64 "  (<unknown module>) blocks of %" PRIu64 " bytes%s%s\n\n",
		      g->example, g->size, g->type ? ", " : "",
		      g->type ? sp_text_printable(type, sizeof(type), g->type) : "");
}

int sp_report_scan_lsan(FILE *stream, const struct sp_scan *s, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	uint64_t bytes = s->sums[SP_HEAP_LEAKED].bytes + s->sums[SP_HEAP_INDIRECT].bytes;
	uint64_t blocks = s->sums[SP_HEAP_LEAKED].blocks + s->sums[SP_HEAP_INDIRECT].blocks;

	(void)o;
	if (!sp_scan_has_leak(s))
		return sp_out_finish(&out);
	sp_out_printf(&out,
		      "\n=================================================================\n"
		      "==%d==ERROR: LeakSanitizer: detected memory leaks\n\n",
		      (int)s->pid);
	for (size_t i = 0; i < s->nr_groups; i++)
		if (s->groups[i].class != SP_HEAP_POSSIBLE)
			put_group(&out, &s->groups[i]);
	sp_out_printf(&out, "SUMMARY: LeakSanitizer: %" PRIu64 " byte(s) leaked in %" PRIu64 " allocation(s).\n", bytes,
		      blocks);
	return sp_out_finish(&out);
}
