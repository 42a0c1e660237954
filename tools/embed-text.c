// SPDX-License-Identifier: Apache-2.0
/* Build step: files -> a header with each as an array of bytes. embed-text OUT NAME FILE [NAME FILE]... */
#include <stdio.h>

static int embed(FILE *out, const char *name, const char *path)
{
	FILE *in = fopen(path, "rb");
	unsigned nr = 0;
	int c;

	if (!in) {
		perror(path);
		return -1;
	}
	fprintf(out, "static const unsigned char %s[] = {", name);
	while ((c = getc(in)) != EOF)
		fprintf(out, "%s%d,", nr++ % 24 ? "" : "\n", c);
	fprintf(out, "\n};\n");
	return fclose(in);
}

int main(int argc, char **argv)
{
	FILE *out = argc > 1 ? fopen(argv[1], "w") : NULL;

	if (!out || argc % 2) {
		fprintf(stderr, "embed-text OUT NAME FILE [NAME FILE]...\n");
		return 1;
	}
	for (int i = 2; i + 1 < argc; i += 2)
		if (embed(out, argv[i], argv[i + 1]))
			return 1;
	return fclose(out) ? 1 : 0;
}
