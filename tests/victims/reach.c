/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of every kind of reachability, and the truth about each (truth.h). reach [THREADS [MODULE]]: the blocks are
 * made by so many threads, hence in as many arenas; MODULE is a library that is closed again.
 *
 * go: makes them.  free: frees what was held by the globals.
 */
#include <dlfcn.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include "truth.h"

enum { EACH = 40, MMAPPED = 300 << 10, HUGE = 64 << 20, MAX_THREADS = 8 };

struct node {
	struct node *a, *b;
	char fill[40];
};

/* One row a thread. */
static struct held {
	void *global[EACH], *array[EACH], *middle[EACH], *key_holder, *shared_string;
	struct node *list;
	uint64_t xored[EACH];
	int epoll;
} held[MAX_THREADS];

static pthread_key_t key;
static __thread void *in_tls;
static __thread void *in_tls_of_the_gone;
static const char *module_path;
static volatile char stop;

/* ---- lost ---- */

VICTIM_NOINLINE static void make_direct(void)
{
	for (size_t i = 0; i < EACH; i++) {
		size_t size = 24 + i * 331;
		void *p = malloc(size);

		truth_note("direct", "lost", p, size);
	}
}

VICTIM_NOINLINE static struct node *new_node(const char *kind, const char *what)
{
	struct node *n = calloc(1, sizeof(*n));

	truth_note(kind, what, n, sizeof(*n));
	return n;
}

VICTIM_NOINLINE static struct node *make_tree(const char *what, int depth)
{
	struct node *n = new_node("tree", what);

	if (depth) {
		n->a = make_tree(what, depth - 1);
		n->b = make_tree(what, depth - 1);
	}
	return n;
}

VICTIM_NOINLINE static void make_cycle(void)
{
	struct node *first = new_node("cycle", "lost"), *n = first;

	for (int i = 0; i < EACH; i++)
		n = n->a = new_node("cycle", "lost");
	n->a = first;
	n->b = n;
}

VICTIM_NOINLINE static void make_mapped(void)
{
	void *p = malloc(MMAPPED), *q = malloc(HUGE);

	truth_note("mmapped", "lost", p, MMAPPED);
	truth_note("huge", "lost", q, HUGE);
}

VICTIM_NOINLINE static void make_freed(void)
{
	void *p[EACH];

	for (size_t i = 0; i < EACH; i++) {
		size_t size = i < 4 ? 40 : i < 8 ? 104 : 2000;
		p[i] = malloc(size);
		truth_note("cached", "free", p[i], size);
	}
	for (size_t i = 0; i < EACH; i++) {
		free(p[i]);
		p[i] = NULL;
	}
}

static void *thread_that_goes(void *arg)
{
	void *p = malloc(555);

	(void)arg;
	in_tls_of_the_gone = p;
	VICTIM_USE(&in_tls_of_the_gone);
	truth_note("thread gone", "lost", p, 555);
	truth_scrub();
	return NULL;
}

VICTIM_NOINLINE static void make_thread_gone(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, thread_that_goes, NULL) == 0)
		pthread_join(t, NULL);
}

VICTIM_NOINLINE static void make_module_gone(void)
{
	void *handle = module_path ? dlopen(module_path, RTLD_NOW) : NULL;
	void *(*hold)(size_t) = NULL;

	if (!handle)
		return;
	*(void **)&hold = dlsym(handle, "hold");
	truth_note("module gone", "lost", hold(1234), 1234);
	dlclose(handle);
}

/* ---- hidden ---- */

VICTIM_NOINLINE static void make_hidden(struct held *h)
{
	for (size_t i = 0; i < EACH; i++) {
		void *p = malloc(88);
		h->xored[i] = truth_hide(p);
		truth_note("xored", "hidden", p, 88);
	}
}

/* ---- held ---- */

VICTIM_NOINLINE static void make_globals(struct held *h)
{
	for (size_t i = 0; i < EACH; i++) {
		h->global[i] = malloc(100 + i);
		truth_note("global", "held", h->global[i], 100 + i);
		h->middle[i] = (char *)malloc(400) + 200;
		truth_note("middle", "middle", (char *)h->middle[i] - 200, 400);
	}
	h->list = new_node("list", "held");
	for (int i = 0; i < EACH; i++) {
		struct node *n = new_node("list", "held");
		n->a = h->list;
		h->list = n;
	}
	h->list->b = make_tree("held", 3);
}

VICTIM_NOINLINE static void make_tls(void)
{
	in_tls = malloc(222);
	VICTIM_USE(&in_tls);
	truth_note("tls", "held", in_tls, 222);
	void *p = malloc(223);
	pthread_setspecific(key, p);
	truth_note("pthread key", "held", p, 223);
}

/* A pointer in a register and nowhere else. */
VICTIM_NOINLINE static void hold_in_register(uint64_t hidden)
{
	uint64_t key_word = TRUTH_KEY;

	__asm__ volatile("xorq %[k], %[p]\n"
			 "1:\tpause\n\t"
			 "cmpb $0, %[stop]\n\t"
			 "je 1b\n\t"
			 "xorl %k[p], %k[p]"
			 : [p] "+r"(hidden)
			 : [k] "r"(key_word), [stop] "m"(stop)
			 : "memory", "cc");
}

VICTIM_NOINLINE static uint64_t new_hidden(const char *kind, size_t size)
{
	void *p = malloc(size);

	truth_note(kind, "held", p, size);
	return truth_hide(p);
}

static void *thread_with_register(void *arg)
{
	uint64_t hidden = new_hidden("register", 333);

	truth_scrub();
	(void)!write(*(int *)arg, "r", 1);
	hold_in_register(hidden);
	return NULL;
}

static void *thread_with_stack(void *arg)
{
	void *volatile p = malloc(444);

	truth_note("stack", "held", p, 444);
	(void)!write(*(int *)arg, "s", 1);
	while (!stop)
		usleep(1000);
	VICTIM_USE(p);
	return NULL;
}

/* An address that only the kernel has. */
VICTIM_NOINLINE static void make_kernel(struct held *h)
{
	int fds[2];
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = malloc(666)};

	truth_note("epoll", "held", e.data.ptr, 666);
	h->epoll = epoll_create1(0);
	if (pipe(fds) == 0)
		epoll_ctl(h->epoll, EPOLL_CTL_ADD, fds[0], &e);

	struct sigevent ev = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_ptr = malloc(668)};
	timer_t timer;

	truth_note("timer", "held", ev.sigev_value.sival_ptr, 668);
	timer_create(CLOCK_MONOTONIC, &ev, &timer);
}

/* ---- */

/* In memory that no child gets, as V8's heap. */
VICTIM_NOINLINE static void make_held_out_of_copies(void)
{
	void **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || madvise(page, 4096, MADV_DONTFORK) < 0)
		_exit(5);
	page[7] = malloc(777);
	truth_note("kept out of copies", "held", page[7], 777);
}

VICTIM_NOINLINE static void make_all(struct held *h)
{
	make_held_out_of_copies();
	make_direct();
	(void)make_tree("lost", 4);
	make_cycle();
	make_freed();
	make_hidden(h);
	make_globals(h);
	make_tls();
	make_kernel(h);
	make_thread_gone();
}

struct job {
	struct held *h;
	int done;
};

static void *maker(void *arg)
{
	struct job *j = arg;

	make_all(j->h);
	truth_scrub();
	(void)!write(j->done, "m", 1);
	while (!stop)
		usleep(1000);
	return NULL;
}

static void start(void *(*fn)(void *), void *arg, int answer)
{
	pthread_t t;
	char c;

	if (pthread_create(&t, NULL, fn, arg) != 0 || read(answer, &c, 1) != 1)
		_exit(7);
}

static void go(unsigned nr_threads)
{
	static struct job jobs[MAX_THREADS];
	static int answer[2];

	if (pipe(answer) < 0)
		_exit(6);
	for (unsigned i = 0; i < nr_threads; i++) {
		jobs[i] = (struct job){.h = &held[i], .done = answer[1]};
		start(maker, &jobs[i], answer[0]);
	}
	if (!nr_threads)
		make_all(&held[0]);
	make_mapped();
	make_module_gone();
	start(thread_with_register, &answer[1], answer[0]);
	start(thread_with_stack, &answer[1], answer[0]);
	truth_scrub();
}

int main(int argc, char **argv)
{
	unsigned nr_threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 0;
	char line[VICTIM_LINE] = {}; /* a word half written over an old pointer would be one */

	static void *first; /* an allocator that was never called has no heap to look into */

	first = malloc(10);
	VICTIM_USE(&first);
	module_path = argc > 2 ? argv[2] : NULL;
	pthread_key_create(&key, NULL);
	signal(SIGUSR2, SIG_IGN);
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "go"))
			go(nr_threads < MAX_THREADS ? nr_threads : MAX_THREADS);
		truth_say();
		victim_done(line);
	}
	return 0;
}
