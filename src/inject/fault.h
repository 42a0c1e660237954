// SPDX-License-Identifier: Apache-2.0
/*
 * Numbered points at which a test may kill or stop us. In the release they are nothing; the tests link a second build
 * of this room in which each calls a function of theirs.
 */
#ifndef SEEP_INJECT_FAULT_H
#define SEEP_INJECT_FAULT_H

/*        id            when */
#define SP_FAULT_POINTS(X)                                                                                             \
	X(SEIZED, "all threads seized, none stopped")                                                                  \
	X(STOPPED, "a thread stopped")                                                                                 \
	X(STUB_WRITTEN, "the stub in its place")                                                                       \
	X(DIVERTED, "the thread has the stub's registers")                                                             \
	X(CALLING, "it runs")                                                                                          \
	X(CALLED, "its calls are made")                                                                                \
	X(SLACK, "the file's bytes back in the slack")                                                                 \
	X(NEAR_WRITTEN, "a near region filled")                                                                        \
	X(MOVED_PC, "a thread moved into a trampoline")                                                                \
	X(JUMP_WRITTEN, "a jump is in")                                                                                \
	X(APPLIED, "all are, the target stands still")                                                                 \
	X(RESTORED, "a function has its bytes again")                                                                  \
	X(REMOVED, "all have, the target stands still")                                                                \
	X(UNMAPPED, "the regions are gone")                                                                            \
	X(CLONED, "the snapshot's child exists, all stand still")                                                      \
	X(SNAPSHOT, "the target runs, the child stands still")

enum sp_inject_fault {
	SP_FAULT_POINT_NONE,
#define SP_FAULT_ROW(id, when) SP_FAULT_POINT_##id,
	SP_FAULT_POINTS(SP_FAULT_ROW)
#undef SP_FAULT_ROW
	    SP_NR_FAULT_POINTS,
};

#ifdef SEEP_FAULT_POINTS
void sp_inject_fault_point(enum sp_inject_fault point);
#else
static inline void sp_inject_fault_point(enum sp_inject_fault point)
{
	(void)point;
}
#endif

#endif
