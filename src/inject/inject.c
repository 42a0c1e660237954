// SPDX-License-Identifier: Apache-2.0
/* Opens and closes the way into a target, and says who we are in the marks. */
#include "inject/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Us, as a later run can find us again: only by somebody in the same pid namespace. */
void sp_inject_fill_owner(struct sp_inject_mark *m)
{
	*m = (struct sp_inject_mark){.magic = SP_INJECT_MAGIC, .version = SP_INJECT_VERSION};
	m->owner_pid = (uint32_t)getpid();
	m->owner_pid_ns = sp_proc_ns(NULL, 0, "pid");
	m->owner_start = sp_proc_start_time_of(NULL, 0);
}

void sp_inject_mark_fill(const struct sp_inject *in, enum sp_inject_region kind, uint64_t bytes, uint64_t active_offset,
			 struct sp_inject_mark *ret)
{
	*ret = in->owner;
	ret->kind = kind;
	ret->bytes = bytes;
	ret->active_offset = active_offset;
}

int sp_inject_open(struct sp_proc *p, const struct sp_inject_opts *opts, struct sp_inject **ret, struct sp_why *why)
{
	struct sp_inject *in = calloc(1, sizeof(*in));

	if (!in)
		return sp_inject_no_memory(why);
	in->p = p;
	in->pid = sp_proc_pid(p);
	in->opts = opts ? *opts : (struct sp_inject_opts){};
	if (!in->opts.max_pause_ns)
		in->opts.max_pause_ns = SP_INJECT_MAX_PAUSE_NS;
	in->memfd = sp_proc_open_file(p, "mem", O_RDWR);
	in->turnfd = in->memfd < 0 ? in->memfd : sp_proc_open_file(p, ".", O_RDONLY | O_DIRECTORY);
	if (in->turnfd < 0) {
		int rc = in->turnfd == -ENOENT ? sp_inject_refuse_gone(in, why)
					       : sp_inject_refuse_ptrace(in, -in->turnfd, why);
		sp_close_p(&in->memfd);
		free(in);
		return rc;
	}
	sp_inject_fill_owner(&in->owner);
	*ret = in;
	return 0;
}

void sp_inject_close(struct sp_inject *in)
{
	if (!in)
		return;
	bool is_left = in->mailbox && sp_inject_drop_mailbox(in) < 0;
	is_left |= in->slack.is_used && sp_slack_restore(in) < 0;
	if (is_left)
		sp_inject_guard_hand_over(in->guard);
	else
		sp_inject_guard_stop(in->guard);
	sp_close_p(&in->turnfd);
	sp_close_p(&in->memfd);
	free(in);
}
