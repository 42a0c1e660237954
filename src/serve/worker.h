// SPDX-License-Identifier: Apache-2.0
/* The child that watches one process. */
#ifndef SEEP_SERVE_WORKER_H
#define SEEP_SERVE_WORKER_H

#include "serve/serve.h"

struct sp_worker_config {
	const struct sp_serve_options *o;
	pid_t pid;
	int sock; /* channel.h */
	sp_serve_say_fn say;
	void *say_arg;
};

/* A session of its own, until the target ends, the other end of `sock` is closed, or a signal. */
_Noreturn void sp_worker_run(const struct sp_worker_config *c);

#endif
