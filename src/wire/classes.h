// SPDX-License-Identifier: Apache-2.0
/* What is said of a block or of a call path: one row each, the worst first. The words are those of reports and JSON. */
#ifndef SEEP_WIRE_CLASSES_H
#define SEEP_WIRE_CLASSES_H

/*       id        word        what it means */
#define SP_CLASSES(X)                                                                                                  \
	X(LEAKED, "leaked", "no pointer to it exists anywhere: nobody can ever free it")                               \
	X(INDIRECT, "indirect", "reachable only from leaked blocks")                                                   \
	X(POSSIBLE, "possible", "only a pointer into its middle exists")                                               \
	X(GROWING, "growing", "reachable or not judged, but blocks are added all the time and never freed")            \
	X(STEADY, "steady", "reachable or not judged, and not growing: a cache, a pool, normal use")                   \
	X(UNKNOWN, "unknown", "not seen long enough to tell")

enum sp_class {
#define SP_CLASS_ENUM(id, word, text) SP_CLASS_##id,
	SP_CLASSES(SP_CLASS_ENUM)
#undef SP_CLASS_ENUM
	    SP_NR_CLASSES
};

#endif
