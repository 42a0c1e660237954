// SPDX-License-Identifier: Apache-2.0
/* For the tests of symbolize/: built inputs in a directory, programs of them that run, and what addr2line says. */
#ifndef SEEP_TESTS_SYMBOLIZE_FIXTURE_H
#define SEEP_TESTS_SYMBOLIZE_FIXTURE_H

#include "proc_fixture.h"

#include "symbolize/symbolize.h"

#define MAX_DRESSES 32
#define MAX_FRAMES  64

struct inputs {
	struct tree tree; /* the directory */
	struct {
		char name[32], reference[32];
	} dresses[MAX_DRESSES];
	size_t nr;
};

/* Output of a command, a line at a time. */
static inline FILE *run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline FILE *run(const char *fmt, ...)
{
	char command[3 * PATH_MAX];
	va_list args;

	va_start(args, fmt);
	assert_true(vsnprintf(command, sizeof(command), fmt, args) < (int)sizeof(command));
	va_end(args);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	return f;
}

/* Builds everything that dress.sh builds. */
static inline int inputs_init(struct inputs *in)
{
	char line[128];

	tree_init(&in->tree);
	in->nr = 0;
	FILE *f =
	    run("%s/../symbolize_inputs/dress.sh %s/../symbolize_inputs %s", SP_TEST_DATA, SP_TEST_DATA, in->tree.dir);
	while (fgets(line, sizeof(line), f) && in->nr < MAX_DRESSES) {
		if (sscanf(line, "%31s %31s", in->dresses[in->nr].name, in->dresses[in->nr].reference) == 2)
			in->nr++;
	}
	return pclose(f) == 0 && in->nr ? 0 : -1;
}

static inline bool inputs_have(const struct inputs *in, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", in->tree.dir, name);
	return access(path, F_OK) == 0;
}

/* ---- a running program ---- */

struct running {
	pid_t pid;
	FILE *in, *out; /* its stdout, its stdin */
	struct sp_proc *proc;
};

static inline void become(const char *root, const char *path, int in, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (root && (chroot(root) < 0 || chdir("/") < 0))
		_exit(126);
	execl(path, path, (char *)NULL);
	_exit(127);
}

/* root NULL: ours. Waits for its first line when `wait`. */
static inline void start(struct running *r, const char *root, const char *path, bool wait)
{
	int to[2], from[2];
	char line[64];

	assert_int_equal(pipe(to) | pipe(from), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0)
		become(root, path, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	r->out = fdopen(to[1], "w");
	r->in = fdopen(from[0], "r");
	if (wait)
		assert_non_null(fgets(line, sizeof(line), r->in));
	assert_int_equal(sp_proc_open(NULL, r->pid, &r->proc, NULL), 0);
}

static inline void end(struct running *r)
{
	sp_proc_close(r->proc);
	fclose(r->out);
	fclose(r->in);
	victim_stop(r->pid);
}

/* Of the loader: see loader.c. */
static inline uint64_t tell(struct running *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline uint64_t tell(struct running *r, const char *fmt, ...)
{
	char line[64];
	unsigned long answer = 0;
	va_list args;

	va_start(args, fmt);
	vfprintf(r->out, fmt, args);
	va_end(args);
	fputc('\n', r->out);
	fflush(r->out);
	assert_non_null(fgets(line, sizeof(line), r->in));
	assert_int_equal(sscanf(line, "done %lx", &answer), 1);
	return answer;
}

/* What to add to the program's own addresses. */
static inline uint64_t bias_of(struct running *r, const char *path)
{
	struct sp_maps maps;
	uint64_t bias = 0;

	assert_int_equal(sp_proc_maps(r->proc, &maps, NULL), 0);
	for (size_t i = 0; i < maps.nr && !bias; i++) {
		if (!strcmp(maps.list[i].path, path))
			bias = maps.list[i].start;
	}
	sp_maps_done(&maps);
	return bias == 0x400000 ? 0 : bias; /* not position independent */
}

/* The address of a symbol in a file's own terms, 0: not there. */
static inline uint64_t symbol_in(const char *path, const char *name)
{
	char line[512], found[256];
	unsigned long long addr = 0, v;
	FILE *f = run("nm %s", path);

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %*c %255s", &v, found) == 2 && !strcmp(found, name))
			addr = v;
	}
	pclose(f);
	return addr;
}

#endif
