// SPDX-License-Identifier: Apache-2.0
/* The symbolizer of recorded sessions: what was known when they were recorded, by address. */
#include <errno.h>

#include "symbolize/symbolizer.h"

#define MAX_ROWS (1u << 20)

struct row {
	struct sp_frame frame;
	uint64_t next; /* row of the same address, further out; NO_ROW */
};

#define NO_ROW UINT64_MAX

struct table {
	struct sp_symbolizer s;
	struct sp_vec rows;
	struct sp_u64map first; /* address -> innermost row */
	struct sp_u64map last;  /* address -> outermost row */
};

static struct row *row_at(struct table *t, uint64_t i)
{
	return sp_vec_at(&t->rows, struct row, i);
}

static unsigned resolve(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret, unsigned max,
			bool *ret_keep)
{
	struct table *t = (struct table *)s;
	const uint64_t *first = sp_u64map_find(&t->first, address);
	unsigned nr = 0;

	(void)is_return;
	*ret_keep = false; /* it is in a table already */
	for (uint64_t i = first ? *first : NO_ROW; i != NO_ROW && nr < max; i = row_at(t, i)->next)
		ret[nr++] = row_at(t, i)->frame;
	return nr;
}

static void close_table(struct sp_symbolizer *s)
{
	struct table *t = (struct table *)s;

	sp_vec_done(&t->rows);
	sp_u64map_done(&t->first);
	sp_u64map_done(&t->last);
	free(t);
}

static const struct sp_symbolizer_ops ops = {.resolve = resolve, .close = close_table};

int sp_symbolizer_open_table(struct sp_symbolizer **ret)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	sp_symbolizer_init(&t->s, &ops);
	sp_vec_init(&t->rows, sizeof(struct row), MAX_ROWS);
	sp_u64map_init(&t->first, MAX_ROWS);
	sp_u64map_init(&t->last, MAX_ROWS);
	*ret = &t->s;
	return 0;
}

/* A copy whose strings are ours. False: no room for one of them. */
static bool own(struct sp_symbolizer *s, struct sp_frame *f)
{
	const char **texts[] = {&f->function, &f->raw_function, &f->module, &f->module_path, &f->build_id, &f->file};

	for (size_t i = 0; i < SP_ARRAY_SIZE(texts); i++) {
		const char *text = *texts[i];

		*texts[i] = sp_names_add(&s->names, text);
		if (text && !*texts[i])
			return false;
	}
	return true;
}

/* The row is pushed last: until then nothing refers to it. */
static int link_row(struct table *t, uint64_t address, uint64_t i)
{
	const uint64_t *last = sp_u64map_find(&t->last, address);
	uint64_t outer = last ? *last : NO_ROW;
	int err = sp_u64map_set(&t->last, address, i);

	if (!err && outer == NO_ROW)
		err = sp_u64map_set(&t->first, address, i);
	if (!err && outer != NO_ROW)
		row_at(t, outer)->next = i;
	if (err && outer == NO_ROW)
		sp_u64map_remove(&t->last, address);
	return err;
}

int sp_symbolizer_add(struct sp_symbolizer *s, const struct sp_frame *frame)
{
	struct row row = {.frame = *frame, .next = NO_ROW};
	struct table *t = (struct table *)s;
	int err;

	if (s->ops != &ops)
		return -EINVAL;
	if (!own(s, &row.frame))
		return -ENOMEM;
	err = sp_vec_push(&t->rows, &row);
	if (err)
		return err;
	err = link_row(t, frame->address, t->rows.nr - 1);
	if (err)
		t->rows.nr--;
	return err;
}
