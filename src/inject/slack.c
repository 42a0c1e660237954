// SPDX-License-Identifier: Apache-2.0
/*
 * Where a stub may lie for a moment: behind an executable segment's last byte, up to the end of its last page.
 *
 *   file:     ... segment | next segment or nothing ...
 *   memory:   ... segment | the same bytes of the file, mapped only because pages are whole |  end of the mapping
 *                         `---- slack: executable, used by nobody ----'
 *
 * It needs no call to get (making memory is what the first call is for), is there in every program, static ones too,
 * and a write through /proc/PID/mem makes the page the target's own copy. The file's bytes go back when the thread has
 * left.
 */
#include "inject/impl.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

enum { PAGE_BYTES = 4096, SLACK_MIN = 512 };

/* The mapping of this file that has the byte in front of `end`, and slack behind it. */
static bool slack_of(const struct sp_maps *maps, const struct sp_module *m, uint64_t end, struct sp_slack *ret)
{
	for (size_t i = m->mapping; i < maps->nr && maps->list[i].start < m->end; i++) {
		const struct sp_mapping *map = &maps->list[i];
		uint64_t len = map->end - map->start;
		if (!(map->prot & SP_PROT_X) || (map->prot & (SP_PROT_W | SP_PROT_SHARED)) || !map->inode)
			continue;
		if (end <= map->offset || end - map->offset >= len || len - (end - map->offset) >= PAGE_BYTES)
			continue;
		ret->addr = (map->start + (end - map->offset) + 15) & ~15ull;
		ret->bytes = map->end > ret->addr ? map->end - ret->addr : 0;
		return true;
	}
	return false;
}

/* The file's bytes there; behind its end a page has zeros. */
static int read_file(const struct sp_elf *e, uint64_t offset, struct sp_slack *s)
{
	size_t want = s->bytes < sizeof(s->file) ? s->bytes : sizeof(s->file);

	s->bytes = want;
	memset(s->file, 0, sizeof(s->file));
	ssize_t n = sp_elf_read(e, offset, s->file, want);
	return n < 0 ? (int)n : 0;
}

/*
 * A larger place in this module than *best, with what the file has there. *ret_is_taken: in another one somebody has
 * put something.
 */
static void look_at(struct sp_inject *in, const struct sp_maps *maps, const struct sp_module *m, struct sp_slack *best,
		    bool *ret_is_taken)
{
	uint8_t now[sizeof(best->file)];
	struct sp_elf *e;
	uint64_t end;

	int fd = sp_proc_open_mapping(in->p, &maps->list[m->mapping], NULL);
	if (fd < 0 || sp_elf_open(fd, m->path, &e, NULL) < 0)
		return;
	for (size_t nr = 0; sp_elf_exec_end(e, nr, &end) == 0; nr++) {
		struct sp_slack s = {};
		if (!slack_of(maps, m, end, &s) || s.bytes <= best->bytes || s.bytes < SLACK_MIN)
			continue;
		const struct sp_mapping *map = sp_maps_find(maps, s.addr);
		if (!map || read_file(e, map->offset + (s.addr - map->start), &s) < 0)
			continue;
		if (sp_inject_read(in, s.addr, now, s.bytes) < 0)
			continue;
		if (!memcmp(now, s.file, s.bytes))
			*best = s;
		else
			*ret_is_taken = true;
	}
	sp_elf_close(e);
}

static int refuse(struct sp_inject *in, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_TARGET, ENOSPC,
			    "cannot enter process %d: none of its files leaves room behind its code", (int)in->pid);

	sp_why_hint(why, "watch it from outside: --engine bpf");
	return rc;
}

/* -ENOSPC: there is none, or (*ret_is_taken) none now. */
static int find(struct sp_inject *in, bool *ret_is_taken, struct sp_why *why)
{
	struct sp_modules modules;
	struct sp_maps maps;

	int rc = sp_proc_maps(in->p, &maps, why);
	if (rc < 0)
		return rc;
	rc = sp_proc_modules(in->p, &maps, &modules);
	if (rc < 0) {
		sp_maps_done(&maps);
		return sp_inject_no_memory(why);
	}
	for (size_t i = 0; i < modules.nr && in->slack.bytes < sizeof(in->slack.file); i++)
		if (!modules.list[i].is_vdso)
			look_at(in, &maps, &modules.list[i], &in->slack, ret_is_taken);
	sp_modules_done(&modules);
	sp_maps_done(&maps);
	return in->slack.addr ? 0 : -ENOSPC;
}

static int put_back(struct sp_inject *in)
{
	int rc = sp_inject_write(in, (sp_raddr){in->slack.addr}, in->slack.file, in->slack.bytes);

	if (rc == 0) {
		in->slack.is_used = false;
		sp_inject_fault_point(SP_FAULT_POINT_SLACK);
	}
	return rc;
}

/* One try: the thread that was sent there stands still outside, and returns there from no signal handler. */
static int try_restore(struct sp_inject *in, void *arg)
{
	const struct sp_maps *maps = arg;
	const struct sp_inject_range range = {.addr = {in->slack.addr}, .bytes = in->slack.bytes};
	struct sp_task task = {.tid = in->slack.tid};
	uint64_t deadline = sp_inject_now_ns() + in->opts.max_pause_ns;
	bool is_inside = false;

	int rc = sp_task_stop(in, &task, deadline);
	if (rc == -ESRCH || task.is_gone)
		return put_back(in);
	if (rc == 0)
		rc = sp_inside_find_one(in, &task, maps, &range, deadline, &is_inside);
	if (rc == 0)
		rc = is_inside ? -EAGAIN : put_back(in);
	sp_task_resume(in, &task);
	return rc;
}

int sp_slack_restore(struct sp_inject *in)
{
	enum { TRIES = 50, WAIT_NS = 200000 };
	struct sp_maps maps;

	int rc = sp_proc_maps(in->p, &maps, NULL);
	if (rc < 0)
		return rc;
	rc = -EAGAIN;
	for (int i = 0; i < TRIES && rc == -EAGAIN && in->slack.is_used; i++) {
		if (i)
			sp_inject_sleep_ns(WAIT_NS);
		rc = sp_inject_session(in, try_restore, &maps);
	}
	sp_maps_done(&maps);
	return in->slack.is_used ? rc : 0;
}

/* A run that was killed in the middle may have left its stub where ours was before. */
static bool is_as_in_file(struct sp_inject *in)
{
	uint8_t now[sizeof(in->slack.file)];

	return in->slack.addr && sp_inject_read(in, in->slack.addr, now, in->slack.bytes) == 0 &&
	       !memcmp(now, in->slack.file, in->slack.bytes);
}

int sp_slack_need(struct sp_inject *in, struct sp_why *why)
{
	enum { TRIES = 100, BETWEEN_NS = 20000000 };
	int rc = in->slack.is_used ? sp_slack_restore(in) : 0;

	if (rc < 0 || is_as_in_file(in))
		return rc;
	in->slack = (struct sp_slack){};
	bool is_taken = false;
	rc = find(in, &is_taken, why);
	for (int i = 0; i < TRIES && rc == -ENOSPC && is_taken; i++) {
		rc = sp_inject_turn_pass(in, BETWEEN_NS); /* to the guard of that run */
		if (rc == 0)
			rc = find(in, &is_taken, why);
	}
	return rc == -ENOSPC ? refuse(in, why) : rc;
}
