// SPDX-License-Identifier: Apache-2.0
/* Fakes for everything that a session stands on but the ledger. Each notes that it was called; `fake` says what to do.
 */
#ifndef SEEP_TESTS_SESSION_FAKES_H
#define SEEP_TESTS_SESSION_FAKES_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "session/session.h"

#define MS 1000000u

struct sp_proc {
	pid_t pid;
};

struct sp_launch {
	pid_t pid;
};

struct sp_symbolizer {
	int unused;
};

/* The one global of this test: what the fakes are to do, and what was done. */
static struct {
	char log[4096];
	const char *fails; /* this step */
	int pidfd, engine_fd;
	unsigned polls, reads, reports;
	unsigned news_at; /* this poll brings news */
	enum sp_engine_news news;
	unsigned signal_at; /* this poll brings a signal */
	int signal;
	unsigned end_at;  /* at this poll the target ends */
	unsigned gone_at; /* from this read on: -ESRCH */
	bool blocks_in_last_read;
	int report_answer;
	int child_status; /* -1: runs */
	bool last, target_ended;
	bool mask_at_launch;
	struct sp_engine_config config;
} fake;

static int step(const char *name)
{
	size_t len = strlen(fake.log);

	snprintf(fake.log + len, sizeof(fake.log) - len, "%s%s", len ? " " : "", name);
	return fake.fails && !strcmp(fake.fails, name) ? -EPERM : 0;
}

static int failable_step(const char *name, struct sp_why *why)
{
	return step(name) ? sp_why_set(why, SP_FAULT_TARGET, EPERM, "%s failed", name) : 0;
}

/* ---- proc/ ---- */

static struct sp_proc the_proc = {.pid = 4242};
static struct sp_launch the_launch = {.pid = 4242};
static struct sp_symbolizer the_symbolizer;

int sp_proc_find(const struct sp_procfs *fs, const char *pid_or_name, pid_t *ret, struct sp_why *why)
{
	(void)fs;
	(void)pid_or_name;
	*ret = 4242;
	return failable_step("find", why);
}

int sp_proc_open(const struct sp_procfs *fs, pid_t pid, struct sp_proc **ret, struct sp_why *why)
{
	(void)fs;
	assert_int_equal(pid, 4242);
	if (failable_step("open", why))
		return -EPERM;
	*ret = &the_proc;
	return 0;
}

void sp_proc_close(struct sp_proc *p)
{
	if (p)
		step("close");
}

pid_t sp_proc_pid(const struct sp_proc *p)
{
	return p->pid;
}

int sp_proc_pidfd(const struct sp_proc *p)
{
	(void)p;
	return fake.pidfd;
}

const char *sp_proc_comm(const struct sp_proc *p)
{
	(void)p;
	return "victim";
}

bool sp_proc_is_alive(struct sp_proc *p)
{
	(void)p;
	return !fake.end_at || fake.polls < fake.end_at;
}

int sp_launch_start(char *const argv[], struct sp_launch **ret, struct sp_why *why)
{
	sigset_t mask;

	(void)argv;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	fake.mask_at_launch = sigismember(&mask, SIGINT);
	if (failable_step("launch", why))
		return -EPERM;
	*ret = &the_launch;
	return 0;
}

pid_t sp_launch_pid(const struct sp_launch *l)
{
	return l->pid;
}

int sp_launch_resume(struct sp_launch *l, struct sp_why *why)
{
	(void)l;
	return failable_step("resume", why);
}

bool sp_launch_reap(struct sp_launch *l, int *ret_status)
{
	(void)l;
	if (fake.child_status == -1)
		return false;
	step("reap");
	*ret_status = fake.child_status;
	return true;
}

void sp_launch_close(struct sp_launch *l)
{
	if (l)
		step("launch-close");
}

/* ---- symbolize/ ---- */

int sp_symbolizer_open(struct sp_proc *p, const struct sp_symbolize_options *opt, struct sp_symbolizer **ret,
		       struct sp_why *why)
{
	(void)p;
	(void)opt;
	if (failable_step("names", why))
		return -EPERM;
	*ret = &the_symbolizer;
	return 0;
}

int sp_symbolizer_open_kernel(const struct sp_procfs *fs, struct sp_symbolizer **ret, struct sp_why *why)
{
	(void)fs;
	if (failable_step("kernel-names", why))
		return -EPERM;
	*ret = &the_symbolizer;
	return 0;
}

void sp_symbolizer_close(struct sp_symbolizer *s)
{
	if (s)
		step("names-close");
}

void sp_symbolizer_refresh(struct sp_symbolizer *s, uint64_t changed_ns)
{
	(void)changed_ns;
	assert_ptr_equal(s, &the_symbolizer);
	step("refresh");
}

uint64_t sp_symbolizer_nr_unnamed(const struct sp_symbolizer *s)
{
	(void)s;
	return 0;
}

uint64_t sp_symbolizer_nr_unseen(const struct sp_symbolizer *s)
{
	(void)s;
	return 0;
}

unsigned sp_symbolize(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret, unsigned max)
{
	(void)s;
	(void)is_return;
	assert_true(max > 0);
	*ret = (struct sp_frame){.address = address, .function = "f"};
	return 1;
}

/* ---- engines/ ---- */

static struct sp_engine the_engine; /* its table: setup() */

static int engine_probe(const struct sp_engine_config *c, struct sp_why *why)
{
	(void)c;
	return failable_step("probe", why);
}

static int engine_start(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why)
{
	fake.config = *c;
	if (failable_step("start", why))
		return -EPERM;
	*ret = &the_engine;
	return 0;
}

static int engine_fd(struct sp_engine *e)
{
	(void)e;
	return fake.engine_fd;
}

static enum sp_engine_news engine_poll(struct sp_engine *e, struct sp_ledger *l)
{
	(void)e;
	(void)l;
	fake.polls++;
	if (fake.signal_at == fake.polls)
		raise(fake.signal);
	if (fake.end_at == fake.polls && fake.pidfd >= 0)
		assert_int_equal(eventfd_write(fake.pidfd, 1), 0);
	return fake.news_at == fake.polls ? fake.news : SP_NEWS_NONE;
}

static int engine_read(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why)
{
	const struct sp_block block = {0x1000, 100, 1, SP_NO_PATH, SP_FN_MALLOC, 0};

	(void)e;
	if (failable_step("read", why))
		return -EIO;
	fake.reads++;
	if (fake.gone_at && fake.reads >= fake.gone_at)
		return sp_why_set(why, SP_FAULT_TARGET, ESRCH, "gone");
	if (fake.blocks_in_last_read && fake.reads == 1)
		pause();
	assert_int_equal(sp_ledger_begin(l, (fake.reads + 1) * 1000u), 0);
	for (unsigned i = 0; i < fake.reads; i++)
		assert_int_equal(sp_ledger_block(l, &block), 0);
	return sp_ledger_end(l);
}

static uint64_t engine_now(struct sp_engine *e)
{
	(void)e;
	return (fake.reads + 1) * 1000u;
}

static void engine_stats(struct sp_engine *e, struct sp_engine_stats *ret)
{
	(void)e;
	*ret = (struct sp_engine_stats){
	    .scale = 1, .nr_functions = 14, .allocator = "/lib/libc.so.6", .start_ns = 35 * MS};
}

static void engine_stop(struct sp_engine *e)
{
	assert_ptr_equal(e, &the_engine);
	step("stop");
}

static const struct sp_engine_ops ops = {.name = "fake",
					 .probe = engine_probe,
					 .start = engine_start,
					 .fd = engine_fd,
					 .poll = engine_poll,
					 .read = engine_read,
					 .now_ns = engine_now,
					 .stats = engine_stats,
					 .stop = engine_stop};

const struct sp_engine_ops *sp_engine_find(const char *name)
{
	step("find-engine");
	return !strcmp(name, "fake") ? &ops : NULL;
}

int sp_engine_choose(const struct sp_engine_config *c, const struct sp_engine_ops *after,
		     const struct sp_engine_ops **ret, struct sp_why *why)
{
	(void)c;
	if (after)
		return -ENODEV;
	if (failable_step("choose", why))
		return -EPERM;
	*ret = &ops;
	return 0;
}

/* ---- callbacks ---- */

static int on_report(const struct sp_view *v, void *arg)
{
	(void)arg;
	fake.reports += !v->is_again;
	fake.last = v->is_last;
	fake.target_ended = v->target_ended;
	assert_int_equal(v->nr_report, fake.reports);
	step(v->is_again ? "again" : v->is_last ? "last-report" : "report");
	return fake.report_answer;
}

static void on_notice(enum sp_notice n, pid_t pid, const char *text, void *arg)
{
	static const char *const names[] = {"TARGET", "WATCHING", "INFO", "ENDED"};
	char line[256];

	(void)arg;
	snprintf(line, sizeof(line), "%s(%d:%s)", names[n], (int)pid, n == SP_NOTICE_INFO ? "" : text);
	step(line);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.pidfd = eventfd(0, EFD_CLOEXEC);
	fake.engine_fd = -1;
	fake.child_status = -1;
	the_engine.ops = &ops;
	return fake.pidfd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	if (fake.pidfd >= 0)
		close(fake.pidfd);
	return 0;
}

#endif
