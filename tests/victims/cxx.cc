/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C++ that leaks strings, maps and vectors through operator new, built -O2 -fomit-frame-pointer: with library code and
 * own code inlined, and with a leak inside a handler of an exception that has unwound some frames.
 *
 * go: leaks a known set once.
 */
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "victim.h"

namespace
{

constexpr int kRounds = 7;
constexpr int kNodes = 10;
constexpr size_t kText = 100, kItems = 125, kRaw = 777, kInlined = 1313;

using Table = std::map<int, long>;
using Node = std::_Rb_tree_node<Table::value_type>;

struct Item {
	virtual ~Item() = default;
	std::string *text = nullptr;
};

} // namespace

VICTIM_NOINLINE void *leak_string(char fill)
{
	auto *s = new std::string(kText, fill);
	VICTIM_USE(s);
	return s;
}

VICTIM_NOINLINE void *leak_map(int first)
{
	auto *m = new Table;
	for (int i = 0; i < kNodes; i++)
		m->emplace(first + i, i);
	VICTIM_USE(m);
	return m;
}

VICTIM_NOINLINE void *leak_vector()
{
	auto *v = new std::vector<long>;
	v->reserve(kItems);
	VICTIM_USE(v);
	return v;
}

VICTIM_NOINLINE int fail_deep(int depth)
{
	std::string local(40 + static_cast<size_t>(depth), 'l'); /* freed by the unwinding */
	VICTIM_USE(local.data());
	if (depth == 0)
		throw std::runtime_error("planned");
	return fail_deep(depth - 1) + 1;
}

VICTIM_NOINLINE void *leak_in_catch()
{
	void *p = nullptr;
	try {
		fail_deep(5);
	} catch (const std::runtime_error &) {
		p = new char[kRaw];
	}
	VICTIM_USE(p);
	return p;
}

__attribute__((always_inline)) static inline void *inlined_new(size_t size)
{
	void *p = ::operator new(size);
	VICTIM_USE(p);
	return p;
}

VICTIM_NOINLINE void *leak_through_inlined()
{
	void *p = inlined_new(kInlined);
	VICTIM_USE(p);
	return p;
}

namespace shop
{

class Till
{
      public:
	VICTIM_NOINLINE virtual void *leak_in_method(const std::string &why, int amount);
	virtual ~Till() = default;
};

void *Till::leak_in_method(const std::string &why, int amount)
{
	VICTIM_USE(why.data());
	auto *p = new Item[static_cast<size_t>(amount)];
	VICTIM_USE(p);
	return p;
}

} // namespace shop

static void run(shop::Till *till)
{
	for (int i = 0; i < kRounds; i++) {
		leak_string(static_cast<char>('a' + i));
		leak_map(i);
		leak_vector();
		leak_in_catch();
		leak_through_inlined();
		till->leak_in_method("no reason", 3);
	}
	/* Freed again: no trace of it may stay. */
	for (int i = 0; i < kRounds; i++) {
		std::map<std::string, std::vector<int>> scratch;
		scratch["a key that is longer than the small string"].assign(100, i);
		scratch["another key that is longer than the small string"].assign(50, i);
	}
}

int main()
{
	char line[VICTIM_LINE];
	shop::Till till;
	uint64_t n = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		run(&till);
		n += kRounds;
		victim_through("leak_string", static_cast<long long>(n * (sizeof(std::string) + kText + 1)), n * 2);
		victim_through("leak_map", static_cast<long long>(n * (sizeof(Table) + kNodes * sizeof(Node))),
			       n * (1 + kNodes));
		victim_through("leak_vector",
			       static_cast<long long>(n * (sizeof(std::vector<long>) + kItems * sizeof(long))), n * 2);
		victim_through("leak_in_catch", static_cast<long long>(n * kRaw), n);
		victim_through("leak_through_inlined", static_cast<long long>(n * kInlined), n);
		victim_through("shop::Till::leak_in_method",
			       static_cast<long long>(n * (3 * sizeof(Item) + sizeof(size_t))), n);
		victim_done("go");
	}
	return 0;
}
