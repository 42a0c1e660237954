// SPDX-License-Identifier: Apache-2.0
/* Recordings as `seep record` writes them: the same lines in zstd frames. */
#ifndef SEEP_ENGINES_REPLAY_UNPACK_H
#define SEEP_ENGINES_REPLAY_UNPACK_H

#include <stdio.h>

#include "base/base.h"

struct sp_unpack;

/*
 * A stream of the lines in `packed`, which it takes over, on failure too. The stream holds whole groups of lines only
 * (up to a line `complete` or `end`): what was being written when the recorder was killed, and all behind a damaged
 * place, is not there. *ret belongs to the stream; its fclose() frees it.
 */
sp_must_check int sp_unpack_open(FILE *packed, struct sp_unpack **ret, FILE **ret_stream);

/* How many bytes at the end of `packed` were of no use; grows while reading. */
uint64_t sp_unpack_cut_bytes(const struct sp_unpack *u);

/* Does it begin like such a file? Leaves the position at the beginning. */
bool sp_unpack_is_packed(FILE *file);

#endif
