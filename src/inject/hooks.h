// SPDX-License-Identifier: Apache-2.0
/* Inside of inject/: a set of hooks. Planning is in hooks.c, the transaction in apply.c. */
#ifndef SEEP_INJECT_HOOKS_H
#define SEEP_INJECT_HOOKS_H

#include "inject/impl.h"

enum { SP_HOOKS_MAX = 1024, SP_HOOKS_MAX_MODULES = 64, SP_HOOK_NAME_BYTES = 64 };

/* Stub, descriptor, trampoline of one hook in its near region, in this order. */
#define SP_HOOK_DESC_AT SP_HOOK_STUB_BYTES
#define SP_HOOK_CODE_AT (SP_HOOK_DESC_AT + SP_INJECT_DESC_BYTES)
#define SP_HOOK_BYTES   (SP_HOOK_CODE_AT + SP_HOOK_MAX_CODE)

/* A file whose functions are hooked. */
struct sp_hook_module {
	uint64_t start, end; /* of the mapping that the functions are in */
	uint64_t offset;     /* in the file */
	int fd;              /* of the file */
	uint8_t *text;       /* the whole mapping, to look for jumps; until the hooks are prepared */
	size_t nr_hooks;
	uint64_t region; /* 0: not mapped yet */
	uint64_t region_bytes;
};

struct sp_hook {
	struct sp_inject_hook spec; /* its name is below */
	char name[SP_HOOK_NAME_BYTES];
	size_t module, slot; /* slot: number in the module's region */
	uint8_t *bytes;      /* of the file, from the function's start */
	size_t nr_bytes;
	struct sp_relocation r;
	bool is_in; /* its jump is written */
};

struct sp_inject_hooks {
	struct sp_inject *in;
	struct sp_vec modules; /* of struct sp_hook_module */
	struct sp_vec hooks;   /* of struct sp_hook */
	bool is_prepared;
};

static inline uint64_t sp_hook_base(const struct sp_inject_hooks *h, const struct sp_hook *k)
{
	const struct sp_hook_module *m = sp_vec_at(&h->modules, struct sp_hook_module, k->module);

	return m->region + SP_INJECT_MARK_BYTES + k->slot * SP_HOOK_BYTES;
}

#endif
