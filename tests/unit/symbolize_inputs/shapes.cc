// SPDX-License-Identifier: Apache-2.0
// C++ shapes whose names a symbolizer can get wrong. Waits for ever: it is only looked at.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace shapes
{
int sink;

template <typename T, int N> struct Box {
	T values[N];
	__attribute__((noinline)) T *grow(const T &v)
	{
		T *p = new T[N];
		p[0] = v;
		return p;
	}
	inline T *grow_inline(const T &v)
	{
		return grow(v + v);
	}
};

struct Base {
	__attribute__((noinline)) Base() : text(std::to_string(sink))
	{
	}
	__attribute__((noinline)) virtual ~Base()
	{
		sink += (int)text.size();
	}
	virtual int run(int n) = 0;
	std::string text;
};

namespace
{
struct Hidden : Base {
	__attribute__((noinline)) int run(int n) override
	{
		std::map<std::string, int> m;
		m[text] = n;
		m["x" + text] += n;
		return (int)m.size();
	}
	__attribute__((noinline)) Hidden operator+(int n) const
	{
		Hidden h;
		h.text += std::to_string(n);
		return h;
	}
};
} // namespace

template <typename... A> __attribute__((noinline)) int count(A... a)
{
	std::vector<int> v{(int)a...};
	std::sort(v.begin(), v.end(), [](int x, int y) { return x > y; });
	return v.empty() ? 0 : v[0];
}

__attribute__((noinline)) int with_lambda(int n)
{
	auto add = [n](int k) __attribute__((noinline))
	{
		std::string s(static_cast<size_t>(k + n), 'x');
		sink += (int)s.size();
		return new int(k);
	};
	std::function<int *(int)> f = add;
	struct Local {
		__attribute__((noinline)) static int *make(int k)
		{
			return new int(k);
		}
	};
	int *p = Local::make(n);
	int r = *f(n) + *p;
	delete p;
	return r;
}

__attribute__((noinline)) void thrower(int n)
{
	if (n > 5)
		throw std::string("too big");
	sink++;
}
} // namespace shapes

int main(int argc, char **)
{
	shapes::Box<long, 3> box{};
	shapes::Hidden h;
	shapes::sink += (int)*box.grow_inline(argc);
	shapes::sink += h.run(argc) + (h + 3).run(1) + shapes::count(1, 2L, 'c') + shapes::with_lambda(argc);
	try {
		shapes::thrower(argc);
	} catch (const std::string &s) {
		shapes::sink += (int)s.size();
	}
	std::printf("ready\n");
	std::fflush(stdout);
	for (;;)
		pause();
}
