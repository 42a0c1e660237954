// SPDX-License-Identifier: Apache-2.0
/* One loop: signals, clients, children. No thread, so that a child can be forked at any time. */
#include "serve/serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "serve/http.h"

#define TURN_MS 1000

struct server {
	const struct sp_serve_options *o;
	struct sp_serve_gate gate;
	struct sp_serve_address where;
	struct sp_targets *targets;
	struct sp_http *http;
	int signal_fd;
	sigset_t old_mask;
	bool is_ended;
};

static int check(struct server *s, struct sp_why *why)
{
	int err = sp_serve_address_parse(s->o->listen, &s->where, why);

	if (!err && s->o->token_file)
		err = sp_serve_token_read(s->o->token_file, s->gate.token, why);
	if (err)
		return err;
	s->gate.is_loopback = s->where.is_loopback;
	if (s->where.is_loopback || s->o->token_file)
		return 0;
	err = sp_why_set(why, SP_FAULT_USAGE, EPERM, "%s can be reached from other machines", s->o->listen);
	sp_why_hint(why, "say with --token-file FILE what who asks must know, or listen on 127.0.0.1");
	return err;
}

/* ---- signals ---- */

static void add_unless_ignored(sigset_t *set, int number)
{
	struct sigaction act;

	if (!sigaction(number, NULL, &act) && act.sa_handler != SIG_IGN)
		sigaddset(set, number);
}

static int block_signals(struct server *s, struct sp_why *why)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	add_unless_ignored(&set, SIGHUP); /* nohup */
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd >= 0)
		return 0;
	return sp_why_set(why, SP_FAULT_OURS, errno, "cannot wait for signals: %s", strerror(errno));
}

/* What ended us must not do so once more when the old mask is there again. */
static void unblock_signals(struct server *s)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
}

static void take_signals(struct server *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->is_ended |= info.ssi_signo != SIGCHLD;
}

/* ---- the loop ---- */

static int wait_for_work(struct server *s, struct sp_why *why)
{
	struct pollfd fds[SP_SERVE_MAX_TARGETS + 2] = {{.fd = s->signal_fd, .events = POLLIN},
						       {.fd = sp_http_fd(s->http), .events = POLLIN}};
	size_t nr = 2 + sp_targets_fds(s->targets, fds + 2);

	if (poll(fds, nr, sp_http_timeout(s->http, TURN_MS)) < 0 && errno != EINTR)
		return sp_why_set(why, SP_FAULT_OURS, errno, "cannot wait: %s", strerror(errno));
	return 0;
}

static int run(struct server *s, struct sp_why *why)
{
	int err = 0;

	while (!err && !s->is_ended) {
		sp_targets_tick(s->targets);
		if (sp_targets_are_over(s->targets))
			return 0;
		err = wait_for_work(s, why);
		take_signals(s);
		sp_targets_take(s->targets);
		sp_targets_reap(s->targets);
		sp_http_turn(s->http);
	}
	return err;
}

static void say_where(const struct server *s, const struct sp_serve_address *where, sp_serve_say_fn say, void *arg)
{
	char address[64], text[160];

	snprintf(text, sizeof(text), "serving http://%s/ and /metrics, /profile, /healthz%s",
		 sp_serve_address_text(where, address, sizeof(address)),
		 s->gate.token[0] ? ", to who knows the token" : "");
	say(text, arg);
}

int sp_serve_run(const struct sp_serve_options *o, sp_serve_say_fn say, void *arg, struct sp_why *why)
{
	struct server s = {.o = o, .signal_fd = -1};
	struct sp_serve_address where;
	int err = check(&s, why);

	if (err)
		return err;
	err = block_signals(&s, why);
	if (!err)
		err = sp_targets_new(o, say, arg, &s.targets, why);
	if (!err)
		err = sp_http_open(&s.where, &s.gate, s.targets, &s.http, &where, why);
	if (!err) {
		say_where(&s, &where, say, arg);
		err = run(&s, why);
	}
	sp_http_close(s.http);
	sp_targets_free(s.targets);
	unblock_signals(&s);
	return err;
}
