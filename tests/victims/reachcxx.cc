/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of C++ that nothing points to, and others that are held by a pointer into them which C++ makes: to a second
 * base, behind an array's cookie. Truth as in truth.h.
 *
 * go: makes them.
 */
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "truth.h"

namespace shop
{

struct First {
	virtual ~First() = default;
	long a = 1;
};
struct Second {
	virtual ~Second() = default;
	long b = 2;
};
struct Both : First, Second {
	char name[50] = "both";
};
struct Order {
	virtual ~Order() = default;
	std::string customer = std::string(60, 'c');
	std::map<int, int> lines{{1, 2}, {3, 4}};
};
struct Counted {
	~Counted()
	{
		VICTIM_USE(this);
	}
	long n = 3;
};

} // namespace shop

namespace
{

constexpr int kEach = 10;
shop::Second *seconds[kEach];
shop::Counted *arrays[kEach];
std::vector<std::string> *texts;
std::shared_ptr<shop::Order> shared;

} // namespace

VICTIM_NOINLINE static void make_lost()
{
	for (int i = 0; i < kEach; i++) {
		auto *o = new shop::Order;
		truth_note("object", "lost", o, sizeof(*o));
		truth_note("its string", "lost", o->customer.data(), 61);
		for (const auto &line : o->lines)
			truth_note("its map", "lost",
				   reinterpret_cast<const char *>(&line) - sizeof(std::_Rb_tree_node_base), 40);
		auto *b = new shop::Both;
		truth_note("two bases", "lost", b, sizeof(*b));
		auto *s = new std::string(200, 's');
		truth_note("string", "lost", s, sizeof(*s));
		truth_note("its text", "lost", s->data(), 201);
	}
}

VICTIM_NOINLINE static void make_held()
{
	for (int i = 0; i < kEach; i++) {
		auto *b = new shop::Both;
		seconds[i] = b;
		truth_note("second base", "held", b, sizeof(*b));
		arrays[i] = new shop::Counted[7];
		truth_note("array", "held", reinterpret_cast<char *>(arrays[i]) - 8, 8 + 7 * sizeof(shop::Counted));
	}
	VICTIM_USE(&seconds);
	VICTIM_USE(&arrays);
	texts = new std::vector<std::string>(20, std::string(90, 't'));
	for (const auto &t : *texts)
		truth_note("vector of strings", "held", t.data(), 91);
	shared = std::make_shared<shop::Order>();
	truth_note("shared string", "held", shared->customer.data(), 61);
}

int main()
{
	char line[VICTIM_LINE] = {}; // a word half written over an old pointer would be one

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		if (victim_is(line, "go")) {
			make_lost();
			make_held();
		}
		truth_say();
		victim_done(line);
	}
	return 0;
}
