// SPDX-License-Identifier: Apache-2.0
/* By name: programs of that name. By cgroup: processes in it, and in those below it. */
#include "serve/discover.h"

#include <errno.h>
#include <string.h>

#include "proc/system.h"

#define MOUNT "/sys/fs/cgroup" /* where users copy a cgroup's path from */

enum { MAX_FOUND = 4096 };

struct sp_discover {
	const struct sp_serve_options *o;
	const struct sp_procfs *fs;
	char *cgroup; /* as the kernel has it, without a slash at its end; NULL: none */
	struct sp_cgroups *cgroups;
	struct sp_ps_table *ps;
};

bool sp_discover_is_pid(const char *word, pid_t *ret)
{
	uint64_t pid;

	if (sp_text_to_u64(word, 1, INT32_MAX, &pid) < 0)
		return false;
	*ret = (pid_t)pid;
	return true;
}

static bool has_names(const struct sp_serve_options *o)
{
	pid_t pid;

	for (size_t i = 0; i < o->nr_words; i++)
		if (!sp_discover_is_pid(o->words[i], &pid))
			return true;
	return false;
}

static int open_cgroup(struct sp_discover *d, const char *path, struct sp_why *why)
{
	size_t skip = !strncmp(path, MOUNT "/", sizeof(MOUNT)) ? sizeof(MOUNT) - 1 : 0;

	if (path[0] != '/')
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "--cgroup wants a path from the root, not '%s'", path);
	d->cgroup = strdup(path + skip);
	if (!d->cgroup)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory");
	for (size_t len = strlen(d->cgroup); len && d->cgroup[len - 1] == '/';)
		d->cgroup[--len] = '\0';
	int err = sp_cgroups_open(d->fs, &d->cgroups, why);
	return err ? err : sp_ps_open(d->fs, d->cgroups, &d->ps, why);
}

int sp_discover_new(const struct sp_serve_options *o, struct sp_discover **ret, struct sp_why *why)
{
	struct sp_discover *d = NULL;
	int err = 0;

	if (o->cgroup || has_names(o)) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory");
		d->o = o;
		d->fs = o->session.procfs;
		if (o->cgroup)
			err = open_cgroup(d, o->cgroup, why);
	}
	if (err)
		sp_discover_free(d);
	else
		*ret = d;
	return err;
}

void sp_discover_free(struct sp_discover *d)
{
	if (!d)
		return;
	sp_ps_close(d->ps);
	sp_cgroups_close(d->cgroups);
	free(d->cgroup);
	free(d);
}

static void look_by_name(struct sp_discover *d, const char *name, void (*found)(const struct sp_found *, void *),
			 void *arg)
{
	struct sp_found f;
	struct sp_vec pids;

	sp_vec_init(&pids, sizeof(pid_t), MAX_FOUND);
	(void)!sp_proc_find_all(d->fs, name, &pids, NULL);
	for (size_t i = 0; i < pids.nr; i++) {
		f.pid = *sp_vec_at(&pids, pid_t, i);
		f.start_time = sp_proc_start_time_of(d->fs, f.pid);
		if (f.start_time)
			found(&f, arg);
	}
	sp_vec_done(&pids);
}

static bool is_below(const char *path, const char *cgroup)
{
	size_t len = strlen(cgroup);

	return !strncmp(path, cgroup, len) && (path[len] == '/' || path[len] == '\0');
}

/* Our own children may be in it, too: they are not what the user means. */
static void look_in_cgroup(struct sp_discover *d, void (*found)(const struct sp_found *, void *), void *arg)
{
	pid_t self = getpid();
	struct sp_found f;

	if (sp_ps_scan(d->ps, false, NULL) < 0)
		return;
	for (size_t i = 0; i < sp_ps_nr(d->ps); i++) {
		const struct sp_ps *p = sp_ps_at(d->ps, i);

		if (p->pid == self || p->ppid == self || !is_below(sp_cgroup_path(d->cgroups, p->cgroup), d->cgroup))
			continue;
		f.pid = p->pid;
		f.start_time = p->start_time;
		found(&f, arg);
	}
}

void sp_discover_look(struct sp_discover *d, void (*found)(const struct sp_found *f, void *arg), void *arg)
{
	pid_t pid;

	if (!d)
		return;
	for (size_t i = 0; i < d->o->nr_words; i++)
		if (!sp_discover_is_pid(d->o->words[i], &pid))
			look_by_name(d, d->o->words[i], found, arg);
	if (d->cgroup)
		look_in_cgroup(d, found, arg);
}
