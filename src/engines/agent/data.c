// SPDX-License-Identifier: Apache-2.0
/*
 * The data region: a memfd that the target makes, that we open, size and seal, and that the target maps.
 *
 * Sealed against resizing, so no access of ours to it can fail; holes are never touched through a mapping, because
 * that would fill them. The target may write what it likes, so what is read is copied first and then checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engines/agent/impl.h"

int sp_agent_data_read(const struct sp_agent_data *d, uint64_t offset, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(d->fd, (char *)buf + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

ssize_t sp_agent_data_next(const struct sp_agent_data *d, uint64_t *offset, uint64_t end, void *buf, size_t size)
{
	off_t from = lseek(d->fd, (off_t)*offset, SEEK_DATA), to;

	if (from < 0)
		return errno == ENXIO ? 0 : -errno;
	if ((uint64_t)from >= end)
		return 0;
	to = lseek(d->fd, from, SEEK_HOLE);
	if (to < 0)
		return -errno;
	uint64_t len = ((uint64_t)to < end ? (uint64_t)to : end) - (uint64_t)from;
	if (len > size)
		len = size;
	int err = sp_agent_data_read(d, (uint64_t)from, buf, len);
	if (err)
		return err;
	*offset = (uint64_t)from;
	return (ssize_t)len;
}

uint64_t sp_agent_data_used(const struct sp_agent_data *d)
{
	struct stat st;

	return d->fd < 0 || fstat(d->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

struct sp_watch_shared sp_agent_data_shared(const struct sp_agent_data *d)
{
	char *front = d->front;

	return (struct sp_watch_shared){
	    .gen = &d->header->gen,
	    .nr_ranges = d->header->nr_ranges,
	    .ranges = (void *)(front + d->offsets[SP_AGENT_RANGES]),
	    .rows = (void *)(front + d->offsets[SP_AGENT_ROWS]),
	    .row_cache = (void *)(front + d->offsets[SP_AGENT_ROW_CACHE]),
	    .cache_bytes = 8ull << SP_AGENT_ROW_CACHE_BITS,
	    .cache_gens = SP_AGENT_ROW_CACHE_GENS,
	};
}

/* ---- our side ---- */

static int map_piece(const struct sp_agent_data *d, uint64_t offset, uint64_t bytes, void **ret)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static uint64_t area_bytes(const struct sp_agent_data *d, enum sp_agent_area area)
{
	return sp_agent_area_bytes(&d->limits, area);
}

static int map_all(struct sp_agent_data *d)
{
	int err = map_piece(d, 0, d->offsets[SP_AGENT_NODES], &d->front);

	if (!err)
		err = map_piece(d, d->offsets[SP_AGENT_RING], area_bytes(d, SP_AGENT_RING), &d->ring_map);
	if (!err)
		err = map_piece(d, d->offsets[SP_AGENT_THREAD_KEYS], area_bytes(d, SP_AGENT_THREAD_KEYS), &d->keys_map);
	if (err)
		return err;
	d->header = d->front;
	d->ring = d->ring_map;
	d->thread_keys = d->keys_map;
	return 0;
}

int sp_agent_data_open(struct sp_agent_data *d, int fd, const struct sp_agent_limits *limits, bool is_made_beforehand)
{
	*d = (struct sp_agent_data){.fd = fd, .limits = *limits};
	d->bytes = sp_agent_layout(limits, d->offsets);
	if (ftruncate(fd, (off_t)d->bytes) || (is_made_beforehand && fallocate(fd, 0, 0, (off_t)d->bytes)) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	int err = map_all(d);
	if (!err)
		sp_agent_header_begin(d->header, limits);
	return err;
}

void sp_agent_data_done(struct sp_agent_data *d)
{
	if (d->front)
		munmap(d->front, d->offsets[SP_AGENT_NODES]);
	if (d->ring_map)
		munmap(d->ring_map, area_bytes(d, SP_AGENT_RING));
	if (d->keys_map)
		munmap(d->keys_map, area_bytes(d, SP_AGENT_THREAD_KEYS));
	/* What it holds goes with the target's mapping; until then its header says whose it is. */
	if (d->fd >= 0)
		close(d->fd);
	*d = SP_AGENT_DATA_EMPTY;
}

/* ---- in the target ---- */

static int refused(const char *what, int64_t err, struct sp_why *why)
{
	return sp_why_set(why, SP_FAULT_TARGET, (int)-err, "the target may not %s: %s", what, strerror((int)-err));
}

static int make_memfd(struct sp_inject *in, int *ret, struct sp_why *why)
{
	char name[SP_INJECT_MEMFD_NAME] = "";
	sp_raddr scratch;
	int err = sp_inject_scratch(in, &scratch, why);

	sp_inject_memfd_name(in, name);
	if (!err)
		err = sp_inject_write(in, scratch, name, sizeof(name));
	if (err)
		return err;
	struct sp_inject_call call = {.nr = SYS_memfd_create, .args = {scratch.v, MFD_CLOEXEC | MFD_ALLOW_SEALING}};
	err = sp_inject_calls(in, &call, 1, why);
	if (err)
		return err;
	if (call.ret < 0)
		return refused("make a memfd", call.ret, why);
	*ret = (int)call.ret;
	return 0;
}

/* The target's descriptor as one of ours; only if it is what we had it made. */
static int take_memfd(struct sp_proc *p, int theirs, int *ret)
{
	char name[32], link[128] = "";

	snprintf(name, sizeof(name), "fd/%d", theirs);
	int fd = openat(sp_proc_dirfd(p), name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(name, link, sizeof(link) - 1);
	if (len < 0 || !sp_inject_is_memfd(link)) {
		close(fd);
		return -ESTALE; /* another thread of the target has closed it meanwhile */
	}
	*ret = fd;
	return 0;
}

/* Maps it and closes the target's descriptor, whatever comes of it. */
static int map_there(struct sp_agent_data *d, struct sp_inject *in, int theirs, bool maps, struct sp_why *why)
{
	struct sp_inject_call calls[] = {
	    {.nr = SYS_mmap,
	     .args = {0, d->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, (uint64_t)theirs, 0}},
	    {.nr = SYS_close, .args = {(uint64_t)theirs}},
	};
	int err = maps ? sp_inject_calls(in, calls, 2, why) : sp_inject_calls(in, calls + 1, 1, NULL);

	if (err || !maps)
		return err;
	if (calls[0].ret < 0 && calls[0].ret > -4096)
		return refused("map memory for the agent's tables", calls[0].ret, why);
	d->addr = (uint64_t)calls[0].ret;
	struct sp_inject_call advise = {.nr = SYS_madvise, .args = {d->addr, d->bytes, MADV_DONTDUMP}};
	return sp_inject_calls(in, &advise, 1, why); /* its answer does not matter */
}

/* Is that mapping of the target really our memory? */
static int check_there(const struct sp_agent_data *d, struct sp_proc *p, struct sp_why *why)
{
	struct sp_maps maps = {0};
	struct stat st;
	int err = fstat(d->fd, &st) ? -errno : sp_proc_maps(p, &maps, why);

	if (err)
		return err;
	const struct sp_mapping *m = sp_maps_find(&maps, d->addr);
	if (!m || m->inode != st.st_ino || m->start != d->addr)
		err = sp_why_set(why, SP_FAULT_TARGET, ESTALE, "the target has taken the agent's memory away");
	sp_maps_done(&maps);
	return err;
}

static void sign(struct sp_agent_header *h, const struct sp_inject *in)
{
	struct sp_inject_mark m;

	sp_inject_mark_fill(in, SP_INJECT_CODE, 0, 0, &m);
	h->watcher_pid = m.owner_pid;
	h->watcher_start = m.owner_start;
	h->watcher_pid_ns = m.owner_pid_ns;
}

int sp_agent_data_make(struct sp_agent_data *d, struct sp_inject *in, struct sp_proc *p,
		       const struct sp_agent_limits *limits, bool is_made_beforehand, struct sp_why *why)
{
	int theirs = -1, ours = -1;
	int err = make_memfd(in, &theirs, why);

	if (err)
		return err;
	err = take_memfd(p, theirs, &ours);
	if (!err)
		err = sp_agent_data_open(d, ours, limits, is_made_beforehand);
	if (!err)
		sign(d->header, in); /* before it is mapped there: the guard takes out what is signed */
	if (err) {
		(void)map_there(d, in, theirs, false, NULL);
		return sp_why_set(why, SP_FAULT_OURS, -err, "cannot make the agent's tables: %s", strerror(-err));
	}
	err = map_there(d, in, theirs, true, why);
	return err ? err : check_there(d, p, why);
}
