// SPDX-License-Identifier: Apache-2.0
/*
 * .gnu_debugdata ("mini debug info", Fedora's way): an ELF file with the symbol table that strip took away, xz
 * compressed. Decoded here rather than by libdwfl, which has no limit: a few hundred bytes of xz can stand for
 * gigabytes.
 */
#include <errno.h>
#include <lzma.h>

#include "symbolize/elffile.h"

#define FIRST_BYTES   (256u << 10)
#define MAX_BYTES     (256u << 20)
#define DECODER_BYTES (128u << 20) /* xz -9 needs 65 MiB */

struct image {
	uint8_t *data;
	size_t len, cap;
};

static int grow(struct image *im)
{
	size_t cap = im->cap ? im->cap * 2 : FIRST_BYTES;
	uint8_t *data;

	if (cap > MAX_BYTES)
		return -EFBIG;
	data = realloc(im->data, cap);
	if (!data)
		return -ENOMEM;
	im->data = data;
	im->cap = cap;
	return 0;
}

static int decode(lzma_stream *z, struct image *im)
{
	for (;;) {
		lzma_ret r;

		if (im->len == im->cap) {
			int err = grow(im);

			if (err)
				return err;
		}
		z->next_out = im->data + im->len;
		z->avail_out = im->cap - im->len;
		r = lzma_code(z, LZMA_FINISH);
		im->len = im->cap - z->avail_out;
		if (r == LZMA_STREAM_END)
			return 0;
		if (r != LZMA_OK || z->avail_out)
			return r == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
	}
}

static int unpack(const Elf_Data *packed, struct image *im)
{
	lzma_stream z = LZMA_STREAM_INIT;
	int err;

	if (lzma_stream_decoder(&z, DECODER_BYTES, 0) != LZMA_OK)
		return -ENOMEM;
	z.next_in = packed->d_buf;
	z.avail_in = packed->d_size;
	err = decode(&z, im);
	lzma_end(&z);
	return err;
}

int sp_elffile_open_minidebug(Elf *main_elf, struct sp_elffile *ret)
{
	Elf_Scn *scn = sp_elffile_section(main_elf, ".gnu_debugdata", NULL);
	Elf_Data *packed = scn ? elf_rawdata(scn, NULL) : NULL;
	struct image im = {};
	int err;

	if (!packed || !packed->d_buf)
		return -ENOENT;
	err = unpack(packed, &im);
	if (err) {
		free(im.data);
		return err;
	}
	struct sp_elffile f = {.fd = -1, .image = im.data, .elf = elf_memory((char *)im.data, im.len)};
	if (!f.elf || elf_kind(f.elf) != ELF_K_ELF) {
		sp_elffile_close(&f);
		return -EBADMSG;
	}
	*ret = f;
	return 0;
}
