// SPDX-License-Identifier: Apache-2.0
/* Which container or service a cgroup is, from its path alone: the engines' and systemd's habits of naming them. */
#include <ctype.h>
#include <string.h>

#include "proc/system.h"

enum {
	ID_LEN = 64,   /* hexadecimal digits of a container's id: docker, podman, containerd, cri-o */
	ID_SHOWN = 12, /* as `docker ps` shows it */
};

/* What stands before the id in a component, or is the component above it; and what we say. */
static const struct {
	const char *mark, *name;
} engines[] = {
    {"docker", "docker"}, {"libpod", "podman"}, {"cri-containerd", "k8s"},
    {"crio", "k8s"},      {"kubepods", "k8s"},  {"containerd", "k8s"},
};

/* Where in the path a run of exactly 64 hexadecimal digits begins; NULL: nowhere. */
static const char *find_id(const char *path)
{
	size_t run = 0;

	for (const char *s = path;; s++) {
		if (isxdigit((unsigned char)*s)) {
			run++;
			continue;
		}
		if (run == ID_LEN)
			return s - ID_LEN;
		if (!*s)
			return NULL;
		run = 0;
	}
}

static const char *engine_of(const char *path, const char *id)
{
	for (size_t i = 0; i < SP_ARRAY_SIZE(engines); i++)
		if (memmem(path, (size_t)(id - path), engines[i].mark, strlen(engines[i].mark)))
			return engines[i].name;
	return "container";
}

/* The innermost component that ends in one of systemd's suffixes for things with a name; its length in *ret_len. */
static const char *find_unit(const char *path, size_t *ret_len)
{
	static const char *const suffixes[] = {".service", ".scope"};
	const char *found = NULL;

	for (const char *s = path; *s;) {
		size_t len = strcspn(s, "/");

		for (size_t i = 0; i < SP_ARRAY_SIZE(suffixes); i++) {
			size_t n = strlen(suffixes[i]);

			if (len > n && !strncmp(s + len - n, suffixes[i], n)) {
				found = s;
				*ret_len = len;
			}
		}
		s += len + (s[len] == '/');
	}
	return found;
}

/* "lxc.payload.web", "/lxc/web": the name behind either. */
static const char *find_lxc(const char *path, size_t *ret_len)
{
	static const char *const marks[] = {"lxc.payload.", "/lxc/"};

	for (size_t i = 0; i < SP_ARRAY_SIZE(marks); i++) {
		const char *at = strstr(path, marks[i]);

		if (!at)
			continue;
		at += strlen(marks[i]);
		*ret_len = strcspn(at, "/");
		return at;
	}
	return NULL;
}

const char *sp_cgroup_label_of(const char *path, char *buf, size_t size)
{
	const char *id = find_id(path), *lxc, *unit, *slash;
	char raw[300];
	size_t len = 0;

	if (id)
		snprintf(raw, sizeof(raw), "%s:%.*s", engine_of(path, id), ID_SHOWN, id);
	else if ((lxc = find_lxc(path, &len)))
		snprintf(raw, sizeof(raw), "lxc:%.*s", (int)len, lxc);
	else if ((unit = find_unit(path, &len)))
		snprintf(raw, sizeof(raw), "%.*s", (int)len, unit);
	else
		snprintf(raw, sizeof(raw), "%s", (slash = strrchr(path, '/')) ? slash + 1 : path);
	return sp_text_printable(buf, size, raw);
}
