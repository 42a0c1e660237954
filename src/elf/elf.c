// SPDX-License-Identifier: Apache-2.0
/*
 * Opens an ELF file: headers, segments, vaddr <-> offset.
 *
 * The file is read with pread only, never mapped: a mapped file that its owner truncates would end us with SIGBUS.
 * Program headers are read here and not through libelf, so that a file whose section headers are damaged or gone
 * (sstrip, packers) is still of use; libelf comes in only for sections (sections.c).
 */
#include "elf/elf.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "elf/file.h"

/* Linux refuses to run a file with more than 64 KiB of program headers (fs/binfmt_elf.c, load_elf_phdrs). */
#define MAX_PHDRS         (65536 / sizeof(Elf64_Phdr))
#define MAX_DYNAMIC_BYTES 65536
#define MAX_NOTE_BYTES    65536
#define PAGE_BYTES        4096ULL

static void close_p(struct sp_elf **e)
{
	sp_elf_close(*e);
}

void sp_elf_close(struct sp_elf *e)
{
	if (!e)
		return;
	if (e->elf)
		elf_end(e->elf);
	close(e->fd);
	free(e->loads);
	free(e);
}

int sp_elf_fd(const struct sp_elf *e)
{
	return e->fd;
}

size_t sp_elf_build_id(const struct sp_elf *e, uint8_t ret[SP_BUILD_ID_MAX])
{
	memcpy(ret, e->build_id, e->build_id_len);
	return e->build_id_len;
}

bool sp_elf_is_static(const struct sp_elf *e)
{
	return e->is_static;
}

uint64_t sp_elf_base_vaddr(const struct sp_elf *e)
{
	return e->base_vaddr;
}

ssize_t sp_elf_read(const struct sp_elf *e, uint64_t offset, void *buf, size_t len)
{
	size_t done = 0;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EINVAL;
	while (done < len) {
		ssize_t n = pread(e->fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void sp_elf_bytes_done(struct sp_elf_bytes *b)
{
	free(b->data);
}

int sp_elf_bytes_read(const struct sp_elf *e, uint64_t offset, uint64_t size, struct sp_elf_bytes *ret)
{
	struct stat st;
	sp_autofree uint8_t *data = NULL;
	ssize_t n;

	if (fstat(e->fd, &st) < 0)
		return -errno;
	if (offset >= (uint64_t)st.st_size)
		size = 0;
	else if (size > (uint64_t)st.st_size - offset)
		size = (uint64_t)st.st_size - offset;
	if (size > SP_ELF_MAX_SECTION_BYTES)
		return -EFBIG;
	data = malloc(size ? size : 1);
	if (!data)
		return -ENOMEM;
	n = sp_elf_read(e, offset, data, size);
	if (n < 0)
		return (int)n;
	*ret = (struct sp_elf_bytes){.data = sp_take_ptr(data), .size = (size_t)n};
	return 0;
}

static const struct sp_elf_load *find_load_by_offset(const struct sp_elf *e, uint64_t offset)
{
	for (size_t i = 0; i < e->nr_loads; i++)
		if (offset - e->loads[i].offset < e->loads[i].filesz)
			return &e->loads[i];
	return NULL;
}

const struct sp_elf_load *sp_elf_find_load(const struct sp_elf *e, uint64_t vaddr)
{
	for (size_t i = 0; i < e->nr_loads; i++)
		if (vaddr - e->loads[i].vaddr < e->loads[i].filesz)
			return &e->loads[i];
	return NULL;
}

int sp_elf_vaddr_to_offset(const struct sp_elf *e, uint64_t vaddr, uint64_t *ret)
{
	const struct sp_elf_load *load = sp_elf_find_load(e, vaddr);

	if (!load)
		return -ENOENT;
	*ret = vaddr - load->vaddr + load->offset;
	return 0;
}

int sp_elf_offset_to_vaddr(const struct sp_elf *e, uint64_t offset, uint64_t *ret)
{
	const struct sp_elf_load *load = find_load_by_offset(e, offset);

	if (!load)
		return -ENOENT;
	*ret = offset - load->offset + load->vaddr;
	return 0;
}

int sp_elf_exec_page_to_vaddr(const struct sp_elf *e, uint64_t page_offset, uint64_t *ret)
{
	const struct sp_elf_load *found = NULL;

	for (size_t i = 0; i < e->nr_loads; i++) {
		const struct sp_elf_load *load = &e->loads[i];
		uint64_t first = load->offset & ~(PAGE_BYTES - 1);
		if (!load->is_exec || page_offset < first || page_offset >= load->offset + load->filesz)
			continue;
		if (!found || first == page_offset) /* a mapping that begins here is rather of what begins here */
			found = load;
	}
	if (!found)
		return -ENOENT;
	*ret = found->vaddr - found->offset + page_offset;
	return 0;
}

int sp_elf_exec_end(const struct sp_elf *e, size_t nr, uint64_t *ret)
{
	for (size_t i = 0; i < e->nr_loads; i++) {
		if (!e->loads[i].is_exec || nr--)
			continue;
		*ret = e->loads[i].offset + e->loads[i].filesz;
		return 0;
	}
	return -ENOENT;
}

static int refuse(struct sp_why *why, int err, const char *name, const char *reason)
{
	char printable[256];

	sp_text_printable(printable, sizeof(printable), name);
	return sp_why_set(why, err == ENOMEM ? SP_FAULT_OURS : SP_FAULT_TARGET, err, "cannot read %s: %s", printable,
			  reason ? reason : strerror(err));
}

/* NULL: this file is one of ours; else what it is not. */
static const char *check_header(const Elf64_Ehdr *h, ssize_t len)
{
	if (len < SELFMAG || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return "not an ELF file";
	if (len < (ssize_t)sizeof(*h))
		return "the ELF file is cut short";
	if (h->e_ident[EI_CLASS] == ELFCLASS32)
		return "a 32-bit file; only 64-bit x86 programs can be watched";
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
		return "made for another processor; only 64-bit x86 programs can be watched";
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return "neither a program nor a shared library";
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > MAX_PHDRS)
		return "the ELF file has no usable program headers";
	return NULL;
}

/* A segment that runs over the end of the address space or has more in the file than in memory is not taken. */
static void add_load(struct sp_elf *e, const Elf64_Phdr *p)
{
	uint64_t end;

	if (p->p_filesz > p->p_memsz || __builtin_add_overflow(p->p_vaddr, p->p_memsz, &end) ||
	    __builtin_add_overflow(p->p_offset, p->p_filesz, &end))
		return;
	e->loads[e->nr_loads++] = (struct sp_elf_load){
	    .vaddr = p->p_vaddr,
	    .memsz = p->p_memsz,
	    .offset = p->p_offset,
	    .filesz = p->p_filesz,
	    .is_exec = p->p_flags & PF_X,
	};
	if (e->nr_loads == 1 || p->p_vaddr < e->base_vaddr)
		e->base_vaddr = p->p_vaddr & ~(PAGE_BYTES - 1);
}

static int has_needed(const struct sp_elf *e, const Elf64_Phdr *dynamic, bool *ret)
{
	sp_cleanup(sp_elf_bytes_done) struct sp_elf_bytes bytes = {0};
	uint64_t size = dynamic->p_filesz < MAX_DYNAMIC_BYTES ? dynamic->p_filesz : MAX_DYNAMIC_BYTES;
	int err = sp_elf_bytes_read(e, dynamic->p_offset, size, &bytes);
	Elf64_Dyn d;

	if (err)
		return err;
	*ret = false;
	for (size_t at = 0; bytes.size - at >= sizeof(d); at += sizeof(d)) {
		memcpy(&d, bytes.data + at, sizeof(d));
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_NEEDED)
			*ret = true;
	}
	return 0;
}

static int take_notes(struct sp_elf *e, const Elf64_Phdr *note)
{
	sp_cleanup(sp_elf_bytes_done) struct sp_elf_bytes bytes = {0};
	uint64_t size = note->p_filesz < MAX_NOTE_BYTES ? note->p_filesz : MAX_NOTE_BYTES;
	int err;

	if (e->build_id_len)
		return 0;
	err = sp_elf_bytes_read(e, note->p_offset, size, &bytes);
	if (!err)
		sp_elf_take_build_id(e, &bytes, note->p_align);
	return err;
}

static int take_phdr(struct sp_elf *e, const Elf64_Phdr *p)
{
	bool is_needed;
	int err;

	switch (p->p_type) {
	case PT_LOAD:
		add_load(e, p);
		return 0;
	case PT_INTERP:
		e->is_static = false;
		return 0;
	case PT_DYNAMIC:
		err = has_needed(e, p, &is_needed);
		if (!err && is_needed)
			e->is_static = false;
		return err;
	case PT_NOTE:
		return take_notes(e, p);
	case PT_GNU_EH_FRAME:
		e->eh_frame_hdr_vaddr = p->p_vaddr;
		e->eh_frame_hdr_size = p->p_memsz;
		return 0;
	default:
		return 0;
	}
}

static int read_phdrs(struct sp_elf *e, const Elf64_Ehdr *h)
{
	sp_cleanup(sp_elf_bytes_done) struct sp_elf_bytes bytes = {0};
	Elf64_Phdr p;
	int err = sp_elf_bytes_read(e, h->e_phoff, h->e_phnum * sizeof(p), &bytes);

	if (err)
		return err;
	if (!bytes.data || bytes.size != h->e_phnum * sizeof(p))
		return -ENOEXEC;
	e->loads = calloc(h->e_phnum, sizeof(*e->loads));
	if (!e->loads)
		return -ENOMEM;
	e->is_static = true;
	for (size_t i = 0; i < h->e_phnum; i++) {
		memcpy(&p, bytes.data + i * sizeof(p), sizeof(p));
		err = take_phdr(e, &p);
		if (err)
			return err;
	}
	return e->nr_loads ? 0 : -ENOEXEC;
}

/* Some linker scripts leave PT_NOTE out: the section has the same notes. */
static int read_note_section(struct sp_elf *e)
{
	sp_cleanup(sp_elf_bytes_done) struct sp_elf_bytes bytes = {0};
	struct sp_elf_section s;
	int err;

	if (e->build_id_len || !sp_elf_find_section(e, ".note.gnu.build-id", &s) || s.header.sh_size > MAX_NOTE_BYTES)
		return 0;
	err = sp_elf_section_read(e, &s, &bytes);
	if (!err)
		sp_elf_take_build_id(e, &bytes, s.header.sh_addralign);
	return err == -ENOMEM ? err : 0;
}

static int read_headers(struct sp_elf *e, const char *name, struct sp_why *why)
{
	Elf64_Ehdr h = {0};
	struct stat st;
	const char *reason;
	int err;

	if (fstat(e->fd, &st) < 0)
		return refuse(why, errno, name, NULL);
	if (!S_ISREG(st.st_mode))
		return refuse(why, ENOEXEC, name, "not a regular file");
	reason = check_header(&h, sp_elf_read(e, 0, &h, sizeof(h)));
	if (reason)
		return refuse(why, ENOEXEC, name, reason);
	err = read_phdrs(e, &h);
	if (!err)
		err = read_note_section(e);
	if (err == -ENOEXEC)
		return refuse(why, ENOEXEC, name, "the ELF file is damaged or cut short");
	return err ? refuse(why, -err, name, NULL) : 0;
}

int sp_elf_open(int fd, const char *name, struct sp_elf **ret, struct sp_why *why)
{
	sp_cleanup(close_p) struct sp_elf *e = calloc(1, sizeof(*e));
	int err;

	if (!e) {
		close(fd);
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	}
	e->fd = fd;
	err = read_headers(e, name, why);
	if (err)
		return err;
	*ret = sp_take_ptr(e);
	return 0;
}
