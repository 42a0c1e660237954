// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    address in the target (or the kernel) -> function, offset, module, file:line, inlined frames.
 * Runs in: our process, one thread. Debug files are untrusted input.
 * May not: stop the target, write to it, print.
 * Owns:    every string it returns, until sp_symbolizer_close().
 * Fails by: never for an address: what cannot be known is NULL/0 in the frame. Opening: -errno with a reason.
 */
#ifndef SEEP_SYMBOLIZE_SYMBOLIZE_H
#define SEEP_SYMBOLIZE_SYMBOLIZE_H

#include "base/base.h"
#include "proc/proc.h"

/* One source-level frame. Strings live as long as the symbolizer; they are printable (sp_text_printable). */
struct sp_frame {
	uint64_t address;         /* the return address (or, in frame 0 of a fault, the pc) as the engine gave it */
	const char *function;     /* demangled; NULL: unknown */
	const char *raw_function; /* as in the symbol table; NULL: unknown */
	uint64_t offset;          /* address - start of the function (of the outer function for an inlined frame) */
	const char *module;       /* basename ("libc.so.6", "[vdso]", "[kernel]", "[jit]"); NULL: unknown */
	const char *module_path;  /* as the target names it; NULL: unknown */
	const char *build_id;     /* hex; NULL: none */
	uint64_t module_offset;   /* address - load bias: what addr2line wants */
	const char *file;         /* source file; NULL: no line information */
	unsigned line;            /* 0: unknown */
	bool inlined;             /* inlined into the next frame of the array */
};

struct sp_symbolizer;

struct sp_symbolize_options {
	bool debuginfod; /* ask the servers in $DEBUGINFOD_URLS */
	bool no_lines;   /* functions only: cheaper */
};

/* For a process. `p` stays the caller's and must outlive it. */
sp_must_check int sp_symbolizer_open(struct sp_proc *p, const struct sp_symbolize_options *opt,
				     struct sp_symbolizer **ret, struct sp_why *why);

/* For the kernel: kallsyms (hidden addresses: -EPERM with the sysctl to set). `fs` may be NULL. */
sp_must_check int sp_symbolizer_open_kernel(const struct sp_procfs *fs, struct sp_symbolizer **ret, struct sp_why *why);

/* From a fixed table, for recorded sessions: see sp_symbolizer_add(). */
sp_must_check int sp_symbolizer_open_table(struct sp_symbolizer **ret);
/* Table only: one source-level frame for `frame->address` (innermost first when called repeatedly). Copies. */
sp_must_check int sp_symbolizer_add(struct sp_symbolizer *s, const struct sp_frame *frame);

void sp_symbolizer_close(struct sp_symbolizer *s); /* NULL is fine */

/*
 * The target's mappings have changed, at changed_ns (CLOCK_MONOTONIC; where that is not known, the time of the look
 * before): learn new modules; keep the old ones for addresses that only they explain.
 */
void sp_symbolizer_refresh(struct sp_symbolizer *s, uint64_t changed_ns);

/*
 * Between these instants libraries may have come and gone that no refresh saw. What was called then is named where it
 * is certain who was there, and counted elsewhere. To be said before the refresh that has from_ns for its changed_ns.
 */
void sp_symbolizer_unsure(struct sp_symbolizer *s, uint64_t from_ns, uint64_t until_ns);
/* Addresses without a name for that reason. */
uint64_t sp_symbolizer_nr_unseen(const struct sp_symbolizer *s);

/*
 * Where one library after another was at the same addresses, a pc alone does not say which is meant. This puts it into
 * the upper bits of the return addresses of a call path that was taken at when_ns; sp_symbolize() understands them, and
 * frame.address is plain again. Most stay as they are. True: the same pcs at another time may be another path.
 * NULL is fine: nothing is done.
 */
bool sp_symbolizer_bind(struct sp_symbolizer *s, uint64_t *pcs, unsigned nr, uint64_t when_ns);

/* Did bind() find that it is not known who was at this address? */
bool sp_symbolizer_is_unseen(uint64_t bound_pc);

/*
 * Instants of one epoch get the same answer from bind(). A greater one for UINT64_MAX than before: what bind() said may
 * be different now.
 */
uint64_t sp_symbolizer_epoch(const struct sp_symbolizer *s, uint64_t when_ns);

/*
 * Names one return address: looked up at address - 1 (a call's own line). Writes 1 to max frames, innermost first
 * (inlined ones before the function they are inlined into) and returns how many. Answers are cached, the cache is
 * bounded. is_return false: looked up at address itself.
 */
unsigned sp_symbolize(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret, unsigned max);

/* A variable. Strings as in struct sp_frame. */
struct sp_variable {
	const char *name;        /* demangled; NULL: unknown */
	uint64_t offset;         /* of the address that was asked for, from its beginning (0 without a name) */
	uint64_t size;           /* 0: unknown */
	const char *module;      /* basename */
	const char *module_path; /* as the target names it */
	uint64_t module_offset;  /* the address in the file's own terms */
};

/* The variable around an address in a module's data. False: no module's data is there, or it is no process. */
bool sp_symbolize_variable(struct sp_symbolizer *s, uint64_t address, struct sp_variable *ret);

/*
 * The thread-local variable at this offset in the storage of the module whose code has the address `module`; how many
 * bytes and what alignment that storage has (0: there is none). False: none is there.
 */
bool sp_symbolize_thread_variable(struct sp_symbolizer *s, uint64_t module, uint64_t offset, struct sp_variable *ret);
uint64_t sp_symbolize_tls_bytes(struct sp_symbolizer *s, uint64_t module, uint64_t *ret_align);

/* The name of a C++ type as RTTI holds it ("N3app3FooE") as people write it ("app::Foo"). NULL: it is none. */
const char *sp_symbolize_type(const char *rtti_name, char *buf, size_t size);

/* Frames that came without a name because the memory for names was full. */
uint64_t sp_symbolizer_nr_unnamed(const struct sp_symbolizer *s);

#endif
