// SPDX-License-Identifier: Apache-2.0
/*
 * CIEs and FDEs. Nothing is allocated: CIEs are parsed once each into a small cache, as neighbouring FDEs share them.
 * The work per FDE is bounded (augmentation and instructions of a CIE have a maximum), so that a hostile section
 * costs time in proportion to its size.
 */
#include <dwarf.h>
#include <string.h>

#include "elf/cfi.h"

#define MAX_AUGMENTATION     16  /* characters; real ones have up to 5: "zPLRS" */
#define MAX_CIE_INSTRUCTIONS 512 /* bytes; real ones have about 7 */
#define RA_COLUMN            16  /* System V AMD64 ABI, figure 3.36 */

struct entry {
	struct sp_elf_cursor body; /* behind the CIE id or pointer */
	uint64_t cie_off;          /* of an FDE */
	bool is_cie;
};

uint64_t sp_elf_cfi_pointer(struct sp_elf_cursor *c, uint8_t encoding, uint64_t vaddr)
{
	static const uint8_t sizes[16] = {
	    [DW_EH_PE_absptr] = 8, [DW_EH_PE_udata2] = 2, [DW_EH_PE_udata4] = 4, [DW_EH_PE_udata8] = 8,
	    [DW_EH_PE_sdata2] = 2, [DW_EH_PE_sdata4] = 4, [DW_EH_PE_sdata8] = 8,
	};
	uint8_t format = encoding & 0x0f;
	unsigned size = sizes[format];
	uint64_t v;

	if (format == DW_EH_PE_uleb128 || format == DW_EH_PE_sleb128) {
		v = sp_elf_cursor_leb(c, format == DW_EH_PE_sleb128);
	} else if (size) {
		v = sp_elf_cursor_fixed(c, size);
		if (format & DW_EH_PE_signed)
			v = (uint64_t)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
	} else {
		c->is_bad = true;
		return 0;
	}
	if ((encoding & 0xf0) == DW_EH_PE_pcrel)
		return v + vaddr;
	if (encoding & 0xf0) /* textrel, datarel, funcrel, aligned, indirect: no linker makes them for a pc on x86-64 */
		c->is_bad = true;
	return v;
}

/* Length and, for the bytes behind it, a cursor. False: runs over the end. */
static bool entry_open(const struct sp_elf_cfi_section *s, size_t off, struct sp_elf_cursor *ret, unsigned *ret_id_size)
{
	struct sp_elf_cursor c = {.p = s->data + off, .end = s->data + s->size};
	uint64_t length = sp_elf_cursor_fixed(&c, 4);

	*ret_id_size = 4;
	if (length == 0xffffffff) {
		length = sp_elf_cursor_fixed(&c, 8);
		*ret_id_size = 8;
	}
	if (c.is_bad || length > (uint64_t)(c.end - c.p))
		return false;
	*ret = (struct sp_elf_cursor){.p = c.p, .end = c.p + length};
	return true;
}

/* False: damaged or empty. */
static bool entry_parse(const struct sp_elf_cfi_section *s, size_t off, struct entry *ret)
{
	struct sp_elf_cursor c;
	unsigned id_size;
	uint64_t id, id_off;

	if (off >= s->size || !entry_open(s, off, &c, &id_size))
		return false;
	id_off = (uint64_t)(c.p - s->data);
	id = sp_elf_cursor_fixed(&c, id_size);
	if (c.is_bad)
		return false;
	*ret = (struct entry){.body = c};
	if (s->is_debug_frame) {
		ret->is_cie = id == (id_size == 4 ? 0xffffffff : ~0ULL);
		ret->cie_off = id;
	} else {
		ret->is_cie = id == 0;
		ret->cie_off = id_off - id; /* wraps for an id too large, and is then too large itself */
	}
	return ret->is_cie || ret->cie_off < s->size;
}

enum sp_elf_cfi_entry sp_elf_cfi_next(const struct sp_elf_cfi_section *s, size_t *at)
{
	size_t off = *at;
	struct sp_elf_cursor c;
	struct entry e;
	unsigned id_size;

	if (s->size - off < 4)
		return SP_ELF_CFI_END;
	if (!entry_open(s, off, &c, &id_size))
		return SP_ELF_CFI_DAMAGED;
	*at = (size_t)(c.end - s->data);
	if (c.p == c.end)
		return s->ends_at_zero ? SP_ELF_CFI_END : SP_ELF_CFI_EMPTY;
	return entry_parse(s, off, &e) && e.is_cie ? SP_ELF_CFI_CIE : SP_ELF_CFI_FDE;
}

/* Augmentation data by the letters behind 'z' (LSB 10.6.1.1.1); unknown letters end it, its length is known. */
static void parse_augmentation(struct sp_elf_cursor *c, const char *letters, struct sp_elf_cie *cie)
{
	uint64_t length = sp_elf_cursor_uleb(c);
	struct sp_elf_cursor data = {.p = c->p, .end = c->end};

	if (length > (uint64_t)(c->end - c->p)) {
		c->is_bad = true;
		return;
	}
	c->p += length;
	data.end = c->p;
	for (; *letters; letters++) {
		if (*letters == 'R') {
			cie->pointer_encoding = sp_elf_cursor_u8(&data);
		} else if (*letters == 'L') {
			sp_elf_cursor_u8(&data);
		} else if (*letters == 'P') {
			uint8_t encoding = sp_elf_cursor_u8(&data);

			sp_elf_cfi_pointer(&data, encoding & 0x0f, 0);
		} else if (*letters != 'S' && *letters != 'B') {
			return;
		}
	}
	c->is_bad |= data.is_bad;
}

/* Points ret at the augmentation string. False: damaged or too long. */
static bool parse_string(struct sp_elf_cursor *c, const char **ret)
{
	size_t left = (size_t)(c->end - c->p);
	size_t max = left < MAX_AUGMENTATION ? left : MAX_AUGMENTATION;
	size_t len = strnlen((const char *)c->p, max);

	if (len == max)
		return false;
	*ret = (const char *)c->p;
	c->p += len + 1;
	return true;
}

static bool parse_cie(struct sp_elf_cursor c, struct sp_elf_cie *cie)
{
	uint8_t version = sp_elf_cursor_u8(&c);
	const char *letters;
	uint64_t ra;

	if ((version != 1 && version != 3 && version != 4) || !parse_string(&c, &letters))
		return false;
	if (version == 4 && (sp_elf_cursor_u8(&c) != 8 || sp_elf_cursor_u8(&c) != 0))
		return false; /* address size, segment selector size */
	cie->code_align = sp_elf_cursor_uleb(&c);
	cie->data_align = sp_elf_cursor_sleb(&c);
	ra = version == 1 ? sp_elf_cursor_u8(&c) : sp_elf_cursor_uleb(&c);
	cie->has_augmentation = letters[0] == 'z';
	if (cie->has_augmentation)
		parse_augmentation(&c, letters + 1, cie);
	else if (letters[0])
		return false;
	if (c.is_bad || ra != RA_COLUMN || c.end - c.p > MAX_CIE_INSTRUCTIONS)
		return false;
	return sp_elf_cfi_exec_initial(cie, c);
}

static const struct sp_elf_cie *find_cie(const struct sp_elf_cfi_section *s, struct sp_elf_cie_cache *cache, size_t off)
{
	struct sp_elf_cie *cie = &cache->cies[off / 4 % SP_ELF_NR_CIES];
	struct entry e;

	if (!cie->is_set || cie->off != off) {
		*cie = (struct sp_elf_cie){.off = off, .is_set = true};
		cie->is_usable = entry_parse(s, off, &e) && e.is_cie && parse_cie(e.body, cie);
	}
	return cie->is_usable ? cie : NULL;
}

bool sp_elf_fde_parse(const struct sp_elf_cfi_section *s, struct sp_elf_cie_cache *cache, size_t off,
		      struct sp_elf_fde *ret)
{
	const struct sp_elf_cie *cie;
	struct entry e;
	uint64_t begin, size;

	if (!entry_parse(s, off, &e) || e.is_cie)
		return false;
	cie = find_cie(s, cache, e.cie_off);
	if (!cie)
		return false;
	begin = sp_elf_cfi_pointer(&e.body, cie->pointer_encoding, s->vaddr + (uint64_t)(e.body.p - s->data));
	size = sp_elf_cfi_pointer(&e.body, cie->pointer_encoding & 0x0f, 0);
	if (cie->has_augmentation) {
		uint64_t length = sp_elf_cursor_uleb(&e.body);

		if (length > (uint64_t)(e.body.end - e.body.p))
			return false;
		e.body.p += length;
	}
	if (e.body.is_bad || size == 0 || size > UINT64_MAX - begin)
		return false;
	*ret = (struct sp_elf_fde){.cie = cie, .begin = begin, .end = begin + size, .program = e.body};
	return true;
}
