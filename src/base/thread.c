// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <signal.h>

int sp_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, before;

	sigfillset(&all);
	int err = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (err)
		return -err;
	err = pthread_create(ret, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}
