// SPDX-License-Identifier: Apache-2.0
/* A library without any call frame information, as musl's libc.so. */
int without_cfi(int x);

int without_cfi(int x)
{
	return x + 1;
}
