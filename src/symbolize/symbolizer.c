// SPDX-License-Identifier: Apache-2.0
/*
 * The symbolizer that callers see.
 *
 * Memory: strings given out live until close, so they are interned and never freed (names.c); the table of answers
 * holds only pointers to them and is dropped whole when full or when mappings changed. What grows is therefore the
 * number of different names in the target. At MAX_NAME_BYTES no new one is taken: frames then come without it, and
 * sp_symbolizer_nr_unnamed() counts them. Only a JIT that invents names for days gets there.
 */
#include "symbolize/symbolizer.h"

#include <string.h>

#include "symbolize/demangle.h"

#define MAX_NAME_BYTES (256u << 20)

void sp_symbolizer_init(struct sp_symbolizer *s, const struct sp_symbolizer_ops *ops)
{
	s->ops = ops;
	sp_names_init(&s->names, MAX_NAME_BYTES);
	sp_answers_init(&s->answers);
}

void sp_symbolizer_close(struct sp_symbolizer *s)
{
	if (!s)
		return;
	sp_names_done(&s->names);
	sp_answers_done(&s->answers);
	s->ops->close(s);
}

void sp_symbolizer_refresh(struct sp_symbolizer *s, uint64_t changed_ns)
{
	if (s->ops->refresh && s->ops->refresh(s, changed_ns))
		sp_answers_clear(&s->answers);
}

void sp_symbolizer_unsure(struct sp_symbolizer *s, uint64_t from_ns, uint64_t until_ns)
{
	if (s->ops->unsure)
		s->ops->unsure(s, from_ns, until_ns);
}

uint64_t sp_symbolizer_nr_unseen(const struct sp_symbolizer *s)
{
	return s->ops->nr_unseen ? s->ops->nr_unseen(s) : 0;
}

bool sp_symbolizer_bind(struct sp_symbolizer *s, uint64_t *pcs, unsigned nr, uint64_t when_ns)
{
	return s && s->ops->bind && s->ops->bind(s, pcs, nr, when_ns);
}

uint64_t sp_symbolizer_epoch(const struct sp_symbolizer *s, uint64_t when_ns)
{
	return s && s->ops->epoch ? s->ops->epoch(s, when_ns) : 0;
}

uint64_t sp_symbolizer_nr_unnamed(const struct sp_symbolizer *s)
{
	return s->names.nr_refused;
}

/* "memcpy@@GLIBC_2.14" -> "memcpy": binutils writes versions into .symtab. */
static const char *without_version(const char *name, char *buf, size_t size)
{
	const char *at = strchr(name, '@');
	size_t len = at ? (size_t)(at - name) : 0;

	if (!len || len >= size)
		return name;
	memcpy(buf, name, len);
	buf[len] = '\0';
	return buf;
}

const char *sp_symbolizer_demangled(struct sp_symbolizer *s, const char *raw)
{
	char plain[SP_NAME_MAX_BYTES], text[SP_NAME_MAX_BYTES];
	const char *name;

	if (!raw)
		return NULL;
	name = without_version(raw, plain, sizeof(plain));
	raw = sp_demangle(name, text, sizeof(text));
	return sp_names_add(&s->names, raw ? raw : name);
}

void sp_symbolizer_set_function(struct sp_symbolizer *s, struct sp_frame *f, const char *raw)
{
	f->raw_function = sp_names_add(&s->names, raw);
	f->function = sp_symbolizer_demangled(s, raw);
}

bool sp_symbolize_variable(struct sp_symbolizer *s, uint64_t address, struct sp_variable *ret)
{
	return s->ops->variable && s->ops->variable(s, address, ret);
}

bool sp_symbolize_thread_variable(struct sp_symbolizer *s, uint64_t module, uint64_t offset, struct sp_variable *ret)
{
	return s->ops->thread_variable && s->ops->thread_variable(s, module, offset, ret);
}

uint64_t sp_symbolize_tls_bytes(struct sp_symbolizer *s, uint64_t module, uint64_t *ret_align)
{
	*ret_align = 1;
	return s->ops->tls_bytes ? s->ops->tls_bytes(s, module, ret_align) : 0;
}

unsigned sp_symbolize(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret, unsigned max)
{
	struct sp_frame frames[SP_FRAMES_MAX];
	bool keep = true;
	unsigned nr;

	if (!max)
		return 0;
	nr = sp_answers_find(&s->answers, address, is_return, ret, max);
	if (nr)
		return nr;
	for (unsigned i = 0; i < SP_FRAMES_MAX; i++)
		frames[i] = (struct sp_frame){.address = address};
	nr = s->ops->resolve(s, address, is_return, frames, SP_FRAMES_MAX, &keep);
	if (!nr) /* nothing known is an answer, too */
		nr = 1;
	if (keep)
		sp_answers_add(&s->answers, address, is_return, frames, nr);
	if (nr > max)
		nr = max;
	memcpy(ret, frames, nr * sizeof(*ret));
	return nr;
}
