// SPDX-License-Identifier: Apache-2.0
/* A child that watches: how it begins and ends. */
#ifndef SEEP_SERVE_CHILD_H
#define SEEP_SERVE_CHILD_H

#include "serve/worker.h"

/* Forks one for c->pid; c->sock is filled in. *ret_sock: our end. -errno. */
sp_must_check int sp_child_start(struct sp_worker_config *c, pid_t *ret_child, int *ret_sock);

/*
 * Waits for children whose socket has been closed to leave their targets; who takes too long is killed, and his guard
 * or the kernel takes everything out instead.
 */
void sp_child_wait_all(const pid_t *children, size_t nr);

#endif
