// SPDX-License-Identifier: Apache-2.0
/* docgen TEMPLATE: prints the template with its marks filled. */
#include "cli/docgen.h"

#include <errno.h>
#include <string.h>

#define VERSION_MARK "@version@"

static const struct sp_docgen_mark *find_in(const struct sp_docgen_mark *m, const char *name)
{
	while (m->name && strcmp(m->name, name) != 0)
		m++;
	return m->name ? m : NULL;
}

/* "@man-options trace@": true when the line is a mark and could be filled; *ret_ok false when it could not. */
static bool fill_mark(FILE *out, const char *line, bool *ret_ok)
{
	char name[32] = "", command[32] = "", end[3] = "";
	const struct sp_docgen_mark *m;
	const struct sp_command *c;
	int n = sscanf(line, "@%31[a-z-] %31[a-z]%2[@]", name, command, end);

	if (n == 1)
		n = sscanf(line, "@%31[a-z-]%2[@]", name, end);
	if (n < 2 || strcmp(end, "@") != 0 || !strncmp(line, VERSION_MARK, strlen(VERSION_MARK)))
		return false;
	m = find_in(sp_docgen_man, name);
	if (!m)
		m = find_in(sp_docgen_shell, name);
	c = strcmp(command, "seep") != 0 ? sp_command_find(command) : &sp_command_seep;
	*ret_ok = m && (c != NULL) == m->needs_command && (c || !*command);
	if (*ret_ok)
		m->fill(out, c);
	return true;
}

static void fill_version(FILE *out, const char *line)
{
	const char *at;

	while ((at = strstr(line, VERSION_MARK))) {
		fprintf(out, "%.*s%s", (int)(at - line), line, SEEP_VERSION);
		line = at + strlen(VERSION_MARK);
	}
	fputs(line, out);
}

static int fill(FILE *in, FILE *out, const char *path)
{
	sp_autofree char *line = NULL;
	size_t cap = 0, nr = 0;
	bool ok = true;

	while (getline(&line, &cap, in) > 0) {
		nr++;
		if (!fill_mark(out, line, &ok))
			fill_version(out, line);
		if (!ok) {
			fprintf(stderr, "docgen: %s:%zu: cannot fill %s", path, nr, line);
			return -EINVAL;
		}
	}
	return ferror(in) || fflush(out) || ferror(out) ? -EIO : 0;
}

int main(int argc, char **argv)
{
	sp_autofclose FILE *in = argc == 2 ? fopen(argv[1], "re") : NULL;

	if (!in) {
		fprintf(stderr, "usage: docgen TEMPLATE\n");
		return SP_EXIT_USAGE;
	}
	return fill(in, stdout, argv[1]) < 0 ? 1 : 0;
}
