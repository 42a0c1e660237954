// SPDX-License-Identifier: Apache-2.0
/*
 * Does one thing for each line on stdin and answers with one line, "done ADDRESS" in hex:
 *   load PATH   dlopen; the address of its symbol plugged
 *   unload      dlclose; 0
 *   jit         maps a page of anonymous code; its address
 *   map NAME    maps the file as code, without the dynamic linker; its address
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map_file(const char *path)
{
	int fd = open(path, O_RDONLY);

	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
}

int main(void)
{
	char line[4096];
	void *lib = NULL;

	while (fgets(line, sizeof(line), stdin)) {
		void *answer = NULL;

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "load ", 5)) {
			lib = dlopen(line + 5, RTLD_NOW);
			answer = lib ? dlsym(lib, "plugged") : NULL;
		} else if (!strcmp(line, "unload")) {
			dlclose(lib);
		} else if (!strcmp(line, "jit")) {
			answer = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		} else if (!strncmp(line, "map ", 4)) {
			answer = map_file(line + 4);
		}
		printf("done %lx\n", (unsigned long)answer);
		fflush(stdout);
	}
	return 0;
}
