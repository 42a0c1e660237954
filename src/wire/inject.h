// SPDX-License-Identifier: Apache-2.0
/*
 * What marks our memory in a target. Every region that is put there for execution or for the calls made on the target's
 * behalf begins with a mark, so that a later run finds what an interrupted one left behind. A mark is a hint for
 * finding, not a thing to trust: a target can write what it likes.
 */
#ifndef SEEP_WIRE_INJECT_H
#define SEEP_WIRE_INJECT_H

#ifdef __bpf__
#error not for BPF programs
#endif
#include <stdint.h>

#define SP_INJECT_MAGIC      0x6a6e692d70656573ull /* "seep-inj", little-endian */
#define SP_INJECT_MARK_BYTES 64

enum sp_inject_region {
	SP_INJECT_CODE = 1, /* the agent: text, then its control pages */
	SP_INJECT_NEAR,     /* stubs, descriptors and trampolines of one module's hooks */
	SP_INJECT_MAILBOX,  /* results of remote calls */
	SP_INJECT_STUB,     /* a remote call in the slack of a file mapping */
};

struct sp_inject_mark {
	uint64_t magic;
	uint32_t version; /* SP_INJECT_VERSION */
	uint32_t kind;    /* enum sp_inject_region */
	uint64_t bytes;   /* of the whole region, pages */
	/*
	 * From the mark to the 32-bit word that stops the agent when it is 0; 0: this region has none. The word is in
	 * the same region.
	 */
	uint64_t active_offset;
	/* Who put it there: pid and start time (field 22 of stat) in the pid namespace with this inode. */
	uint32_t owner_pid;
	uint32_t reserved;
	uint64_t owner_start;
	uint64_t owner_pid_ns;
	uint64_t reserved2;
};

#define SP_INJECT_VERSION 1

_Static_assert(sizeof(struct sp_inject_mark) == SP_INJECT_MARK_BYTES, "the size is part of the format");

#endif
