// SPDX-License-Identifier: Apache-2.0
/*
 * The terminal as a screen, with ECMA-48's sequences and termios alone: one page, drawn whole, needs no more, and every
 * terminal and emulator of today knows these.
 */
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

/* The alternate page, no cursor, no wrapping at the right margin; and back. Sources: xterm's ctlseqs, DEC VT510. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

bool sp_terminal_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static void put(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

/* Ctrl-C and Ctrl-Z stay signals; the rest comes as bytes. */
static void raw(const struct sp_terminal *t)
{
	struct termios keys = t->before;

	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 0;
	keys.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
}

void sp_terminal_enter(struct sp_terminal *t)
{
	if (t->is_entered || tcgetattr(STDIN_FILENO, &t->before))
		return;
	raw(t);
	put(ENTER);
	t->is_entered = true;
}

void sp_terminal_leave(struct sp_terminal *t)
{
	if (!t->is_entered)
		return;
	put(LEAVE);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
	t->is_entered = false;
}

void sp_terminal_stop(struct sp_terminal *t)
{
	sp_terminal_leave(t);
	raise(SIGSTOP);
	sp_terminal_enter(t);
}

void sp_terminal_size(unsigned *ret_rows, unsigned *ret_columns)
{
	struct winsize size;
	bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col;

	*ret_rows = known ? size.ws_row : 24;
	*ret_columns = known ? size.ws_col : 80;
}

/* ---- another program on it ---- */

static void set_of(sigset_t *set, const int *signals, size_t nr)
{
	sigemptyset(set);
	for (size_t i = 0; i < nr; i++)
		sigaddset(set, signals[i]);
}

/* Starts it with no signal blocked: our own are, and it would inherit that. */
static int start(char *const argv[], pid_t *ret)
{
	posix_spawnattr_t attr;
	sigset_t none;
	int err = posix_spawnattr_init(&attr);

	if (err)
		return -err;
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawn(ret, "/proc/self/exe", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return -err;
}

/* Stopped by Ctrl-Z it stops us, too, or the shell would wait for ever; going on is for both. */
static bool has_ended(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG | WUNTRACED) != pid)
		return false;
	if (!WIFSTOPPED(status))
		return true;
	raise(SIGSTOP);
	kill(pid, SIGCONT);
	return false;
}

/* Until it has ended. True when we were told to end. */
static bool attend(pid_t pid)
{
	static const int signals[] = {SIGCHLD, SIGTERM, SIGHUP};
	bool is_over = false;
	sigset_t set;

	set_of(&set, signals, SP_ARRAY_SIZE(signals));
	while (!has_ended(pid)) {
		int sig = sigwaitinfo(&set, NULL);

		if (sig != SIGTERM && sig != SIGHUP)
			continue;
		is_over = true;
		kill(pid, SIGTERM);
	}
	return is_over;
}

/* What the keyboard sent to all of the foreground, or the stop and the going on left behind. */
static void swallow(void)
{
	static const int signals[] = {SIGINT, SIGTSTP, SIGCONT};
	const struct timespec now = {0};
	sigset_t set;

	set_of(&set, signals, SP_ARRAY_SIZE(signals));
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
}

/* Waits for a key before its words disappear. True when we were told to end. */
static bool wait_for_key(struct sp_terminal *t, const char *name)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGINT};
	struct pollfd key = {.fd = STDIN_FILENO, .events = POLLIN};
	const struct timespec now = {0};
	bool is_over = false;
	sigset_t set;

	set_of(&set, signals, SP_ARRAY_SIZE(signals));
	put(name);
	put(": any key goes back to it\n");
	tcgetattr(STDIN_FILENO, &t->before);
	raw(t);
	tcflush(STDIN_FILENO, TCIFLUSH);
	while (!is_over && poll(&key, 1, 200) <= 0)
		is_over = sigtimedwait(&set, NULL, &now) > 0;
	tcflush(STDIN_FILENO, TCIFLUSH);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
	return is_over;
}

int sp_terminal_lend(struct sp_terminal *t, char *const argv[], const char *name, bool *ret_is_over)
{
	sigset_t child, before;
	pid_t pid = 0;
	int err;

	sp_terminal_leave(t);
	set_of(&child, (const int[]){SIGCHLD}, 1);
	sigprocmask(SIG_BLOCK, &child, &before);
	err = start(argv, &pid);
	if (!err)
		*ret_is_over = attend(pid);
	swallow();
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (!err && !*ret_is_over)
		*ret_is_over = wait_for_key(t, name);
	sp_terminal_enter(t);
	return err;
}
