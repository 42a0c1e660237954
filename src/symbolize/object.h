// SPDX-License-Identifier: Apache-2.0
/* One ELF file of the target with all that can be known of its code. Addresses are the file's own (p_vaddr). */
#ifndef SEEP_SYMBOLIZE_OBJECT_H
#define SEEP_SYMBOLIZE_OBJECT_H

#include "symbolize/debugfile.h"

struct sp_object;

struct sp_object_options {
	const struct sp_debug_search *search; /* must outlive the object */
	uint64_t *debug_bytes_left;           /* shared by all objects: DWARF over it is not read */
	bool no_lines;                        /* symbol tables only */
};

/* What an object knows of one frame; texts live as long as the object and are as in the file. */
struct sp_object_frame {
	const char *name; /* mangled; NULL: unknown */
	const char *file;
	const char *dir; /* what a relative file is relative to; NULL: unknown, or the file is absolute */
	unsigned line;
	bool inlined;
};

/* Takes ownership of fd, on failure too. `path` is the target's name for it. Reads headers only. -ENOEXEC, -ENOMEM. */
sp_must_check int sp_object_open(int fd, const char *path, const struct sp_object_options *opt, struct sp_object **ret);
void sp_object_close(struct sp_object *o); /* NULL is fine */

/* Hex, "" when there is none. */
const char *sp_object_build_id(const struct sp_object *o);

/* Offset in the file -> address in its own terms, by PT_LOAD; executable segments first. */
bool sp_object_vaddr(const struct sp_object *o, uint64_t offset, uint64_t *ret);

/* What an object knows of a variable. */
struct sp_object_variable {
	const char *name; /* mangled; NULL: unknown */
	uint64_t start, size;
};

/*
 * The variable around vaddr; is_tls: around this offset in the file's thread-local storage. False: the file has no such
 * address. The first call reads a symbol table.
 */
bool sp_object_variable(struct sp_object *o, uint64_t vaddr, bool is_tls, struct sp_object_variable *ret);

/* Bytes and alignment of its thread-local storage; 0: it has none. */
uint64_t sp_object_tls_bytes(const struct sp_object *o, uint64_t *ret_align);

/*
 * Innermost first; 1 to max frames. *ret_start: where the physical function starts, vaddr itself when that is unknown.
 * The first call in a file reads its symbol table and DWARF.
 */
unsigned sp_object_frames(struct sp_object *o, uint64_t vaddr, struct sp_object_frame *ret, unsigned max,
			  uint64_t *ret_start);

#endif
