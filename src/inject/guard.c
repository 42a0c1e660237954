// SPDX-License-Identifier: Apache-2.0
/*
 * The guard: a small process that leaves the target when we were killed before we could.
 *
 * It is forked before anything is put into the target, waits at a socket whose other end only we hold, and knows
 * nothing but the target's pid and start time: what is to be taken out it finds as a later run would (leave.c). A word
 * through it sends the guard home; its end without it means that we are gone. It is in a session of its own, so that
 * what the terminal sends to us does not reach it, and holds none of our files open.
 */
#include "inject/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { GOODBYE = 'q' };
#define PATIENCE_NS 10000000000ull /* of one try */
#define ALL_NS      600000000000ull

struct sp_inject_guard {
	pid_t pid;
	int fd; /* our end of the socket */
};

/* Only the socket stays, as fd 3. */
static void drop_files(int socket_fd)
{
	enum { KEPT = 3 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < KEPT; fd++)
		(void)dup2(null, fd);
	(void)dup2(socket_fd, KEPT);
	(void)close_range(KEPT + 1, ~0u, 0);
}

static void ignore_signals(void)
{
	static const int SIGNALS[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP,
				      SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM};
	sigset_t none;

	for (size_t i = 0; i < SP_ARRAY_SIZE(SIGNALS); i++)
		(void)signal(SIGNALS[i], SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* True: we said goodbye. */
static bool wait_for_word(void)
{
	ssize_t n;
	char c;

	do
		n = read(3, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 && c == GOODBYE;
}

/*
 * True: there was nothing to do. What it took out is no sign of that: a call that was under way when we were killed may
 * have made something since.
 */
static bool leave_once(struct sp_proc *p, const struct sp_inject_mark *owner)
{
	struct sp_inject_left left = {};
	struct sp_inject *in;

	if (sp_inject_open(p, NULL, &in, NULL) < 0)
		return !sp_proc_is_alive(p);
	in->owner = *owner;
	in->own_only = true;
	int rc = sp_inject_leave(in, PATIENCE_NS, &left, NULL);
	sp_inject_close(in);
	return (rc == 0 && !left.nr_kept && !left.nr_patches && !left.nr_unmapped && !left.nr_closed) ||
	       !sp_proc_is_alive(p);
}

/* Somebody may be in the way for a while: a debugger, a signal that stops the target, another guard. */
static void leave(pid_t pid, uint64_t start_time, const struct sp_inject_mark *owner)
{
	enum { FIRST_NS = 20000000, LONGEST_NS = 10000000000 };
	uint64_t deadline = sp_inject_now_ns() + ALL_NS, wait = FIRST_NS;
	struct sp_proc *p;

	if (sp_proc_open(NULL, pid, &p, NULL) < 0)
		return;
	while (sp_proc_start_time(p) == start_time && !leave_once(p, owner) && sp_inject_now_ns() < deadline) {
		sp_inject_sleep_ns(wait);
		wait = wait * 2 < LONGEST_NS ? wait * 2 : LONGEST_NS;
	}
	sp_proc_close(p);
}

_Noreturn static void guard(pid_t pid, uint64_t start_time, const struct sp_inject_mark *owner, int socket_fd)
{
	(void)setsid();
	(void)prctl(PR_SET_NAME, "seep-guard");
	ignore_signals();
	drop_files(socket_fd);
	if (!wait_for_word())
		leave(pid, start_time, owner);
	_exit(0);
}

int sp_inject_guard_start(struct sp_proc *p, struct sp_inject_guard **ret, struct sp_why *why)
{
	struct sp_inject_guard *g = malloc(sizeof(*g));
	struct sp_inject_mark owner;
	sigset_t all, before;
	int fds[2];

	if (!g)
		return sp_inject_no_memory(why);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		int err = errno;
		free(g);
		return sp_why_set(why, SP_FAULT_OURS, err, "cannot make a socket: %s", strerror(err));
	}
	sp_inject_fill_owner(&owner);
	sigfillset(&all); /* no handler of ours runs in it */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	g->pid = fork();
	int err = errno;
	if (g->pid == 0) {
		close(fds[1]);
		guard(sp_proc_pid(p), sp_proc_start_time(p), &owner, fds[0]);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(fds[0]);
	g->fd = fds[1];
	if (g->pid < 0) {
		close(g->fd);
		free(g);
		return sp_why_set(why, SP_FAULT_OURS, err, "cannot start a process: %s", strerror(err));
	}
	*ret = g;
	return 0;
}

void sp_inject_guard_hand_over(struct sp_inject_guard *g)
{
	if (!g)
		return;
	close(g->fd);
	free(g);
}

void sp_inject_guard_stop(struct sp_inject_guard *g)
{
	const char word = GOODBYE;

	if (!g)
		return;
	(void)send(g->fd, &word, 1, MSG_NOSIGNAL); /* unless somebody killed it */
	close(g->fd);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(g);
}
