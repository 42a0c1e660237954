// SPDX-License-Identifier: Apache-2.0
/*
 * debuginfod servers through elfutils' client library, loaded at run time and only when the user asked for it: it
 * brings libcurl and a dozen more, and it talks to the network.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "symbolize/debugfile.h"

struct sp_debuginfod {
	void *lib;
	void *client; /* debuginfod_client * */
	void (*end)(void *client);
	int (*find)(void *client, const unsigned char *build_id, int len, char **ret_path);
};

/* ISO C has no cast from an object pointer to a function pointer; POSIX says that the bytes are the same. */
static bool load(void *lib, const char *name, void *ret_fn)
{
	void *fn = dlsym(lib, name);

	memcpy(ret_fn, &fn, sizeof(fn));
	return fn != NULL;
}

struct sp_debuginfod *sp_debuginfod_open(void)
{
	void *(*begin)(void) = NULL;
	struct sp_debuginfod *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->lib = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
	if (d->lib && load(d->lib, "debuginfod_begin", &begin) && load(d->lib, "debuginfod_end", &d->end) &&
	    load(d->lib, "debuginfod_find_debuginfo", &d->find))
		d->client = begin();
	if (d->client)
		return d;
	sp_debuginfod_close(d);
	return NULL;
}

void sp_debuginfod_close(struct sp_debuginfod *d)
{
	if (!d)
		return;
	if (d->client)
		d->end(d->client);
	if (d->lib)
		dlclose(d->lib);
	free(d);
}

int sp_debuginfod_fetch(struct sp_debuginfod *d, const uint8_t *build_id, size_t len)
{
	int fd = d->find(d->client, build_id, (int)len, NULL);

	return fd < 0 && fd > -4096 ? fd : fd < 0 ? -EIO : fd;
}
