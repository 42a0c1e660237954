// SPDX-License-Identifier: Apache-2.0
/* Parses perf maps as they grow, and finds the newest function at an address. */
#include "symbolize/perfmap.h"

#include <errno.h>
#include <string.h>

#define MAX_ENTRIES    (2u << 20)
#define MAX_STEPS_BACK 4096

void sp_perfmap_init(struct sp_perfmap *m)
{
	*m = (struct sp_perfmap){};
	sp_vec_init(&m->entries, sizeof(struct sp_perfmap_entry), MAX_ENTRIES);
}

void sp_perfmap_done(struct sp_perfmap *m)
{
	free(m->text);
	sp_vec_done(&m->entries);
	sp_perfmap_init(m);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A hex number, "0x" allowed, and the blanks behind it. NULL: none, or too big. */
static const char *take_hex(const char *s, const char *end, uint64_t *ret)
{
	const char *first;

	if (end - s > 2 && s[0] == '0' && (s[1] | 0x20) == 'x')
		s += 2;
	*ret = 0;
	for (first = s; s < end && hex_digit(*s) >= 0; s++) {
		if (*ret >> 60)
			return NULL;
		*ret = *ret << 4 | (uint64_t)hex_digit(*s);
	}
	if (s == first || s == end || *s != ' ')
		return NULL;
	while (s < end && *s == ' ')
		s++;
	return s;
}

/* The line [s, end) of the text, NUL-terminated. */
static void parse_line(struct sp_perfmap *m, const char *s, const char *end)
{
	struct sp_perfmap_entry e = {.order = (uint32_t)m->entries.nr};
	uint64_t size;

	s = take_hex(s, end, &e.start);
	if (s)
		s = take_hex(s, end, &size);
	if (!s || s == end || !size || __builtin_add_overflow(e.start, size, &e.end))
		return;
	e.name = (uint32_t)(s - m->text);
	if (sp_vec_push(&m->entries, &e) < 0)
		return; /* full: counted by the vector */
}

static int compare(const void *a, const void *b)
{
	const struct sp_perfmap_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static void seal(struct sp_perfmap *m)
{
	uint64_t max_end = 0;

	if (m->entries.nr)
		qsort(m->entries.data, m->entries.nr, sizeof(struct sp_perfmap_entry), compare);
	for (size_t i = 0; i < m->entries.nr; i++) {
		struct sp_perfmap_entry *e = sp_vec_at(&m->entries, struct sp_perfmap_entry, i);

		if (e->end > max_end)
			max_end = e->end;
		e->max_end = max_end;
	}
}

int sp_perfmap_append(struct sp_perfmap *m, const char *text, size_t len)
{
	size_t before = m->entries.nr;
	char *more, *newline;

	if (len > SP_PERFMAP_MAX_BYTES - m->len)
		return -EFBIG;
	more = realloc(m->text, m->len + len + 1);
	if (!more)
		return -ENOMEM;
	m->text = more;
	memcpy(m->text + m->len, text, len);
	m->len += len;
	while ((newline = memchr(m->text + m->parsed, '\n', m->len - m->parsed))) {
		char *line = m->text + m->parsed;

		*newline = '\0';
		m->parsed = (size_t)(newline + 1 - m->text);
		parse_line(m, line, newline);
	}
	if (m->entries.nr != before)
		seal(m);
	return 0;
}

const struct sp_perfmap_entry *sp_perfmap_find(const struct sp_perfmap *m, uint64_t addr, const char **ret_name)
{
	const struct sp_perfmap_entry *found = NULL;
	size_t lo = 0, hi = m->entries.nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sp_vec_at(&m->entries, struct sp_perfmap_entry, mid)->start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (unsigned step = 0; lo > 0 && step < MAX_STEPS_BACK; step++) {
		const struct sp_perfmap_entry *e = sp_vec_at(&m->entries, struct sp_perfmap_entry, --lo);

		if (e->max_end <= addr)
			break;
		if (e->end > addr && (!found || e->order > found->order))
			found = e;
	}
	if (found)
		*ret_name = m->text + found->name;
	return found;
}
