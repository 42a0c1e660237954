// SPDX-License-Identifier: Apache-2.0
/* The sentence of seep check: what a person is to know when they read nothing else. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "report/check.h"
#include "report/scan.h"

static void append(char *buf, const char *fmt, ...) sp_printf(2, 3);

static void append(char *buf, const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + len, SP_CHECK_SENTENCE - len, fmt, ap);
	va_end(ap);
}

/* The innermost frame that is not the C++ library's: what a person looks for in the source. */
static const char *place_of(const struct sp_view_path *path)
{
	static const char *const library[] = {"operator new", "std::", "__gnu_cxx::", "void std::"};

	for (unsigned i = 0; i < path->nr_frames; i++) {
		const char *name = path->frames[i].function;
		bool is_library = false;

		for (size_t k = 0; name && k < SP_ARRAY_SIZE(library); k++)
			is_library |= !strncmp(name, library[k], strlen(library[k]));
		if (name && !is_library)
			return name;
	}
	return path->nr_frames && path->frames[0].module ? path->frames[0].module : "an unknown place";
}

static const struct sp_check_path *first_of(const struct sp_check *c, enum sp_class class, size_t *ret_nr)
{
	const struct sp_check_path *found = NULL;

	*ret_nr = 0;
	for (size_t i = 0; i < c->nr_paths; i++) {
		if (c->paths[i].class != class)
			continue;
		found = found ? found : &c->paths[i];
		++*ret_nr;
	}
	return found;
}

static void say_leaked(const struct sp_check *c, char *buf)
{
	size_t nr;
	const struct sp_check_path *worst = first_of(c, SP_CLASS_LEAKED, &nr);
	const struct sp_scan_sum *leaked = &c->sums[SP_CLASS_LEAKED], *indirect = &c->sums[SP_CLASS_INDIRECT];
	char span[16];

	if (!worst)
		return;
	append(buf, "it leaks: %s in %" PRIu64 " blocks made in these %s can never be freed, ",
	       SP_BYTES(leaked->bytes + indirect->bytes), leaked->blocks + indirect->blocks,
	       sp_text_duration(span, sizeof(span), c->watched_ns));
	if (nr == 1)
		append(buf, "all from %s", place_of(worst->path));
	else
		append(buf, "from %zu call paths, most from %s (%s)", nr, place_of(worst->path),
		       SP_BYTES(worst->bytes));
}

static void say_older(const struct sp_check *c, char *buf)
{
	uint64_t bytes = 0, blocks = 0;

	for (size_t i = 0; i < c->scan.nr_groups; i++) {
		if (c->scan.groups[i].class == SP_HEAP_POSSIBLE)
			continue;
		bytes += c->scan.groups[i].bytes;
		blocks += c->scan.groups[i].blocks;
	}
	if (blocks)
		append(buf, "%s%s in %" PRIu64 " block%s had been lost before",
		       buf[0] ? "; " : "it has leaked: ", SP_BYTES(bytes), blocks, blocks == 1 ? "" : "s");
}

static void say_growing(const struct sp_check *c, char *buf)
{
	size_t nr;
	const struct sp_check_path *worst = first_of(c, SP_CLASS_GROWING, &nr);

	if (!worst)
		return;
	append(buf, "%swhat %s makes is still held but only grows, by %s/s", buf[0] ? "; " : "", place_of(worst->path),
	       SP_BYTES(worst->path->verdict.trend.slope > 0 ? (uint64_t)worst->path->verdict.trend.slope : 0));
	if (nr > 1)
		append(buf, " (so do %zu other call paths)", nr - 1);
}

bool sp_check_is_blind(const struct sp_check *c)
{
	return sp_scan_is_blind(&c->scan) && !c->sums[SP_CLASS_GROWING].blocks;
}

const char *sp_report_check_sentence(const struct sp_check *c, char buf[SP_CHECK_SENTENCE])
{
	char span[16];

	buf[0] = '\0';
	say_leaked(c, buf);
	say_older(c, buf);
	say_growing(c, buf);
	if (buf[0])
		return buf;
	sp_text_duration(span, sizeof(span), c->watched_ns);
	if (sp_check_is_blind(c))
		append(buf, "cannot tell: no heap of an allocator that seep knows, and nothing grew in %s", span);
	else
		append(buf, "no leak: nothing is lost, and no call path only grew in %s", span);
	return buf;
}
