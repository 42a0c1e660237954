// SPDX-License-Identifier: Apache-2.0
/* Ownership in our process: cleanup attributes and take-macros. */
#ifndef SEEP_BASE_CLEANUP_H
#define SEEP_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define sp_cleanup(fn) __attribute__((cleanup(fn)))

static inline void sp_free_p(void *p)
{
	free(*(void **)p);
}

static inline void sp_close_p(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void sp_fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void sp_closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define sp_autofree     sp_cleanup(sp_free_p)
#define sp_autoclose    sp_cleanup(sp_close_p)
#define sp_autofclose   sp_cleanup(sp_fclose_p)
#define sp_autoclosedir sp_cleanup(sp_closedir_p)

/* Give up ownership: the variable becomes empty, its value goes on. */
#define sp_take_ptr(p)                                                                                                 \
	({                                                                                                             \
		__typeof__(p) sp_taken = (p);                                                                          \
		(p) = NULL;                                                                                            \
		sp_taken;                                                                                              \
	})

#define sp_take_fd(fd)                                                                                                 \
	({                                                                                                             \
		int sp_taken = (fd);                                                                                   \
		(fd) = -1;                                                                                             \
		sp_taken;                                                                                              \
	})

#define SP_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
