/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A busy program with everything at once: call paths that leak in every way among traffic, a list that only grows, a
 * cache that fills up and stays, a pool that is used again and again, and what was made at the start. Built -O2 without
 * frame pointers, with inlining. With an argument it is healthy. It works until its input ends; every command makes it
 * say how much each leak has lost.
 */
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "victim.h"

namespace
{

constexpr int kPool = 64, kCache = 400, kStart = 300;
constexpr size_t kBuffer = 200;

struct Session {
	virtual ~Session() = default;
	std::string user = std::string(48, 'u');
	std::map<int, long> items{{1, 1}, {2, 2}};
};

struct Node {
	Node *next;
	char fill[72];
};

struct Entry {
	char text[120];
};

std::vector<void *> pool;
std::map<int, Entry *> cache;
std::vector<std::string> at_start;
Node *history;
std::atomic<bool> stop;
bool is_clean;
std::atomic<uint64_t> nr_buffers, nr_sessions, nr_rings, nr_history;

} // namespace

VICTIM_NOINLINE void leak_buffer()
{
	char *p = static_cast<char *>(malloc(kBuffer));
	VICTIM_USE(p);
	nr_buffers++;
}

VICTIM_NOINLINE void leak_session()
{
	auto *s = new Session;
	VICTIM_USE(s);
	nr_sessions++;
}

VICTIM_NOINLINE void leak_ring()
{
	auto *a = static_cast<Node *>(calloc(1, sizeof(Node)));
	a->next = a;
	VICTIM_USE(a);
	nr_rings++;
}

VICTIM_NOINLINE void grow_history()
{
	auto *n = static_cast<Node *>(malloc(sizeof(Node)));
	n->next = history;
	history = n;
	nr_history++;
}

VICTIM_NOINLINE void use_cache(int key)
{
	Entry *&e = cache[key % kCache];
	if (!e)
		e = static_cast<Entry *>(calloc(1, sizeof(Entry)));
	e->text[0]++;
}

VICTIM_NOINLINE void use_pool(int i)
{
	void *&p = pool[static_cast<size_t>(i % kPool)];
	free(p);
	p = malloc(300);
	VICTIM_USE(p);
}

VICTIM_NOINLINE void traffic(int i)
{
	std::string s(100 + static_cast<size_t>(i % 900), 'x');
	VICTIM_USE(s.data());
}

static void work()
{
	for (int i = 0; !stop; i++) {
		for (int k = 0; k < 20; k++) {
			traffic(i + k);
			use_pool(i + k);
			use_cache(i * 20 + k);
		}
		usleep(2000);
		if (is_clean)
			continue;
		if (i % 3 == 0)
			leak_buffer();
		if (i % 5 == 0)
			leak_session();
		if (i % 7 == 0)
			leak_ring();
		grow_history();
	}
}

/* What worked stands in no register and on no stack any more. */
VICTIM_NOINLINE static void scrub()
{
	volatile char room[64 << 10];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0;
	VICTIM_USE(&room);
}

static void start_up()
{
	pool.resize(kPool);
	for (int i = 0; i < kStart; i++)
		at_start.push_back(std::string(64, 's'));
}

static void say()
{
	victim_through("leak_buffer", static_cast<long long>(nr_buffers * kBuffer), nr_buffers);
	victim_through("leak_session", -1, nr_sessions);
	victim_through("leak_ring", static_cast<long long>(nr_rings * sizeof(Node)), nr_rings);
	victim_through("grow_history", static_cast<long long>(nr_history * sizeof(Node)), nr_history);
}

int main(int argc, char **)
{
	char line[VICTIM_LINE];

	is_clean = argc > 1;
	start_up();
	victim_ready();
	while (victim_command(line, sizeof(line))) {
		stop = false;
		if (victim_is(line, "go"))
			std::thread(work).detach();
		if (victim_is(line, "stop")) {
			stop = true;
			usleep(50000);
			scrub();
		}
		say();
		victim_done(line);
	}
	return 0;
}
