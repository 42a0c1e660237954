// SPDX-License-Identifier: Apache-2.0
/*
 * Parses /proc/PID/smaps as it is read: a line as in maps, then some 25 of a name and a number, for each mapping. The
 * text of a process with many mappings is hundreds of megabytes, and all we keep of it is a row a mapping.
 */
#include "proc/smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proc/keyed.h"
#include "proc/priv.h"
#include "proc/shared.h"

enum { MAX_MAPPINGS = 1 << 20 };

static const size_t MAX_NAMES = (size_t)256 << 20; /* bytes */

static const struct sp_key keys[] = {
#define KEY(name, key) {key, offsetof(struct sp_smap, name)},
    SP_SMAP(KEY)
#undef KEY
};

struct reader {
	struct sp_vec list;  /* struct sp_smap; paths are offsets into names, plus one, until the end */
	struct sp_vec names; /* char */
	uint64_t nr_refused;
	bool is_kept; /* the numbers that follow have a mapping */
};

/* Where the name is in r->names; 0: it has none. */
static int keep_name(struct reader *r, const char *path, size_t *ret)
{
	size_t at = r->names.nr, len = strlen(path) + 1, twice = 2 * r->names.cap;
	int rc = 0;

	*ret = 0;
	if (!*path)
		return 0;
	if (at + len > r->names.cap)
		rc = sp_vec_reserve(&r->names, at + len < twice && twice <= MAX_NAMES ? twice : at + len);
	if (rc < 0)
		return rc;
	memcpy((char *)r->names.data + at, path, len);
	r->names.nr += len;
	*ret = at + 1;
	return 0;
}

static int take_mapping(struct reader *r, const struct sp_mapping *m)
{
	struct sp_smap s = {.map = *m};
	size_t name;
	int rc = keep_name(r, m->path, &name);

	if (rc == 0) {
		s.map.path = (const char *)name; /* NOLINT(performance-no-int-to-ptr): an offset until the end */
		rc = sp_vec_push(&r->list, &s);
	}
	r->is_kept = rc == 0;
	r->nr_refused += rc == -ENOSPC;
	return rc == -ENOSPC ? 0 : rc;
}

static int take_line(struct reader *r, char *line)
{
	struct sp_mapping m;

	if (sp_maps_parse_line(line, &m))
		return take_mapping(r, &m);
	if (r->is_kept)
		sp_keyed_parse(line, keys, SP_ARRAY_SIZE(keys), sp_vec_at(&r->list, struct sp_smap, r->list.nr - 1));
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct sp_smap *x = a, *y = b;

	return x->map.start < y->map.start ? -1 : x->map.start > y->map.start;
}

static void give(struct reader *r, struct sp_smaps *ret)
{
	*ret = (struct sp_smaps){
	    .list = r->list.data, .nr = r->list.nr, .names = r->names.data, .nr_refused = r->nr_refused};
	for (size_t i = 0; i < ret->nr; i++) {
		size_t name = (size_t)ret->list[i].map.path;

		ret->list[i].map.path = name ? ret->names + name - 1 : "";
	}
	if (ret->nr) /* the kernel has sorted it; a test need not */
		qsort(ret->list, ret->nr, sizeof(ret->list[0]), by_start);
}

static void init_reader(struct reader *r)
{
	*r = (struct reader){0};
	sp_vec_init(&r->list, sizeof(struct sp_smap), MAX_MAPPINGS);
	sp_vec_init(&r->names, 1, MAX_NAMES);
}

/* What was read goes to *ret, or away when rc says that something failed. */
static int finish(struct reader *r, int rc, struct sp_smaps *ret)
{
	if (rc == 0) {
		give(r, ret);
		return 0;
	}
	sp_vec_done(&r->list);
	sp_vec_done(&r->names);
	return rc;
}

int sp_smaps_parse(const char *text, size_t len, struct sp_smaps *ret)
{
	sp_autofree char *copy = strndup(text, len);
	struct reader r;
	char *rest = copy, *line;
	int rc = 0;

	if (!copy)
		return -ENOMEM;
	init_reader(&r);
	while (rc == 0 && (line = strsep(&rest, "\n")))
		rc = take_line(&r, line);
	return finish(&r, rc, ret);
}

static int read_stream(FILE *in, struct sp_smaps *ret)
{
	sp_autofree char *line = NULL;
	struct reader r;
	size_t size = 0;
	int rc = 0;

	init_reader(&r);
	errno = 0;
	while (rc == 0 && getline(&line, &size, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rc = take_line(&r, line);
		errno = 0;
	}
	if (rc == 0 && !feof(in))
		rc = errno ? -errno : -EIO;
	return finish(&r, rc, ret);
}

static int open_and_read(struct sp_proc *p, struct sp_smaps *ret)
{
	sp_autoclose int fd = openat(p->dirfd, "smaps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	sp_autofclose FILE *in = fdopen(fd, "r");
	if (!in)
		return -errno;
	(void)sp_take_fd(fd); /* the stream's now */
	return read_stream(in, ret);
}

int sp_proc_smaps(struct sp_proc *p, struct sp_smaps *ret, struct sp_why *why)
{
	struct sp_smaps s = {0};
	int rc = open_and_read(p, &s);

	if (rc == 0 && !s.nr) { /* the memory of a process goes before the process does */
		sp_smaps_done(&s);
		rc = -ESRCH;
	}
	if (rc == -ESRCH || rc == -ENOENT || (rc == -EACCES && sp_proc_has_ended(p)))
		return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "process %d (%s) has ended", (int)p->pid, p->comm);
	if (rc < 0)
		return sp_why_set(why, rc == -EACCES ? SP_FAULT_TARGET : SP_FAULT_OURS, -rc,
				  "cannot read what the mappings of %d (%s) take up: %s", (int)p->pid, p->comm,
				  strerror(-rc));
	*ret = s;
	return 0;
}

void sp_smaps_done(struct sp_smaps *s)
{
	free(s->list);
	free(s->names);
	*s = (struct sp_smaps){};
}

/* ---- data of programs ---- */

/* From the file, not from the target's memory: reading that would bring pages in and make it larger. */
static int image_of(struct sp_proc *p, const struct sp_mapping *m, struct sp_image *ret)
{
	sp_autoclose int fd = sp_proc_open_mapping(p, m, NULL);
	if (fd < 0)
		return fd;
	const struct sp_rmem mem = {.read = sp_rmem_read_fd, .arg = &fd};
	return sp_image_from_header(&mem, 0, ret);
}

/* A file is executed when its mappings, which stand together, have one that may be. */
static bool is_executed(const struct sp_smaps *s, size_t i)
{
	const struct sp_mapping *first = &s->list[i].map;

	for (; i < s->nr && s->list[i].map.inode == first->inode; i++)
		if (s->list[i].map.prot & SP_PROT_X)
			return true;
	return false;
}

int sp_proc_data_ranges(struct sp_proc *p, const struct sp_smaps *s, struct sp_vec *ret)
{
	int rc = 0;

	for (size_t i = 0; i < s->nr && rc == 0; i++) {
		const struct sp_mapping *m = &s->list[i].map;
		struct sp_image img;

		if (!m->inode || m->offset || (m->prot & SP_PROT_SHARED) || !is_executed(s, i) ||
		    image_of(p, m, &img) < 0 || img.data_start >= img.data_end)
			continue;
		rc = sp_vec_push(ret, &(struct sp_data_range){m->start + img.data_start, m->start + img.data_end});
	}
	return rc == -ENOSPC ? 0 : rc;
}

/* ---- threads ---- */

/* "running", "-1 0x7ffd... 0x7f..." (not in a system call) or "35 0x0 ... 0x7ffd... 0x7f...": the last but one. */
bool sp_proc_tid_sp(struct sp_proc *p, pid_t tid, uint64_t *ret)
{
	char name[64], text[512];
	uint64_t sp, pc;

	snprintf(name, sizeof(name), "task/%d/syscall", (int)tid);
	if (sp_proc_read_head(p->dirfd, name, text, sizeof(text)) <= 0)
		return false;
	char *last = strrchr(text, ' ');
	if (!last || last == text)
		return false;
	*last = '\0';
	char *before = strrchr(text, ' ');
	if (!before)
		return false;
	pc = strtoull(last + 1, NULL, 16);
	sp = strtoull(before + 1, NULL, 16);
	if (!sp || !pc)
		return false;
	*ret = sp;
	return true;
}

const char *sp_proc_tid_comm(struct sp_proc *p, pid_t tid, char *buf, size_t size)
{
	char name[64], text[64];

	snprintf(name, sizeof(name), "task/%d/comm", (int)tid);
	if (sp_proc_read_head(p->dirfd, name, text, sizeof(text)) < 0)
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return sp_text_printable(buf, size, text);
}

/* ---- file systems in memory ---- */

/*
 * Huge pages without a name are files on mounts of the kernel's own, one for each size of page. Which devices those
 * have is seen from a file of ours; one without content takes no page.
 */
static int add_huge_devices(struct sp_vec *ret)
{
	static const unsigned sizes[] = {0, MFD_HUGE_2MB, MFD_HUGE_1GB}; /* 0: the machine's default */
	int rc = 0;

	for (size_t i = 0; i < SP_ARRAY_SIZE(sizes) && rc == 0; i++) {
		struct stat st;
		sp_autoclose int fd = memfd_create("seep", MFD_CLOEXEC | MFD_HUGETLB | sizes[i]);

		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		rc = sp_vec_push(ret, &(uint64_t){st.st_dev});
	}
	return rc;
}

int sp_proc_memory_devices(struct sp_proc *p, struct sp_vec *ret)
{
	const struct sp_process process = {.pid = p->pid, .dirfd = p->dirfd};
	uint64_t internal = makedev(0, 1); /* shm_mnt of mm/shmem.c: the first file system without a device */
	struct sp_mounts mounts;
	int rc = sp_process_mounts(&process, &mounts);

	if (rc < 0)
		return rc;
	rc = sp_vec_push(ret, &internal);
	for (size_t i = 0; i < mounts.nr && rc == 0; i++) {
		const struct sp_mount *m = &mounts.list[i];

		if (!strcmp(m->type, "tmpfs") || !strcmp(m->type, "hugetlbfs"))
			rc = sp_vec_push(ret, &m->dev);
	}
	sp_mounts_done(&mounts);
	if (rc == 0)
		rc = add_huge_devices(ret);
	return rc == -ENOSPC ? 0 : rc;
}
