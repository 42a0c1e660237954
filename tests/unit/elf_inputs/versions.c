// SPDX-License-Identifier: Apache-2.0
/* Symbols of every kind that a look-up has to choose from; versions.map says which belong to which version. */
int old_twice(int x);
int new_twice(int x);
int old_only(int x);
int weak_one(int x);
int picked(int x);
int not_exported(int x);
extern int data_object;

int data_object = 1;

int old_twice(int x)
{
	return x + x + 1;
}

int new_twice(int x)
{
	return 2 * x;
}

int old_only(int x)
{
	return x - 1;
}

__asm__(".symver old_twice, twice@V1");
__asm__(".symver new_twice, twice@@V2");
__asm__(".symver old_only, gone@V1");

__attribute__((weak)) int weak_one(int x)
{
	return x + 3;
}

int not_exported(int x)
{
	return x * 5;
}

typedef int (*fn)(int);

static __attribute__((used)) fn choose(void)
{
	return not_exported;
}

int picked(int x) __attribute__((ifunc("choose")));
