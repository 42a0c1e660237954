// SPDX-License-Identifier: Apache-2.0
/*
 * Numbered points at which a test may kill or stop us. In the release they are nothing; the tests link a second build
 * of this room in which each calls a function of theirs.
 */
#ifndef SEEP_INJECT_FAULT_H
#define SEEP_INJECT_FAULT_H

enum sp_inject_fault {
	SP_FAULT_POINT_SEIZED = 1,   /* all threads seized, none stopped */
	SP_FAULT_POINT_STOPPED,      /* some threads stopped */
	SP_FAULT_POINT_STUB_WRITTEN, /* the stub is in its place */
	SP_FAULT_POINT_DIVERTED,     /* the thread has the stub's registers */
	SP_FAULT_POINT_CALLING,      /* it runs */
	SP_FAULT_POINT_CALLED,       /* its calls are made */
	SP_FAULT_POINT_SLACK,        /* the file's bytes are back in the slack */
	SP_FAULT_POINT_NEAR_WRITTEN, /* a near region is filled */
	SP_FAULT_POINT_MOVED_PC,     /* a thread was moved into a trampoline */
	SP_FAULT_POINT_JUMP_WRITTEN, /* a jump is in */
	SP_FAULT_POINT_APPLIED,      /* all are, the target stands still */
	SP_FAULT_POINT_RESTORED,     /* a function has its bytes again */
	SP_FAULT_POINT_REMOVED,      /* all have, the target stands still */
	SP_FAULT_POINT_UNMAPPED,     /* the regions are gone */
	SP_FAULT_POINT_CLONED,       /* the snapshot's child exists, all stand still */
	SP_FAULT_POINT_SNAPSHOT,     /* the target runs, the child stands still */
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
