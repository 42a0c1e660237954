// SPDX-License-Identifier: Apache-2.0
/*
 * Says why the kernel does not let us look into a process, and what would change that.
 *
 * The kernel's rule (ptrace(2), "Ptrace access mode checking"): CAP_SYS_PTRACE in the target's user namespace, or the
 * same user in all its ids and a dumpable target; then Yama and the other security modules may still say no.
 */
#include "proc/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>

struct denial {
	const struct sp_procfs *fs;
	pid_t pid;
	char comm[64];
	int err;
	uid_t our_uid, uid;
	bool has_cap;      /* CAP_SYS_PTRACE, in our own user namespace */
	bool reads_all;    /* likewise CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE */
	bool same_uids;    /* real, effective and saved all equal ours */
	uint64_t yama;     /* 0 also when there is no Yama */
	bool other_userns; /* known to be another one, or hidden from us */
};

static uint64_t own_caps(const struct sp_procfs *fs)
{
	sp_autofree char *status = NULL;
	size_t len;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/self/status", sp_procfs_root(fs));
	if (sp_proc_read_file(AT_FDCWD, path, 1 << 20, &status, &len) < 0)
		return 0;
	const char *caps = sp_status_find(status, "CapEff");
	return caps ? strtoull(caps, NULL, 16) : 0;
}

static uint64_t yama_scope(const struct sp_procfs *fs)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/sys/kernel/yama/ptrace_scope", sp_procfs_root(fs));
	if (sp_proc_read_head(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	return strtoull(text, NULL, 10);
}

static void read_uids(int dirfd, struct denial *d)
{
	sp_autofree char *status = NULL;
	size_t len;
	unsigned uid, euid, suid;

	d->uid = (uid_t)-1;
	if (sp_proc_read_file(dirfd, "status", 1 << 20, &status, &len) < 0)
		return;
	const char *line = sp_status_find(status, "Uid");
	if (!line || sscanf(line, "%u %u %u", &uid, &euid, &suid) != 3)
		return;
	d->uid = uid == d->our_uid ? euid : uid;
	d->same_uids = uid == d->our_uid && euid == d->our_uid && suid == d->our_uid;
}

/* "redis", or "1000" for a user without a name. */
static const char *user_name(uid_t uid, char *buf, size_t size)
{
	struct passwd pw, *found = NULL;
	char store[2048];

	if (getpwuid_r(uid, &pw, store, sizeof(store), &found) == 0 && found)
		return sp_text_printable(buf, size, found->pw_name);
	snprintf(buf, size, "%u", uid);
	return buf;
}

/* As a service may be, of which all other capabilities were taken: some files of /proc are their user's alone. */
static void explain_unreadable(const struct denial *d, struct sp_why *why)
{
	char theirs[64];

	sp_why_set(why, SP_FAULT_TARGET, d->err,
		   "cannot attach to %d (%s): not permitted: it belongs to user %s, and we have CAP_SYS_PTRACE but not"
		   " CAP_DAC_READ_SEARCH",
		   (int)d->pid, d->comm, user_name(d->uid, theirs, sizeof(theirs)));
	sp_why_hint(why, "give seep that capability, too");
}

/* We have the capability and were refused all the same. */
static void explain_capable(const struct denial *d, struct sp_why *why)
{
	if (d->yama >= 3) {
		sp_why_set(why, SP_FAULT_TARGET, d->err,
			   "cannot attach to %d (%s): not permitted: the sysctl kernel.yama.ptrace_scope is 3, which"
			   " forbids it to everybody",
			   (int)d->pid, d->comm);
		sp_why_hint(why, "it cannot be lowered before the next boot");
		return;
	}
	if (!d->reads_all && d->uid != d->our_uid) {
		explain_unreadable(d, why);
		return;
	}
	sp_why_set(why, SP_FAULT_TARGET, d->err,
		   "cannot attach to %d (%s): not permitted, although we have CAP_SYS_PTRACE: %s", (int)d->pid, d->comm,
		   d->other_userns ? "it is in a user namespace that is not ours, or a security module protects it"
				   : "a security module protects it");
	sp_why_hint(why,
		    "run seep on the host as root; SELinux and AppArmor say more in 'journalctl -k | grep -i denied'");
}

static void explain_other_user(const struct denial *d, struct sp_why *why)
{
	char theirs[64], ours[64];

	user_name(d->uid, theirs, sizeof(theirs));
	user_name(d->our_uid, ours, sizeof(ours));
	sp_why_set(
	    why, SP_FAULT_TARGET, d->err,
	    "cannot attach to %d (%s): not permitted: it belongs to user %s, we are user %s without CAP_SYS_PTRACE",
	    (int)d->pid, d->comm, theirs, ours);
	sp_why_hint(why,
		    "run as root%s%s, or give seep the capability: setcap"
		    " cap_sys_ptrace,cap_bpf,cap_perfmon+ep $(command -v seep)",
		    d->uid ? " or as user " : "", d->uid ? theirs : "");
}

static void explain_yama(const struct denial *d, struct sp_why *why)
{
	const char *meaning = d->yama == 1   ? "only a parent may attach"
			      : d->yama == 2 ? "only CAP_SYS_PTRACE may attach"
					     : "nobody may attach";

	sp_why_set(why, SP_FAULT_TARGET, d->err,
		   "cannot attach to %d (%s): not permitted: the sysctl kernel.yama.ptrace_scope is %llu (%s)",
		   (int)d->pid, d->comm, (unsigned long long)d->yama, meaning);
	if (d->yama >= 3)
		sp_why_hint(why, "it cannot be lowered before the next boot");
	else
		sp_why_hint(why, "run as root, or: sudo sysctl kernel.yama.ptrace_scope=0%s",
			    d->yama == 1 ? ", or start it with: seep trace -- COMMAND" : "");
}

static void explain_protected(const struct denial *d, struct sp_why *why)
{
	if (d->our_uid == 0) {
		sp_why_set(why, SP_FAULT_TARGET, d->err,
			   "cannot attach to %d (%s): not permitted: we are root without CAP_SYS_PTRACE", (int)d->pid,
			   d->comm);
		sp_why_hint(why, "in a container: start it with --cap-add SYS_PTRACE, or run seep on the host");
		return;
	}
	sp_why_set(
	    why, SP_FAULT_TARGET, d->err,
	    "cannot attach to %d (%s): not permitted: it is protected against its own user (it changed its user, has"
	    " file capabilities or asked for it) and we are without CAP_SYS_PTRACE",
	    (int)d->pid, d->comm);
	sp_why_hint(why, "run as root");
}

int sp_proc_explain_denied(const struct sp_procfs *fs, int dirfd, pid_t pid, int err, struct sp_why *why)
{
	struct sp_stat st = {.comm = "?"};
	struct denial d = {.fs = fs, .pid = pid, .err = err, .our_uid = geteuid()};

	if (sp_stat_read(dirfd, &st) < 0)
		st.comm[0] = '?';
	sp_text_printable(d.comm, sizeof(d.comm), st.comm);
	uint64_t caps = own_caps(fs);
	d.has_cap = caps >> CAP_SYS_PTRACE & 1;
	d.reads_all = caps & (1u << CAP_DAC_READ_SEARCH | 1u << CAP_DAC_OVERRIDE);
	d.yama = yama_scope(fs);
	d.other_userns = sp_proc_ns(fs, pid, "user") != sp_proc_ns(fs, 0, "user");
	read_uids(dirfd, &d);

	if (d.has_cap)
		explain_capable(&d, why);
	else if (d.our_uid && !d.same_uids && d.uid != d.our_uid)
		explain_other_user(&d, why);
	else if (d.our_uid && d.yama)
		explain_yama(&d, why);
	else
		explain_protected(&d, why);
	return -err;
}
