// SPDX-License-Identifier: Apache-2.0
/* memleak -t: allocator calls as bcc prints them. */
#ifndef SEEP_CLI_EVENTS_H
#define SEEP_CLI_EVENTS_H

#include "engines/engine.h"

/* An event as a line without its newline: a Python tuple (task, tid, cpu, flags, time, message); returns buf. 256 bytes
 * are enough for every event. */
const char *sp_event_text(const struct sp_event *e, char *buf, size_t size);

/* engine_config.on_event: prints to stdout, flushed; `arg` is the struct sp_run. */
void sp_events_print(const struct sp_event *e, void *arg);

#endif
