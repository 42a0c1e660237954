// SPDX-License-Identifier: Apache-2.0
// One unit of the large program whose call paths are named (bench/names.py): much debug information, one function for
// the others. It is copied under other names.
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

void *volatile kept;

namespace
{

template <int N> struct Key {
	int value;
	bool operator<(const Key &other) const
	{
		return value < other.value;
	}
};

template <int N> struct Shelf {
	std::map<Key<N>, std::string> by_key;
	std::unordered_map<int, std::vector<Key<N>>> by_number;
	std::variant<std::monostate, Key<N>, std::string> last;
	std::function<void(Key<N>)> seen;
	std::shared_ptr<std::vector<std::pair<Key<N>, std::string>>> all;

	// Inlined into step<N>(): a source frame without a call.
	__attribute__((always_inline)) inline void keep(size_t size)
	{
		kept = std::malloc(size);
		asm volatile("" ::: "memory");
	}

	void fill(int number)
	{
		by_key[Key<N>{number}] = std::to_string(number);
		by_number[number].push_back(Key<N>{number});
		last = Key<N>{number};
		seen = [this](Key<N> key) { by_key.erase(key); };
		all = std::make_shared<std::vector<std::pair<Key<N>, std::string>>>();
		all->emplace_back(Key<N>{number}, std::to_string(number));
		seen(Key<N>{number});
	}
};

template <int N> __attribute__((noinline)) void step(size_t size, bool fills)
{
	Shelf<N> shelf;

	if (fills)
		shelf.fill(N);
	if constexpr (N == 0)
		shelf.keep(size);
	else
		step<N - 1>(size, fills);
	asm volatile("" ::"r"(&shelf) : "memory"); // no tail call
}

} // namespace

// A block that nobody frees, at the end of a path of 12 functions; `fills` is never true, the compiler does not know
// it.
extern "C" void leak_deep(size_t size, bool fills)
{
	if (fills && std::regex_match("a", std::regex("a+")))
		return;
	step<11>(size, fills);
}
