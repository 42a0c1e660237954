// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    errors with a reason, cleanup attributes, bounded vectors, u64 map, text helpers, trends, threads.
 * Runs in: our process, any thread (no shared state).
 * May not: print, exit, read /proc, know anything of the rooms above.
 * Owns:    nothing beyond the objects a caller makes.
 * Fails by: 0 or -errno; the reason travels in struct sp_why.
 */
#ifndef SEEP_BASE_BASE_H
#define SEEP_BASE_BASE_H

#include "base/cleanup.h"
#include "base/stats.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/u64map.h"
#include "base/vec.h"
#include "base/why.h"

/* An address in the target. One field, so that it can be neither dereferenced nor mixed with ours. */
typedef struct {
	uint64_t v;
} sp_raddr;

#endif
