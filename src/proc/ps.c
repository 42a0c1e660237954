// SPDX-License-Identifier: Apache-2.0
/*
 * The table of processes, brought up to date with as few reads as can be: statm (7 numbers, the cheapest file of a
 * process) for everybody, the rest only for those whose statm has changed. Kernel threads and zombies have no memory
 * and are left out by their statm alone.
 */
#include "proc/system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "proc/keyed.h"
#include "proc/priv.h"

enum {
	STATM_SIZE = 128,    /* seven numbers */
	STATUS_SIZE = 16384, /* what we look for stands before the longest line, Groups, is over in any sane case */
	ROLLUP_SIZE = 4096,
	SHMEM_STEP = 1 << 20, /* look for shared memory again when file and shared pages moved by this many bytes */
};

struct row {
	struct sp_ps ps;
	uint64_t shared_at_look; /* shared_bytes when shmem_bytes was read */
	uint64_t scan;           /* number of the scan that saw it last */
	bool is_looked_at;
	char statm[STATM_SIZE];
};

struct sp_ps_table {
	struct sp_cgroups *cgroups;
	int root; /* directory of /proc */
	uint64_t page_bytes;
	uint64_t scan, nr_refused;
	struct sp_vec rows;
	struct sp_u64map by_pid; /* pid -> index in rows */
	char status[STATUS_SIZE];
};

int sp_ps_open(const struct sp_procfs *fs, struct sp_cgroups *cgroups, struct sp_ps_table **ret, struct sp_why *why)
{
	struct sp_ps_table *t = calloc(1, sizeof(*t));

	if (!t)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory for the table of processes");
	t->cgroups = cgroups;
	t->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	sp_vec_init(&t->rows, sizeof(struct row), SP_PS_MAX);
	sp_u64map_init(&t->by_pid, SP_PS_MAX);
	t->root = open(sp_procfs_root(fs), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->root < 0) {
		int err = errno;
		sp_ps_close(t);
		return sp_why_set(why, SP_FAULT_OURS, err, "cannot list %s: %s", sp_procfs_root(fs), strerror(err));
	}
	*ret = t;
	return 0;
}

void sp_ps_close(struct sp_ps_table *t)
{
	if (!t)
		return;
	if (t->root >= 0)
		close(t->root);
	sp_vec_done(&t->rows);
	sp_u64map_done(&t->by_pid);
	free(t);
}

size_t sp_ps_nr(const struct sp_ps_table *t)
{
	return t->rows.nr;
}

const struct sp_ps *sp_ps_at(const struct sp_ps_table *t, size_t i)
{
	return &sp_vec_at(&t->rows, struct row, i)->ps;
}

uint64_t sp_ps_refused(const struct sp_ps_table *t)
{
	return t->nr_refused;
}

/* The head of a file of a process; false: it is not to be had, the process has ended or is hidden. */
static bool read_of(const struct sp_ps_table *t, pid_t pid, const char *file, char *buf, size_t size)
{
	char name[48];

	snprintf(name, sizeof(name), "%d/%s", (int)pid, file);
	return sp_proc_read_head(t->root, name, buf, size) > 0;
}

/* ---- what the files say ---- */

static uint64_t in_bytes(const struct sp_ps_table *t, uint64_t pages)
{
	return __builtin_mul_overflow(pages, t->page_bytes, &pages) ? UINT64_MAX : pages;
}

/* "size resident shared text lib data dt", in pages; see proc_pid_statm(5). shared: pages of files and of shmem. */
static bool take_statm(const struct sp_ps_table *t, const char *text, struct sp_ps *ps)
{
	uint64_t v[7];

	for (unsigned i = 0; i < SP_ARRAY_SIZE(v); i++) {
		text += strspn(text, " ");
		if (!sp_digits(&text, &v[i]))
			return false;
	}
	ps->virtual_bytes = in_bytes(t, v[0]);
	ps->rss_bytes = in_bytes(t, v[1]);
	ps->shared_bytes = in_bytes(t, v[2]);
	ps->anon_bytes = ps->rss_bytes > ps->shared_bytes ? ps->rss_bytes - ps->shared_bytes : 0;
	ps->data_bytes = in_bytes(t, v[5]);
	return true;
}

/* Who it is. True when it is another process than before under this pid. */
static bool take_stat(const struct sp_ps_table *t, struct row *r, bool *ret_is_new)
{
	char text[4096];
	struct sp_stat st;

	if (!read_of(t, r->ps.pid, "stat", text, sizeof(text)) || sp_stat_parse(text, &st) < 0)
		return false;
	*ret_is_new = !r->is_looked_at || st.start_time != r->ps.start_time || strncmp(st.comm, r->ps.comm, 15) != 0;
	r->ps.ppid = st.ppid;
	r->ps.start_time = st.start_time;
	snprintf(r->ps.comm, sizeof(r->ps.comm), "%.15s", st.comm);
	return true;
}

/* Shared memory and swap: status is the dearest of the small files. */
static void take_status(struct sp_ps_table *t, struct row *r)
{
	static const struct sp_key keys[] = {{"RssShmem", offsetof(struct sp_ps, shmem_bytes)},
					     {"VmSwap", offsetof(struct sp_ps, swap_bytes)}};

	if (!read_of(t, r->ps.pid, "status", t->status, sizeof(t->status)))
		return;
	r->ps.shmem_bytes = r->ps.swap_bytes = 0;
	sp_keyed_parse(t->status, keys, SP_ARRAY_SIZE(keys), &r->ps);
	r->shared_at_look = r->ps.shared_bytes;
}

static bool wants_status(const struct row *r, bool with_swap)
{
	uint64_t a = r->ps.shared_bytes, b = r->shared_at_look;

	return with_swap || (a > b ? a - b : b - a) >= SHMEM_STEP;
}

/* ---- a scan ---- */

static struct row *find_row(struct sp_ps_table *t, pid_t pid)
{
	uint64_t *at = sp_u64map_find(&t->by_pid, (uint64_t)pid);

	return at ? sp_vec_at(&t->rows, struct row, *at) : NULL;
}

static int add_row(struct sp_ps_table *t, const struct row *r)
{
	int err = sp_u64map_set(&t->by_pid, (uint64_t)r->ps.pid, t->rows.nr);

	if (!err)
		err = sp_vec_push(&t->rows, r);
	if (err)
		sp_u64map_remove(&t->by_pid, (uint64_t)r->ps.pid);
	if (err != -ENOSPC)
		return err;
	t->nr_refused++;
	return 0;
}

/* A process whose statm differs from the last look. */
static int look_again(struct sp_ps_table *t, struct row *r, const char *statm, bool with_swap)
{
	bool is_new = false, was_there = r->is_looked_at;

	if (!take_statm(t, statm, &r->ps) || !r->ps.virtual_bytes || !take_stat(t, r, &is_new))
		return 0; /* not marked as seen: it has ended, or has no memory any more */
	if (is_new) {
		r->shared_at_look = r->ps.shmem_bytes = r->ps.swap_bytes = 0;
		r->ps.cgroup = t->cgroups ? sp_cgroup_of(t->cgroups, r->ps.pid) : SP_CGROUP_NONE;
	}
	if (wants_status(r, with_swap))
		take_status(t, r);
	snprintf(r->statm, sizeof(r->statm), "%s", statm);
	r->scan = t->scan;
	r->is_looked_at = true;
	return was_there ? 0 : add_row(t, r);
}

static int look(struct sp_ps_table *t, pid_t pid, bool with_swap)
{
	struct row fresh = {.ps = {.pid = pid}}, *r = find_row(t, pid);
	char statm[STATM_SIZE];

	if (!read_of(t, pid, "statm", statm, sizeof(statm)))
		return 0;
	if (!r && !strncmp(statm, "0 ", 2))
		return 0; /* a kernel thread, a zombie */
	if (r && !strcmp(r->statm, statm)) {
		r->scan = t->scan;
		return 0;
	}
	return look_again(t, r ? r : &fresh, statm, with_swap);
}

/* Those that the scan did not see have ended. The last row takes the place of one that goes. */
static void forget_ended(struct sp_ps_table *t)
{
	for (size_t i = 0; i < t->rows.nr;) {
		struct row *r = sp_vec_at(&t->rows, struct row, i);
		uint64_t *at;

		if (r->scan == t->scan) {
			i++;
			continue;
		}
		sp_u64map_remove(&t->by_pid, (uint64_t)r->ps.pid);
		*r = *sp_vec_at(&t->rows, struct row, --t->rows.nr);
		at = i < t->rows.nr ? sp_u64map_find(&t->by_pid, (uint64_t)r->ps.pid) : NULL;
		if (at)
			*at = i;
	}
}

int sp_ps_scan(struct sp_ps_table *t, bool with_swap, struct sp_why *why)
{
	int err = 0, fd = openat(t->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sp_autoclosedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		err = errno;
		if (fd >= 0)
			close(fd);
		return sp_why_set(why, SP_FAULT_OURS, err, "cannot list the processes: %s", strerror(err));
	}
	t->scan++;
	t->nr_refused = 0;
	for (struct dirent *e = readdir(dir); e && !err; e = readdir(dir)) {
		pid_t pid = sp_procfs_pid_of_name(e->d_name);

		if (pid)
			err = look(t, pid, with_swap);
	}
	forget_ended(t);
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "cannot list the processes: %s", strerror(-err)) : 0;
}

/* ---- more about one of them ---- */

const char *sp_ps_describe(const struct sp_ps_table *t, pid_t pid, char *buf, size_t size)
{
	char name[32];
	struct sp_stat st;

	buf[0] = '\0';
	snprintf(name, sizeof(name), "%d", (int)pid);
	sp_autoclose int dirfd = openat(t->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || sp_stat_read(dirfd, &st) < 0)
		return buf;
	return sp_proc_describe(dirfd, &st, buf, size);
}

bool sp_ps_pss(const struct sp_ps_table *t, pid_t pid, uint64_t *ret_bytes)
{
	static const struct sp_key keys[] = {{"Pss", 0}};
	char text[ROLLUP_SIZE];
	uint64_t bytes = 0;

	if (!read_of(t, pid, "smaps_rollup", text, sizeof(text)) || !sp_keyed_parse(text, keys, 1, &bytes))
		return false;
	*ret_bytes = bytes;
	return true;
}
