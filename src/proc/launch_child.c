// SPDX-License-Identifier: Apache-2.0
/*
 * The child's side of a launch, between fork and exec: only calls that are safe after a fork in a threaded program.
 *
 * The program must find the signals as we found them at our own start. Handlers: exec puts them back to the default,
 * and so do we already before signals are let in again. Ignored signals stay ignored, because whoever started us may
 * have wished that (nohup), with one exception: SIGPIPE, which seep itself ignores while it writes reports; a program
 * of a pipe must end when its reader does. The mask is emptied rather than inherited, because seep blocks signals while
 * it launches; hardly anyone starts a program with signals blocked.
 */
#include "proc/priv.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

static void restore_handlers(void)
{
	struct sigaction act, dfl = {.sa_handler = SIG_DFL};

	for (int sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &act) < 0)
			continue;
		if (sig == SIGPIPE || (act.sa_handler != SIG_IGN && act.sa_handler != SIG_DFL))
			(void)sigaction(sig, &dfl, NULL);
	}
}

_Noreturn void sp_launch_child(char *const argv[], int sock)
{
	sigset_t none;
	char go;

	restore_handlers();
	if (read(sock, &go, 1) != 1) /* our tracer gave up or died */
		_exit(127);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	int err = errno;
	(void)send(sock, &err, sizeof(err), MSG_NOSIGNAL);
	_exit(127);
}
