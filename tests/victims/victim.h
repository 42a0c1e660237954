/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every victim shares: it says when it is ready, obeys commands from stdin and prints its own true answer, one
 * JSON object a line. Nothing here allocates: reading, formatting and writing use the stack only, so the truth is not
 * disturbed.
 *
 *   {"event":"ready","pid":P}                                     now waits for a command
 *   {"event":"path","functions":["inner","outer"],"bytes":B,"blocks":N}   frames next to each other, innermost first
 *   {"event":"through","function":"f","bytes":B,"blocks":N}       all call paths that contain f; bytes -1: not known;
 *                                                                 blocks 0 with bytes: number not fixed
 *   {"event":"block","address":"0x...","size":S}
 *   {"event":"done","command":"go"}                               the command has been carried out
 */
#ifndef SEEP_TESTS_VICTIM_H
#define SEEP_TESTS_VICTIM_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__clang__)
#define VICTIM_NOINLINE __attribute__((noinline, unused))
#else
#define VICTIM_NOINLINE __attribute__((noinline, noclone, unused))
#endif
#define VICTIM_UNUSED __attribute__((unused))

/* The value is used here: no tail call before it, no elided allocation. */
#define VICTIM_USE(value) __asm__ volatile("" : : "r"(value) : "memory")

enum { VICTIM_LINE = 1024 };

VICTIM_UNUSED static void victim_write(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);
		if (n <= 0)
			_exit(9); /* nobody listens: no reason to live */
		text += n;
		len -= (size_t)n;
	}
}

__attribute__((format(printf, 1, 2), unused)) static void victim_say(const char *format, ...)
{
	char line[VICTIM_LINE];
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line))
		_exit(8);
	victim_write(line, (size_t)n);
}

VICTIM_UNUSED static void victim_ready(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphan survives a broken test */
	victim_say("{\"event\":\"ready\",\"pid\":%d}\n", (int)getpid());
}

/* The next line of stdin without its end; false at the end of the input. */
VICTIM_UNUSED static bool victim_command(char *line, size_t size)
{
	size_t len = 0;
	char c;

	while (read(STDIN_FILENO, &c, 1) == 1) {
		if (c == '\n') {
			line[len] = 0;
			return true;
		}
		if (len + 1 < size)
			line[len++] = c;
	}
	return false;
}

VICTIM_UNUSED static bool victim_is(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncmp(line, word, n) == 0 && (line[n] == 0 || line[n] == ' ');
}

/* The N-th number (from 0) behind the command's word, or `otherwise`. */
VICTIM_UNUSED static unsigned long victim_number(const char *line, unsigned nth, unsigned long otherwise)
{
	for (unsigned i = 0; i <= nth; i++) {
		line = strchr(line, ' ');
		if (!line)
			return otherwise;
		line++;
	}
	return strtoul(line, NULL, 0);
}

/* functions: "inner outer main", innermost first. */
VICTIM_UNUSED static void victim_path(const char *functions, uint64_t bytes, uint64_t blocks)
{
	char quoted[VICTIM_LINE / 2];
	size_t n = 0;

	for (const char *c = functions; *c && n + 4 < sizeof(quoted); c++) {
		if (*c == ' ') {
			memcpy(quoted + n, "\",\"", 3);
			n += 3;
		} else {
			quoted[n++] = *c;
		}
	}
	quoted[n] = 0;
	victim_say("{\"event\":\"path\",\"functions\":[\"%s\"],\"bytes\":%llu,\"blocks\":%llu}\n", quoted,
		   (unsigned long long)bytes, (unsigned long long)blocks);
}

VICTIM_UNUSED static void victim_through(const char *function, long long bytes, uint64_t blocks)
{
	victim_say("{\"event\":\"through\",\"function\":\"%s\",\"bytes\":%lld,\"blocks\":%llu}\n", function, bytes,
		   (unsigned long long)blocks);
}

VICTIM_UNUSED static void victim_block(const void *address, size_t size)
{
	victim_say("{\"event\":\"block\",\"address\":\"0x%llx\",\"size\":%zu}\n",
		   (unsigned long long)(uintptr_t)address, size);
}

VICTIM_UNUSED static void victim_done(const char *command)
{
	victim_say("{\"event\":\"done\",\"command\":\"%s\"}\n", command);
}

#endif
