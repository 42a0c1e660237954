// SPDX-License-Identifier: Apache-2.0
/* What a tool may fail to see: one row each. Counted where it happens, printed in every report when not zero. */
#ifndef SEEP_WIRE_LOST_H
#define SEEP_WIRE_LOST_H

/*       id              json key              what the report says of N of them */
#define SP_LOST(X)                                                                                                     \
	X(BLOCKS_FULL, "blocks_full", "blocks not recorded: table full (--max-blocks)")                                \
	X(PATHS_FULL, "paths_full", "blocks without a call path: table full (--max-paths)")                            \
	X(STACK_CUT, "stack_cut", "call paths cut: deeper than 127 frames")                                            \
	X(STACK_BROKEN, "stack_broken", "call paths that end early: no unwind data or unreadable stack")               \
	X(HASH_COLLISION, "hash_collision", "blocks without a call path: hash collision")                              \
	X(THREAD_STATE, "thread_state", "calls not followed: no memory for a thread's state")                          \
	X(NESTED, "nested", "calls not followed: made while others of their thread waited")                            \
	X(EVENTS, "events", "mapping events dropped: ring buffer full")                                                \
	X(MISSED, "missed", "probe hits that the kernel skipped")                                                      \
	X(UNREADABLE, "unreadable", "results not readable in the target's memory")                                     \
	X(BUSY, "busy", "calls not recorded: the kernel's table was busy or had no memory")                            \
	X(THROWING, "throwing", "calls not followed: an exception might pass them")                                    \
	X(CROWDED, "crowded", "functions not watched: another tool's probes are there")                                \
	X(NAMES, "names", "frames without a name: no room for more names")                                             \
	X(UNSEEN, "unseen", "frames without a name: a library came or went there unseen")

enum sp_lost_id {
#define SP_LOST_ENUM(id, key, text) SP_LOST_##id,
	SP_LOST(SP_LOST_ENUM)
#undef SP_LOST_ENUM
	    SP_NR_LOST
};

#endif
