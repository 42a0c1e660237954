// SPDX-License-Identifier: Apache-2.0
/*
 * From zstd frames to lines. A group of lines is delivered when all of it has been read and its frames' checksums were
 * right, so a reader never sees half a snapshot.
 */
#include "engines/replay/unpack.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>

#define MAX_GROUP  ((size_t)2 << 30) /* of lines: 30 M blocks in one snapshot */
#define MAX_WINDOW 27                /* log2 of what zstd may ask for one frame */
#define READ_BYTES ((size_t)1 << 16)
#define MAGIC      0xfd2fb528u /* of a zstd frame, RFC 8878 3.1.1 */

struct sp_unpack {
	FILE *packed;
	ZSTD_DCtx *zstd;
	struct sp_vec group; /* bytes: whole frames */
	size_t taken;        /* of the group, by the reader */
	uint8_t in[READ_BYTES];
	size_t in_len, in_at;
	uint64_t nr_read, nr_good; /* bytes of `packed`: read, and delivered in groups */
	bool at_end;
};

bool sp_unpack_is_packed(FILE *file)
{
	uint32_t magic = 0;
	size_t len = fread(&magic, 1, sizeof(magic), file);

	rewind(file);
	return len == sizeof(magic) && magic == MAGIC;
}

uint64_t sp_unpack_cut_bytes(const struct sp_unpack *u)
{
	return u->at_end ? u->nr_read - u->nr_good : 0;
}

static bool fill_input(struct sp_unpack *u)
{
	u->in_at = 0;
	u->in_len = fread(u->in, 1, sizeof(u->in), u->packed);
	u->nr_read += u->in_len;
	return u->in_len != 0;
}

/* Appends one frame to the group. False: there is no more whole and good one. */
static bool take_frame(struct sp_unpack *u)
{
	uint8_t out[READ_BYTES];
	size_t left = 1;

	ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
	while (left) {
		if (u->in_at == u->in_len && !fill_input(u))
			return false;
		ZSTD_inBuffer in = {u->in, u->in_len, u->in_at};
		ZSTD_outBuffer o = {out, sizeof(out), 0};
		left = ZSTD_decompressStream(u->zstd, &o, &in);
		u->in_at = in.pos;
		if (ZSTD_isError(left) || sp_vec_reserve(&u->group, u->group.nr + o.pos))
			return false;
		if (o.pos)
			memcpy((uint8_t *)u->group.data + u->group.nr, out, o.pos);
		u->group.nr += o.pos;
	}
	return true;
}

static bool ends_with(const struct sp_vec *group, const char *line)
{
	size_t len = strlen(line);
	const char *text = group->data;

	return group->nr >= len && !memcmp(text + group->nr - len, line, len) &&
	       (group->nr == len || text[group->nr - len - 1] == '\n');
}

static bool take_group(struct sp_unpack *u)
{
	sp_vec_clear(&u->group);
	u->taken = 0;
	while (!u->at_end && take_frame(u)) {
		if (!ends_with(&u->group, "complete\n") && !ends_with(&u->group, "end\n"))
			continue;
		u->nr_good = u->nr_read - (u->in_len - u->in_at);
		return true;
	}
	while (fill_input(u)) /* to know how much is lost */
		;
	u->at_end = true;
	sp_vec_clear(&u->group);
	return false;
}

static ssize_t read_lines(void *cookie, char *buf, size_t size)
{
	struct sp_unpack *u = cookie;

	if (u->taken == u->group.nr && !take_group(u))
		return 0;
	size_t len = u->group.nr - u->taken < size ? u->group.nr - u->taken : size;
	memcpy(buf, (const char *)u->group.data + u->taken, len);
	u->taken += len;
	return (ssize_t)len;
}

static int unpack_free(void *cookie)
{
	struct sp_unpack *u = cookie;

	ZSTD_freeDCtx(u->zstd);
	sp_vec_done(&u->group);
	fclose(u->packed);
	free(u);
	return 0;
}

int sp_unpack_open(FILE *packed, struct sp_unpack **ret, FILE **ret_stream)
{
	struct sp_unpack *u = calloc(1, sizeof(*u));

	if (!u) {
		fclose(packed);
		return -ENOMEM;
	}
	u->packed = packed;
	sp_vec_init(&u->group, 1, MAX_GROUP);
	u->zstd = ZSTD_createDCtx();
	if (u->zstd)
		ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, MAX_WINDOW);
	FILE *stream =
	    u->zstd ? fopencookie(u, "r", (cookie_io_functions_t){.read = read_lines, .close = unpack_free}) : NULL;
	if (!stream) {
		unpack_free(u);
		return -ENOMEM;
	}
	*ret = u;
	*ret_stream = stream;
	return 0;
}
