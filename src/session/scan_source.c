// SPDX-License-Identifier: Apache-2.0
/*
 * A process as a source of heap/.
 *
 * The kernel does not copy page tables of shared mappings into a child, so a snapshot's pagemap knows nothing of them:
 * for those the process itself is asked, as for what it keeps out of its children (kept_out.h). Pages of a file in a
 * private mapping are as they are in the file and cannot hold a pointer to a block.
 */
#include "session/scan_source.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

enum { MAX_THREADS = 1 << 16, MAX_WORDS = 1 << 25 };

/* ---- reading ---- */

static ssize_t read_snapshot(void *arg, uint64_t addr, void *buf, size_t len)
{
	struct sp_scan_source *s = arg;
	const struct sp_mapping *m = sp_kept_out_find(&s->kept_out, addr);

	if (!m)
		return sp_inject_snapshot_read(s->snapshot, (sp_raddr){addr}, buf, len);
	return sp_proc_read_mem(s->proc, (sp_raddr){addr}, buf, len < m->end - addr ? len : (size_t)(m->end - addr));
}

static ssize_t read_live(void *arg, uint64_t addr, void *buf, size_t len)
{
	struct sp_scan_source *s = arg;

	return sp_proc_read_mem(s->proc, (sp_raddr){addr}, buf, len);
}

static enum sp_heap_pages pages(void *arg, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	struct sp_scan_source *s = arg;
	const struct sp_mapping *m = sp_maps_find(&s->maps, addr);
	bool is_shared = m && (m->prot & SP_PROT_SHARED);
	bool is_running = is_shared || sp_kept_out_find(&s->kept_out, addr);

	if (m && end > m->end)
		end = m->end;
	switch (sp_pagemap_run(is_running ? &s->running : &s->own, addr, end, ret_end)) {
	case SP_PAGE_NONE:
		return m && m->inode && !is_shared ? SP_HEAP_PAGES_FILE : SP_HEAP_PAGES_EMPTY;
	case SP_PAGE_FILE:
		return is_shared ? SP_HEAP_PAGES_RESIDENT : SP_HEAP_PAGES_FILE;
	case SP_PAGE_SWAPPED:
		return SP_HEAP_PAGES_AWAY;
	case SP_PAGE_OWN:
		break;
	}
	return SP_HEAP_PAGES_RESIDENT;
}

/* ---- threads ---- */

/* As the target's own namespace numbers it: the last of the numbers, "NSpid: 4711 12". */
static pid_t inner_tid(struct sp_proc *p, pid_t tid)
{
	char text[128];

	if (!sp_proc_tid_status(p, tid, "NSpid", text, sizeof(text)))
		return tid;
	char *last = strrchr(text, '\t');
	return (pid_t)strtol(last ? last + 1 : text, NULL, 10);
}

static int add_thread(struct sp_scan_source *s, const struct sp_inject_thread *t)
{
	struct sp_heap_thread thread = {.tid = t->tid, .sp = t->sp, .fs = t->fs_base, .first = s->words.nr};
	struct sp_scan_thread more = {.tid = t->tid, .pc = t->pc, .bp = t->bp};
	int rc = sp_vec_push(&s->more, &more);

	for (size_t i = 0; i < SP_ARRAY_SIZE(t->gpr) && rc == 0; i++)
		rc = sp_vec_push(&s->words, &t->gpr[i]);
	for (unsigned i = 0; i < t->nr_vector && i < SP_INJECT_MAX_VECTOR && rc == 0; i++)
		rc = sp_vec_push(&s->words, &t->vector[i]);
	thread.nr = s->words.nr - thread.first;
	return rc == 0 ? sp_vec_push(&s->threads, &thread) : rc;
}

static int add_threads(struct sp_scan_source *s, const struct sp_inject_threads *threads)
{
	int rc = 0;

	for (size_t i = 0; i < threads->nr && rc == 0; i++)
		rc = add_thread(s, &threads->list[i]);
	return rc;
}

/* After the target has been let go: this takes a file a thread. */
static void renumber(struct sp_scan_source *s)
{
	for (size_t i = 0; i < s->threads.nr; i++) {
		struct sp_heap_thread *t = sp_vec_at(&s->threads, struct sp_heap_thread, i);
		t->tid = inner_tid(s->proc, t->tid);
	}
}

/* ---- opening ---- */

static int open_snapshot(struct sp_scan_source *s, struct sp_inject *in, struct sp_why *why)
{
	int rc = sp_inject_snapshot_take(in, &s->snapshot, why);

	if (rc < 0)
		return rc;
	s->heap.read = read_snapshot;
	s->pause_ns = sp_inject_snapshot_pause(s->snapshot)->max_ns;
	s->taken_ns = sp_clock_ns();
	rc = add_threads(s, sp_inject_snapshot_threads(s->snapshot));
	if (rc == 0)
		rc = sp_maps_read(sp_inject_snapshot_dirfd(s->snapshot), &s->maps);
	if (rc == 0)
		rc = sp_kept_out_add(s->proc, sp_inject_own_page(in).v, &s->maps, &s->kept_out);
	return rc == 0 ? sp_pagemap_open(sp_inject_snapshot_dirfd(s->snapshot), &s->own) : rc;
}

static int open_live(struct sp_scan_source *s, struct sp_inject *in, struct sp_why *why)
{
	struct sp_inject_threads threads = {0};
	struct sp_inject_pause pause = {0};
	int rc = sp_inject_threads(in, &threads, &pause, why);

	if (rc < 0)
		return rc;
	s->heap.is_live = true;
	s->heap.read = read_live;
	s->pause_ns = pause.max_ns;
	s->taken_ns = sp_clock_ns();
	rc = add_threads(s, &threads);
	sp_inject_threads_done(&threads);
	if (rc == 0)
		rc = sp_proc_maps(s->proc, &s->maps, why);
	return rc == 0 ? sp_pagemap_open(sp_proc_dirfd(s->proc), &s->own) : rc;
}

/* The tables of an engine inside the target hold the address of every block: no roots. */
static void leave_out_ours(struct sp_maps *maps)
{
	size_t kept = 0;

	for (size_t i = 0; i < maps->nr; i++)
		if (!(maps->list[i].prot & SP_PROT_SHARED) || !sp_inject_is_memfd(maps->list[i].path))
			maps->list[kept++] = maps->list[i];
	maps->nr = kept;
}

static int finish(struct sp_scan_source *s)
{
	int rc = sp_pagemap_open(sp_proc_dirfd(s->proc), &s->running);

	if (rc == 0)
		rc = sp_proc_kept_words(s->proc, &s->words);
	if (rc < 0)
		return rc;
	renumber(s);
	leave_out_ours(&s->maps);
	s->heap.pages = pages;
	s->heap.maps = &s->maps;
	s->heap.threads = s->threads.data;
	s->heap.nr_threads = s->threads.nr;
	s->heap.words = s->words.data;
	s->heap.nr_words = s->words.nr;
	s->heap.arg = s;
	return 0;
}

int sp_scan_source_open(struct sp_proc *p, struct sp_inject *in, bool live, struct sp_scan_source *ret,
			struct sp_why *ret_racy_why, struct sp_why *why)
{
	struct sp_scan_source *s = ret;
	int rc = -1;

	*s = (struct sp_scan_source){.proc = p, .own.fd = -1, .running.fd = -1};
	sp_vec_init(&s->threads, sizeof(struct sp_heap_thread), MAX_THREADS);
	sp_vec_init(&s->more, sizeof(struct sp_scan_thread), MAX_THREADS);
	sp_vec_init(&s->words, sizeof(uint64_t), MAX_WORDS);
	if (!live)
		rc = open_snapshot(s, in, ret_racy_why);
	if (rc < 0 && !s->snapshot)
		rc = open_live(s, in, why);
	if (rc == 0)
		rc = finish(s);
	if (rc < 0) {
		(void)sp_why_set(why, SP_FAULT_OURS, -rc, "cannot look at the memory of %d: %s", (int)sp_proc_pid(p),
				 strerror(-rc));
		sp_scan_source_close(s);
	}
	return rc;
}

void sp_scan_source_release(struct sp_scan_source *s)
{
	sp_inject_snapshot_release(s->snapshot);
	s->snapshot = NULL;
	sp_pagemap_close(&s->own);
	sp_pagemap_close(&s->running);
}

void sp_scan_source_close(struct sp_scan_source *s)
{
	sp_scan_source_release(s);
	sp_maps_done(&s->maps);
	sp_kept_out_done(&s->kept_out);
	sp_vec_done(&s->threads);
	sp_vec_done(&s->more);
	sp_vec_done(&s->words);
}
