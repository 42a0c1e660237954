// SPDX-License-Identifier: Apache-2.0
/* Threads beside the one that the program began with. */
#ifndef SEEP_BASE_THREAD_H
#define SEEP_BASE_THREAD_H

#include <pthread.h>

#include "base/why.h"

/*
 * As pthread_create(), and the thread takes no signals: they are for the one that waits for them. Another one would run
 * the program's handlers at any moment, and stop or end it where a signal has none. Returns 0 or -errno.
 */
sp_must_check int sp_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);

#endif
