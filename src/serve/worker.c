// SPDX-License-Identifier: Apache-2.0
/*
 * A session whose views go to the server: a sample of every look, and a report when it is asked for one. The server's
 * questions come where a terminal's keys would.
 */
#include "serve/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "proc/system.h"
#include "report/report.h"
#include "serve/channel.h"
#include "serve/sample.h"

struct worker {
	const struct sp_worker_config *c;
	struct sp_session_options session;
	char pid[16];
	uint32_t wanted; /* a bit each enum sp_report_format */
	struct sp_proc *proc;
	struct sp_cgroups *cgroups;
	struct sp_leaks *leaks; /* NULL: nobody asked for scans */
};

/* A message that finds no room is one that the server is too slow for: the next one has newer numbers. */
static int send_message(struct worker *w, const struct sp_message *m, int fd)
{
	int err = sp_message_send(w->c->sock, m, fd);

	return err == -EPIPE || err == -ECONNRESET ? -EPIPE : 0;
}

static void say(struct worker *w, const char *text)
{
	char line[1200];

	snprintf(line, sizeof(line), "process %s: %s", w->pid, text);
	w->c->say(line, w->c->say_arg);
}

static void say_scan(const char *text, void *arg)
{
	say(arg, text);
}

/* ---- samples ---- */

static void add_surroundings(struct worker *w, struct sp_sample *s)
{
	unsigned cgroup = w->cgroups ? sp_cgroup_of(w->cgroups, w->c->pid) : SP_CGROUP_NONE;
	struct sp_cgroup_limit limit;
	struct rusage usage;

	if (w->proc)
		s->resident_bytes = sp_proc_rss_bytes(w->proc);
	if (cgroup != SP_CGROUP_NONE && sp_cgroup_limit_read(w->cgroups, cgroup, &limit)) {
		s->limit_bytes = limit.limit_bytes;
		s->limit_used_bytes = limit.used_bytes - limit.reclaimable_bytes;
	}
	if (!getrusage(RUSAGE_SELF, &usage))
		s->own_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

static void add_leaks(const struct sp_leaks *l, struct sp_sample *s)
{
	const struct sp_leaks_found *f = sp_leaks_found(l);

	s->scans = sp_leaks_nr_scans(l);
	s->has_leaked = f != NULL;
	if (!f)
		return;
	s->leaked_bytes = f->sum.sums[SP_FOUND_LEAKED].bytes + f->sum.sums[SP_FOUND_INDIRECT].bytes;
	s->leaked_blocks = f->sum.sums[SP_FOUND_LEAKED].blocks + f->sum.sums[SP_FOUND_INDIRECT].blocks;
	s->scan_pause_ns = f->sum.pause_ns;
}

static int send_file(struct worker *w, FILE *f, struct sp_message *m)
{
	long size = fflush(f) ? -1 : ftell(f);

	if (size < 0)
		return send_message(w, m, -1); /* no memory */
	m->size = (uint64_t)size;
	return send_message(w, m, fileno(f));
}

static int send_sample(struct worker *w, const struct sp_view *v)
{
	sp_autofree struct sp_sample *s = sp_sample_make(v, w->c->o->top, w->leaks ? sp_leaks_found(w->leaks) : NULL);
	sp_autofclose FILE *f = NULL;
	struct sp_message m = {.kind = SP_MESSAGE_SAMPLE};

	if (!s || sp_memory_file("seep-sample", &f) < 0)
		return 0;
	if (w->leaks)
		add_leaks(w->leaks, s);
	add_surroundings(w, s);
	(void)!fwrite(s, sp_sample_size(s->nr_paths), 1, f); /* a size that does not fit is refused at the other end */
	return send_file(w, f, &m);
}

/* ---- reports ---- */

static int send_report(struct worker *w, const struct sp_view *v, enum sp_report_format format)
{
	const struct sp_report_options o = {.show_list = false};
	struct sp_message m = {.kind = SP_MESSAGE_REPORT, .format = format};
	sp_autofclose FILE *f = NULL;

	if (sp_memory_file("seep-report", &f) < 0 || sp_report_writer(format)->write(f, v, &o) < 0)
		return send_message(w, &m, -1); /* without a file: it cannot be made */
	return send_file(w, f, &m);
}

static int send_reports(struct worker *w, const struct sp_view *v)
{
	int err = 0;

	for (uint32_t format = 0; format < 32 && w->wanted && !err; format++) {
		if (!(w->wanted & 1u << format))
			continue;
		w->wanted &= ~(1u << format);
		err = send_report(w, v, format);
	}
	return err;
}

static int on_report(const struct sp_view *v, void *arg)
{
	struct worker *w = arg;

	if (v->is_again)
		return send_reports(w, v);
	if (w->leaks && !v->is_last)
		(void)sp_leaks_look(w->leaks, v);
	return send_sample(w, v);
}

/* ---- the session's other words ---- */

static enum sp_screen_answer take_question(struct worker *w)
{
	uint8_t format;
	ssize_t got = recv(w->c->sock, &format, 1, MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return SP_SCREEN_END;
	if (got == 1 && (format == SP_REPORT_html || format == SP_REPORT_pprof))
		w->wanted |= 1u << format;
	return w->wanted ? SP_SCREEN_REDRAW : SP_SCREEN_GO_ON;
}

/* Ctrl-Z is for the server; we go on watching. */
static enum sp_screen_answer on_event(enum sp_screen_event e, void *arg)
{
	return e == SP_SCREEN_KEY ? take_question(arg) : SP_SCREEN_GO_ON;
}

static void on_notice(enum sp_notice n, pid_t pid, const char *text, void *arg)
{
	struct worker *w = arg;
	struct sp_message m = {.kind = n == SP_NOTICE_WATCHING ? SP_MESSAGE_WATCHING : SP_MESSAGE_ENDED};
	char line[1100];

	(void)pid;
	if (n == SP_NOTICE_TARGET)
		return;
	snprintf(line, sizeof(line), "%s%s", n == SP_NOTICE_WATCHING ? "watched, " : "", text);
	say(w, line);
	if (n != SP_NOTICE_INFO)
		(void)send_message(w, &m, -1);
}

/* ---- all of it ---- */

static void init(struct worker *w, const struct sp_worker_config *c)
{
	*w = (struct worker){.c = c, .session = c->o->session};
	snprintf(w->pid, sizeof(w->pid), "%d", (int)c->pid);
	w->session.target = w->pid;
	w->session.sort = SP_SORT_BYTES;
	w->session.top = 0;
	w->session.verdicts = true;
	w->session.list = c->o->scan_every_ns ? SP_LIST_ALL : SP_LIST_NONE;
	if (c->o->scan_every_ns)
		w->leaks = sp_leaks_new(w->pid, c->o->scan_every_ns, say_scan, w);
	/* what these tell is missing where they cannot be had */
	(void)!sp_proc_open(c->o->session.procfs, c->pid, &w->proc, NULL);
	(void)!sp_cgroups_open(c->o->session.procfs, &w->cgroups, NULL);
}

static void tell_failure(struct worker *w, int err, const struct sp_why *why)
{
	struct sp_message m = {.kind = SP_MESSAGE_FAILED};

	if (sp_why_is_set(why))
		snprintf(m.text, sizeof(m.text), "%s%s%s", why->what, why->hint[0] ? "; " : "", why->hint);
	else
		snprintf(m.text, sizeof(m.text), "%s", strerror(-err));
	(void)send_message(w, &m, -1);
}

_Noreturn void sp_worker_run(const struct sp_worker_config *c)
{
	struct worker w;
	struct sp_session_callbacks cb = {
	    .report = on_report, .notice = on_notice, .event = on_event, .key_fd = c->sock, .arg = &w};
	struct sp_why why = {0};
	int child_status;

	init(&w, c);
	int err = sp_session_run(&w.session, &cb, &child_status, &why);
	if (err && err != -EPIPE)
		tell_failure(&w, err, &why);
	sp_leaks_free(w.leaks);
	sp_cgroups_close(w.cgroups);
	sp_proc_close(w.proc);
	_exit(err != 0); /* what the server keeps in its buffers is not ours to write */
}
