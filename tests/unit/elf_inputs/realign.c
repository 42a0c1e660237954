// SPDX-License-Identifier: Apache-2.0
/* Locals that need more alignment than the ABI's stack has: gcc realigns it through r10 and rbp. */
#include <alloca.h>
#include <string.h>

typedef float vec8 __attribute__((vector_size(32)));

float sum(const vec8 *v, const char *p);
float fixed_size(float x);
float variable_size(float x, size_t n);

__attribute__((noinline)) float sum(const vec8 *v, const char *p)
{
	__asm__ volatile("" ::: "memory");
	return (*v)[0] + (*v)[7] + p[0];
}

__attribute__((noinline)) float fixed_size(float x)
{
	vec8 v = {x, 1, 2, 3, 4, 5, 6, 7};

	return sum(&v, "x");
}

__attribute__((noinline)) float variable_size(float x, size_t n)
{
	vec8 v = {x, 1, 2, 3, 4, 5, 6, 7};
	char *p = alloca(n);

	memset(p, 1, n);
	return sum(&v, p) + fixed_size(x);
}

int main(int argc, char **argv)
{
	(void)argv;
	return variable_size((float)argc, 64 + (size_t)argc) > 100;
}
