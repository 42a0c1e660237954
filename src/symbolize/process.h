// SPDX-License-Identifier: Apache-2.0
/* What the two files of the process symbolizer share. */
#ifndef SEEP_SYMBOLIZE_PROCESS_H
#define SEEP_SYMBOLIZE_PROCESS_H

#include "symbolize/jit.h"
#include "symbolize/object.h"
#include "symbolize/symbolizer.h"

#define SP_NO_IMAGE UINT32_MAX

/* What tells a file from what is written over it later. All 0: not known. */
struct sp_file_state {
	int64_t size, modified_s, modified_ns;
};

/* One file of the target, however often it is mapped. */
struct sp_image {
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	struct sp_file_state state; /* when its mapping was first seen */
	const char *path;           /* interned */
	const char *name;           /* interned; the last part of path */
	int fd;                     /* opened when the mapping was first seen; -1: not, or given to the object */
	bool is_tried;              /* object is final */
	struct sp_object *object;   /* NULL: not an ELF file, or not readable */
	const char *build_id;       /* interned */
};

/*
 * A mapping of code that is or was there. What has stood at one place (the same image with the same displacement) is
 * one tenant, however often it comes again.
 */
struct sp_region {
	uint64_t start, end, offset;
	uint32_t image;             /* index in images; SP_NO_IMAGE: anonymous code */
	uint32_t tenant;            /* 0: the first one at its addresses */
	uint64_t from_ns, until_ns; /* when it was there (CLOCK_MONOTONIC) */
};

struct sp_images {
	struct sp_proc *proc;
	struct sp_names *names;
	struct sp_maps maps;
	struct sp_vec images;  /* struct sp_image */
	struct sp_vec live;    /* struct sp_region, sorted */
	struct sp_vec dead;    /* struct sp_region, newest last */
	struct sp_vec changes; /* uint64_t: when somebody came, since there are tenants; rising */
	uint64_t nr_changes_forgotten;
	struct sp_vec unsure;    /* struct sp_unsure, rising: when somebody may have come and gone unseen */
	struct sp_u64map unseen; /* pcs of which it is not known who was there */
	uint64_t nr_unseen_more; /* there was no room for them; some perhaps twice */
	uint32_t nr_tenants;     /* numbers given out */
	size_t nr_fds;
};

struct sp_unsure {
	uint64_t from_ns, until_ns;
};

#define SP_NOT_SETTLED UINT64_MAX /* from_ns of a region that has just been seen first */

#define SP_TENANT_SHIFT 48
#define SP_TENANT_NONE                                                                                                 \
	0x7fff /* of what came when all numbers were in use: without names once it is gone; nobody knows */

void sp_images_init(struct sp_images *im, struct sp_proc *p, struct sp_names *names);
void sp_images_done(struct sp_images *im);

/* Reads the mappings; what is different now became so at changed_ns. *ret_changed: regions are not what they were. */
sp_must_check int sp_images_refresh(struct sp_images *im, uint64_t changed_ns, bool *ret_changed, struct sp_why *why);

/* What explains pc now, and what did before; of this tenant. */
const struct sp_region *sp_images_find_live(const struct sp_images *im, uint64_t pc, uint32_t tenant);
const struct sp_region *sp_images_find_dead(const struct sp_images *im, uint64_t pc, uint32_t tenant);

/* ---- tenants.c ---- */

/* Whose numbers the new regions get, and since when they are there; `im->dead` is up to date. */
void sp_images_settle(struct sp_images *im, struct sp_vec *now, uint64_t changed_ns);

/* Somebody may have come and gone unseen between two instants. */
void sp_images_unsure(struct sp_images *im, uint64_t from_ns, uint64_t until_ns);

/* Who was at pc then; SP_TENANT_NONE and counted: not known. *ret_is_shared: at another time it was another. */
uint32_t sp_images_tenant(struct sp_images *im, uint64_t pc, uint64_t when_ns, bool *ret_is_shared);

/* The number of the stretch of time, between two changes, that an instant is in. */
uint64_t sp_images_epoch(const struct sp_images *im, uint64_t when_ns);

const struct sp_region *sp_region_find(const struct sp_vec *v, uint64_t pc);

static inline bool sp_region_is_same(const struct sp_region *a, const struct sp_region *b)
{
	return a->image == b->image && (a->image == SP_NO_IMAGE || a->start - a->offset == b->start - b->offset);
}

/* The ELF file of an image, opened on first use; NULL: it is none. */
struct sp_object *sp_images_object(struct sp_images *im, uint32_t image, const struct sp_region *r,
				   const struct sp_object_options *opt);

#endif
