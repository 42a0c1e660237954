// SPDX-License-Identifier: Apache-2.0
/* Lines of a target's source files, from its own root; each is read once. */
#ifndef SEEP_CLI_SOURCE_H
#define SEEP_CLI_SOURCE_H

#include <sys/types.h>

#include "symbolize/symbolize.h"

struct sp_source;

/* -ENOMEM, or a reason why the target cannot be opened. */
sp_must_check int sp_source_open(pid_t pid, struct sp_source **ret, struct sp_why *why);
void sp_source_close(struct sp_source *s); /* NULL is fine */

/*
 * The text of the frame's line, printable, without the blanks at its beginning; NULL: it is not there, or not a regular
 * file, or too far down in a large one. f->file must stay where it is as long as `s` (the symbolizer's strings do).
 */
const char *sp_source_line(struct sp_source *s, const struct sp_frame *f);

#endif
