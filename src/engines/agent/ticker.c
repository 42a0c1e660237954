// SPDX-License-Identifier: Apache-2.0
/*
 * What must go on whatever the session does: the agent's clock, the look at its memory, the look whether the program is
 * still the same. A thread of our own; it writes two words of the region and else only wakes the engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "engines/agent/impl.h"

#define MANY_EVENTS (1u << (SP_AGENT_RING_BITS - 4))

uint32_t sp_agent_tick(uint64_t begin_ns)
{
	return (uint32_t)((sp_watch_now_ns() - begin_ns) / SP_AGENT_TICK_NS);
}

uint32_t sp_agent_tick_there(const struct sp_agent_data *d, uint64_t begin_ns)
{
	uint32_t there = __atomic_load_n(&d->header->tick, __ATOMIC_RELAXED), clock = sp_agent_tick(begin_ns);

	return there - clock <= SP_AGENT_MAX_AHEAD ? there : clock;
}

static void wake(const struct sp_agent_ticker *t)
{
	const uint64_t one = 1;

	(void)!write(t->wake_fd, &one, sizeof(one));
}

/* The program's memory goes with exec, and when it ends. */
static bool is_gone(const struct sp_agent_ticker *t)
{
	uint64_t word;

	return pread(t->mem_fd, &word, sizeof(word), (off_t)t->code) == 0;
}

/* True: something has come for the engine. */
static bool look(struct sp_agent_ticker *t)
{
	struct sp_agent_header *h = t->data->header;
	bool is_news = false;

	uint32_t clock = sp_agent_tick(t->begin_ns);
	if (sp_agent_tick_there(t->data, t->begin_ns) == clock)
		__atomic_store_n(&h->tick, clock, __ATOMIC_RELEASE);
	__atomic_store_n(&h->clock, clock, __ATOMIC_RELEASE);
	if (!t->is_gone && is_gone(t)) {
		t->is_gone = true;
		is_news = true;
	}
	if (!t->is_over && sp_agent_data_used(t->data) > t->max_memory) {
		__atomic_store_n(&h->mode, SP_AGENT_SAMPLED, __ATOMIC_RELEASE);
		t->is_over = true;
		is_news = true;
	}
	is_news |= sp_agent_threads_have_come(t->threads, t->data);
	is_news |= __atomic_load_n(&h->ring_head, __ATOMIC_RELAXED) - t->taken > MANY_EVENTS;
	return is_news;
}

static void *run(void *arg)
{
	struct sp_agent_ticker *t = arg;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!t->must_end) {
		uint64_t unknown = __atomic_load_n(&t->data->header->nr_unknown, __ATOMIC_RELAXED);
		uint64_t foreign = __atomic_load_n(&t->data->header->nr_foreign, __ATOMIC_RELAXED);
		if (look(t) || unknown != t->nr_unknown || foreign != t->nr_foreign)
			wake(t);
		t->nr_unknown = unknown;
		t->nr_foreign = foreign;
		next.tv_nsec += SP_AGENT_TICK_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

int sp_agent_ticker_start(struct sp_agent_ticker *t, struct sp_proc *p)
{
	t->mem_fd = sp_proc_open_file(p, "mem", O_RDONLY);
	if (t->mem_fd < 0)
		return t->mem_fd;
	t->must_end = false;
	int err = sp_thread_start(&t->thread, run, t);
	t->is_running = !err;
	return err;
}

void sp_agent_ticker_stop(struct sp_agent_ticker *t)
{
	if (t->is_running) {
		t->must_end = true;
		pthread_join(t->thread, NULL);
	}
	if (t->mem_fd >= 0)
		close(t->mem_fd);
	*t = SP_AGENT_TICKER_EMPTY;
}
