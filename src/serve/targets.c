// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a target: found, waiting for a child, watched, perhaps failed and tried again later, gone. It goes when
 * its process has: by what its child says, or, where it has none, by a look at /proc.
 */
#include "serve/targets.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "serve/channel.h"
#include "serve/child.h"
#include "serve/discover.h"

#define NS_PER_S   1000000000ull
#define LOOK_NS    (2 * NS_PER_S) /* between two searches for new processes */
#define RETRY_NS   (2 * NS_PER_S) /* after the first failure; twice as long after each other one, up to */
#define RETRY_MAX  (60 * NS_PER_S)
#define FRESH_NS   NS_PER_S       /* a report is as good as new; so many clients cost no more than one */
#define AGAIN_NS   (5 * NS_PER_S) /* an answer may have found no room on its way: asked again after this */
#define MAX_STARTS 2              /* children that are attaching at a time: it takes CPU time and memory */
#define MAX_REPORT ((uint64_t)1 << 30)

enum state { WAITING, STARTING, WATCHED, FAILED, GONE };

struct reply {
	int fd; /* -1: none; with made_ns: it could not be made */
	uint64_t size, made_ns;
	uint64_t asked_ns; /* 0: nobody has */
};

struct target {
	pid_t pid;
	uint64_t start_time;
	char comm[64];
	enum state state;
	pid_t child; /* 0: none */
	int sock;    /* -1: none */
	uint64_t failures, in_a_row, retry_ns;
	char reason[512]; /* of the last failure */
	struct sp_sample *sample;
	struct reply html, pprof;
};

struct sp_targets {
	const struct sp_serve_options *o;
	sp_serve_say_fn say;
	void *say_arg;
	struct sp_discover *discover;
	uint64_t look_ns; /* when to look next */
	struct target list[SP_SERVE_MAX_TARGETS];
	size_t nr;
	uint64_t nr_refused, nr_refused_before; /* of the last look, of the one before */
};

static sp_printf(3, 4) void say(struct sp_targets *ts, const struct target *t, const char *fmt, ...)
{
	char text[700], line[800];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(line, sizeof(line), "process %d: %s", (int)t->pid, text);
	ts->say(line, ts->say_arg);
}

/* ---- coming ---- */

static bool is_known(const struct sp_targets *ts, const struct sp_found *f)
{
	for (size_t i = 0; i < ts->nr; i++)
		if ((ts->list[i].pid == f->pid && ts->list[i].start_time == f->start_time) ||
		    ts->list[i].child == f->pid)
			return true;
	return f->pid == getpid();
}

static void add(const struct sp_found *f, void *arg)
{
	struct sp_targets *ts = arg;

	if (is_known(ts, f))
		return;
	if (ts->nr == ts->o->max_targets) {
		ts->nr_refused++;
		return;
	}
	struct target *t = &ts->list[ts->nr++];
	*t = (struct target){.pid = f->pid, .start_time = f->start_time, .sock = -1, .html.fd = -1, .pprof.fd = -1};
	sp_proc_comm_of(ts->o->session.procfs, t->pid, t->comm, sizeof(t->comm));
}

static void look(struct sp_targets *ts)
{
	char text[160];

	ts->nr_refused = 0;
	sp_discover_look(ts->discover, add, ts);
	if (ts->nr_refused > ts->nr_refused_before) {
		snprintf(text, sizeof(text), "%llu more processes are not watched: --max-targets is %u",
			 (unsigned long long)ts->nr_refused, ts->o->max_targets);
		ts->say(text, ts->say_arg);
	}
	ts->nr_refused_before = ts->nr_refused;
}

static int add_pids(struct sp_targets *ts, struct sp_why *why)
{
	const struct sp_serve_options *o = ts->o;

	for (size_t i = 0; i < o->nr_words; i++) {
		struct sp_found f;

		if (!sp_discover_is_pid(o->words[i], &f.pid))
			continue;
		f.start_time = sp_proc_start_time_of(o->session.procfs, f.pid);
		if (!f.start_time)
			return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "no process has the pid %s", o->words[i]);
		add(&f, ts);
	}
	if (ts->nr_refused)
		return sp_why_set(why, SP_FAULT_USAGE, ENOSPC, "more processes are named than --max-targets %u allows",
				  o->max_targets);
	return 0;
}

int sp_targets_new(const struct sp_serve_options *o, sp_serve_say_fn say_fn, void *arg, struct sp_targets **ret,
		   struct sp_why *why)
{
	struct sp_targets *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory");
	*ts = (struct sp_targets){.o = o, .say = say_fn, .say_arg = arg};
	int err = sp_discover_new(o, &ts->discover, why);
	if (!err)
		err = add_pids(ts, why);
	if (err)
		sp_targets_free(ts);
	else
		*ret = ts;
	return err;
}

/* ---- going ---- */

static void forget_reply(struct reply *r)
{
	if (r->fd >= 0)
		close(r->fd);
	*r = (struct reply){.fd = -1};
}

/* What its child said does not hold any more. */
static void forget(struct target *t)
{
	if (t->sock >= 0)
		close(t->sock);
	t->sock = -1;
	free(t->sample);
	t->sample = NULL;
	forget_reply(&t->html);
	forget_reply(&t->pprof);
}

void sp_targets_free(struct sp_targets *ts)
{
	pid_t children[SP_SERVE_MAX_TARGETS];
	size_t nr = 0;

	if (!ts)
		return;
	for (size_t i = 0; i < ts->nr; i++) {
		forget(&ts->list[i]); /* the socket's end is the child's, too */
		if (ts->list[i].child)
			children[nr++] = ts->list[i].child;
	}
	sp_child_wait_all(children, nr);
	sp_discover_free(ts->discover);
	free(ts);
}

static void remove_gone(struct sp_targets *ts)
{
	size_t kept = 0;

	for (size_t i = 0; i < ts->nr; i++)
		if (ts->list[i].state == GONE && !ts->list[i].child)
			forget(&ts->list[i]);
		else
			ts->list[kept++] = ts->list[i];
	ts->nr = kept;
}

bool sp_targets_are_over(const struct sp_targets *ts)
{
	return !ts->discover && !ts->nr;
}

/* ---- children ---- */

static void fail(struct sp_targets *ts, struct target *t, const char *reason)
{
	uint64_t wait_ns = RETRY_NS << (t->in_a_row < 6 ? t->in_a_row : 6);

	wait_ns = wait_ns < RETRY_MAX ? wait_ns : RETRY_MAX;
	t->state = FAILED;
	t->failures++;
	t->in_a_row++;
	t->retry_ns = sp_clock_ns() + wait_ns;
	sp_text_printable(t->reason, sizeof(t->reason), reason);
	say(ts, t, "not watched: %s; next try in %llus", t->reason, (unsigned long long)(wait_ns / NS_PER_S));
}

static void start(struct sp_targets *ts, struct target *t)
{
	struct sp_worker_config c = {.o = ts->o, .pid = t->pid, .say = ts->say, .say_arg = ts->say_arg};
	int err = sp_child_start(&c, &t->child, &t->sock);

	if (err)
		fail(ts, t, strerror(-err));
	else
		t->state = STARTING;
}

static bool is_due(const struct target *t, uint64_t now_ns)
{
	return !t->child && (t->state == WAITING || (t->state == FAILED && now_ns >= t->retry_ns));
}

static bool is_there(const struct sp_targets *ts, const struct target *t)
{
	return sp_proc_start_time_of(ts->o->session.procfs, t->pid) == t->start_time;
}

void sp_targets_tick(struct sp_targets *ts)
{
	uint64_t now_ns = sp_clock_ns();
	unsigned nr_starting = 0;

	if (now_ns >= ts->look_ns) {
		look(ts);
		ts->look_ns = now_ns + LOOK_NS;
	}
	for (size_t i = 0; i < ts->nr; i++) {
		if (!ts->list[i].child && !is_there(ts, &ts->list[i]))
			ts->list[i].state = GONE;
		nr_starting += ts->list[i].state == STARTING;
	}
	remove_gone(ts);
	for (size_t i = 0; i < ts->nr && nr_starting < MAX_STARTS; i++) {
		if (!is_due(&ts->list[i], now_ns))
			continue;
		start(ts, &ts->list[i]);
		nr_starting++;
	}
}

static struct target *find_child(struct sp_targets *ts, pid_t child)
{
	for (size_t i = 0; i < ts->nr; i++)
		if (ts->list[i].child == child)
			return &ts->list[i];
	return NULL;
}

static void take_message(struct sp_targets *ts, struct target *t, const struct sp_message *m, int fd);

static void take_messages(struct sp_targets *ts, struct target *t)
{
	struct sp_message m;
	int fd, r;

	while (t->sock >= 0 && (r = sp_message_receive(t->sock, &m, &fd)) != -EAGAIN) {
		if (r == 0) {
			close(t->sock);
			t->sock = -1;
			return;
		}
		take_message(ts, t, &m, fd);
	}
}

/* A child that has said nothing of its end has died. */
static void bury(struct sp_targets *ts, struct target *t, int status)
{
	char reason[128];

	take_messages(ts, t); /* its last words */
	t->child = 0;
	if (t->state == STARTING || t->state == WATCHED) {
		if (WIFSIGNALED(status))
			snprintf(reason, sizeof(reason), "who watched it was killed by signal %d", WTERMSIG(status));
		else
			snprintf(reason, sizeof(reason), "who watched it ended with status %d", WEXITSTATUS(status));
		fail(ts, t, reason);
	}
	forget(t);
}

void sp_targets_reap(struct sp_targets *ts)
{
	for (size_t i = 0; i < ts->nr; i++) {
		pid_t child = ts->list[i].child;
		int status;

		if (child && waitpid(child, &status, WNOHANG) == child)
			bury(ts, find_child(ts, child), status);
	}
	remove_gone(ts);
}

/* ---- what children say ---- */

static void take_sample(struct target *t, int fd, uint64_t size)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != size || size > sp_sample_size(SP_SERVE_MAX_PATHS) ||
	    size < sizeof(struct sp_sample))
		return;
	struct sp_sample *s = malloc(size);
	if (s && pread(fd, s, size, 0) == (ssize_t)size && sp_sample_is_good(s, size)) {
		free(t->sample);
		t->sample = sp_take_ptr(s);
		snprintf(t->comm, sizeof(t->comm), "%s", t->sample->comm);
	}
	free(s);
}

static struct reply *reply_of(struct target *t, unsigned format)
{
	return format == SP_REPORT_html ? &t->html : &t->pprof;
}

static void take_report(struct target *t, const struct sp_message *m, int *fd)
{
	struct reply *r = reply_of(t, m->format);
	struct stat st;

	forget_reply(r);
	r->made_ns = sp_clock_ns();
	if (*fd < 0 || fstat(*fd, &st) < 0 || (uint64_t)st.st_size != m->size || m->size > MAX_REPORT)
		return;
	r->fd = sp_take_fd(*fd);
	r->size = m->size;
}

static void take_message(struct sp_targets *ts, struct target *t, const struct sp_message *m, int fd)
{
	switch (m->kind) {
	case SP_MESSAGE_WATCHING:
		t->state = WATCHED;
		t->in_a_row = 0;
		break;
	case SP_MESSAGE_SAMPLE:
		take_sample(t, fd, m->size);
		break;
	case SP_MESSAGE_REPORT:
		take_report(t, m, &fd);
		break;
	case SP_MESSAGE_ENDED:
		t->state = GONE;
		break;
	case SP_MESSAGE_FAILED:
		fail(ts, t, m->text);
		break;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
}

size_t sp_targets_fds(const struct sp_targets *ts, struct pollfd *ret)
{
	size_t nr = 0;

	for (size_t i = 0; i < ts->nr; i++)
		if (ts->list[i].sock >= 0)
			ret[nr++] = (struct pollfd){.fd = ts->list[i].sock, .events = POLLIN};
	return nr;
}

void sp_targets_take(struct sp_targets *ts)
{
	for (size_t i = 0; i < ts->nr; i++)
		take_messages(ts, &ts->list[i]);
}

/* ---- what others ask ---- */

size_t sp_targets_list(const struct sp_targets *ts, struct sp_metrics_target *ret)
{
	for (size_t i = 0; i < ts->nr; i++) {
		const struct target *t = &ts->list[i];

		ret[i] = (struct sp_metrics_target){.pid = t->pid,
						    .comm = t->comm,
						    .is_up = t->state == WATCHED,
						    .reason = t->state == FAILED ? t->reason : NULL,
						    .failures = t->failures,
						    .sample = t->sample};
	}
	return ts->nr;
}

uint64_t sp_targets_nr_refused(const struct sp_targets *ts)
{
	return ts->nr_refused;
}

static struct target *find(struct sp_targets *ts, pid_t pid)
{
	for (size_t i = 0; i < ts->nr; i++)
		if (ts->list[i].pid == pid && ts->list[i].state != GONE)
			return &ts->list[i];
	return NULL;
}

int sp_targets_report(struct sp_targets *ts, pid_t pid, enum sp_report_format format, uint64_t asked_ns, int *ret_fd,
		      uint64_t *ret_size)
{
	struct target *t = find(ts, pid);
	uint8_t question = (uint8_t)format;

	if (!t)
		return -ESRCH;
	struct reply *r = reply_of(t, format);
	uint64_t now_ns = sp_clock_ns();
	if (r->made_ns && r->made_ns + FRESH_NS >= asked_ns) {
		*ret_fd = r->fd;
		*ret_size = r->size;
		return r->fd < 0 ? -ENODATA : 0;
	}
	if (t->state != WATCHED || t->sock < 0)
		return -ENODATA;
	if (r->asked_ns && r->asked_ns + AGAIN_NS > now_ns)
		return -EAGAIN;
	if (send(t->sock, &question, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		r->asked_ns = now_ns;
	return -EAGAIN;
}
