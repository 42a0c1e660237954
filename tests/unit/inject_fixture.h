// SPDX-License-Identifier: Apache-2.0
/* For the tests of inject/: a program to act in, and what it looks like from outside. */
#ifndef SEEP_TESTS_INJECT_FIXTURE_H
#define SEEP_TESTS_INJECT_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "inject/impl.h"

struct host {
	pid_t pid;
	int in, out; /* its stdin, its stdout */
};

static inline void host_line(struct host *h, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read(h->out, buf + n, 1) == 1)
		if (buf[n++] == '\n')
			break;
	buf[n] = '\0';
}

/* argv[0] is a path. It runs and has said that it is ready. */
static inline void host_start(struct host *h, const char *const argv[])
{
	int in[2], out[2];
	char line[64];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	h->in = in[1];
	h->out = out[0];
	host_line(h, line, sizeof(line));
	assert_string_equal(line, "ready\n");
}

#define HOST_START(h, ...) host_start(h, (const char *const[]){SP_TEST_HOST, __VA_ARGS__, NULL})

struct talk {
	unsigned long ops, eintr, bad;
	long tracer;
};

static inline struct talk host_talk(struct host *h)
{
	struct talk t = {};
	char line[256];

	assert_int_equal(write(h->in, "t", 1), 1);
	host_line(h, line, sizeof(line));
	assert_int_equal(sscanf(line, "ops %lu eintr %lu bad %lu tracer %ld", &t.ops, &t.eintr, &t.bad, &t.tracer), 4);
	return t;
}

/* It works on: more operations than before, nothing wrong. */
static inline void host_is_well(struct host *h)
{
	struct talk a = host_talk(h), b = a;

	assert_int_equal(a.tracer, 0);
	for (int i = 0; b.ops == a.ops && i < 2000; i++) {
		usleep(5000);
		b = host_talk(h);
	}
	assert_true(b.ops > a.ops);
	assert_int_equal(b.eintr, 0);
	assert_int_equal(b.bad, 0);
}

/* Returns the exit status (7: all was well). */
static inline int host_end(struct host *h)
{
	int status;

	assert_int_equal(write(h->in, "q", 1), 1);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	close(h->in);
	close(h->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- what can be seen of a process ---- */

static inline char *slurp(const char *path)
{
	char *text = NULL;
	size_t size = 0, n = 0;

	FILE *f = fopen(path, "re");
	assert_non_null(f);
	do {
		text = realloc(text, size += 65536);
		assert_non_null(text);
		n += fread(text + n, 1, size - n - 1, f);
	} while (n == size - 1);
	text[n] = '\0';
	fclose(f);
	return text;
}

static inline char *proc_file(pid_t pid, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return slurp(path);
}

static inline unsigned count_dir(pid_t pid, const char *name)
{
	char path[128];
	unsigned nr = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	DIR *d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		nr++;
	closedir(d);
	return nr;
}

/* Addresses, rights and names of all mappings but what the allocator makes itself; hash of all code of files. */
struct looks {
	char *maps;
	unsigned nr_fds;
	uint64_t code;
};

static inline uint64_t hash_bytes(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

/* Mappings of files only, or the stack: the program's own heap changes all the time. */
static inline void keep_files(char *maps)
{
	char *out = maps, *line = maps;

	while (*line) {
		char *end = strchr(line, '\n') + 1;
		if (memchr(line, '/', (size_t)(end - line))) {
			memmove(out, line, (size_t)(end - line));
			out += end - line;
		}
		line = end;
	}
	*out = '\0';
}

static inline void look(pid_t pid, struct looks *l)
{
	struct sp_proc *p;
	struct sp_maps maps;
	static uint8_t buf[1 << 16];

	l->maps = proc_file(pid, "maps");
	keep_files(l->maps);
	l->nr_fds = count_dir(pid, "fd");
	assert_int_equal(sp_proc_open(NULL, pid, &p, NULL), 0);
	assert_int_equal(sp_proc_maps(p, &maps, NULL), 0);
	l->code = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < maps.nr; i++) {
		if (!(maps.list[i].prot & SP_PROT_X) || !maps.list[i].inode)
			continue;
		for (uint64_t a = maps.list[i].start; a < maps.list[i].end; a += sizeof(buf)) {
			ssize_t n =
			    sp_proc_read_mem(p, (sp_raddr){a}, buf,
					     maps.list[i].end - a < sizeof(buf) ? maps.list[i].end - a : sizeof(buf));
			l->code = hash_bytes(l->code, buf, n > 0 ? (size_t)n : 0);
		}
	}
	sp_maps_done(&maps);
	sp_proc_close(p);
}

static inline void looks_equal(struct looks *a, struct looks *b)
{
	assert_string_equal(a->maps, b->maps);
	assert_int_equal(a->nr_fds, b->nr_fds);
	assert_int_equal(a->code, b->code);
	free(a->maps);
	free(b->maps);
}

/* What a test cannot go on without: its reason (i->why) is printed. */
#define MUST(i, call)                                                                                                  \
	do {                                                                                                           \
		int must_rc = (call);                                                                                  \
		if (must_rc < 0)                                                                                       \
			print_error("%s: %d: %s\n", #call, must_rc, (i)->why.what);                                    \
		assert_true(must_rc >= 0);                                                                             \
	} while (0)

#endif
