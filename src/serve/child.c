// SPDX-License-Identifier: Apache-2.0
/* fork() without exec(): the child has all that it needs, and must let go of what is not its business. */
#include "serve/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 20000
#define STEP_MS     20

static int close_from_to(unsigned first, unsigned last)
{
	if (first > last)
		return 0;
	return (int)syscall(SYS_close_range, first, last, 0u); /* since Linux 5.9 */
}

/*
 * Of a client's connection, or another child's socket, that stayed open here nobody would ever see the end. SIGCHLD is
 * the server's to block; the signals that end us stay blocked for the session, which takes them.
 */
static int let_go(int sock, pid_t parent)
{
	sigset_t set;

	if (close_from_to(3, (unsigned)sock - 1) < 0 || close_from_to((unsigned)sock + 1, ~0u) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int sp_child_start(struct sp_worker_config *c, pid_t *ret_child, int *ret_sock)
{
	pid_t self = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fflush(NULL); /* what is in buffers now would be written twice */
	pid_t child = fork();
	if (child == 0) {
		c->sock = pair[1];
		if (let_go(c->sock, self) < 0)
			_exit(1);
		sp_worker_run(c);
	}
	int err = child < 0 ? -errno : 0;
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	*ret_child = child;
	*ret_sock = pair[0];
	return 0;
}

static bool are_gone(const pid_t *children, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!waitpid(children[i], NULL, WNOHANG))
			return false;
	return true;
}

void sp_child_wait_all(const pid_t *children, size_t nr)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};

	for (unsigned ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
		if (are_gone(children, nr))
			return;
		nanosleep(&step, NULL);
	}
	for (size_t i = 0; i < nr; i++)
		if (!waitpid(children[i], NULL, WNOHANG) && !kill(children[i], SIGKILL))
			waitpid(children[i], NULL, 0);
}
