// SPDX-License-Identifier: Apache-2.0
/* Words that several kinds of lines have. Inside of record/. */
#ifndef SEEP_RECORD_LINES_H
#define SEEP_RECORD_LINES_H

#include <stdio.h>

#include "ledger/ledger.h"

/* A word of the format behind a blank: what would end it is escaped; "-" for none. */
void sp_lines_word(FILE *f, const char *word);

/* Words of `block` and `group` lines: PATH; then FUNCTION [SAMPLED], which end the line. */
void sp_lines_path(FILE *f, uint32_t path);
void sp_lines_fn(FILE *f, uint16_t fn, uint8_t sampled);

#endif
