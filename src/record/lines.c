// SPDX-License-Identifier: Apache-2.0
/* Words of a recording's lines. */
#include "record/lines.h"

#include <inttypes.h>
#include <string.h>

static const char *const fn_symbols[] = {
#define ROW(id, symbol, kind, size, where) symbol,
    SP_FNS(ROW)
#undef ROW
};

void sp_lines_word(FILE *f, const char *word)
{
	if (!word || !*word) {
		fputs(" -", f);
		return;
	}
	putc(' ', f);
	if (!strcmp(word, "-")) {
		fputs("\\055", f);
		return;
	}
	for (const unsigned char *p = (const unsigned char *)word; *p; p++) {
		if (*p <= ' ' || *p == '\\' || *p == 0x7f)
			fprintf(f, "\\%03o", *p);
		else
			putc(*p, f);
	}
}

void sp_lines_path(FILE *f, uint32_t path)
{
	if (path == SP_NO_PATH)
		fputs(" -", f);
	else
		fprintf(f, " %" PRIu32, path);
}

void sp_lines_fn(FILE *f, uint16_t fn, uint8_t sampled)
{
	sp_lines_word(f, fn < SP_NR_FNS ? fn_symbols[fn] : NULL);
	if (sampled)
		fprintf(f, " %u", sampled);
	putc('\n', f);
}
