// SPDX-License-Identifier: Apache-2.0
/* Numbers, sizes and durations to and from text; text of the target made harmless for a terminal. */
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Reads digits; *ret_end: behind them. */
static int parse_digits(const char *text, uint64_t *ret, const char **ret_end)
{
	uint64_t value = 0;
	const char *p = text;
	bool overflow = false;

	for (; *p >= '0' && *p <= '9'; p++)
		overflow |= __builtin_mul_overflow(value, 10u, &value) ||
			    __builtin_add_overflow(value, (unsigned)(*p - '0'), &value);
	if (p == text)
		return -EINVAL;
	*ret_end = p;
	*ret = value;
	return overflow ? -ERANGE : 0;
}

static int in_range(uint64_t value, uint64_t min, uint64_t max, uint64_t *ret)
{
	if (value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int sp_text_to_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *end = text;
	uint64_t value = 0;
	int err = parse_digits(text, &value, &end);

	if (err == -EINVAL || *end)
		return -EINVAL;
	return err ? err : in_range(value, min, max, ret);
}

/* Length of the unit's text is checked to the end; *ret_shift: 10 for K, 20 for M... */
static bool parse_unit(const char *unit, unsigned *ret_shift)
{
	static const char letters[] = "KMGT";
	unsigned shift = 0;

	for (unsigned i = 0; letters[i]; i++)
		if (!strncasecmp(unit, &letters[i], 1))
			shift = 10 * (i + 1);
	*ret_shift = shift;
	unit += shift != 0;
	return !*unit || !strcasecmp(unit, "B") || (shift && !strcasecmp(unit, "iB"));
}

int sp_text_to_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *end = text;
	uint64_t value = 0;
	unsigned shift = 0;
	int err = parse_digits(text, &value, &end);

	if (err == -EINVAL || !parse_unit(end, &shift))
		return -EINVAL;
	if (err || value > UINT64_MAX >> shift)
		return -ERANGE;
	return in_range(value << shift, min, max, ret);
}

const char *sp_text_bytes(char *buf, size_t size, uint64_t bytes)
{
	static const char prefixes[] = "KMGTPE";
	unsigned unit = 0; /* shift 10 * (unit + 1) */
	uint64_t tenths = 0;

	if (bytes < 1024) {
		snprintf(buf, size, "%u B", (unsigned)bytes);
		return buf;
	}
	/* Rounded to the nearest tenth; what rounds up to 1024.0 is shown in the next unit. */
	for (; prefixes[unit]; unit++) {
		unsigned shift = 10 * (unit + 1);
		uint64_t rest = bytes & ((1ull << shift) - 1);

		tenths = (bytes >> shift) * 10 + ((rest * 10 + (1ull << (shift - 1))) >> shift);
		if (tenths < 10240 || !prefixes[unit + 1])
			break;
	}
	snprintf(buf, size, "%u.%u %ciB", (unsigned)(tenths / 10), (unsigned)(tenths % 10), prefixes[unit]);
	return buf;
}

const char *sp_text_duration(char *buf, size_t size, uint64_t ns)
{
	uint64_t s = ns / 1000000000u;

	if (s < 1)
		snprintf(buf, size, "%ums", (unsigned)(ns / 1000000u));
	else if (s < 60)
		snprintf(buf, size, "%us", (unsigned)s);
	else if (s < 3600)
		snprintf(buf, size, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(buf, size, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(buf, size, "%ud%02uh", (unsigned)(s / 86400), (unsigned)(s / 3600 % 24));
	return buf;
}

size_t sp_text_decode(const unsigned char *s, uint32_t *ret_cp)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;
	uint32_t cp;

	if (s[0] < 0x80)
		len = 1, cp = s[0];
	else if ((s[0] & 0xe0) == 0xc0)
		len = 2, cp = s[0] & 0x1f;
	else if ((s[0] & 0xf0) == 0xe0)
		len = 3, cp = s[0] & 0x0f;
	else if ((s[0] & 0xf8) == 0xf0)
		len = 4, cp = s[0] & 0x07;
	else
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (s[i] & 0x3f);
	}
	if (cp < lowest[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*ret_cp = cp;
	return len;
}

/* What moves the cursor, breaks the line, reorders the text around it (Unicode: Bidi_Control) or hides. */
static bool steers(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} bad[] = {
	    {0x00, 0x1f},       /* C0 */
	    {0x7f, 0x9f},       /* DEL, C1 */
	    {0xad, 0xad},       /* soft hyphen */
	    {0x61c, 0x61c},     /* Arabic letter mark */
	    {0x200b, 0x200f},   /* zero width, left-to-right and right-to-left marks */
	    {0x2028, 0x202e},   /* line and paragraph separators, embeddings and overrides */
	    {0x2060, 0x206f},   /* word joiner, isolates, deprecated controls */
	    {0xfeff, 0xfeff},   /* byte order mark */
	    {0xfff9, 0xfffb},   /* interlinear annotations */
	    {0xe0000, 0xe007f}, /* tags */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cp >= bad[i].first && cp <= bad[i].last)
			return true;
	return false;
}

const char *sp_text_printable(char *dst, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t at = 0;

	if (!size)
		return dst;
	while (*s) {
		uint32_t cp = 0;
		size_t len = sp_text_decode(s, &cp);
		bool good = len && !steers(cp);
		size_t out = good ? len : 1;

		if (out >= size - at)
			break;
		if (good)
			memmove(dst + at, s, len);
		else
			dst[at] = '?';
		at += out;
		s += len ? len : 1;
	}
	dst[at] = '\0';
	return dst;
}

void sp_words_add(struct sp_words *w, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(w->buf + w->len, w->size - w->len, fmt, args);
	va_end(args);
	if (n > 0)
		w->len += (size_t)n < w->size - w->len ? (size_t)n : w->size - w->len - 1;
}

const char *sp_text_command(char *buf, size_t size, const char *pattern, int number)
{
	const char *mark = strstr(pattern, "%d");

	if (mark)
		snprintf(buf, size, "%.*s%d%s", (int)(mark - pattern), pattern, number, mark + 2);
	else
		snprintf(buf, size, "%s", pattern);
	return buf;
}
