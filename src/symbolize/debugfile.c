// SPDX-License-Identifier: Apache-2.0
/*
 * Where debug files are looked for, in this order:
 *   1. in the target's root: /usr/lib/debug/.build-id/xx/yyyy.debug
 *   2. in the target's root: the name in .gnu_debuglink beside the program, in .debug/ and in /usr/lib/debug/DIR
 *   3. on the host: as 1 and 2, under /usr/lib/debug only
 *   4. debuginfod servers, when asked for
 * Names come from the target. Its own root is searched through a call that cannot leave it; on the host a name may
 * neither climb ("..") nor be anything but a regular file, and both need the program's build-id or CRC to be used.
 * libdw's own search for dwz files would open any path that the file names, so it is never reached (see object.c).
 */
#include "symbolize/debugfile.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define DEBUG_DIR        "/usr/lib/debug"
#define BUILD_ID_MIN     2
#define BUILD_ID_MAX     64
#define HEX_PATH_BYTES   (sizeof("/.build-id/") + 2 * BUILD_ID_MAX + sizeof("/.debug"))
#define WANTED_HAS_ID(w) ((w)->id_len >= BUILD_ID_MIN && (w)->id_len <= BUILD_ID_MAX)

/* What proves that a file is the right one. */
struct wanted {
	const uint8_t *id;
	ssize_t id_len; /* <= 0: none */
	uint32_t crc;
	bool has_crc;
};

static bool is_wanted(const struct wanted *w, const struct sp_elffile *f)
{
	const void *id;
	uint32_t crc;

	if (WANTED_HAS_ID(w)) {
		ssize_t len = dwelf_elf_gnu_build_id(f->elf, &id);

		return len == w->id_len && !memcmp(id, w->id, (size_t)len);
	}
	return w->has_crc && !sp_elffile_crc32(f->fd, &crc) && crc == w->crc;
}

/* Takes fd. */
static int accept_fd(const struct wanted *w, int fd, struct sp_elffile *ret)
{
	struct sp_elffile f;
	int err;

	if (fd < 0)
		return -ENOENT;
	err = sp_elffile_open(fd, &f);
	if (err)
		return -ENOENT;
	if (!is_wanted(w, &f)) {
		sp_elffile_close(&f);
		return -ENOENT;
	}
	*ret = f;
	return 0;
}

static int open_on_host(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

static bool climbs(const char *path)
{
	size_t len = strlen(path);

	return strstr(path, "/../") || (len >= 3 && !strcmp(path + len - 3, "/.."));
}

static int try_in_target(const struct sp_debug_search *s, const struct wanted *w, const char *dir, const char *name,
			 struct sp_elffile *ret)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path) || !s->open_in_target)
		return -ENOENT;
	return accept_fd(w, s->open_in_target(s->ctx, path), ret);
}

/* `name` is below the host's directory of debug files. */
static int try_on_host(const struct sp_debug_search *s, const struct wanted *w, const char *name,
		       struct sp_elffile *ret)
{
	char path[PATH_MAX];
	int n;

	if (!s->host_dir || climbs(name))
		return -ENOENT;
	n = snprintf(path, sizeof(path), "%s%s", s->host_dir, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENOENT;
	return accept_fd(w, open_on_host(path), ret);
}

static int try_build_id(const struct sp_debug_search *s, const struct wanted *w, bool on_host, struct sp_elffile *ret)
{
	char name[HEX_PATH_BYTES];
	int at;

	if (!WANTED_HAS_ID(w))
		return -ENOENT;
	at = snprintf(name, sizeof(name), "/.build-id/%02x/", w->id[0]);
	for (ssize_t i = 1; i < w->id_len; i++)
		at += snprintf(name + at, sizeof(name) - (size_t)at, "%02x", w->id[i]);
	snprintf(name + at, sizeof(name) - (size_t)at, ".debug");
	return on_host ? try_on_host(s, w, name, ret) : try_in_target(s, w, DEBUG_DIR, name, ret);
}

static bool is_plain_name(const char *name)
{
	return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* DIR/link, DIR/.debug/link and DEBUG_DIR/DIR/link, where DIR is the program's; on the host only the last. */
static int try_link(const struct sp_debug_search *s, const struct wanted *w, const char *path, const char *link,
		    bool on_host, struct sp_elffile *ret)
{
	const char *slash = strrchr(path, '/');
	char beside[PATH_MAX], below[PATH_MAX];
	int n, m;

	if (!slash || path[0] != '/' || climbs(path) || !is_plain_name(link))
		return -ENOENT;
	n = snprintf(beside, sizeof(beside), "%.*s/%s", (int)(slash - path), path, link);
	m = snprintf(below, sizeof(below), "%.*s/.debug/%s", (int)(slash - path), path, link);
	if (n < 0 || (size_t)n >= sizeof(beside) || m < 0 || (size_t)m >= sizeof(below))
		return -ENOENT;
	if (on_host)
		return try_on_host(s, w, beside, ret);
	/* A program may name itself. */
	if (strcmp(beside, path) != 0 && !try_in_target(s, w, "", beside, ret))
		return 0;
	if (!try_in_target(s, w, "", below, ret))
		return 0;
	return try_in_target(s, w, DEBUG_DIR, beside, ret);
}

int sp_debugfile_find(const struct sp_debug_search *s, Elf *main_elf, const char *path, struct sp_elffile *ret)
{
	struct wanted w = {};
	const void *id = NULL;
	GElf_Word crc = 0;
	const char *link = dwelf_elf_gnu_debuglink(main_elf, &crc);

	w.id_len = dwelf_elf_gnu_build_id(main_elf, &id);
	w.id = id;
	w.has_crc = link != NULL;
	w.crc = crc;
	if (!try_build_id(s, &w, false, ret) || !try_link(s, &w, path, link, false, ret) ||
	    !try_build_id(s, &w, true, ret) || !try_link(s, &w, path, link, true, ret))
		return 0;
	if (s->servers && WANTED_HAS_ID(&w))
		return accept_fd(&w, sp_debuginfod_fetch(s->servers, w.id, (size_t)w.id_len), ret);
	return -ENOENT;
}

/* dwz writes an absolute path below DEBUG_DIR. A relative one depends on where the debug file was: not followed. */
static int try_alt_path(const struct sp_debug_search *s, const struct wanted *w, const char *path,
			struct sp_elffile *ret)
{
	const size_t dir_len = strlen(DEBUG_DIR);

	if (!path || path[0] != '/')
		return -ENOENT;
	if (!try_in_target(s, w, "", path, ret))
		return 0;
	return strncmp(path, DEBUG_DIR "/", dir_len + 1) != 0 ? -ENOENT : try_on_host(s, w, path + dir_len, ret);
}

int sp_debugfile_find_alt(const struct sp_debug_search *s, Dwarf *dw, struct sp_elffile *ret)
{
	struct wanted w = {};
	const void *id = NULL;
	const char *path = NULL;

	w.id_len = dwelf_dwarf_gnu_debugaltlink(dw, &path, &id);
	w.id = id;
	if (!WANTED_HAS_ID(&w))
		return -ENOENT;
	if (!try_build_id(s, &w, false, ret) || !try_build_id(s, &w, true, ret) || !try_alt_path(s, &w, path, ret))
		return 0;
	if (s->servers)
		return accept_fd(&w, sp_debuginfod_fetch(s->servers, w.id, (size_t)w.id_len), ret);
	return -ENOENT;
}
