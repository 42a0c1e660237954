// SPDX-License-Identifier: Apache-2.0
/* For the tests of proc/: a /proc tree on disk, and child processes to look at. */
#ifndef SEEP_TESTS_PROC_FIXTURE_H
#define SEEP_TESTS_PROC_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc/priv.h"

/* ---- a directory that goes away again ---- */

struct tree {
	char dir[64];
	struct sp_procfs fs; /* the directory as a fake /proc */
};

static inline void tree_init(struct tree *t)
{
	strcpy(t->dir, "/tmp/seep-proc-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	assert_int_equal(chmod(t->dir, 0755), 0);
	t->fs = (struct sp_procfs){.root = t->dir, .fake = true};
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void tree_done(struct tree *t)
{
	assert_int_equal(nftw(t->dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* dir/NAME with its directories made; returns buf (PATH_MAX bytes). */
static inline const char *tree_path(const struct tree *t, const char *name, char *buf)
{
	assert_true(snprintf(buf, PATH_MAX, "%s/%s", t->dir, name) < PATH_MAX);
	for (char *slash = buf + strlen(t->dir) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(mkdir(buf, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	return buf;
}

static inline void tree_put_bytes(const struct tree *t, const char *name, const void *bytes, size_t len)
{
	char path[PATH_MAX];
	FILE *f = fopen(tree_path(t, name, path), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static inline void tree_put(const struct tree *t, const char *name, const char *text)
{
	tree_put_bytes(t, name, text, strlen(text));
}

static inline void tree_link(const struct tree *t, const char *name, const char *target)
{
	char path[PATH_MAX];

	assert_int_equal(symlink(target, tree_path(t, name, path)), 0);
}

/* dir/PID with stat as Linux 6.1 writes it, and cmdline unless NULL. */
static inline void tree_put_process(const struct tree *t, int pid, const char *comm, char state, unsigned flags,
				    const char *cmdline)
{
	char name[64], text[512];

	snprintf(name, sizeof(name), "%d/stat", pid);
	snprintf(
	    text, sizeof(text),
	    "%d (%s) %c 7 %d %d 0 -1 %u 104 0 0 0 0 0 0 0 20 0 1 0 4242 5836800 229 18446744073709551615 1 1 0 0 0 0"
	    " 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
	    pid, comm, state, pid, pid, flags);
	tree_put(t, name, text);
	if (cmdline) {
		snprintf(name, sizeof(name), "%d/cmdline", pid);
		tree_put_bytes(t, name, cmdline, strlen(cmdline) + 1);
	}
}

/* ---- children ---- */

/* A child that does nothing until it is killed; it dies with the test. */
static inline pid_t victim_start(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static inline void victim_stop(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* Waits until the process is in the state (a letter of stat). */
static inline void wait_for_state(pid_t pid, char state)
{
	struct sp_stat st = {};
	int fd = sp_procfs_open_pid(NULL, pid);

	assert_true(fd >= 0);
	for (int i = 0; i < 5000 && st.state != state; i++) {
		usleep(1000);
		assert_int_equal(sp_stat_read(fd, &st), 0);
	}
	close(fd);
	assert_int_equal(st.state, state);
}

#endif
