// SPDX-License-Identifier: Apache-2.0
/*
 * Which file is where in the target, now and before.
 *
 * Files are opened when their mapping is first seen and read when an address in them is first asked for: a process
 * that has ended, a library that was unloaded and a binary that was replaced still have names afterwards.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "symbolize/process.h"

#define MAX_IMAGES  4096
#define MAX_REGIONS 65536
#define MAX_DEAD    4096
#define MAX_CHANGES 65536
#define MAX_UNSURE  4096
#define MAX_UNSEEN  65536
#define MAX_FDS     512 /* opened ahead; later files are opened on first use */

void sp_images_init(struct sp_images *im, struct sp_proc *p, struct sp_names *names)
{
	*im = (struct sp_images){.proc = p, .names = names};
	sp_vec_init(&im->images, sizeof(struct sp_image), MAX_IMAGES);
	sp_vec_init(&im->live, sizeof(struct sp_region), MAX_REGIONS);
	sp_vec_init(&im->dead, sizeof(struct sp_region), MAX_DEAD);
	sp_vec_init(&im->changes, sizeof(uint64_t), MAX_CHANGES);
	sp_vec_init(&im->unsure, sizeof(struct sp_unsure), MAX_UNSURE);
	sp_u64map_init(&im->unseen, MAX_UNSEEN);
}

void sp_images_done(struct sp_images *im)
{
	for (size_t i = 0; i < im->images.nr; i++) {
		struct sp_image *image = sp_vec_at(&im->images, struct sp_image, i);

		sp_object_close(image->object);
		if (image->fd >= 0)
			close(image->fd);
	}
	sp_vec_done(&im->images);
	sp_vec_done(&im->live);
	sp_vec_done(&im->dead);
	sp_vec_done(&im->changes);
	sp_vec_done(&im->unsure);
	sp_u64map_done(&im->unseen);
	sp_maps_done(&im->maps);
}

static struct sp_file_state state_of(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return (struct sp_file_state){0};
	return (struct sp_file_state){st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

/* Nothing is known of what could not be opened at first. */
static bool is_known_state(const struct sp_file_state *s)
{
	return s->size || s->modified_s || s->modified_ns;
}

static bool is_same_state(const struct sp_file_state *a, const struct sp_file_state *b)
{
	return a->size == b->size && a->modified_s == b->modified_s && a->modified_ns == b->modified_ns;
}

static bool is_same_file(const struct sp_image *image, const struct sp_mapping *m)
{
	return image->inode == m->inode && image->dev_major == m->dev_major && image->dev_minor == m->dev_minor &&
	       image->path && !strcmp(image->path, m->path);
}

static const char *basename_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Takes fd over (-1: the file cannot be opened). */
static uint32_t add_image(struct sp_images *im, const struct sp_mapping *m, int fd, const struct sp_file_state *state)
{
	struct sp_image image = {.inode = m->inode, .dev_major = m->dev_major, .dev_minor = m->dev_minor, .fd = -1};
	bool is_kept = fd >= 0 && im->nr_fds < MAX_FDS;

	image.path = sp_names_add(im->names, m->path);
	image.name = sp_names_add(im->names, basename_of(m->path));
	image.state = *state;
	if (is_kept)
		image.fd = fd;
	int err = sp_vec_push(&im->images, &image);
	if (fd >= 0 && (err || !is_kept))
		close(fd);
	if (err)
		return SP_NO_IMAGE;
	im->nr_fds += is_kept;
	return (uint32_t)im->images.nr - 1;
}

static bool has_file(const struct sp_mapping *m)
{
	return (m->path[0] == '/' && m->inode) || !strcmp(m->path, "[vdso]");
}

/* The image of a mapping that was not there before. */
static uint32_t image_of(struct sp_images *im, const struct sp_mapping *m)
{
	if (!has_file(m))
		return SP_NO_IMAGE;
	int fd = sp_proc_open_mapping(im->proc, m, NULL);
	struct sp_file_state state = m->inode ? state_of(fd) : (struct sp_file_state){0}; /* [vdso]: a copy */
	for (size_t i = im->images.nr; i-- > 0;) {
		struct sp_image *image = sp_vec_at(&im->images, struct sp_image, i);
		if (!is_same_file(image, m) || !is_same_state(&image->state, &state))
			continue;
		if (fd >= 0)
			close(fd);
		return (uint32_t)i;
	}
	return add_image(im, m, fd, &state);
}

/* The region as it was known already, with the mapping's bounds. */
static bool is_known(const struct sp_images *im, const struct sp_mapping *m, struct sp_region *ret)
{
	const struct sp_region *before = sp_region_find(&im->live, m->start);

	if (!before || (before->image == SP_NO_IMAGE) != !has_file(m))
		return false;
	if (has_file(m) && (before->start - before->offset != m->start - m->offset ||
			    !is_same_file(sp_vec_at(&im->images, struct sp_image, before->image), m)))
		return false;
	*ret = *before;
	ret->start = m->start;
	ret->end = m->end;
	ret->offset = m->offset;
	return true;
}

static int list_live(struct sp_images *im, const struct sp_maps *maps, struct sp_vec *ret)
{
	int err = 0;

	for (size_t i = 0; !err && i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		struct sp_region r = {.start = m->start, .end = m->end, .offset = m->offset};

		if (!(m->prot & SP_PROT_X))
			continue;
		if (!is_known(im, m, &r)) {
			r.image = image_of(im, m);
			r.from_ns = SP_NOT_SETTLED;
		}
		err = sp_vec_push(ret, &r);
	}
	return err == -ENOSPC ? 0 : err;
}

/* Half of the old ones make room at once, so that this is not done for each. */
static void add_dead(struct sp_images *im, const struct sp_region *r)
{
	if (im->dead.nr == MAX_DEAD) {
		memmove(im->dead.data, sp_vec_at(&im->dead, struct sp_region, MAX_DEAD / 2),
			MAX_DEAD / 2 * sizeof(struct sp_region));
		im->dead.nr = MAX_DEAD / 2;
	}
	if (sp_vec_push(&im->dead, r) < 0)
		return; /* no memory: its addresses have no names */
}

static bool is_still_there(const struct sp_vec *now, const struct sp_region *r)
{
	const struct sp_region *n = sp_region_find(now, r->start);

	return n && n->end >= r->end && n->from_ns != SP_NOT_SETTLED && sp_region_is_same(n, r);
}

static void bury(struct sp_images *im, const struct sp_vec *now, uint64_t changed_ns)
{
	for (size_t i = 0; i < im->live.nr; i++) {
		struct sp_region r = *sp_vec_at(&im->live, struct sp_region, i);

		r.until_ns = changed_ns;
		if (r.image != SP_NO_IMAGE && !is_still_there(now, &r))
			add_dead(im, &r);
	}
}

int sp_images_refresh(struct sp_images *im, uint64_t changed_ns, bool *ret_changed, struct sp_why *why)
{
	struct sp_maps maps = {};
	struct sp_vec now;
	int err = sp_proc_maps(im->proc, &maps, why);

	if (err)
		return err;
	/* A process that is ending has no mappings left: what is known of it is of more use. */
	if (!maps.nr || (im->maps.nr && maps.hash == im->maps.hash)) {
		sp_maps_done(&maps);
		*ret_changed = false;
		return 0;
	}
	sp_vec_init(&now, sizeof(struct sp_region), MAX_REGIONS);
	err = list_live(im, &maps, &now);
	if (err) {
		sp_vec_done(&now);
		sp_maps_done(&maps);
		return sp_why_set(why, SP_FAULT_OURS, -err, "cannot list the modules of %d: %s",
				  (int)sp_proc_pid(im->proc), strerror(-err));
	}
	bury(im, &now, changed_ns);
	sp_images_settle(im, &now, changed_ns);
	sp_vec_done(&im->live);
	sp_maps_done(&im->maps);
	im->live = now;
	im->maps = maps;
	*ret_changed = true;
	return 0;
}

const struct sp_region *sp_images_find_live(const struct sp_images *im, uint64_t pc, uint32_t tenant)
{
	const struct sp_region *r = sp_region_find(&im->live, pc);

	return r && r->tenant == tenant ? r : NULL;
}

const struct sp_region *sp_images_find_dead(const struct sp_images *im, uint64_t pc, uint32_t tenant)
{
	for (size_t i = im->dead.nr; i-- > 0;) {
		const struct sp_region *r = sp_vec_at(&im->dead, struct sp_region, i);

		if (pc >= r->start && pc < r->end && r->tenant == tenant)
			return r;
	}
	return NULL;
}

static int open_late(struct sp_images *im, const struct sp_region *r)
{
	const struct sp_mapping *m = sp_maps_find(&im->maps, r->start);

	return m && m->start == r->start ? sp_proc_open_mapping(im->proc, m, NULL) : -ENOENT;
}

struct sp_object *sp_images_object(struct sp_images *im, uint32_t image, const struct sp_region *r,
				   const struct sp_object_options *opt)
{
	struct sp_image *i = sp_vec_at(&im->images, struct sp_image, image);
	int fd;

	if (i->is_tried)
		return i->object;
	i->is_tried = true;
	fd = i->fd >= 0 ? i->fd : open_late(im, r);
	if (fd < 0)
		return NULL;
	im->nr_fds -= i->fd >= 0;
	i->fd = -1;
	struct sp_file_state state = state_of(fd);
	if (is_known_state(&i->state) &&
	    !is_same_state(&state, &i->state)) { /* written over: another library's names */
		close(fd);
		return NULL;
	}
	if (sp_object_open(fd, i->path ? i->path : "", opt, &i->object) < 0)
		return NULL;
	if (*sp_object_build_id(i->object))
		i->build_id = sp_names_add(im->names, sp_object_build_id(i->object));
	return i->object;
}
