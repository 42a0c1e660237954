/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that are held in every way a pointer can hold one, each in one way only; kind says which (truth.h).
 *
 * go: makes them, and a thread that holds some.
 */
#include <sys/epoll.h>
#include <sys/mman.h>

#include "truth.h"

enum { NODES = 100000, MAPPED = 64 << 10 };

struct node {
	struct node *next;
	char fill[24];
};

struct holder {
	char fill[24];
	void *field; /* +0x18 */
};

static struct {
	void *nothing, *slot;
} cache;

static struct node *list;
static struct holder *holder;
static void *middle;
static __thread void *mine;
static pthread_key_t key;
static int epoll;
static volatile char is_working;

VICTIM_NOINLINE static void *block(const char *kind, const char *what, size_t size)
{
	void *p = calloc(1, size);

	truth_note(kind, what, p, size);
	return p;
}

VICTIM_NOINLINE static void make_held(void)
{
	struct epoll_event e = {.events = EPOLLIN};

	cache.slot = block("variable", "held", 100);
	holder = malloc(sizeof(*holder));
	holder->field = block("field", "held", 200);
	middle = (char *)block("middle", "middle", 4000) + 1000;
	e.data.ptr = block("kernel", "held", 300);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e);
	VICTIM_USE(&cache);
	VICTIM_USE(&holder);
	VICTIM_USE(&middle);
}

VICTIM_NOINLINE static void make_list(void)
{
	struct node **last = &list;

	for (int i = 0; i < NODES; i++) {
		*last = i + 1 < NODES ? calloc(1, sizeof(**last)) : block("list", "held", sizeof(**last));
		last = &(*last)->next;
	}
}

VICTIM_NOINLINE static void make_lost(void)
{
	struct holder *parent = block("lost", "lost", sizeof(*parent));
	struct node *ring = block("ring", "lost", sizeof(*ring));

	parent->field = block("child", "lost", 400);
	ring->next = block("ring", "lost", sizeof(*ring));
	ring->next->next = ring;
}

VICTIM_NOINLINE static void make_others(void)
{
	void *mapped = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *freed = block("freed", "free", 5000);

	truth_note("mapped", "free", mapped, MAPPED);
	free(freed);
}

VICTIM_NOINLINE static void handle_request(void)
{
	VICTIM_UNUSED void *volatile request = block("stack", "held", 500);

	truth_scrub();
	is_working = 1;
	for (;;)
		pause();
}

static void *work(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "worker");
	mine = block("thread_variable", "held", 600);
	VICTIM_USE(&mine);
	pthread_setspecific(key, block("pthread_key", "held", 700));
	handle_request();
	return NULL;
}

int main(void)
{
	char line[VICTIM_LINE];
	pthread_t t;

	pthread_key_create(&key, NULL);
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		make_held();
		make_list();
		make_lost();
		pthread_create(&t, NULL, work, NULL);
		while (!is_working)
			usleep(1000);
		make_others();
		truth_say();
		victim_done("go");
	}
	return 0;
}
