// SPDX-License-Identifier: Apache-2.0
/* A scan as Valgrind's memcheck prints its leaks (memcheck/mc_leakcheck.c), for what reads that. */
#include <inttypes.h>
#include <string.h>

#include "report/out.h"
#include "report/scan.h"

/* 1234567 -> "1,234,567"; returns buf. */
static const char *with_commas(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *to = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buf;
}

static const char *lost_word(enum sp_heap_class class)
{
	return class == SP_HEAP_LEAKED ? "definitely" : class == SP_HEAP_INDIRECT ? "indirectly" : "possibly";
}

static void put_group(struct sp_out *out, const struct sp_scan *s, size_t i)
{
	const struct sp_scan_group *g = &s->groups[i];
	char bytes[32], blocks[32], type[256];

	sp_out_printf(out, "==%d== %s bytes in %s blocks are %s lost in loss record %zu of %zu\n", (int)s->pid,
		      with_commas(g->bytes, bytes), with_commas(g->blocks, blocks), lost_word(g->class), i + 1,
		      s->nr_groups);
	sp_out_printf(out, "==%d==    at 0x%" PRIX64 ": ??? (%s)\n==%d== \n", (int)s->pid, g->example,
		      g->type ? sp_text_printable(type, sizeof(type), g->type) : "made before anybody watched",
		      (int)s->pid);
}

static void put_line(struct sp_out *out, const struct sp_scan *s, const char *what, const struct sp_scan_sum *sum)
{
	char bytes[32], blocks[32];

	sp_out_printf(out, "==%d== %s: %s bytes in %s blocks\n", (int)s->pid, what, with_commas(sum->bytes, bytes),
		      with_commas(sum->blocks, blocks));
}

int sp_report_scan_valgrind(FILE *stream, const struct sp_scan *s, const struct sp_report_options *o)
{
	struct sp_out out = {.stream = stream};
	struct sp_scan_sum all = {0};

	(void)o;
	for (int c = SP_HEAP_UNJUDGED; c < SP_SCAN_NR_CLASSES; c++) {
		all.bytes += s->sums[c].bytes;
		all.blocks += s->sums[c].blocks;
	}
	sp_out_printf(&out, "==%d== HEAP SUMMARY:\n", (int)s->pid);
	put_line(&out, s, "    in use", &all);
	sp_out_printf(&out, "==%d== \n", (int)s->pid);
	for (size_t i = 0; i < s->nr_groups; i++)
		put_group(&out, s, i);
	sp_out_printf(&out, "==%d== LEAK SUMMARY:\n", (int)s->pid);
	put_line(&out, s, "   definitely lost", &s->sums[SP_HEAP_LEAKED]);
	put_line(&out, s, "   indirectly lost", &s->sums[SP_HEAP_INDIRECT]);
	put_line(&out, s, "     possibly lost", &s->sums[SP_HEAP_POSSIBLE]);
	put_line(&out, s, "   still reachable", &s->sums[SP_HEAP_REACHED]);
	put_line(&out, s, "        suppressed", &(struct sp_scan_sum){0});
	return sp_out_finish(&out);
}
