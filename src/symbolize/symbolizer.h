// SPDX-License-Identifier: Apache-2.0
/* What the kinds of symbolizers (process, kernel, table) share: strings, the cache, one ops struct. */
#ifndef SEEP_SYMBOLIZE_SYMBOLIZER_H
#define SEEP_SYMBOLIZE_SYMBOLIZER_H

#include "symbolize/answers.h"
#include "symbolize/names.h"
#include "symbolize/symbolize.h"

#define SP_FRAMES_MAX 64 /* source-level frames of one address */

struct sp_symbolizer_ops {
	/* As sp_symbolize(), without the cache. frames[].address is set already. *ret_keep false: ask again next time.
	 */
	unsigned (*resolve)(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret,
			    unsigned max, bool *ret_keep);
	bool (*refresh)(struct sp_symbolizer *s, uint64_t changed_ns); /* true: old answers may be wrong now */
	/* Optional: sp_symbolize_variable(), _thread_variable(), _tls_bytes(). */
	bool (*variable)(struct sp_symbolizer *s, uint64_t address, struct sp_variable *ret);
	bool (*thread_variable)(struct sp_symbolizer *s, uint64_t module, uint64_t offset, struct sp_variable *ret);
	uint64_t (*tls_bytes)(struct sp_symbolizer *s, uint64_t module, uint64_t *ret_align);
	/* Optional: sp_symbolizer_unsure(), _nr_unseen(), _bind() and _epoch(). */
	void (*unsure)(struct sp_symbolizer *s, uint64_t from_ns, uint64_t until_ns);
	uint64_t (*nr_unseen)(const struct sp_symbolizer *s);
	bool (*bind)(struct sp_symbolizer *s, uint64_t *pcs, unsigned nr, uint64_t when_ns);
	uint64_t (*epoch)(const struct sp_symbolizer *s, uint64_t when_ns);
	void (*close)(struct sp_symbolizer *s); /* frees what the kind owns and the struct itself */
};

struct sp_symbolizer {
	const struct sp_symbolizer_ops *ops;
	struct sp_names names;
	struct sp_answers answers;
};

void sp_symbolizer_init(struct sp_symbolizer *s, const struct sp_symbolizer_ops *ops);

/* The interned copy of `raw` in its demangled form; NULL: raw was, or no room. */
const char *sp_symbolizer_demangled(struct sp_symbolizer *s, const char *raw);

/* Interns `raw` and its demangled form into a frame; raw may be NULL. */
void sp_symbolizer_set_function(struct sp_symbolizer *s, struct sp_frame *f, const char *raw);

#endif
