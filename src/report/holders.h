// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    turns the holders of a block into text or JSON.
 * Runs in: our process, main thread.
 * May not: read anything but the answer.
 * Owns:    nothing.
 * Fails by: -errno of the stream; flushed before it returns.
 */
#ifndef SEEP_REPORT_HOLDERS_H
#define SEEP_REPORT_HOLDERS_H

#include "report/jsonw.h"
#include "report/report.h"
#include "session/holders.h"

sp_must_check int sp_report_holders(FILE *out, const struct sp_holders *h, const struct sp_report_options *o);
sp_must_check int sp_report_holders_json(FILE *out, const struct sp_holders *h, const struct sp_report_options *o);

/* A place in words: "cache+0x8 [server]", "thread 12 (worker), stack of handle+0x1a [server] server.c:33". */
void sp_report_place(struct sp_words *w, const struct sp_place *p);

/* The same as an object under this key. */
void sp_jsonw_place(struct sp_jsonw *w, const char *key, const struct sp_place *p);

#endif
