/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of twenty functions built -O2 -fomit-frame-pointer, with frames of different sizes and shapes (arrays,
 * alloca, many live values, so that rbp holds data): a walk along frame pointers fails in it.
 *
 * go [SIZE [COUNT]]: leaks COUNT blocks of SIZE bytes from the innermost function.
 */
#include <alloca.h>

#include "victim.h"

enum { DEFAULT_SIZE = 4242, DEFAULT_COUNT = 10 };

VICTIM_NOINLINE static void *chain01(size_t size, unsigned long seed)
{
	void *p = malloc(size);

	VICTIM_USE(p);
	if (p)
		memset(p, (int)seed, 1);
	return p;
}

/* A fixed array in the frame. */
#define CHAIN_ARRAY(name, next, room_bytes)                                                                            \
	VICTIM_NOINLINE static void *name(size_t size, unsigned long seed)                                             \
	{                                                                                                              \
		char room[room_bytes];                                                                                 \
		room[seed % sizeof(room)] = (char)seed;                                                                \
		VICTIM_USE(room);                                                                                      \
		void *p = next(size, seed * 3 + 1);                                                                    \
		VICTIM_USE(room);                                                                                      \
		VICTIM_USE(p);                                                                                         \
		return p;                                                                                              \
	}

/* A frame whose size is known only when it runs. */
#define CHAIN_ALLOCA(name, next, room_bytes)                                                                           \
	VICTIM_NOINLINE static void *name(size_t size, unsigned long seed)                                             \
	{                                                                                                              \
		char *room = alloca((room_bytes) + (seed & 0x3f));                                                     \
		room[0] = (char)seed;                                                                                  \
		VICTIM_USE(room);                                                                                      \
		void *p = next(size, seed * 5 + 1);                                                                    \
		VICTIM_USE(room);                                                                                      \
		VICTIM_USE(p);                                                                                         \
		return p;                                                                                              \
	}

/* Every callee-saved register holds data over the call. */
#define CHAIN_BUSY(name, next)                                                                                         \
	VICTIM_NOINLINE static void *name(size_t size, unsigned long seed)                                             \
	{                                                                                                              \
		unsigned long a = seed ^ 0x11, b = seed + 0x22, c = seed * 7, d = ~seed, e = seed << 3, f = seed >> 1; \
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));                           \
		void *p = next(size, a + b);                                                                           \
		__asm__ volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f) : "memory");                    \
		VICTIM_USE(p);                                                                                         \
		return p;                                                                                              \
	}

CHAIN_ARRAY(chain02, chain01, 24)
CHAIN_BUSY(chain03, chain02)
CHAIN_ALLOCA(chain04, chain03, 100)
CHAIN_ARRAY(chain05, chain04, 1000)
CHAIN_BUSY(chain06, chain05)
CHAIN_ARRAY(chain07, chain06, 8)
CHAIN_ALLOCA(chain08, chain07, 17)
CHAIN_BUSY(chain09, chain08)
CHAIN_ARRAY(chain10, chain09, 4096)
CHAIN_ARRAY(chain11, chain10, 56)
CHAIN_BUSY(chain12, chain11)
CHAIN_ALLOCA(chain13, chain12, 333)
CHAIN_ARRAY(chain14, chain13, 72)
CHAIN_BUSY(chain15, chain14)
CHAIN_ARRAY(chain16, chain15, 200)
CHAIN_ALLOCA(chain17, chain16, 64)
CHAIN_BUSY(chain18, chain17)
CHAIN_ARRAY(chain19, chain18, 40)
CHAIN_BUSY(chain20, chain19)

int main(void)
{
	char line[VICTIM_LINE];
	unsigned long bytes = 0, blocks = 0;

	victim_ready();
	while (victim_command(line, sizeof(line))) {
		unsigned long size = victim_number(line, 0, DEFAULT_SIZE);
		unsigned long count = victim_number(line, 1, DEFAULT_COUNT);
		for (unsigned long i = 0; i < count; i++)
			victim_block(chain20(size, i), size);
		bytes += size * count;
		blocks += count;
		victim_path("chain01 chain02 chain03 chain04 chain05 chain06 chain07 chain08 chain09 chain10 chain11 "
			    "chain12 chain13 chain14 chain15 chain16 chain17 chain18 chain19 chain20 main",
			    bytes, blocks);
		victim_done("go");
	}
	return 0;
}
