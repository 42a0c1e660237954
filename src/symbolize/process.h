// SPDX-License-Identifier: Apache-2.0
/* What the two files of the process symbolizer share. */
#ifndef SEEP_SYMBOLIZE_PROCESS_H
#define SEEP_SYMBOLIZE_PROCESS_H

#include "symbolize/jit.h"
#include "symbolize/object.h"
#include "symbolize/symbolizer.h"

#define SP_NO_IMAGE UINT32_MAX

/* One file of the target, however often it is mapped. */
struct sp_image {
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	const char *path;         /* interned */
	const char *name;         /* interned; the last part of path */
	int fd;                   /* opened when the mapping was first seen; -1: not, or given to the object */
	bool is_tried;            /* object is final */
	struct sp_object *object; /* NULL: not an ELF file, or not readable */
	const char *build_id;     /* interned */
};

/* A mapping of code that is or was there. */
struct sp_region {
	uint64_t start, end, offset;
	uint32_t image; /* index in images; SP_NO_IMAGE: anonymous code */
};

struct sp_images {
	struct sp_proc *proc;
	struct sp_names *names;
	struct sp_maps maps;
	struct sp_vec images; /* struct sp_image */
	struct sp_vec live;   /* struct sp_region, sorted */
	struct sp_vec dead;   /* struct sp_region, newest last */
	size_t nr_fds;
};

void sp_images_init(struct sp_images *im, struct sp_proc *p, struct sp_names *names);
void sp_images_done(struct sp_images *im);

/* Reads the mappings. *ret_changed: regions are not what they were. */
sp_must_check int sp_images_refresh(struct sp_images *im, bool *ret_changed, struct sp_why *why);

const struct sp_region *sp_images_find_live(const struct sp_images *im, uint64_t pc);
const struct sp_region *sp_images_find_dead(const struct sp_images *im, uint64_t pc); /* the last that was there */

/* The ELF file of an image, opened on first use; NULL: it is none. */
struct sp_object *sp_images_object(struct sp_images *im, uint32_t image, const struct sp_region *r,
				   const struct sp_object_options *opt);

#endif
