// SPDX-License-Identifier: Apache-2.0
/* Exports. The file's name has parts of the target's: only harmless characters of it are taken. */
#include "cli/live_export.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void name_file(char *buf, size_t size, const struct sp_view *v, const char *format)
{
	char comm[32], clock[16] = "";
	struct tm tm;

	snprintf(comm, sizeof(comm), "%s", v->comm);
	for (char *p = comm; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
			*p = '_';
	if (localtime_r(&v->time.tv_sec, &tm))
		(void)!strftime(clock, sizeof(clock), "%H%M%S", &tm);
	snprintf(buf, size, "%s-%d-%s.%s", comm, (int)v->pid, clock, format);
}

/* Nobody else's file, and no link: we may be root in a directory that others write to. */
static int write_file(const char *path, const struct sp_view *v, const struct sp_report_writer *w)
{
	const struct sp_report_options o = {.show_list = false};
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), err;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	err = f ? 0 : -errno;
	if (!f) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	err = w->write(f, v, &o);
	if (fclose(f) && !err)
		err = -errno;
	if (err)
		unlink(path);
	return err;
}

void sp_live_export(const struct sp_view *v, enum sp_report_format f, char *ret, size_t size)
{
	const struct sp_report_writer *w = sp_report_writer(f);
	char path[128];
	int err;

	name_file(path, sizeof(path), v, w->name);
	err = write_file(path, v, w);
	if (err)
		snprintf(ret, size, "%s: %s", path, strerror(-err));
	else
		snprintf(ret, size, "written: %s", path);
}
