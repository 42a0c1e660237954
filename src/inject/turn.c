// SPDX-License-Identifier: Apache-2.0
/*
 * One of us at a time changes a target. The guard of a run that was killed, `seep detach`, a second run: all of them
 * lay their stub into the same slack, and two stubs there at once are instructions that nobody wrote.
 *
 * The lock is flock() on the target's directory in /proc, whose inode all that look through the same mount share: it
 * needs no file of ours, lets go when its holder is killed, and goes with the target. Who sees the target through
 * another mount of /proc, from inside a container, does not share it.
 */
#include "inject/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

/* Longer than leaving may take, which waits for threads to come out. */
#define PATIENCE_NS 15000000000ull

int sp_inject_turn_take(struct sp_inject *in)
{
	enum { FIRST_NS = 100000, LONGEST_NS = 5000000 };
	uint64_t deadline = sp_inject_now_ns() + PATIENCE_NS, wait = FIRST_NS;

	if (in->nr_turns) {
		in->nr_turns++;
		return 0;
	}
	while (flock(in->turnfd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (sp_inject_now_ns() > deadline)
			return -EBUSY;
		sp_inject_sleep_ns(wait);
		wait = wait * 2 < LONGEST_NS ? wait * 2 : LONGEST_NS;
	}
	in->nr_turns = 1;
	return 0;
}

int sp_inject_turn_pass(struct sp_inject *in, uint64_t ns)
{
	unsigned nr = in->nr_turns;

	(void)flock(in->turnfd, LOCK_UN);
	in->nr_turns = 0;
	sp_inject_sleep_ns(ns);
	int rc = sp_inject_turn_take(in);
	in->nr_turns = nr; /* they are all given back, whatever came of it */
	return rc;
}

void sp_inject_turn_give(struct sp_inject *in)
{
	if (--in->nr_turns == 0)
		(void)flock(in->turnfd, LOCK_UN);
}
