// SPDX-License-Identifier: Apache-2.0
/* Groups of lines, each as zstd frames in one piece at the end of a file. Inside of record/. */
#ifndef SEEP_RECORD_PACK_H
#define SEEP_RECORD_PACK_H

#include <stdio.h>

#include "base/base.h"

struct sp_pack {
	int fd;
	struct ZSTD_CCtx_s *zstd;
	FILE *text;       /* the group being made; write to it */
	char *text_bytes; /* of `text`, after a flush */
	size_t text_len;
	uint8_t *frame; /* room for a packed group */
	size_t frame_room;
	uint64_t bytes; /* of the file */
};

/* Takes over fd, on failure too. */
sp_must_check int sp_pack_open(int fd, struct sp_pack *ret);
void sp_pack_done(struct sp_pack *p);

/* How long the group is when packed, now; it stays as it is. Negative: -errno. */
ssize_t sp_pack_measure(struct sp_pack *p);

/* Writes what was measured, or takes the group back; either way the next one begins. */
sp_must_check int sp_pack_write(struct sp_pack *p);
sp_must_check int sp_pack_drop(struct sp_pack *p);

#endif
