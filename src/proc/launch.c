// SPDX-License-Identifier: Apache-2.0
/*
 * Starts a program of the user's and holds it before the first constructor of its libraries.
 *
 * The child waits on a socket until we have seized it with ptrace: from then on it cannot outlive us unwatched
 * (PTRACE_O_EXITKILL), and its exec is an event. Errors of exec come back through the same socket, which closes itself
 * on success. A set-user-ID program runs without the rise in rights when we are not root: the kernel's rule for traced
 * ones.
 *
 * ptrace belongs to the thread that seized: start, resume and close are called by the same one.
 */
#include "proc/priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

/*
 * Signals are blocked over the fork, so that none runs a handler of ours in the child. Returns our end of the socket,
 * or -errno.
 */
static int fork_child(char *const argv[], struct sp_launch *l)
{
	sigset_t all, before;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	sigfillset(&all);
	int err = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (err) {
		close(sv[0]);
		close(sv[1]);
		return -err;
	}
	pid_t pid = fork();
	err = errno;
	if (pid == 0) {
		close(sv[0]); /* else it would never see our end close */
		sp_launch_child(argv, sv[1]);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return -err;
	}
	l->pid = pid;
	return sv[0];
}

static int refuse_exec(const char *name, int err, struct sp_why *why)
{
	bool is_ours = err == ENOMEM || err == EAGAIN || err == ENFILE || err == EMFILE;
	int rc =
	    sp_why_set(why, is_ours ? SP_FAULT_OURS : SP_FAULT_USAGE, err, "cannot run '%s': %s", name, strerror(err));

	if (err == ENOENT)
		sp_why_hint(why, "give the path of the program, or one that 'command -v' finds");
	return rc;
}

/* It ended before it stood where we wanted it: exec failed, or the dynamic linker gave up, or a signal came. */
static int refuse_ended(const struct sp_launch *l, const char *name, int sock, struct sp_why *why)
{
	int err = 0;

	if (recv(sock, &err, sizeof(err), MSG_DONTWAIT) == sizeof(err))
		return refuse_exec(name, err, why);
	if (WIFSIGNALED(l->status))
		return sp_why_set(why, SP_FAULT_TARGET, ESRCH,
				  "'%s' ended before its first instruction: signal %d (%s)", name, WTERMSIG(l->status),
				  strsignal(WTERMSIG(l->status)));
	int rc = sp_why_set(why, SP_FAULT_TARGET, ESRCH, "'%s' ended before its first instruction: status %d", name,
			    WEXITSTATUS(l->status));
	sp_why_hint(why, "is a library of it missing? Try: ldd $(command -v %s)", name);
	return rc;
}

static int refuse_ptrace(const char *name, int err, struct sp_why *why)
{
	int rc = sp_why_set(why, SP_FAULT_OURS, err, "cannot hold '%s' at its start: ptrace: %s", name, strerror(err));

	if (err == EPERM)
		sp_why_hint(why, "ptrace is forbidden here (a container's seccomp profile, or"
				 " kernel.yama.ptrace_scope=3); start the program first and give seep its pid");
	return rc;
}

static int seize(const struct sp_launch *l)
{
	return ptrace(PTRACE_SEIZE, l->pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0 ? -errno : 0;
}

/* Lets the child exec and brings it to the point before the constructors. */
static int run_to_stop(struct sp_launch *l, int sock)
{
	int status;

	if (send(sock, "g", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	int rc = sp_launch_wait(l, PTRACE_CONT, &status);
	while (rc == 0 && status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
		rc = sp_launch_step(l, PTRACE_CONT, SIGTRAP, &status); /* somebody sent it one */
	if (rc < 0)
		return rc;
	l->is_stopped = true;
	return sp_launch_to_constructors(l);
}

static int start(char *const argv[], struct sp_launch *l, struct sp_why *why)
{
	sp_autoclose int sock = fork_child(argv, l);
	if (sock < 0)
		return sp_why_set(why, SP_FAULT_OURS, -sock, "cannot start a process: %s", strerror(-sock));
	int rc = seize(l);
	if (rc == 0)
		rc = run_to_stop(l, sock);
	if (l->has_ended)
		return refuse_ended(l, argv[0], sock, why);
	return rc < 0 ? refuse_ptrace(argv[0], -rc, why) : 0;
}

int sp_launch_start(char *const argv[], struct sp_launch **ret, struct sp_why *why)
{
	if (!argv || !argv[0] || !argv[0][0])
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "the command to run is empty");

	struct sp_launch *l = calloc(1, sizeof(*l));
	if (!l)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
	int rc = start(argv, l, why);
	if (rc < 0) {
		l->is_stopped = l->pid > 0 && !l->has_ended; /* whatever state it is in: it must go */
		sp_launch_close(l);
		return rc;
	}
	*ret = l;
	return 0;
}

pid_t sp_launch_pid(const struct sp_launch *l)
{
	return l->pid;
}

int sp_launch_resume(struct sp_launch *l, struct sp_why *why)
{
	if (!l->is_stopped)
		return 0;
	if (ptrace(PTRACE_DETACH, l->pid, 0, 0) < 0) {
		int err = errno;
		return sp_why_set(why, SP_FAULT_TARGET, err, "process %d ended before it was let run: %s", (int)l->pid,
				  strerror(err));
	}
	l->is_stopped = false;
	return 0;
}

bool sp_launch_reap(struct sp_launch *l, int *ret_status)
{
	int status;

	if (!l->has_ended) {
		pid_t pid = waitpid(l->pid, &status, WNOHANG | __WALL);
		if (pid == l->pid && (WIFEXITED(status) || WIFSIGNALED(status))) {
			l->has_ended = true;
			l->status = status;
		} else if (pid < 0 && errno == ECHILD) {
			l->has_ended = true; /* SIGCHLD is ignored: the kernel reaped it and its status is lost */
			l->status = 0;
		}
	}
	if (l->has_ended) {
		l->is_stopped = false;
		*ret_status = l->status;
	}
	return l->has_ended;
}

void sp_launch_close(struct sp_launch *l)
{
	int status;

	if (!l)
		return;
	if (l->is_stopped && !l->has_ended) {
		(void)kill(l->pid, SIGKILL);
		while (waitpid(l->pid, &status, __WALL) == l->pid ? !WIFEXITED(status) && !WIFSIGNALED(status)
								  : errno == EINTR)
			;
	} else {
		(void)sp_launch_reap(l, &status); /* no zombie of one that has ended */
	}
	free(l);
}
