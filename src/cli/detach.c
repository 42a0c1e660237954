// SPDX-License-Identifier: Apache-2.0
/* seep detach: takes out of a process what a run of ours has left there. */
#include <errno.h>

#include "cli/command.h"
#include "inject/inject.h"

#define PATIENCE_NS 10000000000ull

static int refuse_watched(pid_t pid, pid_t owner, struct sp_why *why)
{
	sp_why_set(why, SP_FAULT_TARGET, EBUSY, "process %d is being watched by process %d", (int)pid, (int)owner);
	sp_why_hint(why, "end process %d: it takes everything out itself", (int)owner);
	return -EBUSY;
}

static void say_left(const struct sp_proc *p, const struct sp_inject_left *left)
{
	printf("process %d (%s): %u hook%s taken out, %u mapping%s of seep's removed", (int)sp_proc_pid(p),
	       sp_proc_comm(p), left->nr_patches, left->nr_patches == 1 ? "" : "s", left->nr_unmapped,
	       left->nr_unmapped == 1 ? "" : "s");
	if (left->nr_closed)
		printf(", %u descriptor%s closed", left->nr_closed, left->nr_closed == 1 ? "" : "s");
	putchar('\n');
}

static int leave(struct sp_proc *p, struct sp_why *why)
{
	pid_t pid = sp_proc_pid(p);
	struct sp_inject_left left;
	struct sp_inject *in;
	int err = sp_inject_open(p, NULL, &in, why);

	if (err)
		return err;
	err = sp_inject_leave(in, PATIENCE_NS, &left, why);
	sp_inject_close(in);
	if (err)
		return err;
	say_left(p, &left);
	if (!left.nr_kept)
		return 0;
	sp_why_set(why, SP_FAULT_TARGET, EBUSY, "%u mapping%s of seep's must stay in process %d: a thread is inside",
		   left.nr_kept, left.nr_kept == 1 ? "" : "s", (int)pid);
	sp_why_hint(why, "they do nothing; seep detach %d later takes them out", (int)pid);
	return -EBUSY;
}

static int detach(const struct sp_args *args, struct sp_why *why)
{
	struct sp_inject_leftovers found = {0};
	struct sp_proc *p;
	pid_t pid;
	int err = sp_proc_find(NULL, args->target, &pid, why);

	if (!err)
		err = sp_proc_open(NULL, pid, &p, why);
	if (err)
		return err;
	err = sp_inject_leftovers_find(p, &found, why);
	if (!err && !found.nr_regions && !found.nr_patches && !found.nr_files)
		printf("process %d (%s): nothing of seep is in it\n", (int)pid, sp_proc_comm(p));
	else if (!err && found.is_owner_alive)
		err = refuse_watched(pid, found.owner_pid, why);
	else if (!err)
		err = leave(p, why);
	sp_proc_close(p);
	return err;
}

static int run_detach(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_why why = {0};
	int err;

	if (args->target) {
		err = detach(args, &why);
	} else {
		err = sp_why_set(&why, SP_FAULT_USAGE, EINVAL, "which program? (see '%s --help')", cli->called);
		sp_why_hint(&why, "give its PID or its name");
	}
	return err ? sp_cli_complain(cli, &why) : SP_EXIT_DONE;
}

static const struct sp_example examples[] = {
    {"1234", "after a seep that watched process 1234 was killed together with its guard"},
    {NULL, NULL},
};

const struct sp_command sp_command_detach = {
    .name = "detach",
    .id = SP_FOR_DETACH,
    .summary = "take out of a process what an interrupted watch left in it",
    .usage = "PID|NAME",
    .about = "Takes out of a process whatever the engine agent has left there: the allocator's functions get the "
	     "bytes of their files again, and the agent's memory is unmapped. Needed only where seep and its guard "
	     "were both killed; attaching again with that engine does the same first.",
    .examples = examples,
    .run = run_detach,
};
