// SPDX-License-Identifier: Apache-2.0
/*
 * A heap of many blocks in one list: blocks NR SIZE [random]. They are linked in the order in which they were made, or
 * in a random one. Says "ready" and waits.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct node {
	struct node *next;
};

static struct node *head;

static struct node **make(size_t nr, size_t size)
{
	struct node **all = calloc(nr, sizeof(struct node *));

	for (size_t i = 0; all && i < nr; i++) {
		all[i] = malloc(size);
		if (!all[i])
			return NULL;
		memset(all[i], 1, size);
	}
	return all;
}

static void shuffle(struct node **all, size_t nr)
{
	uint64_t random = 88172645463325252u;

	for (size_t i = nr - 1; i > 0; i--) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		size_t other = random % (i + 1);
		struct node *one = all[i];
		all[i] = all[other];
		all[other] = one;
	}
}

int main(int argc, char **argv)
{
	size_t nr = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	struct node **all = nr && size >= sizeof(struct node) ? make(nr, size) : NULL;

	if (!all) {
		fprintf(stderr, "blocks NR SIZE [random]: SIZE is at least 8, and there must be memory for it\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc > 3)
		shuffle(all, nr);
	for (size_t i = 0; i < nr; i++) {
		all[i]->next = head;
		head = all[i];
	}
	free(all);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
