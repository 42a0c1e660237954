// SPDX-License-Identifier: Apache-2.0
/* What the text reports share: the clock's hour, and what must be said about a reading (sampling, losses). */
#ifndef SEEP_REPORT_NOTES_H
#define SEEP_REPORT_NOTES_H

#include "report/out.h"
#include "report/report.h"

#define SP_CLOCK_SIZE 16

/* "03:00:41", local time unless o->utc. Returns buf. */
const char *sp_report_time(char buf[SP_CLOCK_SIZE], const struct timespec *t, const struct sp_report_options *o);
const char *sp_report_clock(char buf[SP_CLOCK_SIZE], const struct sp_view *v, const struct sp_report_options *o);

/* Of a recording with scans: how long before this look the last one was, and what it found; else nothing. */
void sp_report_found(struct sp_out *out, const struct sp_view *v);

/* What a sampled report says of itself; nothing for an exact one. */
void sp_report_sampled(struct sp_out *out, const struct sp_view *v, const char *indent);

/*
 * "not seen: 12 call paths cut: deeper than 127 frames", several with `separator` between; nothing when nothing was
 * lost. No row of SP_LOST contains the word "byte": scripts (bcc's own test is one) take the last line with it for a
 * stack.
 */
void sp_report_lost(struct sp_out *out, const struct sp_view *v, const char *indent, const char *separator);

/* With v->is_growth: "12.0 MiB of address space, 8.0 MiB in memory by page faults". Returns buf. */
const char *sp_report_growth(char *buf, size_t size, const struct sp_view *v);
/* How many pages these bytes are. */
uint64_t sp_report_pages(uint64_t bytes);

bool sp_report_is_sampled(const struct sp_view *v);

/* "suppressed: 2 call paths, 71.0 KiB in 3 blocks"; nothing when nothing was. */
void sp_report_suppressed(struct sp_out *out, const struct sp_view *v);

/*
 * Standard error of a path's bytes in percent, at most 999; 0: exact. Where one call in N was recorded: of its blocks
 * (the square root of (N - 1) / blocks), and of their bytes as long as the blocks are alike.
 */
unsigned sp_report_error_percent(const struct sp_view *v, const struct sp_path_sum *s);

#endif
