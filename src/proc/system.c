// SPDX-License-Identifier: Apache-2.0
/* The machine's counters: meminfo, stat, vmstat, uptime, pressure, slabinfo. */
#include "proc/system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "proc/keyed.h"
#include "proc/priv.h"

enum {
	SMALL_MAX = 1 << 16, /* meminfo, vmstat: a few KB */
	STAT_MAX = 1 << 24,  /* a line for each CPU, a number for each interrupt */
	SLABINFO_MAX = 1 << 20,
};

/* A file of /proc itself, the caller's to free; NULL: *ret_err says why. */
static char *read_root(const struct sp_procfs *fs, const char *name, size_t max, int *ret_err)
{
	char *text = NULL;
	size_t len;

	sp_autoclose int dirfd = open(sp_procfs_root(fs), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret_err = dirfd < 0 ? -errno : sp_proc_read_file(dirfd, name, max, &text, &len);
	return text;
}

static int cannot_read(const struct sp_procfs *fs, const char *name, int err, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_OURS, -err, "cannot read %s/%s: %s", sp_procfs_root(fs), name, strerror(-err));
}

/* ---- meminfo ---- */

/* What older kernels leave out. */
struct huge_pool {
	uint64_t pages, page_bytes;
};

static void complete(struct sp_meminfo *m, const struct huge_pool *pool)
{
	if (!m->available)
		m->available = m->free + m->buffers + (m->cached > m->shmem ? m->cached - m->shmem : 0);
	if (!m->hugetlb && __builtin_mul_overflow(pool->pages, pool->page_bytes, &m->hugetlb))
		m->hugetlb = 0;
}

int sp_meminfo_parse(const char *text, struct sp_meminfo *ret)
{
#define ROW(name, key) {key, offsetof(struct sp_meminfo, name)},
	static const struct sp_key keys[] = {SP_MEMINFO(ROW)};
#undef ROW
	static const struct sp_key pool_keys[] = {{"HugePages_Total", offsetof(struct huge_pool, pages)},
						  {"Hugepagesize", offsetof(struct huge_pool, page_bytes)}};
	struct sp_meminfo m = {0};
	struct huge_pool pool = {0};

	sp_keyed_parse(text, keys, SP_ARRAY_SIZE(keys), &m);
	if (!m.total || !sp_status_find(text, "MemFree"))
		return -EINVAL;
	sp_keyed_parse(text, pool_keys, SP_ARRAY_SIZE(pool_keys), &pool);
	complete(&m, &pool);
	*ret = m;
	return 0;
}

/* "              count:    10009", once for each zone and CPU. */
uint64_t sp_zoneinfo_parse(const char *text)
{
	uint64_t sum = 0, n;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *s;

		line += *line == '\n';
		s = line + strspn(line, " \t");
		if (strncmp(s, "count:", 6) != 0)
			continue;
		s += 6 + strspn(s + 6, " ");
		if (sp_digits(&s, &n) && __builtin_add_overflow(sum, n, &sum))
			return UINT64_MAX;
	}
	return sum;
}

static uint64_t read_free_lists(const struct sp_procfs *fs)
{
	int err;
	sp_autofree char *text = read_root(fs, "zoneinfo", STAT_MAX, &err);
	uint64_t bytes = text ? sp_zoneinfo_parse(text) : 0;

	return __builtin_mul_overflow(bytes, (uint64_t)sysconf(_SC_PAGESIZE), &bytes) ? 0 : bytes;
}

int sp_meminfo_read(const struct sp_procfs *fs, struct sp_meminfo *ret, struct sp_why *why)
{
	int err;
	sp_autofree char *text = read_root(fs, "meminfo", SMALL_MAX, &err);

	if (text)
		err = sp_meminfo_parse(text, ret);
	if (err)
		return cannot_read(fs, "meminfo", err, why);
	ret->free_lists = read_free_lists(fs);
	return 0;
}

/* ---- activity ---- */

/* "cpu  10 20 ...": the fields of the man page in their order; a kernel that has fewer leaves the rest 0. */
static bool take_ticks(const char *stat, struct sp_activity *a)
{
	uint64_t *const fields[] = {&a->user, &a->nice,    &a->sys,   &a->idle,  &a->iowait,
				    &a->irq,  &a->softirq, &a->steal, &a->guest, &a->guest_nice};
	const char *s = stat;
	size_t i = 0;

	if (strncmp(s, "cpu ", 4) != 0)
		return false;
	for (s += 4; i < SP_ARRAY_SIZE(fields); i++) {
		s += strspn(s, " ");
		if (!sp_digits(&s, fields[i]))
			break;
	}
	return i >= 4;
}

int sp_activity_parse(const char *stat, const char *vmstat, const char *uptime, struct sp_activity *ret)
{
	static const struct sp_key stat_keys[] = {{"intr", offsetof(struct sp_activity, interrupts)},
						  {"ctxt", offsetof(struct sp_activity, switches)},
						  {"procs_running", offsetof(struct sp_activity, running)},
						  {"procs_blocked", offsetof(struct sp_activity, blocked)}};
	static const struct sp_key vmstat_keys[] = {{"pgpgin", offsetof(struct sp_activity, paged_in_kb)},
						    {"pgpgout", offsetof(struct sp_activity, paged_out_kb)},
						    {"pswpin", offsetof(struct sp_activity, swapped_in_pages)},
						    {"pswpout", offsetof(struct sp_activity, swapped_out_pages)}};
	struct sp_activity a = {0};
	uint64_t seconds;

	if (!take_ticks(stat, &a))
		return -EINVAL;
	sp_keyed_parse(stat, stat_keys, SP_ARRAY_SIZE(stat_keys), &a);
	sp_keyed_parse(vmstat, vmstat_keys, SP_ARRAY_SIZE(vmstat_keys), &a);
	if (sp_digits(&uptime, &seconds) && __builtin_mul_overflow(seconds, 1000u, &a.uptime_ms))
		a.uptime_ms = UINT64_MAX;
	*ret = a;
	return 0;
}

int sp_activity_read(const struct sp_procfs *fs, struct sp_activity *ret, struct sp_why *why)
{
	sp_autofree char *vmstat = NULL, *uptime = NULL;
	int err;
	sp_autofree char *stat = read_root(fs, "stat", STAT_MAX, &err);

	if (!stat)
		return cannot_read(fs, "stat", err, why);
	vmstat = read_root(fs, "vmstat", SMALL_MAX, &err);
	if (!vmstat)
		return cannot_read(fs, "vmstat", err, why);
	uptime = read_root(fs, "uptime", SMALL_MAX, &err);
	if (!uptime)
		return cannot_read(fs, "uptime", err, why);
	err = sp_activity_parse(stat, vmstat, uptime, ret);
	return err ? cannot_read(fs, "stat", err, why) : 0;
}

/* ---- pressure ---- */

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12" */
static bool take_total(const char *text, const char *line, uint64_t *ret)
{
	const char *at = strstr(text, line), *end = at ? at + strcspn(at, "\n") : NULL;
	const char *total = at ? strstr(at, "total=") : NULL;

	if (!total || total > end)
		return false;
	total += strlen("total=");
	return sp_digits(&total, ret);
}

struct sp_pressure sp_pressure_parse(const char *text)
{
	struct sp_pressure p = {0};

	p.known = take_total(text, "some ", &p.some_us) && take_total(text, "full ", &p.full_us);
	return p;
}

/* A kernel started with psi=0 has the file and refuses to read it. */
struct sp_pressure sp_pressure_read(const struct sp_procfs *fs)
{
	int err;
	sp_autofree char *text = read_root(fs, "pressure/memory", SMALL_MAX, &err);

	return text ? sp_pressure_parse(text) : (struct sp_pressure){0};
}

/* ---- slabinfo ---- */

/* The nr-th number behind `s` (0: the first). */
static bool nth_number(const char *s, unsigned nr, uint64_t *ret)
{
	do {
		s += strspn(s, " ");
		if (!sp_digits(&s, ret))
			return false;
	} while (nr--);
	return true;
}

/*
 * "name active_objs num_objs objsize objperslab pagesperslab : tunables a b c : slabdata active_slabs num_slabs
 * shared", see slabinfo(5).
 */
static bool take_slab(const char *line, size_t len, struct sp_slab *ret)
{
	static const char slabdata[] = ": slabdata";
	size_t name = strcspn(line, " \n");
	const char *data = memmem(line, len, slabdata, sizeof(slabdata) - 1);
	uint64_t pages, slabs, bytes;

	if (!name || line[0] == '#' || !data || !nth_number(line + name, 4, &pages) ||
	    !nth_number(data + sizeof(slabdata) - 1, 1, &slabs))
		return false;
	if (__builtin_mul_overflow(pages, slabs, &bytes) ||
	    __builtin_mul_overflow(bytes, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
		return false;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(name < sizeof(ret->name) ? name : sizeof(ret->name) - 1),
		 line);
	ret->bytes = bytes;
	return true;
}

int sp_slabs_parse(const char *text, struct sp_vec *ret)
{
	int err = 0;

	sp_vec_clear(ret);
	for (const char *line = text; *line && !err;) {
		size_t len = strcspn(line, "\n");
		struct sp_slab slab;

		if (take_slab(line, len, &slab))
			err = sp_vec_push(ret, &slab);
		line += len + (line[len] == '\n');
	}
	return err == -ENOSPC ? 0 : err; /* refused ones are counted in the vector */
}

int sp_slabs_read(const struct sp_procfs *fs, struct sp_vec *ret)
{
	int err;
	sp_autofree char *text = read_root(fs, "slabinfo", SLABINFO_MAX, &err);

	return text ? sp_slabs_parse(text, ret) : err;
}
