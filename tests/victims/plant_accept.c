/* SPDX-License-Identifier: Apache-2.0 */
/* The planted leak for nginx, preloaded: each connection that is accepted leaks one block of 300 bytes. */
#include <dlfcn.h>
#include <sys/socket.h>

#include "plant.h"

enum { PER_CONNECTION = 1, SIZE = 300 };

typedef int (*accept4_fn)(int fd, struct sockaddr *addr, socklen_t *len, int flags);

static accept4_fn real_accept4;

__attribute__((constructor)) static void find_real(void)
{
	*(void **)&real_accept4 = dlsym(RTLD_NEXT, "accept4");
}

__attribute__((visibility("default"))) int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict len,
						   int flags)
{
	int accepted = real_accept4(fd, addr, len, flags);

	if (accepted >= 0)
		plant_outer(PER_CONNECTION, SIZE);
	return accepted;
}
