// SPDX-License-Identifier: Apache-2.0
/* Packs a group of lines and appends it. A group is one zstd frame with a checksum. */
#include "record/pack.h"

#include <errno.h>
#include <zstd.h>

#define LEVEL 3 /* zstd's own default: some 300 MB/s */

static int begin_group(struct sp_pack *p)
{
	if (p->text)
		fclose(p->text);
	free(sp_take_ptr(p->text_bytes));
	p->text = open_memstream(&p->text_bytes, &p->text_len);
	return p->text ? 0 : -ENOMEM;
}

int sp_pack_open(int fd, struct sp_pack *ret)
{
	*ret = (struct sp_pack){.fd = fd, .zstd = ZSTD_createCCtx()};
	int err = ret->zstd ? begin_group(ret) : -ENOMEM;

	if (!err && (ZSTD_isError(ZSTD_CCtx_setParameter(ret->zstd, ZSTD_c_compressionLevel, LEVEL)) ||
		     ZSTD_isError(ZSTD_CCtx_setParameter(ret->zstd, ZSTD_c_checksumFlag, 1))))
		err = -ENOMEM;
	if (err)
		sp_pack_done(ret);
	return err;
}

void sp_pack_done(struct sp_pack *p)
{
	if (p->text)
		fclose(p->text);
	free(p->text_bytes);
	free(p->frame);
	ZSTD_freeCCtx(p->zstd);
	if (p->fd >= 0)
		close(p->fd);
	*p = (struct sp_pack){.fd = -1};
}

static int make_room(struct sp_pack *p)
{
	size_t room = ZSTD_compressBound(p->text_len);

	if (room <= p->frame_room)
		return 0;
	free(p->frame);
	p->frame = malloc(room);
	p->frame_room = p->frame ? room : 0;
	return p->frame ? 0 : -ENOMEM;
}

/* Into p->frame; its length or -errno. */
ssize_t sp_pack_measure(struct sp_pack *p)
{
	if (fflush(p->text) || ferror(p->text))
		return -ENOMEM; /* it is memory that it writes to */
	int err = make_room(p);
	if (err)
		return err;
	size_t len = ZSTD_compress2(p->zstd, p->frame, p->frame_room, p->text_bytes, p->text_len);
	return ZSTD_isError(len) ? -ENOMEM : (ssize_t)len;
}

int sp_pack_write(struct sp_pack *p)
{
	ssize_t len = sp_pack_measure(p);

	for (ssize_t at = 0; at < len;) {
		ssize_t n = write(p->fd, p->frame + at, (size_t)(len - at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		p->bytes += (uint64_t)n;
	}
	return len < 0 ? (int)len : begin_group(p);
}

int sp_pack_drop(struct sp_pack *p)
{
	return begin_group(p);
}
