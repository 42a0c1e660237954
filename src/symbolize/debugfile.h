// SPDX-License-Identifier: Apache-2.0
/* Separate debug files: where they are looked for, and the proof that they belong to the program. */
#ifndef SEEP_SYMBOLIZE_DEBUGFILE_H
#define SEEP_SYMBOLIZE_DEBUGFILE_H

#include <elfutils/libdw.h>

#include "symbolize/elffile.h"

struct sp_debuginfod; /* a client of the debuginfod servers */

/* Loads libdebuginfod if it is installed; no network yet. NULL: not installed or no memory. */
struct sp_debuginfod *sp_debuginfod_open(void);
void sp_debuginfod_close(struct sp_debuginfod *d); /* NULL is fine */
/* Descriptor of the debug file with this build-id or -errno. Goes to the network. */
int sp_debuginfod_fetch(struct sp_debuginfod *d, const uint8_t *build_id, size_t len);

struct sp_debug_search {
	int (*open_in_target)(void *ctx, const char *path); /* descriptor or -errno; NULL: no target */
	void *ctx;
	struct sp_debuginfod *servers; /* NULL: never asked */
	const char *host_dir;          /* "/usr/lib/debug" of our own file system; NULL: not looked at */
};

/*
 * The debug file of the program `main_elf`, which the target calls `path`. Build-ids must agree, or without them the
 * CRC of .gnu_debuglink. -ENOENT: none that belongs to it.
 */
sp_must_check int sp_debugfile_find(const struct sp_debug_search *s, Elf *main_elf, const char *path,
				    struct sp_elffile *ret);

/* The file that dwz moved common DWARF to (.gnu_debugaltlink). -ENOENT: not found. */
sp_must_check int sp_debugfile_find_alt(const struct sp_debug_search *s, Dwarf *dw, struct sp_elffile *ret);

#endif
